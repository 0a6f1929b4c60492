"""Subtracting a dark on a GPU: the numbers of the CPU, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jwgpu.backends import get_device
from jwgpu.kernels.dark import subtract_dark

CPU = get_device("cpu")


def random_exposure(shape: tuple[int, ...], n_frames: int, seed: int) -> tuple[Any, Any]:
    """Return samples, and a dark, with a few NaN in both."""
    random = np.random.default_rng(seed)
    data = random.normal(0.0, 1e3, shape).astype(np.float32)
    dark = random.normal(0.0, 1e2, (n_frames, *shape[2:])).astype(np.float32)
    for array in (data, dark):
        array[random.random(array.shape) < 0.05] = np.nan
    return data, dark


def run(device: Any, data: Any, dark: Any, **frames: int) -> Any:
    sent = device.send(data.copy())
    subtract_dark(sent, device.send(dark), **frames)
    return device.fetch(sent)


def assert_equals_cpu(gpu: Any, data: Any, dark: Any, **frames: int) -> Any:
    found = run(gpu, data, dark, **frames)
    np.testing.assert_array_equal(found, run(CPU, data, dark, **frames))
    return found


@pytest.mark.parametrize("n_extrapolated", [0, 1, pytest.param(6, marks=pytest.mark.races)])
@pytest.mark.parametrize(("n_averaged", "step"), [(1, 1), (4, 4), (3, 5)])
@pytest.mark.parametrize("n_ints", [1, 4, 6])
def test_equals_cpu(gpu: Any, n_ints: int, n_averaged: int, step: int, n_extrapolated: int) -> None:
    data, dark = random_exposure((n_ints, 4, 5, 61), 4 * step, seed=n_ints)
    frames = {"n_averaged": n_averaged, "step": step, "n_extrapolated": n_extrapolated}
    assert np.any(assert_equals_cpu(gpu, data, dark, **frames) != data)


def test_groups_beyond_the_dark_become_nan(gpu: Any) -> None:
    data, dark = random_exposure((2, 4, 3, 5), 5, seed=0)
    found = assert_equals_cpu(gpu, data, dark, n_averaged=2, step=2)
    assert np.all(np.isnan(found[:, 3]))
    assert not np.all(np.isnan(found[:, 2]))


@pytest.mark.races
def test_a_part_of_the_integrations(gpu: Any) -> None:
    data, dark = random_exposure((3, 4, 3, 5), 4, seed=1)
    sent = gpu.send(data.copy())
    subtract_dark(sent[1:2, ...], gpu.send(dark))
    found = gpu.fetch(sent)
    np.testing.assert_array_equal(found[::2], data[::2])
    np.testing.assert_array_equal(found[1:2], run(CPU, data[1:2], dark))


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 4), st.integers(1, 70)),
    n_frames=st.integers(2, 9),
    n_averaged=st.integers(1, 4),
    gap=st.integers(0, 2),
    n_extrapolated=st.integers(0, 5),
)
def test_any_shape(
    gpu: Any,
    shape: tuple[int, ...],
    n_frames: int,
    n_averaged: int,
    gap: int,
    n_extrapolated: int,
) -> None:
    data, dark = random_exposure(shape, n_frames, seed=sum(shape))
    frames = {"n_averaged": n_averaged, "step": n_averaged + gap, "n_extrapolated": n_extrapolated}
    assert_equals_cpu(gpu, data, dark, **frames)
