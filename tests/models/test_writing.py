from __future__ import annotations

import os

import numpy as np
import pytest
from stdatamodels.jwst import datamodels

from jwgpu.errors import ProductError
from jwgpu.models import writing
from jwgpu.models.ramp import Ramp
from jwgpu.models.rates import Rates


@pytest.fixture
def image():
    model = datamodels.ImageModel((4, 5))
    model.data = np.arange(20, dtype=np.float32).reshape(4, 5)
    return model


@pytest.mark.parametrize("extension", [".fits", ".asdf"])
def test_a_product_is_written_under_its_name(image, tmp_path, extension):
    path = tmp_path / f"jw_rate{extension}"
    assert writing.save_product(image, path) == str(path)
    assert os.listdir(tmp_path) == [path.name]
    with datamodels.open(path) as again:
        assert again.meta.filename == path.name
        np.testing.assert_array_equal(again.data, image.data)


def test_an_older_product_is_replaced(image, tmp_path):
    path = tmp_path / "jw_rate.fits"
    path.write_bytes(b"old")
    writing.save_product(image, path)
    assert path.stat().st_size > 2880


def test_a_product_is_whole_or_not_there(image, tmp_path, monkeypatch):
    path = tmp_path / "jw_rate.fits"
    path.write_bytes(b"old")

    def interrupted(self, name, *arguments, **keywords):
        with open(name, "wb") as file:
            file.write(b"SIMPLE  = half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(datamodels.ImageModel, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        writing.save_product(image, path)
    assert os.listdir(tmp_path) == ["jw_rate.fits"]
    assert path.read_bytes() == b"old"


def test_a_missing_folder_is_said(image, tmp_path):
    with pytest.raises(ProductError, match=r"jw_rate.fits: cannot be written: the folder does not"):
        writing.save_product(image, tmp_path / "nowhere" / "jw_rate.fits")


def test_a_full_disk_is_said(image):
    # /dev/full answers every write with ENOSPC; a link to it stands for a file on a full disk.
    with pytest.raises(ProductError, match="the disk is full"):
        _save_to_full_disk(image)


def _save_to_full_disk(image):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        name = "jw_rate.fits"
        original = datamodels.ImageModel.save

        def onto_full_disk(self, path, *arguments, **keywords):
            os.symlink("/dev/full", path)
            return original(self, path, *arguments, **keywords)

        datamodels.ImageModel.save = onto_full_disk
        try:
            writing.save_product(image, os.path.join(folder, name))
        finally:
            datamodels.ImageModel.save = original
            assert os.listdir(folder) == []


@pytest.mark.parametrize(
    ("exposure_type", "lamp_mode", "expected"),
    [
        ("NRC_IMAGE", None, "ImageModel"),
        ("NRS_IFU", None, "IFUImageModel"),
        ("MIR_MRS", None, "IFUImageModel"),
        ("NRS_LAMP", "IFU", "IFUImageModel"),
        ("NRS_LAMP", "MSASPEC", "ImageModel"),
    ],
)
def test_the_rate_of_an_ifu_is_an_ifu_image(exposure_type, lamp_mode, expected):
    model = datamodels.RampModel()
    model.meta.exposure.type = exposure_type
    model.meta.instrument.lamp_mode = lamp_mode
    ramp = Ramp(None, None, None, model)
    plane = np.zeros((4, 5), np.float32)
    rates = Rates(plane, np.zeros((4, 5), np.uint32), plane, plane, plane)
    writing.describe_rate(ramp, rates)
    product = writing.model_of_rates(rates)
    assert type(product).__name__ == expected
    assert product.data is plane or np.shares_memory(product.data, plane)
    assert product.meta.bunit_data == "DN/s"
