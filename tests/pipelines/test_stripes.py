"""Readouts in stripes through the whole of stage 1, against the official pipeline."""

from __future__ import annotations

from typing import Any

import pytest
from against_official import assert_same_files, calibrate

pytest_plugins = ("official",)

#: One image of several places of the detector, smaller than real ones.
MULTISTRIPE: dict[str, dict[str, Any]] = {
    "one stripe": {
        "detector": "NRCA3",
        "subarray": "SUB41STRIPE1_DHS",
        "window": (1, 1, 128, 42),
        "stripes": (1, 700, 41, 0, 0, 0, 0, 0),
    },
    "four stripes": {
        "detector": "NRCB2",
        "subarray": "SUB164STRIPE4_DHS",
        "window": (901, 1, 200, 44),
        "stripes": (4, 1000, 10, 60, 0, 0, 0, 0),
        "readpatt": "BRIGHT2",
    },
    "reference pixels between": {
        "detector": "NRCB1",
        "subarray": "SUB164STRIPE4_DHS",
        "window": (1, 2048, 160, 44),
        "stripes": (1, 900, 10, 60, 1, 1, 0, 0),
        "zero_frame": True,
    },
}

#: Several images that make up one.
SUPERSTRIPE: dict[str, dict[str, Any]] = {
    "SOSS": {
        "instrument": "NIRISS",
        "subarray": "SUB204STRIPE_SOSS",
        "window": (2048, 1793, 36, 32),
        "stripes": (4, 0, 32, 0, 1, 1, 32, 4),
        "exp_type": "NIS_SOSS",
    },
    "SUB64P": {
        "detector": "NRCB1",
        "subarray": "SUB64P_SUPSTP008",
        "window": (1851, 2046, 64, 9),
        "stripes": (1, 165, 8, 0, 1, 0, 8, 3),
        "zero_frame": True,
    },
}


#: The official step ends for stripes along a mirrored axis; ours skips them.
WITHOUT_IPC = {"ipc": {"skip": True}}


def assert_official(official, folder, settings, steps=None):
    data = official.dataset(seed=3, ngroups=5, nints=2, **settings)
    options = {"steps": steps, "save_calibrated_ramp": True}
    theirs = official.detector1(data.exposure, data.references, **options)
    references = data.exposure.parent / "references"
    ours = calibrate(data.exposure, references, folder, steps, "--save-calibrated-ramp=true")
    assert_same_files(ours, theirs)


@pytest.mark.parametrize("case", MULTISTRIPE)
def test_products_of_multistripe_exposures_are_the_official_ones(official, tmp_path, case):
    steps = WITHOUT_IPC if case == "reference pixels between" else None
    assert_official(official, tmp_path, MULTISTRIPE[case], steps)


@pytest.mark.parametrize("case", SUPERSTRIPE)
def test_products_of_superstripe_exposures_are_the_official_ones(official, tmp_path, case):
    assert_official(official, tmp_path, SUPERSTRIPE[case], WITHOUT_IPC)
