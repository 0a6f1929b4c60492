"""Drizzle: the official package's results, conserved flux, and the same for any threads."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from drizzle.resample import Drizzle
from hypothesis import given, settings
from hypothesis import strategies as st

from jwgpu.kernels import compiled
from jwgpu.kernels.drizzle import KERNELS, Drop, drizzle

#: What rounding leaves: the official kernels compute some functions in single precision.
ROUNDING = 3e-7


def pixel_map(n_y, n_x, shape, scale=1.0, turn=0.1, bend=1e-4):
    """A turned, scaled and bent grid, in the middle of the output."""
    y, x = np.mgrid[:n_y, :n_x].astype(float)
    x, y = x - n_x / 2, y - n_y / 2
    across = scale * (np.cos(turn) * x - np.sin(turn) * y) + bend * x**2 + shape[1] / 2
    along = scale * (np.sin(turn) * x + np.cos(turn) * y) + bend * x * y + shape[0] / 2
    return np.ascontiguousarray(np.stack([across, along], axis=-1))


def exposure(rng, n_y, n_x, planes=1):
    images = rng.normal(5, 1, (planes, n_y, n_x)).astype(np.float32)
    weight = rng.uniform(0.5, 2, (n_y, n_x)).astype(np.float32)
    weight[rng.random((n_y, n_x)) < 0.05] = 0
    return images, weight


def output(shape, planes=1):
    return (
        np.zeros((planes, *shape), np.float32),
        np.zeros(shape, np.float32),
        np.zeros(shape, np.int32),
    )


def whole(kernel, pixfrac, ratio, n_y, n_x):
    return Drop(kernel, pixfrac, ratio, (0, n_x - 1, 0, n_y - 1))


@pytest.mark.parametrize(("scale", "pixfrac"), [(1.0, 1.0), (1.0, 0.7), (0.6, 1.0), (2.1, 0.5)])
@pytest.mark.parametrize("turn", [0.0, 0.1, 2.0])
@pytest.mark.parametrize("kernel", KERNELS)
def test_same_as_official(kernel, scale, pixfrac, turn):
    rng = np.random.default_rng(1)
    n_y, n_x = 40, 47
    shape = (70, 75) if scale < 2 else (150, 160)
    grid = pixel_map(n_y, n_x, shape, scale, turn)
    official = Drizzle(kernel=kernel, out_shape=shape, fillval="NaN")
    means, weights, context = output(shape)
    drop = whole(kernel, pixfrac, 1 / scale, n_y, n_x)
    for bit in range(2):
        images, weight = exposure(rng, n_y, n_x)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that some kernels do not conserve flux
            official.add_image(
                images[0],
                exptime=1.0,
                pixmap=grid + bit * 0.3,
                weight_map=weight,
                pixfrac=pixfrac,
                in_units="cps",
                pixel_scale_ratio=1 / scale,
            )
        drizzle(images, weight, grid + bit * 0.3, drop, means, weights, context, bit)
    largest = official.out_wht.max()
    np.testing.assert_allclose(weights, official.out_wht, rtol=0, atol=ROUNDING * largest)
    # Where positive and negative weights nearly cancel, the mean magnifies rounding.
    clear = official.out_wht > 0.05 * largest
    rtol = ROUNDING * (1 if kernel in ("square", "point", "turbo") else 300)
    np.testing.assert_allclose(means[0][clear], official.out_img[clear], rtol=rtol)
    if kernel in ("square", "point"):
        np.testing.assert_array_equal(weights, official.out_wht)
        np.testing.assert_array_equal(context, np.squeeze(official.out_ctx))
    if kernel == "turbo":
        np.testing.assert_array_equal(context, np.squeeze(official.out_ctx))


def test_window_and_places_without_a_place():
    """Pixels outside of the window and those with no place on the output add nothing."""
    rng = np.random.default_rng(2)
    grid = pixel_map(30, 40, (50, 60))
    images, weight = exposure(rng, 30, 40)
    means, weights, _ = output((50, 60))
    drizzle(images, weight, grid, Drop("square", 1.0, 1.0, (5, 20, 3, 9)), means, weights)
    outside = weight.copy()
    outside[3:10, 5:21] = 0
    inside = weight - outside
    want, want_weights, _ = output((50, 60))
    drizzle(images, inside, grid, whole("square", 1.0, 1.0, 30, 40), want, want_weights)
    np.testing.assert_array_equal(means, want)
    np.testing.assert_array_equal(weights, want_weights)
    grid[:, :] = np.nan
    for kernel in KERNELS:
        means, weights, _ = output((50, 60))
        drizzle(images, weight, grid, whole(kernel, 1.0, 1.0, 30, 40), means, weights)
        assert not weights.any()


def test_planes_are_averaged_alike():
    rng = np.random.default_rng(3)
    images, weight = exposure(rng, 30, 40, planes=3)
    grid = pixel_map(30, 40, (50, 60))
    drop = whole("square", 0.8, 1.0, 30, 40)
    means, weights, _ = output((50, 60), planes=3)
    drizzle(images, weight, grid, drop, means, weights)
    for plane in range(3):
        mean, again, _ = output((50, 60))
        drizzle(images[plane : plane + 1], weight, grid, drop, mean, again)
        np.testing.assert_array_equal(mean[0], means[plane])
        np.testing.assert_array_equal(again, weights)


@pytest.mark.parametrize("kernel", KERNELS)
def test_same_for_any_number_of_threads(kernel):
    rng = np.random.default_rng(4)
    images, weight = exposure(rng, 60, 50, planes=2)
    grid = pixel_map(60, 50, (90, 80), turn=0.7)
    results = []
    for threads in (1, 2, 3, 8):
        compiled.set_threads(threads)
        means, weights, context = output((90, 80), planes=2)
        drizzle(images, weight, grid, whole(kernel, 0.9, 1.0, 60, 50), means, weights, context, 31)
        results.append((means, weights, context))
    compiled.set_threads(0)
    for result in results[1:]:
        for ours, first in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(ours, first)


@settings(max_examples=30, deadline=None)
@given(
    scale=st.floats(0.2, 3),
    pixfrac=st.floats(0.1, 1),
    turn=st.floats(-4, 4),
    seed=st.integers(0, 1000),
)
def test_flux_is_conserved(scale, pixfrac, turn, seed):
    """All of an image's weighted flux arrives on an output that is large enough."""
    rng = np.random.default_rng(seed)
    n_y, n_x = 8, 9
    shape = (70, 70)
    images, weight = exposure(rng, n_y, n_x)
    means, weights, _ = output(shape)
    grid = pixel_map(n_y, n_x, shape, scale, turn, bend=1e-3)
    drizzle(images, weight, grid, whole("square", pixfrac, 1 / scale, n_y, n_x), means, weights)
    given_flux = (images[0].astype(float) * weight).sum()
    assert weights.astype(float).sum() == pytest.approx(weight.astype(float).sum(), rel=1e-5)
    assert (means[0].astype(float) * weights).sum() == pytest.approx(given_flux, rel=1e-5)
