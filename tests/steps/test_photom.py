"""flat_field and photom on images: parity with the official steps, truth, bad references."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from image_exposures import CAMERAS, assert_same_image, field_of
from offline import official_step
from products import assert_same_product
from stdatamodels.jwst import datamodels

from jwgpu.errors import ReferenceFileError
from jwgpu.simulate.images import Pointing, light, write_rate
from jwgpu.simulate.imaging_references import write_imaging_references
from jwgpu.steps.assign_wcs import AssignWcsStep
from jwgpu.steps.flat_field import FlatFieldStep
from jwgpu.steps.photom import PhotomStep

pytest_plugins = ("official",)

STEPS = {"flat_field": FlatFieldStep, "photom": PhotomStep}


def both(alias, field, model, **parameters):
    ours = STEPS[alias](references=field.folder, **parameters).run(model)
    theirs = official_step(alias, model, field.references, **parameters)
    return ours, theirs


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("camera", CAMERAS, ids=lambda camera: camera[1])
def test_same_as_official(official, camera, inverse):
    field = field_of(*camera)
    model = datamodels.open(str(field.rate))
    ours, theirs = both("flat_field", field, model, inverse=inverse)
    assert_same_image(ours, theirs)
    ours, theirs = both("photom", field, ours, inverse=inverse)
    assert_same_image(ours, theirs)
    assert ours.meta.cal_step.photom == "COMPLETE"


@pytest.mark.parametrize("is_cut", [True, False], ids=["cut", "as it is"])
def test_the_flat_field_is_saved_as_officially(official, is_cut, tmp_path, monkeypatch):
    """Where nothing is cut, with 1 for bad pixels; else as the reference is."""
    camera = ("NIRCAM", "NRCA1", "SUB160") if is_cut else ("FGS", "GUIDER1", "FULL")
    field = field_of(*camera)
    model = datamodels.open(str(field.rate))
    found = []
    for run in ("ours", "theirs"):
        (tmp_path / run).mkdir()
        monkeypatch.chdir(tmp_path / run)
        if run == "ours":
            step = FlatFieldStep(references=field.folder, save_interpolated_flat=True)
            step.run(model)
        else:
            official_step("flat_field", model, field.references, save_interpolated_flat=True)
        (path,) = (tmp_path / run).iterdir()
        found.append(path)
    assert found[0].name == found[1].name
    assert found[0].name.endswith("_interpolatedflat.fits")
    # The official step completes the keywords of a reference that lacks them.
    window = {f"SUB{word}{axis}" for word in ("STRT", "SIZE") for axis in (1, 2)}
    assert_same_product(*found, quirks=frozenset(window))
    assert (fits.getdata(found[0]).shape != model.data.shape) == is_cut


def test_same_as_official_on_a_series(official):
    field = field_of("NIRCAM", "NRCA1", "SUB160", nints=3)
    model = datamodels.open(str(field.rate))
    for alias in STEPS:
        ours, theirs = both(alias, field, model)
        assert_same_image(ours, theirs)
        model = ours
    assert model.data.shape == (3, 160, 160)


def test_integrations_of_niriss_are_skipped_as_officially(official):
    field = field_of("NIRISS", "NIS", "SUB128", nints=2)
    model = datamodels.open(str(field.rate))
    ours = PhotomStep(references=field.folder).run(model)
    theirs = official_step("photom", model, field.references)
    assert ours.meta.cal_step.photom == theirs.meta.cal_step.photom == "SKIPPED"
    np.testing.assert_array_equal(ours.data, model.data)


@pytest.mark.parametrize("changes", [(), ("linear",), ("exponential", "powerlaw")])
def test_loss_of_throughput(official, changes):
    field = field_of("MIRI", "MIRIMAGE", "SUB128", changes=changes)
    model = datamodels.open(str(field.rate))
    for parameters in ({}, {"apply_time_correction": False}):
        ours, theirs = both("photom", field, model, **parameters)
        assert_same_image(ours, theirs)


def test_without_areas(official, caplog):
    field = field_of(*CAMERAS[0])
    model = datamodels.open(str(field.rate))
    ours = PhotomStep(references=field.folder, override_area="N/A").run(model)
    theirs = official_step("photom", model, {"photom": field.references["photom"]})
    assert_same_image(ours, theirs)
    assert ours.meta.photometry.pixelarea_arcsecsq is not None


def test_areas_that_no_reference_tells(official, tmp_path, caplog):
    field = field_of(*CAMERAS[0])
    written = write_imaging_references(tmp_path, "NIRCAM", "NRCA1", types=["photom"], area=False)
    model = datamodels.open(str(field.rate))
    step = PhotomStep(override_photom=str(written["photom"]), override_area="N/A")
    ours = step.run(model)
    theirs = official_step("photom", model, {"photom": str(written["photom"])})
    assert_same_image(ours, theirs)
    assert "lacks the keyword PIXAR_SR" in caplog.text


def test_a_filter_that_the_reference_does_not_know_is_left_as_officially(official):
    field = field_of(*CAMERAS[0])
    model = datamodels.open(str(field.rate))
    model.meta.instrument.filter = "F115W"
    ours = PhotomStep(references=field.folder).run(model)
    theirs = official_step("photom", model, field.references)
    np.testing.assert_array_equal(ours.data, theirs.data)
    assert ours.meta.cal_step.photom == theirs.meta.cal_step.photom
    assert ours.meta.bunit_data == theirs.meta.bunit_data == "DN/s"


def test_brightness_of_the_simulated_sky(official, tmp_path):
    """The flat field and the factor give back the light that fell on the detector."""
    field = field_of("MIRI", "MIRIMAGE", "SUB128", changes=())
    with datamodels.open(field.references["flat"]) as flat:
        window = field.settings.place
        rows = slice(window.ystart - 1, window.ystart - 1 + window.ysize)
        columns = slice(window.xstart - 1, window.xstart - 1 + window.xsize)
        response = flat.data[rows, columns].copy()
    path = write_rate(tmp_path, field.settings, field.stars, response=response, noise=False)
    model = FlatFieldStep(references=field.folder).run(str(path))
    model = PhotomStep(references=field.folder).run(model)
    factor = model.meta.photometry.conversion_megajanskys
    truth = light(field.settings, field.stars, Pointing()) * factor
    good = np.isfinite(model.data) & (response > 0)
    assert good.mean() > 0.9
    np.testing.assert_allclose(model.data[good], truth[good], rtol=1e-5)


def change_photom(field, tmp_path, change):
    with datamodels.open(field.references["photom"]) as reference:
        change(reference)
        path = tmp_path / "photom.fits"
        reference.save(str(path))
    return PhotomStep(override_photom=str(path), override_area="N/A")


def test_two_rows_that_fit(tmp_path):
    field = field_of("MIRI", "MIRIMAGE", "SUB128", changes=())

    def double(reference):
        reference.phot_table = np.concatenate([reference.phot_table, reference.phot_table])

    step = change_photom(field, tmp_path, double)
    with pytest.raises(ReferenceFileError, match="2 rows of PHOTOM fit F770W GENERIC; one must"):
        step.run(str(field.rate))


def test_coefficients_in_another_order(tmp_path):
    field = field_of("MIRI", "MIRIMAGE", "SUB128", changes=("linear",))

    def turn(reference):
        reference.timecoeff_linear = reference.timecoeff_linear[::-1].copy()

    step = change_photom(field, tmp_path, turn)
    with pytest.raises(ReferenceFileError, match="put them in the same order"):
        step.run(str(field.rate))


def test_flat_and_wcs_do_not_meet(official):
    """The order of the two does not matter."""
    field = field_of(*CAMERAS[0])
    first = AssignWcsStep(references=field.folder).run(str(field.rate))
    ours, theirs = both("flat_field", field, first)
    assert_same_image(ours, theirs)
    assert ours.meta.wcs is not None
