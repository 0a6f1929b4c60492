"""Charge migration through the whole of stage 1, against the official pipeline."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from against_official import assert_same_files, calibrate, product
from stdatamodels.jwst import datamodels

from jwgpu.models.flags import CHARGELOSS, DO_NOT_USE

pytest_plugins = ("official",)

MIGRATION = {"charge_migration": {"skip": False, "signal_threshold": 15000.0}}
BRIGHT = {"star_peaks": (0.5, 5.0), "n_stars": 12, "seed": 41}

CASES: dict[str, dict[str, Any]] = {
    "niriss": {"instrument": "NIRISS", "subarray": "SUB80", "ngroups": 6, "nints": 2},
    "nircam": {"window": (1, 1, 96, 64), "ngroups": 8, "readpatt": "SHALLOW4"},
    "two groups": {"instrument": "NIRISS", "subarray": "SUB80", "ngroups": 2},
}


@pytest.mark.parametrize("case", CASES)
def test_products_are_the_official_ones(official, tmp_path, case):
    data = official.dataset(**BRIGHT, **CASES[case])
    options = {"steps": MIGRATION, "save_calibrated_ramp": True}
    theirs = official.detector1(data.exposure, data.references, **options)
    folder = data.exposure.parent / "references"
    ours = calibrate(data.exposure, folder, tmp_path, MIGRATION, "--save-calibrated-ramp=true")
    assert_same_files(ours, theirs)
    with datamodels.open(product(ours, "ramp")) as ramp:
        assert ((ramp.groupdq & CHARGELOSS) > 0).any() == (case != "two groups")


def test_bright_pixels_keep_their_variance_by_read_noise(official, tmp_path):
    """Their rate is of the groups before, but they count like pixels with all groups."""
    data = official.dataset(**BRIGHT, **CASES["niriss"])
    folder = data.exposure.parent / "references"
    ours = calibrate(data.exposure, folder, tmp_path, MIGRATION, "--save-calibrated-ramp=true")
    with (
        datamodels.open(product(ours, "ramp")) as ramp,
        datamodels.open(product(ours, "rateints")) as rates,
    ):
        # Two groups are good, and no more: with those alone the variance would be larger by far.
        flags = ramp.groupdq[0]
        few = ((flags[:2] == 0) & (flags[2:] == CHARGELOSS | DO_NOT_USE).all(axis=0)).all(axis=0)
        clean = (flags == 0).all(axis=0)
        assert few.any()
        variance = rates.var_rnoise[0]
        assert np.median(variance[few]) == pytest.approx(np.median(variance[clean]), rel=0.2)
