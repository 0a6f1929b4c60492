from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from stdatamodels.jwst import datamodels

from jwgpu.errors import InputError
from jwgpu.models import reading

SHAPE = (2, 3, 6, 8)


@pytest.fixture
def model():
    """A small official ramp with every keyword that stage 1 needs."""
    model = datamodels.RampModel(SHAPE)
    model.data = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    model.groupdq[0, 1, 2, 3] = 4
    model.pixeldq[1, 1] = 2**30
    model.zeroframe = np.ones((2, 6, 8), np.float32)
    model.meta.instrument.name = "NIRCAM"
    model.meta.instrument.detector = "NRCA1"
    model.meta.exposure.type = "NRC_IMAGE"
    model.meta.exposure.readpatt = "RAPID"
    model.meta.exposure.ngroups = 3
    model.meta.exposure.nints = 2
    model.meta.subarray.name = "SUB64P"
    for name, value in {"xstart": 1, "ystart": 1, "xsize": 8, "ysize": 6}.items():
        setattr(model.meta.subarray, name, value)
    model.meta.target.proposer_name = "M 31"
    return model


@pytest.fixture
def file(model, tmp_path):
    path = tmp_path / "jw001_ramp.fits"
    model.save(path)
    return path


def test_a_ramp_file_is_read_as_the_official_model_reads_it(file):
    ramp = reading.read_ramp(file)
    official = datamodels.RampModel(str(file))
    for name in ("data", "groupdq", "pixeldq", "zeroframe"):
        value = getattr(ramp, name)
        assert value.dtype == getattr(official, name).dtype.newbyteorder("=")
        assert value.flags.c_contiguous
        np.testing.assert_array_equal(value, getattr(official, name))
    assert ramp.refout is None
    assert ramp.meta.target.proposer_name == "M 31"
    assert ramp.image_shape == (6, 8)


def test_the_metadata_carry_no_image(file):
    model = reading.read_metadata(file)
    assert not [v for v in model.instance.values() if getattr(v, "ndim", 0) > 1]


def test_raw_counts_become_float_and_flags_start_at_zero(model, tmp_path):
    raw = datamodels.Level1bModel()
    raw.update(model)
    raw.data = np.full(SHAPE, 65535, np.uint16)
    raw.save(tmp_path / "jw_uncal.fits")
    ramp = reading.read_ramp(tmp_path / "jw_uncal.fits")
    assert ramp.data.dtype == np.float32
    assert (ramp.data == 65535).all()
    assert ramp.groupdq.shape == SHAPE and not ramp.groupdq.any()
    assert ramp.pixeldq.shape == SHAPE[2:] and not ramp.pixeldq.any()


def test_a_model_shares_its_arrays(model):
    ramp = reading.ramp_of(model)
    ramp.data[0, 0, 0, 0] = -5
    assert model.data[0, 0, 0, 0] == -5
    assert reading.model_of(ramp) is model


def test_a_ramp_comes_back_as_the_model_it_was(file, model):
    again = reading.model_of(reading.read_ramp(file))
    np.testing.assert_array_equal(again.data, model.data)
    np.testing.assert_array_equal(again.pixeldq, model.pixeldq)


def test_tables_are_kept(model, tmp_path):
    model.int_times = np.array(
        [(i + 1, *[59000.0 + i] * 6) for i in range(2)], dtype=model.get_dtype("int_times")
    )
    model.save(tmp_path / "jw_ramp.fits")
    ramp = reading.read_ramp(tmp_path / "jw_ramp.fits")
    assert list(ramp.model.int_times["integration_number"]) == [1, 2]


@pytest.mark.parametrize("keyword", ["NGROUPS", "SUBARRAY", "READPATT", "INSTRUME", "SUBSTRT1"])
def test_a_missing_keyword_is_named(file, keyword):
    with fits.open(file, mode="update") as hdus:
        del hdus["ASDF"]
        del hdus[0].header[keyword]
    with pytest.raises(InputError, match=rf"jw001_ramp.fits: lacks the keywords {keyword}"):
        reading.read_ramp(file)


def test_no_sci_extension_is_said(tmp_path):
    path = tmp_path / "jw_uncal.fits"
    fits.HDUList([fits.PrimaryHDU()]).writeto(path)
    with pytest.raises(InputError, match=r"jw_uncal.fits: has no SCI extension"):
        reading.read_ramp(path)


def test_wrong_dimensions_are_said(tmp_path):
    path = tmp_path / "jw_rate.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.zeros((4, 4)), name="SCI")]).writeto(path)
    with pytest.raises(InputError, match=r"jw_rate.fits: SCI has 2 axes \(4, 4\)"):
        reading.read_ramp(path)


def test_all_nan_is_said(model):
    model.data[:] = np.nan
    model.meta.filename = "jw_nan.fits"
    with pytest.raises(InputError, match=r"jw_nan.fits: SCI holds no finite value"):
        reading.ramp_of(model)


@pytest.mark.parametrize("content", [b"", b"not a FITS file at all", b"SIMPLE  =" + b" " * 3000])
def test_what_is_not_fits_is_said(tmp_path, content):
    path = tmp_path / "jw_uncal.fits"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"jw_uncal.fits: "):
        reading.read_ramp(path)


def test_a_truncated_file_is_said(file):
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 3])
    with pytest.raises(InputError, match=r"jw001_ramp.fits: .*(truncated|corrupt)"):
        reading.read_ramp(file)


def test_what_was_read_ahead_is_taken_over(file):
    reading.read_ahead(file)
    before = file.read_bytes()
    ramp = reading.read_ramp(file)
    np.testing.assert_array_equal(ramp.data, datamodels.RampModel(str(file)).data)
    assert str(file) not in reading._ahead
    assert file.read_bytes() == before


def test_what_could_not_be_read_ahead_is_read_again(file):
    def open_device():
        raise MemoryError("a device without room")

    reading.read_ahead(file, open_device)
    ramp = reading.read_ramp(file)
    np.testing.assert_array_equal(ramp.data, datamodels.RampModel(str(file)).data)


def test_an_error_in_reading_ahead_is_that_of_reading(tmp_path):
    path = tmp_path / "jw_uncal.fits"
    path.write_bytes(b"no FITS file")
    reading.read_ahead(path)
    with pytest.raises(InputError, match=r"jw_uncal.fits: is not a FITS file"):
        reading.read_ramp(path)
