from __future__ import annotations

import numpy as np
import pytest
from array_steps import assert_same, exposure, official, ours
from jwst.group_scale import GroupScaleStep as Official

from jwgpu.steps.group_scale import GroupScaleStep


@pytest.mark.parametrize(
    ("n_frames", "divisor"),
    [(5, 8), (3, 4), (1, 4), (4, 4), (8, 8), (None, 4), (4, None), (5, None), (None, None)],
)
def test_equals_official(n_frames: int | None, divisor: int | None) -> None:
    model = exposure(nframes=n_frames, frame_divisor=divisor)
    theirs = official(Official, model)
    ramp, status = ours(GroupScaleStep, model)
    assert status == theirs.meta.cal_step.group_scale
    assert_same(ramp, theirs, rtol=0)


def test_undoes_a_sum_of_five_that_was_divided_by_eight() -> None:
    model = exposure(nframes=5, frame_divisor=8)
    truth = model.data.copy()
    model.data = truth * 5 / 8
    ramp, _ = ours(GroupScaleStep, model)
    np.testing.assert_allclose(ramp.data, truth, rtol=1e-6)
