"""Drizzle: the official package's results, conserved flux, and the same for any threads."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from drizzle.resample import Drizzle
from hypothesis import given, settings
from hypothesis import strategies as st

from jwgpu.kernels import compiled
from jwgpu.kernels.drizzle import KERNELS, Drop, Pixels, Sums, drizzle, finish
from jwgpu.kernels.drizzle import cpu as body
from jwgpu.kernels.pixel_map import Series, evaluate

#: What rounding leaves: the official kernels compute some functions in single precision.
ROUNDING = 3e-7

#: What rounding leaves of means: officially they move with each share, here shares are summed up
#: and divided once.
MEAN = 1e-6


def pixel_map(n_y, n_x, shape, scale=1.0, turn=0.1, bend=1e-4):
    """A turned, scaled and bent grid, in the middle of the output."""
    y, x = np.mgrid[:n_y, :n_x].astype(float)
    x, y = x - n_x / 2, y - n_y / 2
    across = scale * (np.cos(turn) * x - np.sin(turn) * y) + bend * x**2 + shape[1] / 2
    along = scale * (np.sin(turn) * x + np.cos(turn) * y) + bend * x * y + shape[0] / 2
    return np.ascontiguousarray(np.stack([across, along], axis=-1))


def exposure(rng, n_y, n_x):
    image = rng.normal(5, 1, (n_y, n_x)).astype(np.float32)
    weight = rng.uniform(0.5, 2, (n_y, n_x)).astype(np.float32)
    weight[rng.random((n_y, n_x)) < 0.05] = 0
    return image, weight


def output(shape, values=1):
    return Sums(
        np.zeros((values, *shape), np.float32),
        np.zeros(shape, np.float32),
        np.zeros(shape, np.int32),
        np.zeros(shape, np.uint32),
        np.zeros((3, *shape), np.float32),
        np.zeros((3, *shape), np.float32),
    )


def everything(rng, image, weight, grid, **more):
    """Return an image with all that can be averaged."""
    other, *variances = rng.uniform(1, 2, (4, *image.shape)).astype(np.float32)
    flags = rng.integers(0, 2**32, image.shape, np.uint32)
    return Pixels(image, weight, grid, 0.0, other, variances, flags, **more)


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
    sums = output(shape)
    drop = whole(kernel, pixfrac, 1 / scale, n_y, n_x)
    for bit in range(2):
        image, weight = exposure(rng, n_y, n_x)
        flags = (1 << rng.integers(0, 32, image.shape)).astype(np.uint32)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that some kernels do not conserve flux
            official.add_image(
                image,
                exptime=1.0,
                pixmap=grid + bit * 0.3,
                weight_map=weight,
                dq=flags,
                pixfrac=pixfrac,
                in_units="cps",
                pixel_scale_ratio=1 / scale,
            )
        pixels = Pixels(image, weight, grid + bit * 0.3, flags=flags)
        drizzle(pixels, drop, sums._replace(variances=None, variance_weights=None), bit)
    finish(sums._replace(variances=None), np.nan)
    largest = official.out_wht.max()
    np.testing.assert_allclose(sums.weights, official.out_wht, rtol=0, atol=ROUNDING * largest)
    # Where positive and negative weights nearly cancel, the mean magnifies rounding.
    clear = official.out_wht > 0.05 * largest
    rtol = MEAN * (1 if kernel in ("square", "point", "turbo") else 100)
    np.testing.assert_allclose(sums.values[0][clear], official.out_img[clear], rtol=rtol)
    if kernel in ("square", "point"):
        np.testing.assert_array_equal(sums.weights, official.out_wht)
    if kernel in ("square", "point", "turbo"):
        np.testing.assert_array_equal(sums.context, np.squeeze(official.out_ctx))
        # Where edges lie on each other, officially rounding leaves slivers that carry flags.
        assert ((sums.flags & ~official.out_dq) == 0).all()
        slivers = np.count_nonzero(sums.flags != official.out_dq)
        assert slivers <= (2 * n_y if turn == 0 and kernel == "square" else 0)


@pytest.mark.parametrize("kernel", KERNELS)
def test_window_and_places_without_a_place(kernel):
    """Pixels outside of the window and those with no place on the output add nothing."""
    rng = np.random.default_rng(2)
    grid = pixel_map(30, 40, (50, 60))
    image, weight = exposure(rng, 30, 40)
    sums = output((50, 60))
    drop = Drop(kernel, 1.0, 1.0, (5, 20, 3, 9))
    drizzle(everything(rng, image, weight, grid), drop, sums)
    outside = weight.copy()
    outside[3:10, 5:21] = 0
    want = output((50, 60))
    rng = np.random.default_rng(2)
    image, _ = exposure(rng, 30, 40)
    inside = everything(rng, image, weight - outside, grid)
    drizzle(inside, whole(kernel, 1.0, 1.0, 30, 40), want)
    for ours, wanted in zip(sums, want, strict=True):
        assert ours.any()
        np.testing.assert_array_equal(ours, wanted)
    for nowhere in (np.nan, np.inf, 1e300):
        grid[:, :] = nowhere
        sums = output((50, 60))
        drizzle(inside._replace(pixel_map=grid), whole(kernel, 1.0, 1.0, 30, 40), sums)
        assert not any(array.any() for array in sums)


def test_some_places_without_a_place():
    """The quadrangles that one missing place leaves out: those of its neighbours too."""
    rng = np.random.default_rng(2)
    grid = pixel_map(30, 90, (50, 110))
    image, weight = exposure(rng, 30, 90)
    want = output((50, 110))
    left_out = weight.copy()
    left_out[9:12, 69:72] = 0
    drizzle(Pixels(image, left_out, grid), whole("square", 1.0, 1.0, 30, 90), bare(want))
    grid[10, 70, 1] = np.nan
    sums = output((50, 110))
    drizzle(Pixels(image, weight, grid), whole("square", 1.0, 1.0, 30, 90), bare(sums))
    np.testing.assert_array_equal(sums.values, want.values)
    np.testing.assert_array_equal(sums.weights, want.weights)


def bare(sums):
    return sums._replace(flags=None, variances=None, variance_weights=None)


@pytest.mark.parametrize("alone", [True, False])
def test_all_is_averaged_alike(alone):
    """The other image and the roots of variances get the mean that the data get."""
    rng = np.random.default_rng(3)
    image, weight = exposure(rng, 30, 40)
    grid = pixel_map(30, 40, (50, 60))
    drop = whole("square", 0.8, 1.0, 30, 40)
    pixels = everything(rng, image, weight, grid, time=1.0)
    pixels = pixels._replace(level=2.5)
    sums = output((50, 60), values=2)
    if alone:
        sums = sums._replace(variance_weights=None)
    drizzle(pixels, drop, sums, 3)
    errors = finish(sums, -7.0, 4.0)
    planes = [
        image - np.float32(2.5),
        pixels.other,
        *(np.sqrt(plane) for plane in pixels.variances),
    ]
    ours = [*sums.values, *sums.variances]
    for number, (plane, found) in enumerate(zip(planes, ours, strict=True)):
        alone = output((50, 60))
        drizzle(Pixels(plane, weight, grid), drop, bare(alone))
        finish(bare(alone), -7.0 if number < 2 else np.nan)
        np.testing.assert_array_equal(alone.weights, sums.weights)
        mean = alone.values[0]
        np.testing.assert_array_equal(mean if number < 2 else mean**2 * np.float32(4), found)
    np.testing.assert_array_equal(sums.context, np.where(sums.weights > 0, 8, 0))
    total = sums.variances[0] + sums.variances[1] + sums.variances[2]
    np.testing.assert_array_equal(errors, np.sqrt(total))


@pytest.mark.parametrize(("time", "images"), [(0.0, 1), (0.0, 3), (3.5, 3)])
def test_variances_of_several_images(time, images):
    """Variances go with the square of the weight of each image, as far as they are known."""
    rng = np.random.default_rng(5)
    grid = pixel_map(30, 40, (50, 60))
    drop = whole("square", 1.0, 1.0, 30, 40)
    sums = output((50, 60))
    if images == 1:
        sums = sums._replace(variance_weights=None)
    wanted, weights = np.zeros((2, 3, 50, 60))
    for number in range(images):
        image, weight = exposure(rng, 30, 40)
        pixels = everything(rng, image, weight, grid + number, time=time * (number + 1))
        noise, flat, photons = pixels.variances
        noise[10:12, 10:20] = 0
        flat[5:8, 5:8] = np.nan
        pixels = pixels._replace(variances=(noise, flat, None if number == 1 else photons))
        drizzle(pixels, drop, sums)
        squares = []
        for plane in pixels.variances:
            alone = bare(output((50, 60)))
            plane = np.full_like(image, np.nan) if plane is None else np.sqrt(plane)
            drizzle(Pixels(plane, weight, pixels.pixel_map), drop, alone)
            finish(alone, np.nan)
            squares.append(alone.values[0] ** 2)
        with np.errstate(divide="ignore"):
            factor = pixels.time or 1.0 / squares[0]
        for part, square in enumerate(squares):
            counts = np.isfinite(square) & np.isfinite(factor)
            wanted[part] += np.where(counts, square, 0) * np.where(counts, factor, 0) ** 2
            weights[part] += np.where(counts, factor, 0)
    errors = finish(sums, np.nan, 0.5)
    with np.errstate(invalid="ignore"):
        wanted = 0.5 * wanted / weights**2
    np.testing.assert_allclose(sums.variances, wanted, rtol=1e-6)
    known = ~np.isnan(wanted).all(axis=0)
    assert known.any()
    np.testing.assert_allclose(errors[known], np.sqrt(np.nansum(wanted, axis=0))[known], rtol=1e-6)
    assert np.isnan(errors[~known]).all()


@pytest.mark.parametrize("pixfrac", [1.0, 0.6])
@pytest.mark.parametrize("kernel", ["square", "turbo"])
def test_a_series_is_the_map_that_it_stands_for(kernel, pixfrac, monkeypatch):
    """Evaluated on the way, row by row, or before: to the bit, for any bands."""
    rng = np.random.default_rng(7)
    image, weight = exposure(rng, 50, 90)
    places = pixel_map(50, 90, (80, 110), turn=0.4)
    x, y = np.arange(90.0), np.arange(50.0)
    series = Series(
        np.array(
            [[[places[0, 0, k], 0.9, 1e-4], [0.4 - 0.8 * k, 1e-4, 0], [0, 0, 0]] for k in (0, 1)]
        ),
        np.stack([np.ones(50), y, y**2], axis=-1),
        np.stack([np.ones(90), x, x**2]),
    )
    whole_map = np.empty((50, 90, 2))
    evaluate(*series, whole_map)
    found = []
    for used, band in ((whole_map, 128), (series, 128), (series, 7)):
        monkeypatch.setattr(body, "BAND", band)
        sums = output((80, 110), values=2)
        pixels = everything(np.random.default_rng(1), image, weight, used)
        drizzle(pixels, whole(kernel, pixfrac, 1.0, 50, 90), sums, 2)
        found.append(sums)
    assert found[0].weights.any()
    for sums in found[1:]:
        for ours, first in zip(sums, found[0], strict=True):
            np.testing.assert_array_equal(ours, first)


@pytest.mark.parametrize("kernel", KERNELS)
def test_same_for_any_number_of_threads(kernel, monkeypatch):
    rng = np.random.default_rng(4)
    image, weight = exposure(rng, 60, 150)
    grid = pixel_map(60, 150, (190, 180), turn=0.7)
    results = []
    for threads, band in ((1, 128), (2, 128), (3, 5), (8, 1)):
        compiled.set_threads(threads)
        monkeypatch.setattr(body, "BAND", band)
        sums = output((190, 180), values=2)
        for number in range(2):
            pixels = everything(np.random.default_rng(number), image, weight, grid)
            drizzle(pixels, whole(kernel, 0.9, 1.0, 60, 150), sums, 31 - number)
        results.append([*sums, finish(sums, 0.0, 1.0)])
    compiled.set_threads(0)
    for result in results[1:]:
        for ours, first in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(ours, first)


@pytest.mark.parametrize("turn", [0.0, 0.01, 0.5, 3.0])
def test_boxes_of_any_size_give_the_same_areas(turn):
    """The loop that is written out for small boxes does what the general one does, to the bit."""
    rng = np.random.default_rng(6)
    image, weight = exposure(rng, 40, 100)
    grid = pixel_map(40, 100, (120, 130), turn=turn)
    drop = whole("square", 1.0, 1.0, 40, 100)
    found = []
    weight[:, 30:33] = weight[:, 97:] = 0
    for large in (False, True):
        if large:
            # Pixels that are large make the boxes of their strip so.
            grid[:, 31] += 9.0
            grid[:, 99] += 40.0
        sums = bare(output((120, 130)))
        drizzle(Pixels(image, weight, grid), drop, sums)
        found.append(sums)
    np.testing.assert_array_equal(found[0].values, found[1].values)
    np.testing.assert_array_equal(found[0].weights, found[1].weights)


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
    image, weight = exposure(rng, n_y, n_x)
    sums = bare(output(shape))
    grid = pixel_map(n_y, n_x, shape, scale, turn, bend=1e-3)
    drizzle(Pixels(image, weight, grid), whole("square", pixfrac, 1 / scale, n_y, n_x), sums)
    given_flux = (image.astype(float) * weight).sum()
    assert sums.weights.astype(float).sum() == pytest.approx(weight.sum(), rel=1e-5)
    assert sums.values.astype(float).sum() == pytest.approx(given_flux, rel=1e-5)
