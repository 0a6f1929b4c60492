from __future__ import annotations

import numpy as np
import pytest
from array_steps import assert_same, exposure, official, ours
from jwst.lastframe import LastFrameStep as Official

from jwgpu.models.flags import DO_NOT_USE
from jwgpu.steps.lastframe import LastFrameStep


@pytest.mark.parametrize("n_groups", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("detector", ["MIRIMAGE", "MIRIFULONG", "NRCA1"])
def test_equals_official(n_groups: int, detector: str) -> None:
    model = exposure((2, n_groups, 8, 9), detector)
    theirs = official(Official, model)
    ramp, status = ours(LastFrameStep, model)
    assert status == theirs.meta.cal_step.lastframe
    assert_same(ramp, theirs, rtol=0)


def test_flags_the_last_group_only() -> None:
    model = exposure(detector="MIRIMAGE")
    model.groupdq[...] = 0
    ramp, _ = ours(LastFrameStep, model)
    assert np.all(ramp.groupdq[:, -1] == DO_NOT_USE)
    assert not ramp.groupdq[:, :-1].any()
