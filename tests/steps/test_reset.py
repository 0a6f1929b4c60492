from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from array_steps import assert_same, exposure, official, ours, saved_reference
from jwst.reset import ResetStep as Official
from stdatamodels.jwst import datamodels

from jwgpu.errors import ReferenceFileError
from jwgpu.references.types import ResetReference
from jwgpu.steps.reset import ResetStep

IMAGE = (9, 11)


def reset_of(ints: int, groups: int) -> ResetReference:
    random = np.random.default_rng(2)
    data = random.normal(50.0, 10.0, (ints, groups, *IMAGE)).astype(np.float32)
    data[0, groups // 2, 4, 5] = np.nan
    dq = random.choice(np.array([0, 1, 2048], np.uint32), IMAGE)
    return ResetReference(data, dq, nints=ints, ngroups=groups, planes_in_file=(ints, groups))


def both(model: Any, reset: ResetReference, tmp_path: Path) -> Any:
    official_reset = datamodels.ResetModel(data=reset.data.copy(), dq=reset.dq.copy())
    official_reset.meta.exposure.nints = reset.nints
    official_reset.meta.exposure.ngroups = reset.ngroups
    path = saved_reference(official_reset, model, tmp_path / "reset.fits")
    theirs = official(Official, model, {"reset": path})
    ramp, status = ours(ResetStep, model, reset)
    assert status == theirs.meta.cal_step.reset
    assert_same(ramp, theirs, rtol=0)
    return ramp


@pytest.mark.parametrize("ints", [1, 2, 5])
@pytest.mark.parametrize("groups", [1, 4, 9])
@pytest.mark.parametrize("reset_shape", [(1, 4), (2, 5), (3, 1)])
def test_equals_official(
    ints: int, groups: int, reset_shape: tuple[int, int], tmp_path: Path
) -> None:
    model = exposure((ints, groups, *IMAGE), "MIRIMAGE")
    both(model, reset_of(*reset_shape), tmp_path)


@pytest.mark.parametrize(("start", "end"), [(1, 3), (2, 4), (3, 5), (20, 22)])
def test_segments_equal_official(start: int, end: int, tmp_path: Path) -> None:
    model = exposure(
        (3, 6, *IMAGE), "MIRIFULONG", nints=40, integration_start=start, integration_end=end
    )
    both(model, reset_of(4, 5), tmp_path)


def test_header_tells_how_much_of_the_file_counts(tmp_path: Path) -> None:
    reset = reset_of(3, 6)
    reset.nints, reset.ngroups = 2, 4
    both(exposure((4, 8, *IMAGE), "MIRIMAGE"), reset, tmp_path)


def test_groups_after_the_reference_keep_their_samples(tmp_path: Path) -> None:
    model = exposure((2, 8, *IMAGE), "MIRIMAGE")
    ramp = both(model, reset_of(2, 5), tmp_path)
    np.testing.assert_array_equal(ramp.data[:, 5:], model.data[:, 5:])
    assert np.all(ramp.data[:, :2] != model.data[:, :2])


def test_other_instruments_are_skipped(tmp_path: Path) -> None:
    model = exposure((2, 8, *IMAGE), "NRCA1")
    ramp, status = ours(ResetStep, model, reset_of(2, 5))
    assert status == "SKIPPED"
    np.testing.assert_array_equal(ramp.data, model.data)


def test_header_that_promises_too_much_is_refused() -> None:
    reset = reset_of(2, 5)
    reset.ngroups = 6
    with pytest.raises(ReferenceFileError, match="2 integrations of 6 groups"):
        ours(ResetStep, exposure((2, 8, *IMAGE), "MIRIMAGE"), reset)
