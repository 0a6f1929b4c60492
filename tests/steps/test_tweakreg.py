"""tweakreg: parity with the official step, truth, catalogs, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table
from offline import official_step
from star_fields import POINTINGS, dithers, write_association

from jwgpu.simulate.images import geometry, pixels_of
from jwgpu.steps.tweakreg import TweakRegStep

pytest_plugins = ("official",)

#: Places on the sky that are the same, in degrees.
SAME = 1e-9

OPTIONS = [
    {},
    {"fitgeometry": "general", "expand_refcat": True, "nclip": 1, "sigma": 2.0},
    {"fitgeometry": "shift", "enforce_user_order": True, "sip_degree": 3, "sip_npoints": 8},
    {"starfinder": "dao", "kernel_fwhm": 3.2, "minsep_fwhm": 1.5, "sharplo": 0.1, "roundlo": -1.0},
    {"starfinder": "segmentation", "connectivity": "4", "deblend": False, "npixels": 6},
    {"bkg_boxsize": 64, "snr_threshold": 5.0, "brightest": 60, "peakmax": 400.0, "roundhi": 0.4},
    {"use2dhist": False, "xoffset": 0.05, "sip_approx": False, "minobj": 5},
]


def exposures(number=2):
    return [str(path) for path in dithers().paths[:number]]


def lent(result):
    """Return the models of a library."""
    with result:
        found = list(result)
        for index, model in enumerate(found):
            result.shelve(model, index, modify=False)
    return found


def both(source, **parameters):
    """Return the models that both packages make of files."""
    theirs = official_step("tweakreg", source, {}, **parameters)
    return lent(TweakRegStep(**parameters).run(source)), lent(theirs)


def places(model):
    y, x = np.mgrid[0:320:8j, 0:320:8j]
    return np.array(model.meta.wcs(x, y))


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    for our, their in zip(ours, theirs, strict=True):
        assert our.meta.cal_step.tweakreg == their.meta.cal_step.tweakreg
        assert our.meta.wcs.available_frames == their.meta.wcs.available_frames
        assert our.meta.wcs.name == their.meta.wcs.name
        np.testing.assert_allclose(places(our), places(their), rtol=0, atol=SAME)
        assert our.meta.tweakreg_catalog == their.meta.tweakreg_catalog
        assert our.meta.group_id == their.meta.group_id
        a, b = our.meta.wcsinfo.instance, their.meta.wcsinfo.instance
        assert a.keys() == b.keys()
        for key, value in b.items():
            # Rounding of places, 1e-14 degree, shows in the highest terms of a fit.
            close = 1e-5 if key.startswith(("a_", "b_", "ap_", "bp_", "sip")) else 1e-8
            same = value if isinstance(value, str) else pytest.approx(value, rel=close, abs=1e-12)
            assert a[key] == same, key


def test_parameters_and_defaults_are_the_official_ones():
    from jwst.tweakreg import TweakRegStep as Official

    ours, theirs = TweakRegStep().get_pars(), Official().get_pars()
    assert {name: ours[name] for name in theirs} == theirs
    assert set(ours) - set(theirs) == set(TweakRegStep.run_parameters)


@pytest.mark.parametrize("parameters", OPTIONS, ids=str)
def test_the_geometry_is_the_official_one(parameters):
    # With three, the order matters.
    ours, theirs = both(exposures(3 if "expand_refcat" in parameters else 2), **parameters)
    assert theirs[1].meta.cal_step.tweakreg == "COMPLETE"
    assert "v2v3corr" in theirs[1].meta.wcs.available_frames
    assert_same(ours, theirs)


def saved_in(folder, kind="ecsv"):
    return {path.stem: Table.read(path) for path in sorted(folder.glob(f"*.{kind}"))}


def test_the_catalogs_are_the_official_ones(tmp_path):
    parameters = {"save_catalogs": True}
    for name in ("ours", "theirs", "fits"):
        (tmp_path / name).mkdir()
    theirs = {"output_dir": str(tmp_path / "theirs"), **parameters}
    official_step("tweakreg", exposures(), {}, **theirs)
    for name, kind in (("ours", "ecsv"), ("fits", "fits")):
        step = TweakRegStep(output_dir=str(tmp_path / name), catalog_format=kind, **parameters)
        step.run(exposures())
    ours, theirs = saved_in(tmp_path / "ours"), saved_in(tmp_path / "theirs")
    assert list(ours) == list(theirs) == ["dither1_cal_cat", "dither2_cal_cat"]
    for name, table in saved_in(tmp_path / "fits", "fits").items():
        np.testing.assert_array_equal(table["x"], ours[name]["x"])
    for our, their in zip(ours.values(), theirs.values(), strict=True):
        assert our.colnames == their.colnames == ["id", "x", "y", "flux"]
        assert len(our) == len(their) > 30
        np.testing.assert_array_equal(our["id"], their["id"])
        np.testing.assert_array_equal(our["flux"], their["flux"])
        for axis in "xy":  # the last digit: added to are columns of another sheet
            np.testing.assert_allclose(our[axis], their[axis], rtol=0, atol=1e-11)


def test_stars_end_up_where_they_are():
    field = dithers()
    aligned = lent(TweakRegStep().run(exposures(3)))
    for model, pointing in zip(aligned, POINTINGS, strict=True):
        x, y = pixels_of(geometry(field.settings, pointing), field.stars.ra, field.stars.dec)
        n_y, n_x = model.data.shape
        inside = (x > 0) & (x < n_x - 1) & (y > 0) & (y < n_y - 1)
        ra, dec = model.meta.wcs(x[inside], y[inside])
        off = np.hypot(
            (ra - field.stars.ra[inside]) * np.cos(np.radians(dec)), dec - field.stars.dec[inside]
        )
        # The median, in pixels; the errors of the pointings are one or two.
        assert np.median(off) * 3600 / field.settings.camera.pixel_scale < 0.05


def test_images_of_a_group_move_together_as_officially(tmp_path):
    groups = ["one", "one", "two"]
    association = write_association(tmp_path, dithers().paths, group_id=groups)
    ours, theirs = both(str(association))
    assert_same(ours, theirs)
    assert [model.meta.group_id for model in ours] == groups


def test_images_that_were_aligned_before_are_aligned_again_as_officially(tmp_path):
    TweakRegStep.call(exposures(), save_results=True, output_dir=str(tmp_path))
    again = [str(tmp_path / f"dither{number}_tweakregstep.fits") for number in (1, 2)]
    parameters = {"fitgeometry": "rscale", "brightest": 50}
    for paths in (again, [exposures(1)[0], again[1]]):
        ours, theirs = both(paths, **parameters)
        assert_same(ours, theirs)
        assert ours[1].meta.wcs.available_frames.count("v2v3corr") == 1
