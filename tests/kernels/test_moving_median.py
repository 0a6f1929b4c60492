"""Moving median and quantiles against stcal and NumPy, NaN and edges included."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stcal.outlier_detection.utils import medfilt

from jwgpu.kernels import moving_median as kernel
from jwgpu.kernels.moving_median import middle, moving_median, quantiles


def image(seed: int, shape: tuple[int, int], holes: float = 0.1) -> np.ndarray:
    random = np.random.default_rng(seed)
    values = random.normal(size=shape).round(2).astype(np.float32)
    values[random.random(shape) < holes] = np.nan
    return values


@pytest.mark.parametrize("size", [(1, 1), (15, 1), (1, 15), (3, 5), (7, 7), (27, 27)])
def test_equals_the_official_filter(device, size, monkeypatch):
    values = image(1, (41, 33))
    values[5:30, 5:30] = np.nan
    monkeypatch.setattr(kernel, "SAMPLES", 4000)  # several blocks of rows
    ours = device.fetch(moving_median(device.send(values), size))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(ours, medfilt(values, size))
    assert ours.dtype == np.float32


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    half=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    holes=st.sampled_from([0.0, 0.5, 1.0]),
    seed=st.integers(0, 1000),
)
def test_every_shape_equals_the_official_filter(shape, half, holes, seed):
    values = image(seed, shape, holes)
    size = (2 * half[0] + 1, 2 * half[1] + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(moving_median(values, size), medfilt(values, size))


@pytest.mark.parametrize("size", [(2, 3), (3, 0), (-1, 3)])
def test_a_window_without_a_middle_is_refused(size):
    with pytest.raises(ValueError, match="middle"):
        moving_median(image(0, (4, 4)), size)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 300),
    holes=st.sampled_from([0.0, 0.3, 0.9]),
    fractions=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    seed=st.integers(0, 1000),
)
def test_quantiles_are_those_of_numpy_to_the_bit(n, holes, fractions, seed):
    values = image(seed, (n, 1), holes)
    values[0] = 0.25
    expected = np.nanpercentile(values, [100 * fraction for fraction in fractions])
    found = quantiles(values, tuple(100 * fraction / 100 for fraction in fractions))
    assert [float(value) for value in found] == list(expected)


def test_nothing_has_no_middle(device):
    empty = device.send(np.zeros((3, 0), np.float32))
    assert np.isnan(device.fetch(middle(empty))).all()
    nothing = device.send(np.full((4, 4), np.nan, np.float32))
    assert all(np.isnan(float(value)) for value in quantiles(nothing, (0.0, 0.5, 1.0)))


@pytest.mark.races
def test_the_kernel_once(gpu):
    values = image(3, (7, 9))
    found = gpu.fetch(moving_median(gpu.send(values), (3, 5)))
    np.testing.assert_array_equal(found, moving_median(values, (3, 5)))
