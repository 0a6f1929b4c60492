"""The official package runs offline on what we simulate, and finds the truth in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from astropy.io import fits

from jwgpu.models.flags import DO_NOT_USE, JUMP_DET, REFERENCE_PIXEL, SATURATED

if TYPE_CHECKING:
    from official import Official

pytest_plugins = ("official",)

CASES: dict[str, dict[str, Any]] = {
    "NIRCAM": {
        "instrument": "NIRCAM",
        "window": (1, 1, 128, 64),
        "ngroups": 8,
        "cosmic_rays": 0.01,
    },
    "MIRI": {"instrument": "MIRI", "subarray": "SUB64", "ngroups": 12, "nints": 2},
}


@pytest.mark.parametrize("case", CASES)
def test_pipeline_finds_the_simulated_rates(official: Official, case: str) -> None:
    data = official.dataset(**CASES[case])
    products = official.detector1(data.exposure, data.references, save_calibrated_ramp=True)
    assert products.rate is not None
    assert products.rateints is not None
    with fits.open(products.rate) as hdus:
        header, rate = hdus[0].header, hdus["SCI"].data
        error, flags = hdus["ERR"].data, hdus["DQ"].data
    near_infrared = case != "MIRI"
    ran = ["DQINIT", "SATURA", "IPC", "LINEAR", "DARK", "JUMP", "RAMP"]
    # MIRI's subarrays are not corrected by reference pixels.
    for name in ran + (["SUPERB", "REFPIX"] if near_infrared else ["RESET", "RSCD", "LASTFR"]):
        assert header[f"S_{name}"] == "COMPLETE", name
    clean = (flags & (DO_NOT_USE | SATURATED | JUMP_DET)) == 0
    clean &= data.truth.flags == 0
    assert clean.sum() > 0.8 * clean.size
    pull = (rate - data.truth.rate)[clean] / error[clean]
    # Clipping of undetected hits and the two-pass noise model leave the centre alone.
    assert abs(np.median(pull)) < 0.25
    assert 0.6 < np.percentile(np.abs(pull), 68) < 1.4


def test_a_run_is_remembered(official: Official) -> None:
    data = official.dataset(**CASES["NIRCAM"])
    first = official.detector1(data.exposure, data.references, save_calibrated_ramp=True)
    again = official.detector1(data.exposure, data.references, save_calibrated_ramp=True)
    assert again is first


def test_pipeline_finds_the_simulated_cosmic_rays(official: Official) -> None:
    data = official.dataset(**CASES["NIRCAM"])
    products = official.detector1(data.exposure, data.references, save_calibrated_ramp=True)
    assert products.ramp is not None
    group_flags = fits.getdata(products.ramp, "GROUPDQ")
    hits = data.truth.cosmic_rays
    strong = hits[(hits["electrons"] > 2000) & (hits["group"] > 0)]
    flags = group_flags[strong["integration"], strong["group"], strong["y"], strong["x"]]
    assert len(strong) > 50
    assert np.mean((flags & (JUMP_DET | SATURATED | DO_NOT_USE)) != 0) > 0.9


def test_one_step_runs_alone(official: Official) -> None:
    data = official.dataset(**CASES["NIRCAM"])
    ramp = official.step("dq_init", data.exposure, data.references)
    assert ramp.meta.cal_step.dq_init == "COMPLETE"
    assert ramp.meta.ref_file.mask.name == str(data.references["mask"])
    assert np.all((ramp.pixeldq[:, :4] & REFERENCE_PIXEL) != 0)


def test_unknown_parameter_is_refused(official: Official) -> None:
    data = official.dataset(**CASES["NIRCAM"])
    with pytest.raises(AttributeError, match="no parameter 'treshold'"):
        official.step("jump", data.exposure, data.references, treshold=1.0)
