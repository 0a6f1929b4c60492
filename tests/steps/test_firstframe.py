from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from array_steps import assert_same, exposure, official, ours
from hypothesis import given, settings
from hypothesis import strategies as st
from jwst.firstframe import FirstFrameStep as Official

from jwgpu.models.flags import DO_NOT_USE, FLUX_ESTIMATED, SATURATED
from jwgpu.steps.firstframe import FirstFrameStep


def both(model: Any, **parameters: Any) -> Any:
    with pytest.warns(DeprecationWarning, match="deprecated"):
        theirs = official(Official, model, **parameters)
    with pytest.warns(DeprecationWarning, match="firstframe is deprecated"):
        ramp, status = ours(FirstFrameStep, model, **parameters)
    assert status == theirs.meta.cal_step.firstframe
    assert_same(ramp, theirs, rtol=0)
    return ramp


@pytest.mark.parametrize("n_groups", [1, 3, 4, 7])
@pytest.mark.parametrize("detector", ["MIRIMAGE", "NRCA1"])
@pytest.mark.parametrize("bright_use_group1", [True, False])
def test_equals_official(n_groups: int, detector: str, bright_use_group1: bool) -> None:
    model = exposure((2, n_groups, 8, 9), detector)
    model.groupdq[0, n_groups // 2 :, 3:5] |= SATURATED
    both(model, bright_use_group1=bright_use_group1)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.integers(4, 6), st.integers(1, 4), st.integers(0, 2**31))
def test_any_flags_equal_official(ints: int, groups: int, rows: int, seed: int) -> None:
    model = exposure((ints, groups, rows, 5), "MIRIFUSHORT")
    random = np.random.default_rng(seed)
    model.groupdq[...] = random.integers(0, 256, model.groupdq.shape, np.uint8)
    both(model)


def test_bright_pixels_keep_their_first_group() -> None:
    model = exposure(detector="MIRIMAGE")
    model.groupdq[...] = 0
    model.groupdq[1, 2:, 4, 4] = SATURATED
    ramp = both(model)
    assert ramp.groupdq[1, 0, 4, 4] == 0
    assert ramp.groupdq[0, 0, 4, 4] == DO_NOT_USE
    assert ramp.pixeldq[4, 4] & FLUX_ESTIMATED
    assert np.count_nonzero(ramp.pixeldq & FLUX_ESTIMATED) == 1


def test_is_left_out_unless_asked_for() -> None:
    assert FirstFrameStep().skip is True
