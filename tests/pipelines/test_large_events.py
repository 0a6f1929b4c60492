"""Snowballs and showers through the whole of stage 1, against the official pipeline."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from against_official import assert_same_files, calibrate, product
from stdatamodels.jwst import datamodels

from jwgpu.models.flags import JUMP_DET

pytest_plugins = ("official",)

SNOWBALLS = {"jump": {"expand_large_events": True, "min_jump_area": 15.0}}
SHOWERS = {"jump": {"find_showers": True}}

#: Settings of the exposure, parameters of the steps.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nircam": (
        {"window": (1, 1, 192, 160), "ngroups": 5, "nints": 2, "snowballs": 3.0, "seed": 9},
        SNOWBALLS,
    ),
    "niriss": (
        {"instrument": "NIRISS", "window": (1, 1, 128, 96), "ngroups": 7, "snowballs": 3.0},
        {"jump": {"expand_large_events": True, "edge_size": 5, "after_jump_flag_time1": 20.0}},
    ),
    "miri": (
        {"instrument": "MIRI", "window": (1, 1, 128, 112), "ngroups": 14, "showers": 4.0,
         "n_stars": 5, "seed": 2},
        SHOWERS,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_products_are_the_official_ones(official, tmp_path, case):
    settings, steps = CASES[case]
    data = official.dataset(**{"seed": 5, **settings})
    assert len(data.truth.large_events)
    theirs = official.detector1(data.exposure, data.references, steps, save_calibrated_ramp=True)
    folder = data.exposure.parent / "references"
    ours = calibrate(data.exposure, folder, tmp_path, steps, "--save-calibrated-ramp=true")
    assert_same_files(ours, theirs)
    with datamodels.open(product(ours, "ramp")) as ramp:
        assert ramp.meta.exposure.extended_emission_events > 0


def test_the_truth_comes_back(official, tmp_path):
    """Around snowballs, the rate is biased by the halo unless it is flagged."""
    settings, steps = CASES["nircam"]
    data = official.dataset(**{"seed": 5, **settings, "shot_noise": False})
    folder = data.exposure.parent / "references"
    bias = []
    for name, chosen in (("plain", {}), ("flagged", steps)):
        ours = calibrate(data.exposure, folder, tmp_path / name, chosen)
        with datamodels.open(product(ours, "rateints")) as rates:
            halo = np.zeros(rates.data.shape, bool)
            rows, columns = np.indices(rates.data.shape[1:])
            for event in data.truth.large_events:
                distance = np.hypot(rows - event["y"], columns - event["x"]) / event["major"]
                halo[event["integration"]] |= (distance > 1.5) & (distance < 4)
            usable = halo & np.isfinite(rates.data) & ((rates.dq & ~np.uint32(JUMP_DET)) == 0)
            error = rates.data - data.truth.rate
            bias.append(np.median(error[usable]))
    assert abs(bias[1]) < abs(bias[0])
