"""smooth against the convolution of astropy."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from astropy.convolution import Gaussian2DKernel, convolve

from jwgpu.kernels import compiled
from jwgpu.kernels.smoothing import smooth


@pytest.mark.parametrize("holes", ["none", "few", "many", "infinite"])
@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (40, 300), (129, 128)])
@pytest.mark.parametrize("sigma", [0.1, 0.85, 1.7])
def test_same_as_astropy(holes, shape, sigma):
    rng = np.random.default_rng(1)
    image = rng.normal(0, 1, shape).astype(np.float32)
    is_hole = np.zeros(shape, bool)
    if holes in ("few", "many"):
        is_hole |= rng.random(shape) < (0.01 if holes == "few" else 0.9)
        image[rng.random(shape) < 0.01] = np.nan
        is_hole[:7] = True
        image[-1, -1] = np.nan
    elif holes == "infinite":
        image[0, 0] = np.inf
        image[-1, -1] = -np.inf
    weights = Gaussian2DKernel(sigma)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that some holes are wide
        expected = convolve(image, weights, mask=is_hole)
        found = smooth(image, is_hole, weights.array)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


def test_any_number_of_threads(monkeypatch):
    image = np.random.default_rng(2).normal(0, 1, (50, 70)).astype(np.float32)
    is_hole = image > 2
    weights = Gaussian2DKernel(1.0).array
    found = []
    for threads in (1, 4):
        monkeypatch.setattr(compiled, "threads", lambda threads=threads: threads)
        found.append(smooth(image, is_hole, weights))
    np.testing.assert_array_equal(*found)
