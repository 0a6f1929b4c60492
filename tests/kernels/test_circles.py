"""Photometry in circles and rings against photutils and astropy."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from astropy.stats import SigmaClip
from photutils.aperture import CircularAnnulus, CircularAperture, aperture_photometry

from jwgpu.kernels.circles import clip_rings, sum_circles


@pytest.fixture(scope="module")
def image():
    rng = np.random.default_rng(0)
    values = rng.normal(1, 1, (90, 70)).astype(np.float32)
    values[rng.random(values.shape) < 0.02] *= 50
    values[rng.random(values.shape) < 0.002] = np.nan
    values[40, 30] = np.inf
    return values


@pytest.fixture(scope="module")
def places():
    rng = np.random.default_rng(1)
    special = [(-1000, -1000), (0, 0), (50, 50), (20.5, 30.5), (69.5, 89.5), (30, 40), (72.0, 5.0)]
    return np.concatenate([special, rng.uniform(-5, 95, (60, 2))])


@pytest.mark.parametrize("radius", [0.3, 0.5, 0.977, 1.5, 5.0, 12.25])
def test_circles(image, places, radius):
    variance = np.abs(image)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = aperture_photometry(
            image, CircularAperture(places, radius), error=np.sqrt(variance.astype(float))
        )
    sums, errors = sum_circles(image, variance, places, np.array([radius, 1.0]))
    # What holes and infinite values are in circles agrees too; large values hide small errors.
    np.testing.assert_allclose(sums[0], expected["aperture_sum"], rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(errors[0], expected["aperture_sum_err"], rtol=1e-11)


def test_a_circle_on_even_light():
    sums, errors = sum_circles(
        np.ones((30, 30), np.float32),
        np.full((30, 30), 4, np.float32),
        np.array([[14.3, 15.9], [0.0, 0.0]]),
        np.array([3.7]),
    )
    area = np.pi * 3.7**2
    assert sums[0, 0] == pytest.approx(area, rel=1e-14)
    assert errors[0, 0] == pytest.approx(2 * np.sqrt(area), rel=1e-14)
    assert area / 4 < sums[0, 1] < area / 2  # the corner of the image


@pytest.mark.parametrize(("inner", "outer"), [(12.0, 18.0), (3.3, 7.7), (1.1, 3.2), (0.5, 2.0)])
def test_rings(image, places, inner, outer):
    expected = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for mask in CircularAnnulus(places, inner, outer).to_mask(method="center"):
            kept = SigmaClip(3.0)(mask.get_values(image), masked=False)
            expected.append((np.median(kept), np.std(kept), kept.size))
    median, spread, count = clip_rings(image, places, inner, outer)
    expected = np.array(expected)
    np.testing.assert_array_equal(count, expected[:, 2])
    np.testing.assert_array_equal(median, expected[:, 0])
    np.testing.assert_allclose(spread, expected[:, 1], rtol=1e-12, atol=1e-7)
    assert count[0] == 0
