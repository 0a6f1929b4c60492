"""The SIRS kernel against the official functions."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jwst.refpix.optimized_convolution import apply_conv_kernel, make_kernels

from jwgpu.kernels.reference_pixels.layout import Placement
from jwgpu.kernels.sirs import convolution_kernels, subtract_template

SIZE = 256


def coefficients(seed, n=129):
    random = np.random.default_rng(seed)
    parts = random.normal(0, 1, (2, 2, 4, n))
    return parts[0] + 1j * parts[1]


def official_kernels(gamma, zeta, smoothing, half_width):
    model = SimpleNamespace(to_flat_dict=lambda: {"nis.gamma": gamma, "nis.zeta": zeta})
    return make_kernels(model, "NIS", smoothing, half_width)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(0.3, 4.0), st.integers(1, 60))
def test_kernels_are_the_official_ones(seed, smoothing, half_width):
    gamma, zeta = coefficients(seed)
    result = convolution_kernels(gamma, zeta, smoothing, half_width)
    expected = np.array(official_kernels(gamma, zeta, smoothing, half_width))
    assert result.shape == (2, 4, 2 * half_width + 1)
    np.testing.assert_allclose(result, expected, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("axes", [(1, 2), (-1, 2), (1, -2), (2, 1), (-2, -1)])
@pytest.mark.parametrize("limit", [4.0, 1.0])
def test_images_are_the_official_ones(axes, limit):
    random = np.random.default_rng(7)
    images = random.normal(100, 10, (3, SIZE, SIZE)).astype(np.float32)
    images[random.random(images.shape) < 0.02] += 500
    images[1, 5, 5] = np.nan
    gamma, zeta = coefficients(1)
    kernels = convolution_kernels(gamma, zeta, 1.0, 30)
    # The kernel knows only the image: it need not be a detector's size.
    place = Placement(SIZE, SIZE, 0, 0, *axes)
    result = images.copy()
    subtract_template(result, kernels, place, limit)
    expected = images.copy()
    for i, image in enumerate(images):
        turned = image if abs(axes[0]) == 1 else image.T
        slow, fast = (1 if axis > 0 else -1 for axis in (axes[1], axes[0]))
        corrected = apply_conv_kernel(
            turned[::slow, ::fast], official_kernels(gamma, zeta, 1.0, 30), sigreject=limit
        )[::slow, ::fast]
        expected[i] = corrected if abs(axes[0]) == 1 else corrected.T
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-4)
    assert not np.allclose(result[0], images[0], atol=1)


def test_a_drift_that_both_sides_see_goes():
    # Truth: a slow drift along the rows, and kernels that average both sides over a few rows.
    rows = np.arange(SIZE)
    drift = 20 * np.sin(rows / 30)
    image = np.broadcast_to(drift[:, None], (1, SIZE, SIZE)).astype(np.float32)
    frequency = np.arange(129) / 256
    gamma = np.tile(0.5 * np.exp(-2 * (np.pi * 2 * frequency) ** 2), (4, 1)).astype(complex)
    kernels = convolution_kernels(gamma, gamma, 0.5, 20)
    result = image.copy()
    subtract_template(result, kernels, Placement(SIZE, SIZE, 0, 0, 1, 2), 4.0)
    # Beyond the ends of the detector the drift counts as zero.
    assert np.abs(result[:, 20:-20]).max() < 0.2
