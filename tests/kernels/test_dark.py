from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jwgpu.kernels import compiled
from jwgpu.kernels.dark import subtract_dark


def expected(data: np.ndarray, dark: np.ndarray, n_averaged: int, step: int) -> np.ndarray:
    """The plain array code: one averaged plane at a time."""
    result = data.copy()
    frames = np.nan_to_num(dark, nan=0.0)
    for group in range(data.shape[1]):
        start = group * step
        plane = frames[start : start + n_averaged].mean(axis=0)
        result[:, group] -= plane
    return result


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 5),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(1, 4),
    st.integers(0, 3),
    st.integers(0, 2**31),
)
def test_equals_array_code(
    ints: int, groups: int, rows: int, columns: int, n_averaged: int, gap: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    data = random.normal(0.0, 1e3, (ints, groups, rows, columns)).astype(np.float32)
    dark = random.normal(0.0, 1e2, (groups * (n_averaged + gap), rows, columns)).astype(np.float32)
    dark[random.random(dark.shape) < 0.1] = np.nan
    wanted = expected(data, dark, n_averaged, n_averaged + gap)
    subtract_dark(data, dark, n_averaged=n_averaged, step=n_averaged + gap)
    np.testing.assert_array_equal(data, wanted)


@pytest.mark.parametrize("n_extrapolated", [0, 4])
def test_threads_do_not_change_the_result(n_extrapolated: int) -> None:
    random = np.random.default_rng(0)
    data = random.normal(0.0, 1e3, (2, 4, 67, 33)).astype(np.float32)
    dark = random.normal(0.0, 1e2, (10, 67, 33)).astype(np.float32)
    results = []
    before = compiled.threads()
    try:
        for number in (1, 2, 5):
            compiled.set_threads(number)
            result = data.copy()
            subtract_dark(result, dark, n_averaged=2, step=4, n_extrapolated=n_extrapolated)
            results.append(result)
    finally:
        compiled.set_threads(before)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_extrapolates_a_straight_dark_exactly() -> None:
    dark = np.arange(1.0, 4.0, dtype=np.float32)[:, None, None] * np.ones((1, 5, 6), np.float32)
    data = np.full((1, 8, 5, 6), 10.0, np.float32)
    subtract_dark(data, dark, n_extrapolated=5)
    np.testing.assert_array_equal(data[0, :, 0, 0], 10.0 - np.arange(1.0, 9.0))
