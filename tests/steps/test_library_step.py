"""Steps that work on a library: sources, status, names, the official library."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace

import numpy as np
import pytest
from image_exposures import field_of
from stdatamodels.jwst import datamodels

from jwgpu.errors import InputError
from jwgpu.models.lent_models import LentModels
from jwgpu.models.library import Library
from jwgpu.steps.base import SkipStep, param
from jwgpu.steps.library_step import FailStep, LibraryStep

pytest_plugins = ("official",)


class RaiseStep(LibraryStep):
    """Adds to each image."""

    class_alias = "skymatch"

    by: float = param(1.0, help="What is added")
    in_memory: bool = param(True, help="Keep all images in memory")
    output_use_model: bool = param(True, help="Name products after the images")

    def correct(self, library):
        if self.by < 0:
            raise FailStep("it is negative")
        if self.by == 0:
            raise SkipStep("nothing is added")
        with library:
            for index, image in enumerate(library):
                image.data += np.float32(self.by)
                library.shelve(image, index)


@pytest.fixture
def exposures(tmp_path):
    rate = field_of("NIRCAM", "NRCA1", "SUB160").rate
    paths = []
    for number in (1, 2):
        with datamodels.open(rate) as model:
            model.data = model.data[:8, :8]
            for name in ("err", "dq", "var_poisson", "var_rnoise"):
                model[name] = model[name][:8, :8]
            model.meta.observation.exposure_number = str(number)
            model.meta.filename = f"one{number}_cal.fits"
            model.save(tmp_path / model.meta.filename)
        paths.append(tmp_path / f"one{number}_cal.fits")
    members = [{"expname": path.name, "exptype": "science"} for path in paths]
    asn = tmp_path / "two_asn.json"
    asn.write_text(
        json.dumps(
            {
                "asn_type": "None",
                "asn_rule": "DMS_Level3_Base",
                "asn_id": "o001",
                "asn_pool": "none",
                "products": [{"name": "two", "members": members}],
            }
        )
    )
    return SimpleNamespace(asn=str(asn), paths=paths, data=datamodels.open(paths[0]).data.copy())


def assert_added(result, exposures, by=1.0, status="COMPLETE", times=1):
    want = exposures.data[4:]
    for _ in range(times):
        want = want + np.float32(by)
    assert isinstance(result, LentModels)
    assert len(result) == 2
    with result:
        for index, model in enumerate(result):
            np.testing.assert_array_equal(model.data[4:], want)
            assert model.meta.cal_step.skymatch == status
            assert model.meta.asn.exptype.lower() == "science"
            result.shelve(model, index, modify=False)


@pytest.mark.parametrize("in_memory", [True, False])
def test_an_association_is_changed_and_lent_as_data_models(exposures, in_memory):
    result = RaiseStep(in_memory=in_memory).run(exposures.asn)
    assert_added(result, exposures)
    assert result.asn["table_name"] == "two_asn.json"
    assert [len(group) for group in result.group_indices.values()] == [1, 1]
    again = RaiseStep().run(result)
    assert_added(again, exposures, times=2)


@pytest.mark.parametrize(("by", "status"), [(0.0, "SKIPPED"), (-1.0, "FAILED")])
def test_the_status_is_that_of_each_image(exposures, by, status):
    assert_added(RaiseStep(by=by).run(exposures.asn), exposures, 0.0, status)


def test_each_image_is_saved_under_its_name(exposures, tmp_path):
    out = tmp_path / "out"
    RaiseStep.call(exposures.asn, save_results=True, output_dir=str(out), suffix="more")
    assert sorted(os.listdir(out)) == ["one1_more.fits", "one2_more.fits"]
    with datamodels.open(out / "one2_more.fits") as model:
        assert model.meta.filename == "one2_more.fits"
        assert model.meta.cal_step.skymatch == "COMPLETE"
        assert model.cal_logs.skymatch
        np.testing.assert_array_equal(model.data[4:], exposures.data[4:] + np.float32(1))


def test_models_of_a_list_are_copied(exposures):
    models = [datamodels.open(path) for path in exposures.paths]
    before = models[0].data.copy()
    assert_added(RaiseStep().run(models), exposures)
    np.testing.assert_array_equal(models[0].data, before)
    assert_added(RaiseStep().run([str(path) for path in exposures.paths]), exposures)
    from jwst.datamodels import ModelContainer

    assert_added(RaiseStep().run(ModelContainer(models)), exposures)


@pytest.mark.parametrize("on_disk", [True, False])
def test_an_official_library_is_changed_itself(exposures, on_disk):
    from jwst.datamodels import ModelLibrary

    library = ModelLibrary(exposures.asn, on_disk=on_disk)
    result = RaiseStep().run(library)
    assert result is library
    with library:
        model = library.borrow(1)
        np.testing.assert_array_equal(model.data[4:], exposures.data[4:] + np.float32(1))
        assert model.meta.cal_step.skymatch == "COMPLETE"
        library.shelve(model, 1, modify=False)


def test_a_lent_model_comes_back_changed(exposures):
    library = LentModels(Library(exposures.paths))
    for _ in library.map_function(lambda model, _: setattr(model, "data", model.data + 5)):
        pass
    with library.library:
        image = library.library.borrow(0)
        np.testing.assert_array_equal(image.data[4:], exposures.data[4:] + np.float32(5))
        library.library.shelve(image, 0)


def test_nothing_is_refused():
    with pytest.raises(InputError, match="no images"):
        RaiseStep().run([])
