"""Cleaning of flicker noise within the whole of stage 1, against the official pipeline."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from against_official import assert_same_files, calibrate, product
from astropy.io import fits

pytest_plugins = ("official",)

NIRCAM = {"instrument": "NIRCAM", "window": (1, 1, 128, 96), "ngroups": 5, "nints": 2}
MIRI = {"instrument": "MIRI", "subarray": "SUB64", "ngroups": 8, "exp_type": "MIR_IMAGE"}
NIRSPEC = {
    "instrument": "NIRSPEC",
    "subarray": "SUB512",
    "ngroups": 4,
    "exp_type": "NRS_BRIGHTOBJ",
}

#: For variances of the faintest pixels (DN/s)^2: of 1e-2 to 30, by samples that differ by 1e-3 DN.
TINY = 2e-4

CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nircam": (NIRCAM, {}),
    "nircam, model": (NIRCAM, {"background_method": "model", "single_mask": False}),
    "miri": (MIRI, {}),
    "nirspec, waves": (NIRSPEC, {"fit_method": "fft"}),
    "nircam, waves": (NIRCAM, {"fit_method": "fft"}),
}


@pytest.mark.parametrize("case", CASES)
def test_products_are_the_official_ones(official, tmp_path, case):
    settings, parameters = CASES[case]
    data = official.dataset(seed=8, flicker_noise=20.0, **settings)
    steps = {"clean_flicker_noise": {"skip": False, **parameters}}
    theirs = official.detector1(data.exposure, data.references, steps, save_calibrated_ramp=True)
    ours = calibrate(
        data.exposure, data.exposure.parent / "references", tmp_path, steps,
        "--save_calibrated_ramp=true",
    )  # fmt: skip
    # Samples differ in their last bits before; what a line's median or a fit makes of them differs
    # by as much, and adds up over the groups.
    assert_same_files(ours, theirs, SCI=5e-3, VAR_POISSON=TINY)


@pytest.mark.parametrize("alias", ["picture_frame", "clean_flicker_noise"])
def test_picture_frame_is_for_nirspec(official, tmp_path, alias):
    """Both steps are switched on; the one that does not apply says so in the products."""
    data = official.dataset(seed=8, flicker_noise=20.0, **NIRCAM)
    steps = {"picture_frame": {"skip": False}, "clean_flicker_noise": {"skip": alias[0] == "p"}}
    theirs = official.detector1(data.exposure, data.references, steps)
    ours = calibrate(data.exposure, data.exposure.parent / "references", tmp_path, steps)
    assert_same_files(ours, theirs, VAR_POISSON=TINY)


def test_striping_goes(official, tmp_path):
    """Truth: rows of a cleaned rate scatter as those of an exposure without flicker noise do."""
    scatter = {}
    for noise, skip in ((6.0, True), (6.0, False), (0.0, True)):
        data = official.dataset(seed=4, flicker_noise=noise, **NIRCAM)
        folder = tmp_path / f"{noise}{skip}"
        steps = {"clean_flicker_noise": {"skip": skip}}
        calibrate(data.exposure, data.exposure.parent / "references", folder, steps)
        rate = fits.getdata(product(folder, "rate"))[4:, 4:]
        scatter[noise, skip] = np.nanstd(np.nanmedian(rate, axis=1))
    assert scatter[6.0, False] < 0.7 * scatter[6.0, True]
    assert scatter[6.0, False] < 2 * scatter[0.0, True]
