"""The picture frame of NIRSpec within the whole of stage 1: parity, and truth."""

from __future__ import annotations

from typing import Any

import numpy as np
from against_official import assert_same_files, calibrate, product
from astropy.io import fits

pytest_plugins = ("official",)

#: The step takes full frames alone.
FRAME: dict[str, Any] = {
    "instrument": "NIRSPEC",
    "detector": "NRS2",
    "readpatt": "NRSRAPID",
    "ngroups": 3,
    # As faint as the real one: less than the noise of a pixel, or it would not be background.
    "picture_frame": 0.0005,
    "exp_type": "NRS_DARK",
    "seed": 12,
}

#: For variances of the faintest pixels (DN/s)^2, by samples that differ by 1e-3 DN, and errors.
TINY = {"VAR_POISSON": 2e-4, "ERR": 3e-5}


def test_products_are_the_official_ones(official, tmp_path, monkeypatch):
    # The official step asks for world coordinates, of which it makes no use for darks.
    target = "jwst.clean_flicker_noise.clean_flicker_noise.post_process_rate"
    monkeypatch.setattr(target, lambda model, **_: model)
    data = official.dataset(**FRAME)
    # What is of no interest here takes most of the time.
    steps = {"picture_frame": {"skip": False}, "jump": {"skip": True}}
    theirs = official.detector1(data.exposure, data.references, steps)
    ours = calibrate(data.exposure, data.exposure.parent / "references", tmp_path, steps)
    # Medians of samples that differ in their last bits before.
    assert_same_files(ours, theirs, SCI=2e-3, **TINY)
    header = fits.getheader(product(ours, "rate"))
    assert header["S_PCTFRM"] == "COMPLETE"


def test_the_frame_goes(official, tmp_path):
    """Truth: without the step the edges of a rate are brighter than its center, with it not."""
    data = official.dataset(**FRAME)
    contrast = {}
    for skip in (True, False):
        steps = {"picture_frame": {"skip": skip}, "jump": {"skip": True}}
        folder = tmp_path / str(skip)
        calibrate(data.exposure, data.exposure.parent / "references", folder, steps)
        rate = fits.getdata(product(folder, "rate"))
        edge = np.nanmedian(rate[8:24, 100:-100])
        contrast[skip] = edge - np.nanmedian(rate[900:1100, 900:1100])
    assert contrast[True] > 0.3
    assert abs(contrast[False]) < 0.1 * contrast[True]
