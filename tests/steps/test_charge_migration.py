"""Step charge_migration: equal to the official one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from array_steps import SHAPE, assert_same, exposure, official, ours
from hypothesis import given, settings
from hypothesis import strategies as st
from jwst.charge_migration import ChargeMigrationStep as OfficialChargeMigration

from jwgpu.models.flags import CHARGELOSS, DO_NOT_USE, JUMP_DET
from jwgpu.steps.charge_migration import ChargeMigrationStep

LOST = CHARGELOSS | DO_NOT_USE


def assert_equals_official(model: Any, **parameters: Any) -> Any:
    """Compare the flags, and return them."""
    theirs = official(OfficialChargeMigration, model.copy(), **parameters)
    ramp, status = ours(ChargeMigrationStep, model, **parameters)
    assert_same(ramp, theirs)
    assert theirs.meta.cal_step.charge_migration == status
    return ramp.groupdq


@pytest.mark.parametrize("threshold", [0.0, 1000.0, 1900.0, 25000.0])
def test_equals_official(threshold):
    """Samples are about 1000 DN; all, half, a few and none are too bright."""
    model = exposure()
    model.groupdq[:, :, ::3] |= DO_NOT_USE
    flags = assert_equals_official(model, signal_threshold=threshold)
    fraction = ((flags & CHARGELOSS) > 0).mean()
    assert (fraction == 0) == (threshold == 25000.0)
    assert (fraction > 0.9) == (threshold <= 1000.0)


@pytest.mark.parametrize("shape", [(1, 1, 4, 5), (2, 2, 4, 5)])
def test_two_groups_are_too_few(shape):
    model = exposure(shape)
    before = model.groupdq.copy()
    np.testing.assert_array_equal(assert_equals_official(model, signal_threshold=0.0), before)
    assert ours(ChargeMigrationStep, model)[1] == "SKIPPED"


@pytest.mark.parametrize(("y", "x"), [(0, 0), (0, 3), (5, 8), (11, 19), (11, 4)])
def test_neighbours_are_flagged_from_the_same_group_on(y, x):
    model = exposure()
    model.data[...] = 100.0
    model.groupdq[...] = 0
    model.data[1, 2, y, x] = 30000.0
    flags = assert_equals_official(model)
    expected = np.zeros(SHAPE, np.uint8)
    rows, columns = np.indices(SHAPE[2:])
    near = np.abs(rows - y) + np.abs(columns - x) <= 1
    expected[1, 2:, near] = LOST
    np.testing.assert_array_equal(flags, expected)


def test_a_group_that_is_not_to_be_used_counts_only_with_another_flag():
    """Officially too; the documents say that such groups never count."""
    model = exposure()
    model.data[...] = 100.0
    model.groupdq[...] = 0
    model.data[0, 1, 3, 3] = model.data[0, 1, 8, 8] = 30000.0
    model.groupdq[0, 1, 3, 3] = DO_NOT_USE
    model.groupdq[0, 1, 8, 8] = DO_NOT_USE | JUMP_DET
    flags = assert_equals_official(model)
    assert not (flags[0, :, 3, 3] & CHARGELOSS).any()
    assert (flags[0, 1:, 8, 8] & CHARGELOSS).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_bad_samples_equal_official(value):
    model = exposure()
    model.data[:, 2, ::3, ::4] = value
    flags = assert_equals_official(model)
    assert ((flags & CHARGELOSS) > 0).any() == (value == np.inf)


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(*(st.integers(*limits) for limits in ((1, 3), (3, 6), (1, 5), (1, 5)))),
    threshold=st.floats(-100, 2000),
)
def test_any_exposure_equals_official(shape, threshold):
    assert_equals_official(exposure(shape), signal_threshold=threshold)


def test_parameters_are_the_official_ones():
    mine, theirs = ChargeMigrationStep.load_spec_file(), OfficialChargeMigration.load_spec_file()
    own = ["signal_threshold", "skip"]
    assert {name: mine[name] for name in own} == {name: theirs[name] for name in own}
