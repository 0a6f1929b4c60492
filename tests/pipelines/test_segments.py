"""Segments of a long exposure through the whole of stage 1, against the official pipeline.

The ground system cuts long time series into files of some integrations each: INTSTART and INTEND
say which these are, NINTS still counts those of the exposure.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from against_official import assert_same_files, calibrate, product
from astropy.io import fits

pytest_plugins = ("official",)

#: Settings of whole exposures of six integrations.
EXPOSURES: dict[str, dict[str, Any]] = {
    "miri": {"instrument": "MIRI", "subarray": "SUB64", "ngroups": 10},
    "miri-averaged": {"instrument": "MIRI", "subarray": "SUB64", "ngroups": 6, "nframes": 2},
    "nircam": {"instrument": "NIRCAM", "window": (1, 1, 64, 48), "readpatt": "BRIGHT2",
               "ngroups": 4},
    "niriss": {"instrument": "NIRISS", "window": (1, 1, 48, 64), "ngroups": 3},
    "nirspec": {"instrument": "NIRSPEC", "window": (1, 1, 64, 48), "ngroups": 5},
}  # fmt: skip

INTEGRATIONS = 6

#: First and last integration of each file.
SEGMENTS = [(1, 1), (2, 2), (3, 6)]


def cut(exposure: Path, path: Path, first: int, last: int, *, all_times: bool = False) -> Path:
    """Write the integrations from `first` to `last`, counted from 1, as a segment."""
    part = slice(first - 1, last)
    with fits.open(exposure) as file:
        for hdu in file:
            is_by_integration = hdu.name in ("SCI", "ZEROFRAME", "REFOUT")
            if is_by_integration or (hdu.name == "INT_TIMES" and not all_times):
                hdu.data = hdu.data[part]
            elif hdu.name == "GROUP":
                number = hdu.data["integration_number"]
                hdu.data = hdu.data[(number >= first) & (number <= last)]
        header = file[0].header
        header["INTSTART"], header["INTEND"] = first, last
        header["EXSEGTOT"] = len(SEGMENTS)
        header["EXSEGNUM"] = 1 + [segment[0] for segment in SEGMENTS].index(first)
        file.writeto(path)
    return path


def simulate(official, case):
    return official.dataset(seed=5, nints=INTEGRATIONS, time_series=True, **EXPOSURES[case])


@pytest.mark.parametrize(
    "case, segment",
    [
        *(("miri", segment) for segment in SEGMENTS),
        ("miri-averaged", (1, 1)),
        ("miri-averaged", (3, 6)),
        ("nircam", (3, 6)),
        ("niriss", (2, 2)),
        ("nirspec", (1, 1)),
    ],
)
def test_products_are_the_official_ones(official, tmp_path, case, segment):
    data = simulate(official, case)
    exposure = cut(data.exposure, tmp_path / data.exposure.name, *segment)
    theirs = official.detector1(exposure, data.references, save_calibrated_ramp=True)
    folder = data.exposure.parent / "references"
    ours = calibrate(exposure, folder, tmp_path / "ours", {}, "--save-calibrated-ramp=true")
    # Frames are short: a last bit of a sample is much as a rate, and as its variance.
    assert_same_files(ours, theirs, VAR_POISSON=2e-4)
    with fits.open(product(ours, "rateints")) as rates:
        assert rates["SCI"].data.shape[0] == segment[1] - segment[0] + 1
        assert rates["INT_TIMES"].data["integration_number"][0] == segment[0]


def test_times_of_the_whole_exposure_are_kept(official, tmp_path):
    data = simulate(official, "niriss")
    exposure = cut(data.exposure, tmp_path / data.exposure.name, 2, 2, all_times=True)
    theirs = official.detector1(exposure, data.references)
    ours = calibrate(exposure, data.exposure.parent / "references", tmp_path / "ours")
    assert_same_files(ours, theirs)
    with fits.open(product(ours, "rateints")) as rates:
        assert len(rates["INT_TIMES"].data) == INTEGRATIONS


@pytest.mark.parametrize("case", ["miri", "nircam"])
def test_ramps_of_the_segments_are_those_of_the_exposure(official, tmp_path, case):
    # Jumps and rates are not: both go by the median over all integrations of a file.
    steps = {"jump": {"skip": True}, "ramp_fit": {"skip": True}}
    data = simulate(official, case)
    folder = data.exposure.parent / "references"
    whole = calibrate(data.exposure, folder, tmp_path / "whole", steps)
    with fits.open(product(whole, "ramp")) as expected:
        for first, last in SEGMENTS:
            raw = cut(data.exposure, tmp_path / f"{first}_uncal.fits", first, last)
            ours = product(calibrate(raw, folder, tmp_path / f"{first}", steps), "ramp")
            with fits.open(ours) as ramp:
                for name in ("SCI", "GROUPDQ"):
                    np.testing.assert_array_equal(
                        ramp[name].data, expected[name].data[first - 1 : last]
                    )
