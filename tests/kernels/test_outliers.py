"""Outliers: the official package's flags, on every device."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jwst.outlier_detection.tso import moving_median_over_zeroth_axis
from stcal.outlier_detection.utils import flag_crs, flag_resampled_crs

from jwgpu.backends import get_device
from jwgpu.kernels import compiled
from jwgpu.kernels.outliers import Limits, flag_blotted, flag_rolling, flag_stacked
from jwgpu.models.flags import DO_NOT_USE, OUTLIER

CPU = get_device("cpu")
USUAL = Limits((5.0, 4.0), (1.2, 0.7))
FLAGS = np.uint32(DO_NOT_USE | OUTLIER)
ODD = [np.nan, np.inf, -np.inf, 0.0]


def quiet(function, *arguments):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return function(*arguments)


def noisy(rng, shape, share=0.03):
    """Images with their errors and outliers; some values are no usual numbers."""
    data = rng.normal(10, 1, shape).astype(np.float32)
    err = rng.uniform(0.7, 1.3, shape).astype(np.float32)
    data[rng.random(shape) < share] += 40
    data[rng.random(shape) < share] -= 5
    for array in (data, err):
        chosen = rng.random(shape) < share
        array[chosen] = rng.choice(ODD, chosen.sum())
    return data, err


def seen_by_others(rng, shape, share=0.03):
    y, x = np.indices(shape)
    image = 10 + 3 * np.exp(-((x % 17 - 8) ** 2 + (y % 13 - 6) ** 2) / 4)
    image = (image + rng.normal(0, 0.1, shape)).astype(np.float32)
    chosen = rng.random(shape) < share
    image[chosen] = rng.choice(ODD, chosen.sum())
    return image


def run(device, function, data, err, *more, rows):
    """Call a kernel with flags that are there already; return flags and counts."""
    dq = np.where(np.isnan(data), DO_NOT_USE, 4).astype(np.uint32)
    sent = device.send(dq)
    counts = device.xp.zeros(rows, dtype=device.xp.int32)
    more = [device.send(value) if isinstance(value, np.ndarray) else value for value in more]
    function(device.send(data), device.send(err), *more, sent, counts)
    return device.fetch(sent), dq, device.fetch(counts)


def assert_flags(found, dq, counts, mask):
    np.testing.assert_array_equal(found, dq | mask * FLAGS)
    axes = (0, 2) if mask.ndim == 3 else 1
    np.testing.assert_array_equal(counts, mask.sum(axis=axes))


def check_blotted(device, data, err, blotted, sky, limits):
    found = run(device, flag_blotted, data, err, blotted, sky, limits, rows=len(data))
    mask = quiet(flag_resampled_crs, data, err, blotted, *limits.snr, *limits.scale, sky)
    assert_flags(*found, mask)
    return mask


@pytest.mark.parametrize("limits", [USUAL, Limits((4.0, 3.0), (0.5, 0.4)), Limits((3, 5), (0, 2))])
@pytest.mark.parametrize("sky", [0.0, 0.73])
def test_blotted(device, limits, sky):
    rng = np.random.default_rng(1)
    data, err = noisy(rng, (37, 61))
    mask = check_blotted(device, data, err, seen_by_others(rng, data.shape), sky, limits)
    assert 10 < mask.sum() < mask.size / 3


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**31),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 40)),
    share=st.sampled_from([0.0, 0.1, 0.5]),
)
def test_blotted_of_any_shape(device, seed, shape, share):
    rng = np.random.default_rng(seed)
    data, err = noisy(rng, shape, share)
    check_blotted(device, data, err, seen_by_others(rng, shape, share), 0.5, USUAL)


def check_stacked(device, data, err, medians, snr):
    found = run(device, flag_stacked, data, err, medians, snr, rows=data.shape[1])
    mask = quiet(flag_crs, data, err, medians, snr)
    assert_flags(*found, mask)
    return mask


def test_stacked(device):
    rng = np.random.default_rng(2)
    data, err = noisy(rng, (4, 23, 37))
    mask = check_stacked(device, data, err, seen_by_others(rng, data.shape[1:]), 5.0)
    assert 10 < mask.sum() < mask.size / 3


def check_rolling(device, data, err, is_usable, width, snr, keeps=True):
    medians = device.xp.full(data.shape, -1.0, dtype=device.xp.float32) if keeps else None

    def flag(data, err, is_usable, dq, counts):
        flag_rolling(data, err, is_usable, width, snr, dq, counts, medians)

    found = run(device, flag, data, err, is_usable, rows=data.shape[1])
    usable = np.where(is_usable, data, np.float32(np.nan))
    expected = quiet(moving_median_over_zeroth_axis, usable, width)
    mask = quiet(flag_crs, data, err, expected, snr)
    assert_flags(*found, mask)
    if keeps:
        with np.errstate(over="ignore"):
            wanted = expected.astype(np.float32)
        np.testing.assert_array_equal(device.fetch(medians), wanted)
    return mask


@pytest.mark.parametrize("width", [2, 3, 4, 5, 10, 15])
@pytest.mark.parametrize("keeps", [True, False])
def test_rolling(device, width, keeps):
    rng = np.random.default_rng(width)
    data, err = noisy(rng, (16, 5, 19), 0.01)
    is_usable = rng.random(data.shape) > 0.01
    mask = check_rolling(device, data, err, is_usable, width, 5.0, keeps)
    assert mask.any()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**31),
    shape=st.tuples(st.integers(3, 12), st.integers(1, 3), st.integers(1, 36)),
    width=st.integers(2, 11),
    share=st.sampled_from([0.0, 0.02, 0.3]),
)
def test_rolling_of_any_shape(device, seed, shape, width, share):
    rng = np.random.default_rng(seed)
    data, err = noisy(rng, shape, share)
    data[rng.random(shape) < 0.3] = 10.0  # ties
    is_usable = rng.random(shape) >= share / 2
    check_rolling(device, data, err, is_usable, min(width, shape[0] - 1), 4.0)


@pytest.mark.races
def test_small(gpu):
    rng = np.random.default_rng(7)
    data, err = noisy(rng, (6, 3, 40))
    check_stacked(gpu, data, err, seen_by_others(rng, (3, 40)), 5.0)
    check_rolling(gpu, data, err, np.isfinite(data), 3, 5.0)
    check_blotted(gpu, data[0], err[0], seen_by_others(rng, (3, 40)), 0.0, USUAL)


def test_same_for_any_threads(monkeypatch):
    rng = np.random.default_rng(8)
    data, err = noisy(rng, (9, 23, 40))
    for threads in (1, 5):
        monkeypatch.setattr(compiled, "threads", lambda threads=threads: threads)
        check_stacked(CPU, data, err, seen_by_others(rng, (23, 40)), 5.0)
        check_rolling(CPU, data, err, np.isfinite(data), 5, 5.0)
        check_blotted(CPU, data[0], err[0], seen_by_others(rng, (23, 40)), 0.0, USUAL)
