from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from array_steps import SHAPE, assert_same, exposure, official, ours, saved_reference
from jwst.superbias import SuperBiasStep as Official
from stdatamodels.jwst import datamodels

from jwgpu.references.types import SuperBiasReference
from jwgpu.steps.superbias import SuperBiasStep


def bias_of(model: Any) -> SuperBiasReference:
    random = np.random.default_rng(1)
    data = random.normal(10000.0, 100.0, model.data.shape[-2:]).astype(np.float32)
    data[data.shape[0] // 2, data.shape[1] // 3] = np.nan
    dq = random.choice(np.array([0, 1, 1 << 22], np.uint32), data.shape)
    return SuperBiasReference(data, dq)


def both(model: Any, tmp_path: Path) -> tuple[Any, Any]:
    bias = bias_of(model)
    before = bias.data.copy(), bias.dq.copy()
    official_bias = datamodels.SuperBiasModel(data=bias.data.copy(), dq=bias.dq.copy())
    path = saved_reference(official_bias, model, tmp_path / "bias.fits")
    theirs = official(Official, model, {"superbias": path})
    ramp, status = ours(SuperBiasStep, model, bias)
    assert status == theirs.meta.cal_step.superbias == "COMPLETE"
    np.testing.assert_array_equal(bias.data, before[0])
    np.testing.assert_array_equal(bias.dq, before[1])
    return ramp, theirs


@pytest.mark.parametrize("shape", [SHAPE, (1, 1, 1, 5), (3, 2, 7, 1)])
def test_equals_official(shape: tuple[int, ...], tmp_path: Path) -> None:
    assert_same(*both(exposure(shape), tmp_path), rtol=0)


@pytest.mark.parametrize("has_zero_frame", [True, False])
def test_zero_frames_equal_official(has_zero_frame: bool, tmp_path: Path) -> None:
    """The keyword ZEROFRAM decides, not the extension; exact zeros stay zero."""
    model = exposure(zero_frame=has_zero_frame)
    model.zeroframe = np.full((SHAPE[0], *SHAPE[2:]), 10500.0, np.float32)
    model.zeroframe[:, 4, :9] = 0.0
    ramp, theirs = both(model, tmp_path)
    assert_same(ramp, theirs, rtol=0)
    assert np.all(ramp.zeroframe[:, 4, :9] == 0.0)
    assert np.all(ramp.zeroframe[:, 5] == 10500.0) != has_zero_frame


def test_nan_samples_stay_nan_alone(tmp_path: Path) -> None:
    model = exposure()
    model.data[0, 1, 5, 6] = np.nan
    ramp, theirs = both(model, tmp_path)
    assert_same(ramp, theirs, rtol=0)
    assert np.isnan(ramp.data).sum() == 1
