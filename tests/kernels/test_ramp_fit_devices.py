"""Ramp fitting on a GPU: the numbers of the CPU, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_ramp_fit import RAPID, SHALLOW, Case, flagged, ours, plain, random_case, spoiled

from jwgpu.backends import get_device
from jwgpu.kernels.ramp_fit import Timing, cuda
from jwgpu.models.flags import CHARGELOSS, DO_NOT_USE, JUMP_DET, SATURATED

CPU = get_device("cpu")
SMALL = (3, 37)


def assert_equals_cpu(gpu: Any, case: Case) -> Any:
    """Compare rates and segments, and return them."""
    found, expected = ours(case, gpu, save_segments=True), ours(case, CPU, save_segments=True)
    for mine, wanted in zip(found, expected, strict=True):
        for name, value in wanted._asdict().items():
            array = getattr(mine, name)
            assert array.dtype == value.dtype, name
            np.testing.assert_array_equal(array, value, err_msg=name)
    return found


def small(case: Case, image: tuple[int, int] = SMALL) -> Case:
    """Return the case with the first rows and columns alone."""
    rows, columns = image
    cut = {
        name: np.ascontiguousarray(value[..., :rows, :columns])
        for name, value in case._asdict().items()
        if isinstance(value, np.ndarray)
    }
    return case._replace(**cut)


@pytest.mark.parametrize("seed", range(24))
def test_anything(gpu: Any, seed: int) -> None:
    """Any number of groups up to 40, every flag, frame zero, dark current, bad references."""
    assert_equals_cpu(gpu, small(random_case(seed), (12, 37)))


@pytest.mark.parametrize(
    "groups", [1, 2, 3, 4, pytest.param(5, marks=pytest.mark.races), 10, 11, 17, 18]
)
@pytest.mark.parametrize("ints", [1, 3])
def test_numbers_of_groups(gpu: Any, ints: int, groups: int) -> None:
    """Also those next to where another way to the median is taken."""
    case = flagged(plain((ints, groups, *SMALL), groups, SHALLOW), groups)
    rate, rateints, _ = assert_equals_cpu(gpu, case)
    assert np.any(rate.data > 0)
    assert rateints.data.shape[0] == ints


@pytest.mark.parametrize(
    ("groups", "block"),
    [(60, 128), (100, 64), (300, 32), pytest.param(400, 0, marks=pytest.mark.races)],
)
def test_long_ramps(gpu: Any, groups: int, block: int) -> None:
    """Smaller blocks, and beyond them a space in device memory."""
    place = cuda._place(np, groups, 35)
    assert (place.block, place.shared > 0) == (block or 32, block > 0)
    assert_equals_cpu(gpu, flagged(plain((2, groups, 5, 7), groups), 1))


@pytest.mark.races
def test_fewer_slots_than_pixels(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads go on to other pixels where the space is small."""
    monkeypatch.setattr(cuda, "_SHARED", 0)
    monkeypatch.setattr(cuda, "_SPACE", 7 * 5 * 6)
    assert_equals_cpu(gpu, spoiled(flagged(plain((2, 6, *SMALL), 3), 3), 1))


@pytest.mark.parametrize("seed", range(4))
def test_some_of_the_groups(gpu: Any, seed: int) -> None:
    case = flagged(plain((2, 8, *SMALL), seed), seed)
    case.groupdq[:, 1] |= JUMP_DET
    case = case._replace(groups=(1 + seed % 2, 7), suppress_one_group=seed > 1)
    assert_equals_cpu(gpu, case)


@pytest.mark.parametrize("suppress", [False, True])
def test_lost_charge(gpu: Any, suppress: bool) -> None:
    case = flagged(plain((3, 6, *SMALL), 2, SHALLOW), 9)
    random = np.random.default_rng(1)
    lost = random.random(case.groupdq.shape) < 0.2
    lost[:, :, 1] = True  # so that frame zero stands in for ramps that have more without loss
    case.groupdq[lost] |= CHARGELOSS | DO_NOT_USE
    case.groupdq[:, :, 1] &= CHARGELOSS | DO_NOT_USE
    zeroframe = random.choice([0.0, 50.0], (3, *SMALL)).astype(np.float32)
    case = case._replace(suppress_one_group=suppress, zeroframe=zeroframe)
    with_lost = assert_equals_cpu(gpu, case)[0].var_rnoise
    case.groupdq[lost] &= 0xFF & ~CHARGELOSS
    assert np.any(with_lost < ours(case, CPU)[0].var_rnoise)


@pytest.mark.parametrize("ints", [1, 2])
@pytest.mark.parametrize("value", [0.0, 7.5, np.nan])
def test_frame_zero(gpu: Any, ints: int, value: float) -> None:
    case = plain((ints, 4, *SMALL), 4)
    case.groupdq[:, :, 1] = SATURATED
    case.groupdq[:, 1:, 2] = SATURATED
    zeroframe = np.full((ints, *SMALL), value, np.float32)
    case = case._replace(zeroframe=zeroframe, suppress_one_group=False)
    rate = assert_equals_cpu(gpu, case)[0]
    assert np.all((rate.data[1] > 0) == (value > 0))
    assert np.all(np.isfinite(rate.data[2]))


def test_equal_and_infinite_differences(gpu: Any) -> None:
    """The search for the median: many of a value, infinite and smallest ones."""
    random = np.random.default_rng(0)
    case = plain((1, 40, 8, 30), 0)
    steps = random.choice([0.0, 1.0, -1.0, 3.0], case.data.shape)
    steps[:, :, 1] = 1e-45
    steps[:, :, 2] = random.choice([1e-45, 3e-45, 1e38, -1e38], steps[:, :, 2].shape)
    steps[:, ::7, 3] = np.inf
    steps[:, 5:20:3, 4] = -np.inf
    with np.errstate(invalid="ignore", over="ignore"):
        data = np.cumsum(steps, axis=1).astype(np.float32)
    data[:, 1:30:2, 5] = np.inf
    data[:, 9:20:2, 6] = -np.inf
    assert_equals_cpu(gpu, case._replace(data=data))


def test_differences_that_are_next_to_each_other(gpu: Any) -> None:
    """No number lies between them, and their mean is the larger one."""
    case = plain((1, 40, 1, 5), 0, Timing(1.0, 1.0, 1, 0))
    tiny = np.float32(2.0**-52)
    case.data[0, ::4, 0] = -tiny
    case.data[0, 2::4, 0] = -2 * tiny
    case.data[0, 1::2, 0] = 1.0
    case.groupdq[0, 2::2] = JUMP_DET
    assert_equals_cpu(gpu, case)


def test_all_saturated_and_all_bad(gpu: Any) -> None:
    case = plain((2, 5, *SMALL), 1)
    case.groupdq[:] = SATURATED
    rate, rateints, segments = assert_equals_cpu(gpu, case)
    assert np.all(np.isnan(rate.data))
    assert np.all(np.isnan(rateints.data))
    assert segments.slope.shape[1] == 0
    assert_equals_cpu(gpu, case._replace(groupdq=np.full_like(case.groupdq, DO_NOT_USE)))


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 30), st.integers(1, 3), st.integers(1, 150)),
    seed=st.integers(0, 2**31),
)
def test_any_shape(gpu: Any, shape: tuple[int, ...], seed: int) -> None:
    case = flagged(plain(shape, seed, RAPID), seed)
    assert_equals_cpu(gpu, case._replace(suppress_one_group=seed % 2 == 0))
