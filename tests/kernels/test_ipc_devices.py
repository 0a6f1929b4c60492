"""Interpixel capacitance on a GPU: bit for bit what the CPU computes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jwgpu.kernels.ipc import cuda, deconvolve


def check(gpu, data, kernel, borders=(0, 0, 0, 0), rows=None):
    want = data.copy()
    deconvolve(want, kernel, borders, rows)
    result = gpu.send(data)
    deconvolve(result, gpu.send(kernel), borders, None if rows is None else gpu.send(rows))
    np.testing.assert_array_equal(gpu.fetch(result), want)
    return want


def made(shape, size, seed=0):
    random = np.random.default_rng(seed)
    data = random.normal(10000, 3000, shape).astype(np.float32)
    data[random.random(shape) < 0.01] = np.nan
    return data, random.normal(0, 0.1, size).astype(np.float32)


@pytest.mark.parametrize("varies", [False, True])
@pytest.mark.parametrize("size", [(3, 3), (5, 5), (1, 3), (2, 4)])
def test_as_on_the_cpu(gpu, size, varies):
    data, kernel = made((2, 3, 13, 71), (*size, 13, 71) if varies else size)
    assert not np.array_equal(check(gpu, data, kernel, (4, 0, 4, 1)), data)


@pytest.mark.parametrize("varies", [False, True])
def test_interleaved_rows(gpu, varies):
    data, kernel = made((1, 2, 20, 33), (3, 3, 12, 33) if varies else (3, 3))
    rows = np.sort(np.random.default_rng(2).permutation(20)[:12]).astype(np.int32)
    want = check(gpu, data, kernel, (1, 1, 2, 2), rows)
    others = np.setdiff1d(np.arange(20), rows)
    np.testing.assert_array_equal(want[:, :, others], data[:, :, others])


@pytest.mark.races
def test_few_images_at_a_time(gpu, monkeypatch):
    data, kernel = made((2, 3, 8, 9), (3, 3))
    monkeypatch.setattr(cuda, "BYTES_AT_A_TIME", 4 * 8 * 9 * 4)
    check(gpu, data, kernel)


def test_reference_pixels_only(gpu):
    data, kernel = made((1, 1, 8, 9), (3, 3))
    np.testing.assert_array_equal(check(gpu, data, kernel, (4, 4, 0, 0)), data)


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    shape=st.tuples(*[st.integers(1, n) for n in (2, 2, 7, 70)]),
    size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    varies=st.booleans(),
    borders=st.tuples(*[st.integers(0, 2)] * 4),
)
def test_any_shape(gpu, shape, size, varies, borders):
    data, kernel = made(shape, (*size, *shape[2:]) if varies else size)
    check(gpu, data, kernel, borders)
