"""assign_wcs for images: parity with the official step, truth from simulation, bad input."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest
from image_exposures import CAMERAS, assert_same_image, field_of
from offline import official_step
from stdatamodels.jwst import datamodels

from jwgpu.errors import InputError, NotYetError
from jwgpu.simulate.images import Pointing, geometry, pixels_of
from jwgpu.steps.assign_wcs import AssignWcsStep

pytest_plugins = ("official",)

REAL = Path(__file__).parents[3] / "shared" / "realdata"
NIRCAM = {f"NRCA{n}": f"refs/nircam/NRCA{n}_FULL_from_pysiaf_distortion.asdf" for n in (1, 2, 5)}
MIRI = {
    "distortion": "refs/miri/flt9/jwst_miri_imager_distortion_flt9.asdf",
    "filteroffset": "refs/miri/flt9/jwst_miri_filteroffset_full_flt9.asdf",
}
REAL_HEADERS = {
    "jw42424001001_01101_00001_nrca1_rate.fits.gz": {"distortion": NIRCAM["NRCA1"]},
    "jw42424001001_01101_00001_nrca2_rate.fits.gz": {"distortion": NIRCAM["NRCA2"]},
    "jw42424001001_01105_00002_nrca5_rate.fits.gz": {"distortion": NIRCAM["NRCA5"]},
    "det_image_seq1_MIRIMAGE_F560Wexp1_cal.fits.gz": MIRI,
}


def grid(model, step=13):
    n_y, n_x = model.data.shape[-2:]
    y, x = np.mgrid[0:n_y:step, 0:n_x:step]
    return x.astype(float), y.astype(float)


def assert_same_wcs(ours, theirs):
    x, y = grid(ours)
    our, their = np.array(ours.meta.wcs(x, y)), np.array(theirs.meta.wcs(x, y))
    np.testing.assert_allclose(our, their, rtol=0, atol=1e-9)
    back = np.array(ours.meta.wcs.invert(*our)), np.array(theirs.meta.wcs.invert(*our))
    np.testing.assert_allclose(back[0], back[1], rtol=0, atol=1e-6)
    boxes = [tuple(model.meta.wcs.bounding_box) for model in (ours, theirs)]
    assert boxes[0] == boxes[1]
    assert ours.meta.wcs.available_frames == theirs.meta.wcs.available_frames


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda camera: camera[1])
def test_same_as_official(official, camera):
    field = field_of(*camera)
    ours = AssignWcsStep(references=field.folder).run(str(field.rate))
    theirs = official_step("assign_wcs", field.rate, field.references)
    assert_same_image(ours, theirs)
    assert_same_wcs(ours, theirs)


@pytest.mark.parametrize("name", REAL_HEADERS)
def test_same_as_official_on_real_headers(official, name, tmp_path):
    if not REAL.exists():
        pytest.skip("real headers and references are not here (../shared/realdata)")
    path = tmp_path / name.removesuffix(".gz")
    with gzip.open(REAL / "headers" / name) as packed, path.open("wb") as plain:
        shutil.copyfileobj(packed, plain)
    references = {key: str(REAL / value) for key, value in REAL_HEADERS[name].items()}
    overrides = {"filteroffset": "N/A", **references}
    step = AssignWcsStep(**{f"override_{key}": value for key, value in overrides.items()})
    ours = step.run(str(path))
    theirs = official_step("assign_wcs", path, references)
    assert_same_wcs(ours, theirs)
    assert ours.meta.wcsinfo.instance == theirs.meta.wcsinfo.instance


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda camera: camera[1])
def test_finds_where_the_simulation_looked(official, camera):
    field = field_of(*camera)
    model = AssignWcsStep(references=field.folder).run(str(field.rate))
    x, y = grid(model, 29)
    truth = np.array(geometry(field.settings, Pointing())(x, y))
    np.testing.assert_allclose(np.array(model.meta.wcs(x, y)), truth, rtol=0, atol=1e-11)
    ra, dec = truth
    found = pixels_of(geometry(field.settings, Pointing()), ra.ravel(), dec.ravel())
    np.testing.assert_allclose(np.array(found), [x.ravel(), y.ravel()], atol=1e-6)


@pytest.mark.parametrize("factor", [1.0001, 1.0, None])
def test_aberration(official, factor):
    field = field_of(*CAMERAS[0])
    with datamodels.open(str(field.rate)) as model:
        model.meta.velocity_aberration.scale_factor = factor
        ours = AssignWcsStep(references=field.folder).run(model)
        theirs = official_step("assign_wcs", model, field.references)
    assert_same_wcs(ours, theirs)


@pytest.mark.parametrize(
    "parameters",
    [
        {"sip_approx": False},
        {"sip_degree": 3, "sip_inv_degree": 2},
        {"sip_max_pix_error": 1e-4, "sip_max_inv_pix_error": 0.1, "sip_npoints": 20},
    ],
    ids=str,
)
def test_parameters(official, parameters):
    field = field_of(*CAMERAS[3])
    ours = AssignWcsStep(references=field.folder, **parameters).run(str(field.rate))
    theirs = official_step("assign_wcs", field.rate, field.references, **parameters)
    assert_same_keywords(ours, theirs)


def assert_same_keywords(ours, theirs):
    """Floats that stand in both of a file's trees differ by what a FITS card can hold."""
    our, their = ours.meta.wcsinfo.instance, theirs.meta.wcsinfo.instance
    assert our.keys() == their.keys()
    for name, value in their.items():
        is_float = isinstance(value, float)
        assert our[name] == (pytest.approx(value, rel=1e-14) if is_float else value), name


