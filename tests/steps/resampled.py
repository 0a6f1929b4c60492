"""Resampling with both packages, and comparing what comes out."""

from __future__ import annotations

import warnings

import gwcs
import numpy as np
import pytest
from astropy.modeling.models import Shift
from image_exposures import CAMERAS, calibrated
from offline import official_step
from scipy.ndimage import maximum_filter

from jwgpu.steps.resample import ResampleStep
from jwgpu.wcs.imaging import footprint

ARRAYS = ("data", "err", "wht", "con", "var_poisson", "var_rnoise", "var_flat", "dq")

#: The map of the pixels is known to some 1e-9 pixels, because degrees are rounded; officially it
#: has that noise, ours is smooth. So shares of pixels differ by 1e-8 of a pixel, and by the
#: rounding of single precision that this tips over.
MAP = 1e-7

#: Official areas of a subarray on the sky are rounded to this.
AREA = 3e-5

#: Quirk: officially some pixels that hang over the edge of the output are left out (those near
#: where the outline of the input leaves it); compared is what lies further in.
INNER = np.s_[..., 2:-2, 2:-2]

#: Officially means move with each share; here shares are summed up and divided once. The last
#: digits differ, by this much of the values around; weights do not.
MEAN = 1e-6

#: With these, both packages have the same map.
SPLINES = {"pixmap_stepsize": 10.0, "pixmap_order": 3}


def both(model, **parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that some kernels do not conserve flux
        theirs = official_step("resample", model, {}, **parameters)
    return ResampleStep(**parameters).run(model), theirs


def keywords(model):
    made_by = ("meta.wcs", "meta.date", "meta.calibration_software", "cal_logs")
    return {
        name: value
        for name, value in model.to_flat_dict().items()
        if not isinstance(value, np.ndarray) and not name.startswith(made_by)
    }


def pairs(ours, theirs):
    for name in ARRAYS:
        our, their = getattr(ours, name), getattr(theirs, name)
        assert (our is None) == (their is None), name
        if our is not None:
            assert our.dtype == their.dtype.newbyteorder("=")
            yield name, our, their


def assert_same(name, our, their, where=np.s_[...], scale=0.0):
    """Check that weights, contexts and flags are the same, and means but for their rounding.

    Errors, and the roots of variances, may differ by `scale`.
    """
    assert our.shape == their.shape
    if name not in ("data", "err", "var_poisson", "var_rnoise", "var_flat"):
        np.testing.assert_array_equal(our[where], their[where], err_msg=name)
        return
    around = maximum_filter(np.nan_to_num(np.abs(their)), 3) if name == "data" else their
    slack = MEAN + (scale if name != "data" else 0.0)
    rounding = (2 * slack if name.startswith("var") else slack) * around
    assert np.array_equal(np.isnan(our[where]), np.isnan(their[where])), name
    is_far = np.abs(our.astype(float) - their) > rounding
    assert not is_far[where].any(), (name, our[is_far], their[is_far])


def assert_same_keywords(ours, theirs):
    ours, theirs = keywords(ours), keywords(theirs)
    wcsinfo = {name for name in theirs if "wcsinfo" in name and isinstance(theirs[name], float)}
    assert ours.keys() == theirs.keys()
    for name in ours:
        # The inverse of a rotation is rounded in another order.
        expected = pytest.approx(theirs[name], rel=1e-9) if name in wcsinfo else theirs[name]
        assert ours[name] == expected, name


def moved(wcs, x, y):
    """Return a geometry that looks as many pixels away."""
    frames = [(step.frame, step.transform) for step in wcs.pipeline]
    frame, transform = frames[0]
    frames[0] = frame, Shift(x) & Shift(y) | transform
    result = gwcs.WCS(frames)
    result.bounding_box = ((-0.5, 159.5), (-0.5, 159.5))
    return result


def dithered(number=3):
    """Images of one field, moved from one to the next, two of each exposure."""
    models = []
    for i in range(number):
        model = calibrated(*CAMERAS[0]).copy()
        model.meta.filename = f"jw0_{i}_cal.fits"
        model.meta.observation.exposure_number = f"{i // 2 + 1:05d}"
        model.meta.exposure.start_time += i
        model.meta.exposure.end_time += i
        rng = np.random.default_rng(i)
        model.data = model.data + rng.normal(0, 0.1, model.data.shape).astype(np.float32)
        model.var_rnoise = model.var_rnoise * np.float32(1 + 0.3 * i)
        model.dq[10 * i : 10 * i + 8, 30:60] |= 1
        model.meta.wcs = moved(model.meta.wcs, 4.3 * i, -2.6 * i)
        model.meta.wcsinfo.s_region = footprint(model.meta.wcs)
        models.append(model)
    return models
