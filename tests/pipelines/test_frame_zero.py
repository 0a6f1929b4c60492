"""Frame zero of NIRCam through the whole of stage 1, against the official pipeline."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from against_official import assert_same_files, calibrate, product
from astropy.io import fits

from jwgpu.models.flags import SATURATED

pytest_plugins = ("official",)

#: Bright stars, so that many ramps saturate in their first group, where frame zero matters.
BRIGHT = {"instrument": "NIRCAM", "star_peaks": (2.0, 200.0), "n_stars": 12, "seed": 23}

WINDOW = (1, 1, 96, 64)

KEEP = {"ramp_fit": {"suppress_one_group": False}}

#: Read patterns, geometries and options: settings of the exposure, parameters of the steps.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "single frames": ({"window": WINDOW, "ngroups": 5, "zero_frame": True}, {}),
    "single frames, one group kept": ({"window": WINDOW, "ngroups": 5, "zero_frame": True}, KEEP),
    "averages": ({"window": WINDOW, "ngroups": 4, "readpatt": "MEDIUM8"}, {}),
    "averages, one group kept": (
        {"window": WINDOW, "ngroups": 4, "nints": 2, "readpatt": "MEDIUM8"},
        KEEP,
    ),
    "one group": ({"window": WINDOW, "ngroups": 1, "nints": 2, "readpatt": "SHALLOW4"}, KEEP),
    "two groups": ({"window": WINDOW, "ngroups": 2, "readpatt": "BRIGHT2"}, KEEP),
    "one amplifier": ({"subarray": "SUB160", "ngroups": 4, "readpatt": "DEEP2"}, KEEP),
    "four amplifiers": (
        {"detector": "NRCALONG", "subarray": "SUBGRISM64", "ngroups": 3, "readpatt": "BRIGHT1",
         "zero_frame": True, "sky": 0.3},
        KEEP,
    ),
    "no neighbours, no jumps": (
        {"window": WINDOW, "ngroups": 4, "readpatt": "SHALLOW2"},
        {**KEEP, "saturation": {"n_pix_grow_sat": 0}, "jump": {"skip": True}},
    ),
    "without its steps": (
        {"window": WINDOW, "ngroups": 4, "readpatt": "SHALLOW2"},
        {**KEEP, "superbias": {"skip": True}, "refpix": {"skip": True}},
    ),
    "everywhere saturated": (
        {"window": WINDOW, "ngroups": 3, "nints": 2, "readpatt": "MEDIUM8", "sky": 20.0},
        KEEP,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_products_are_the_official_ones(official, tmp_path, case):
    settings, steps = CASES[case]
    data = official.dataset(**BRIGHT, **settings)
    theirs = official.detector1(data.exposure, data.references, steps, save_calibrated_ramp=True)
    ours = calibrate(
        data.exposure,
        data.exposure.parent / "references",
        tmp_path,
        steps,
        "--save-calibrated-ramp=true",
    )
    assert_same_files(ours, theirs)
    with fits.open(product(ours, "ramp")) as ramp:
        zero = ramp["ZEROFRAME"].data
        assert np.any(zero == 0.0)
        assert case == "everywhere saturated" or np.any(zero != 0.0)


def test_frame_zero_gives_the_rate_of_ramps_saturated_from_the_start(official, tmp_path):
    settings, steps = CASES["averages, one group kept"]
    data = official.dataset(**BRIGHT, **settings)
    folder = data.exposure.parent / "references"
    ours = calibrate(data.exposure, folder, tmp_path, steps, "--save-calibrated-ramp=true")
    with fits.open(product(ours, "ramp")) as ramp, fits.open(product(ours, "rateints")) as rate:
        from_start = (ramp["GROUPDQ"].data[:, 0] & SATURATED) != 0
        rescued = from_start & (ramp["ZEROFRAME"].data != 0.0) & np.isfinite(rate["SCI"].data)
        truth = np.broadcast_to(data.truth.rate, rescued.shape)
        rescued &= truth > 0.0
        assert rescued.sum() > 10
        # One frame, some 50,000 electrons: the rate is that of the light to a few per cent.
        ratio = rate["SCI"].data[rescued] / truth[rescued]
        assert abs(np.median(ratio) - 1.0) < 0.1


def with_keyword(data, folder, value):
    """Write the exposure again with another value of ZEROFRAM."""
    path = folder / data.exposure.name
    with fits.open(data.exposure) as file:
        file[0].header["ZEROFRAM"] = value
        file.writeto(path)
    return path


def test_an_array_without_its_keyword_only_counts_in_the_fit(official, tmp_path):
    data = official.dataset(**BRIGHT, window=WINDOW, ngroups=4, readpatt="SHALLOW2")
    exposure = with_keyword(data, tmp_path, False)
    theirs = official.detector1(exposure, data.references, KEEP)
    ours = calibrate(exposure, data.exposure.parent / "references", tmp_path / "ours", KEEP)
    assert_same_files(ours, theirs)


def test_a_keyword_without_its_array_is_no_matter(official, tmp_path):
    # The official package ends there: its array is one number.
    settings = {"window": WINDOW, "ngroups": 4, "readpatt": "SHALLOW2", "zero_frame": False}
    data = official.dataset(**BRIGHT, **settings)
    theirs = official.detector1(data.exposure, data.references, KEEP)
    exposure = with_keyword(data, tmp_path, True)
    ours = calibrate(exposure, data.exposure.parent / "references", tmp_path / "ours", KEEP)
    for path in ours.glob("*.fits"):
        with fits.open(path, "update") as file:
            assert file[0].header["ZEROFRAM"] is True
            file[0].header["ZEROFRAM"] = False
    assert_same_files(ours, theirs)