def test_sip_that_cannot_be_is_a_warning_as_officially(official, caplog):
    field = field_of(*CAMERAS[3])
    parameters = {"sip_npoints": 1}
    ours = AssignWcsStep(references=field.folder, **parameters).run(str(field.rate))
    theirs = official_step("assign_wcs", field.rate, field.references, **parameters)
    assert_same_keywords(ours, theirs)
    assert "no approximation of the geometry for FITS" in caplog.text


def test_series_of_images(official):
    field = field_of("NIRCAM", "NRCA1", "SUB160", nints=2)
    ours = AssignWcsStep(references=field.folder).run(str(field.rate))
    theirs = official_step("assign_wcs", field.rate, field.references)
    assert ours.data.shape == theirs.data.shape == (2, 160, 160)
    assert_same_wcs(ours, theirs)


def with_keyword(field, place, value):
    model = datamodels.open(str(field.rate))
    model[place] = value
    return model


def test_exposure_without_a_pointing():
    field = field_of(*CAMERAS[0])
    model = with_keyword(field, "meta.wcsinfo.roll_ref", None)
    with pytest.raises(InputError, match=r"lacks the pointing \(ROLL_REF\)"):
        AssignWcsStep(references=field.folder).run(model)


def test_aberration_that_cannot_be():
    field = field_of(*CAMERAS[0])
    model = with_keyword(field, "meta.velocity_aberration.scale_factor", -1.0)
    with pytest.raises(InputError, match="VA_SCALE is -1"):
        AssignWcsStep(references=field.folder).run(model)


@pytest.mark.parametrize(("kind", "status"), [("NRC_DARK", "SKIPPED"), ("NRC_LED", "SKIPPED")])
def test_exposure_without_sky_is_skipped(kind, status):
    field = field_of(*CAMERAS[0])
    model = with_keyword(field, "meta.exposure.type", kind)
    assert AssignWcsStep(references=field.folder).run(model).meta.cal_step.assign_wcs == status


def test_spectra_are_not_there_yet():
    field = field_of(*CAMERAS[0])
    model = with_keyword(field, "meta.exposure.type", "NRC_WFSS")
    with pytest.raises(NotYetError, match="assign_wcs knows images so far, not NRC_WFSS"):
        AssignWcsStep(references=field.folder).run(model)


def test_a_filter_that_the_reference_does_not_know_is_not_shifted(official):
    field = field_of(*CAMERAS[3])
    model = with_keyword(field, "meta.instrument.filter", "FND")
    ours = AssignWcsStep(references=field.folder).run(model)
    theirs = official_step("assign_wcs", model, field.references)
    assert_same_wcs(ours, theirs)
