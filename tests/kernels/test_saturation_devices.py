"""Saturation flags on a GPU: those of the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_saturation import make_exposure, ours

from jwgpu.backends import get_device
from jwgpu.kernels.saturation import clear_saturated_zeroframe, cuda
from jwgpu.models.flags import AD_FLOOR, DO_NOT_USE, NO_SAT_CHECK, SATURATED

CPU = get_device("cpu")


def assert_equals_cpu(
    gpu: Any, exposure: dict[str, Any], grow: int = 1, frames: int = 4, has_bias: bool = True
) -> Any:
    groupdq, counts = ours(gpu, exposure, grow, frames, has_bias)
    expected, expected_counts = ours(CPU, exposure, grow, frames, has_bias)
    np.testing.assert_array_equal(groupdq, expected)
    assert counts == expected_counts
    assert all(type(count) is int for count in counts)
    return groupdq


@pytest.mark.parametrize("flagged", [False, True])
@pytest.mark.parametrize("frames", [0, 1, 4])
@pytest.mark.parametrize("grow", [0, 1, 4])
def test_equals_cpu(gpu: Any, grow: int, frames: int, flagged: bool) -> None:
    exposure = make_exposure((2, 6, 9, 67), seed=grow + frames, flagged=flagged)
    groupdq = assert_equals_cpu(gpu, exposure, grow, frames)
    assert np.any(groupdq != exposure["groupdq"])


def test_without_bias(gpu: Any) -> None:
    exposure = make_exposure((1, 6, 20, 67), seed=3)
    without = assert_equals_cpu(gpu, exposure, has_bias=False)
    assert np.any(without != assert_equals_cpu(gpu, exposure))


@pytest.mark.parametrize(
    "shape",
    [
        (3, 1, 4, 5),
        (1, 2, 1, 70),
        pytest.param((2, 9, 70, 1), marks=pytest.mark.races),
        (1, 300, 2, 3),
    ],
)
def test_few_rows_columns_and_many_groups(gpu: Any, shape: tuple[int, int, int, int]) -> None:
    for flagged in (False, True):
        assert_equals_cpu(gpu, make_exposure(shape, seed=1, flagged=flagged))


def test_integrations_are_taken_in_blocks(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    exposure = make_exposure((5, 4, 6, 33), seed=5, flagged=True)
    whole = assert_equals_cpu(gpu, exposure)
    monkeypatch.setattr(cuda, "PIXELS_AT_A_TIME", 2 * 6 * 33)
    np.testing.assert_array_equal(assert_equals_cpu(gpu, exposure), whole)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, -0.0])
def test_all_samples_alike(gpu: Any, value: float) -> None:
    exposure = make_exposure((2, 4, 3, 20), seed=7)
    exposure["data"][:] = value
    groupdq = assert_equals_cpu(gpu, exposure)
    assert np.all((groupdq & AD_FLOOR != 0) == (value <= 0))
    assert np.all((groupdq & SATURATED != 0) == (value == np.inf))


@pytest.mark.races
def test_at_the_threshold_and_without_one(gpu: Any) -> None:
    """A sample at its threshold saturates; the converter's range counts where there is none."""
    exposure = make_exposure((1, 4, 3, 20), seed=2)
    exposure["threshold"][1, ::2] = np.nan
    exposure["data"][0, :2] = 1000.0
    exposure["data"][0, 2] = exposure["threshold"]
    exposure["data"][0, :, 1, ::2] = 60000.0
    for grow in (0, 1):
        groupdq = assert_equals_cpu(gpu, exposure, grow)
        is_checked = (exposure["dq"] & NO_SAT_CHECK == 0) & ~np.isnan(exposure["threshold"])
        assert np.all(groupdq[0, 2][is_checked] & SATURATED)
        assert not np.any(groupdq[0, 1, 1, ::2] & DO_NOT_USE)


@pytest.mark.parametrize("grow", [0, pytest.param(2, marks=pytest.mark.races)])
def test_zeroframe(gpu: Any, grow: int) -> None:
    exposure = make_exposure((3, 1, 8, 45), seed=11)
    results = []
    for device in (gpu, CPU):
        frames = device.send(exposure["data"][:, 0].copy())
        reference = device.send(exposure["threshold"]), device.send(exposure["dq"])
        clear_saturated_zeroframe(frames, *reference, grow=grow)
        results.append(device.fetch(frames))
    np.testing.assert_array_equal(*results)
    assert np.any(results[0] != exposure["data"][:, 0])


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 5), st.integers(1, 40)),
    grow=st.integers(0, 6),
    frames=st.integers(0, 5),
    seed=st.integers(0, 2**31),
)
def test_any_shape(
    gpu: Any, shape: tuple[int, int, int, int], grow: int, frames: int, seed: int
) -> None:
    assert_equals_cpu(gpu, make_exposure(shape, seed, flagged=seed % 2 == 1), grow, frames)
