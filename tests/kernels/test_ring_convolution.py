"""Smoothing with a ring against astropy and stcal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from astropy.convolution import Ring2DKernel
from stcal.jump.jump import convolve_fast

from jwgpu.errors import ParameterError
from jwgpu.kernels.ring_convolution import margin_of, mark_bright, ring_offsets


@pytest.mark.parametrize("radii", [(1.0, 2.6), (0.0, 1.0), (1.5, 3.0), (2, 3), (0.5, 0.6)])
def test_the_ring_is_that_of_astropy(radii: tuple[float, float]) -> None:
    kernel = Ring2DKernel(*radii).array
    center = kernel.shape[0] // 2
    expected = {(int(y) - center, int(x) - center) for y, x in np.argwhere(kernel)}
    assert set(ring_offsets(radii[0], sum(radii))) == expected


@pytest.mark.parametrize("seed", range(6))
def test_smoothing_with_gaps(device: Any, seed: int) -> None:
    random = np.random.default_rng(seed)
    image = random.exponential(1.0, tuple(random.integers(12, 80, 2))).astype(np.float32)
    image[random.random(image.shape) < random.choice([0.02, 0.5, 0.97])] = np.nan
    offsets = ring_offsets(1.0, 3.6)
    margin = margin_of(offsets)
    good = np.isfinite(image)
    # The same image upside down beside it: images do not touch.
    values = np.pad(np.where(good, image, np.float32(0)), margin)
    values = np.stack([values, values[::-1]])
    is_good = np.pad(good.astype(np.uint8), margin, constant_values=1)
    is_good = np.stack([is_good, is_good[::-1]])
    is_bright = device.send(np.empty((2, *image.shape), np.uint8))
    with np.errstate(divide="ignore", invalid="ignore"):
        smoothed = convolve_fast(image.astype(float), Ring2DKernel(1.0, 2.6).array, copy=True)
    for threshold in (0.5, 1.0, 1.3):
        # No value may be so near that rounding decides.
        assert np.nanmin(abs(smoothed - threshold)) > 1e-10
        mark_bright(device.send(values), device.send(is_good), offsets, threshold, is_bright)
        expected = smoothed > threshold
        np.testing.assert_array_equal(device.fetch(is_bright), [expected, expected[::-1]])


@pytest.mark.parametrize("radii", [(1.2, 1.3), (-1.0, 2.0), (3.0, 2.0)])
def test_a_ring_without_pixels(radii: tuple[float, float]) -> None:
    with pytest.raises(ParameterError, match="extend_outer_radius"):
        ring_offsets(*radii)
