"""Series on a grid of pixels: the same on every device, and what NumPy makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jwgpu.kernels.pixel_map import cpu, cuda


def check(gpu: Any, n_terms: int, rows: int, columns: int, seed: int = 1) -> None:
    random = np.random.default_rng(seed)
    coefficients = random.normal(0, 100, (2, n_terms, n_terms))
    along_y = random.uniform(-1, 1, (rows, n_terms))
    along_x = random.uniform(-1, 1, (n_terms, columns))
    want = np.empty((rows, columns, 2))
    cpu.evaluate(coefficients, along_y, along_x, want)
    found = gpu.xp.empty(want.shape, gpu.xp.float64)
    cuda.evaluate(*map(gpu.send, (coefficients, along_y, along_x)), found)
    np.testing.assert_array_equal(gpu.fetch(found), want)
    truth = np.einsum("aji,yj,ix->yxa", coefficients, along_y, along_x)
    np.testing.assert_allclose(want, truth, atol=1e-9)


@pytest.mark.races
def test_a_series_is_evaluated_alike(gpu: Any) -> None:
    check(gpu, 5, 3, 300)


@pytest.mark.parametrize(("n_terms", "rows", "columns"), [(1, 1, 1), (64, 2, 257), (17, 40, 31)])
def test_series_of_any_length(gpu: Any, n_terms: int, rows: int, columns: int) -> None:
    check(gpu, n_terms, rows, columns)


@settings(max_examples=10)
@given(n_terms=st.integers(1, 20), rows=st.integers(1, 9), columns=st.integers(1, 600))
def test_grids_of_any_shape(n_terms: int, rows: int, columns: int) -> None:
    from devices import open_device

    check(open_device("emulated"), n_terms, rows, columns)
