"""Drizzle on a GPU: the sums of the CPU, whatever the map, the drop and what is added."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from devices import open_device
from hypothesis import given, settings
from hypothesis import strategies as st

from jwgpu.kernels.drizzle import KERNELS, Drop, Pixels, Sums, drizzle, finish
from jwgpu.kernels.pixel_map import Series, evaluate

#: A GPU's exponential differs from that of the CPU in the last bit, and so may a share.
EXPONENTIAL = 1e-6


def turned_map(n_y: int, n_x: int, shape: Any, scale: float, turn: float) -> Any:
    """Return a turned, scaled and bent grid, in the middle of the output."""
    y, x = np.mgrid[:n_y, :n_x].astype(float)
    x, y = x - n_x / 2, y - n_y / 2
    across = scale * (np.cos(turn) * x - np.sin(turn) * y) + 1e-3 * x**2 + shape[1] / 2
    along = scale * (np.sin(turn) * x + np.cos(turn) * y) + 1e-3 * x * y + shape[0] / 2
    return np.stack([across, along], axis=-1)


def image(random: Any, pixel_map: Any, has_other: bool, variances: str, has_flags: bool) -> Pixels:
    """Return pixels with gaps, those without weight, and variances of all kinds."""
    shape = pixel_map.shape[:2]

    def positive(missing: float) -> Any:
        values = random.uniform(0.5, 2, shape).astype(np.float32)
        values[random.random(shape) < missing] = 0
        return values

    def variance() -> Any:
        values = positive(0.02)
        values[random.random(shape) < 0.02] = np.nan
        values[random.random(shape) < 0.02] = np.inf
        values[random.random(shape) < 0.02] *= -1
        return values

    return Pixels(
        random.normal(5, 1, shape).astype(np.float32),
        positive(0.1),
        pixel_map,
        0.25,
        random.normal(5, 1, shape).astype(np.float32) if has_other else None,
        [variance() if known == "v" else None for known in variances] if variances else None,
        random.integers(0, 1 << 32, shape).astype(np.uint32) if has_flags else None,
    )


def empty_sums(shape: Any, pixels: Pixels) -> Sums:
    has_variances = pixels.variances is not None
    return Sums(
        np.zeros((1 if pixels.other is None else 2, *shape), np.float32),
        np.zeros(shape, np.float32),
        np.zeros(shape, np.int32),
        None if pixels.flags is None else np.zeros(shape, np.uint32),
        np.zeros((3, *shape), np.float32) if has_variances else None,
        np.zeros((3, *shape), np.float32) if has_variances else None,
    )


def sent(gpu: Any, arrays: Any) -> Any:
    """Return a named tuple whose arrays are on a device."""

    def send(value: Any) -> Any:
        if isinstance(value, list):
            return [send(one) for one in value]
        return gpu.send(value) if isinstance(value, np.ndarray) else value

    return type(arrays)(*map(send, arrays))


def check(gpu: Any, images: list[Pixels], shape: Any, drop: Drop, tolerance: float = 0) -> Sums:
    """Add images on both devices; return the sums before they are finished."""
    want = empty_sums(shape, images[0])
    if len(images) == 1:
        want = want._replace(variance_weights=None)  # of one image alone
    found = sent(gpu, want)
    for bit, pixels in enumerate(images):
        drizzle(pixels, drop, want, bit + 30)
        drizzle(sent(gpu, pixels), drop, found, bit + 30)
    before = Sums(*(None if array is None else array.copy() for array in want))
    same(gpu, found, want, tolerance)
    errors = finish(want, -7.0, 1.5), finish(found, -7.0, 1.5)
    same(gpu, (*found, errors[1]), (*want, errors[0]), tolerance)
    return before


def same(gpu: Any, found: Any, want: Any, tolerance: float) -> None:
    for ours, expected in zip(found, want, strict=True):
        assert (ours is None) == (expected is None)
        if ours is None:
            continue
        if tolerance and expected.dtype == np.float32:
            largest = np.nanmax(np.abs(expected[np.isfinite(expected)]), initial=0)
            np.testing.assert_allclose(
                gpu.fetch(ours), expected, rtol=tolerance, atol=tolerance * largest
            )
        else:
            np.testing.assert_array_equal(gpu.fetch(ours), expected)


def whole(kernel: str, pixfrac: float, ratio: float, shape: Any) -> Drop:
    return Drop(kernel, pixfrac, ratio, (0, shape[1] - 1, 0, shape[0] - 1))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("scale", "pixfrac"), [(1.0, 1.0), (0.4, 0.7), (4.3, 0.9)])
def test_same_sums_for_every_kernel_and_scale(
    gpu: Any, kernel: str, scale: float, pixfrac: float
) -> None:
    random = np.random.default_rng(5)
    size, shape = (21, 26), (30, 37)  # enlarged, it falls over all edges
    grid = turned_map(*size, shape, scale, 0.4)
    images = [image(random, grid + 0.3 * bit, False, "vvv", True) for bit in range(2)]
    drop = whole(kernel, pixfrac, 1 / scale, size)
    sums = check(gpu, images, shape, drop, EXPONENTIAL if kernel == "gaussian" else 0)
    assert (sums.weights != 0).any() and (sums.variances > 0).any()
    assert set(np.unique(sums.context)) <= {0, 1 << 30, -(1 << 31), (1 << 30) - (1 << 31)}
    assert sums.context.any() and sums.flags.any()


@pytest.mark.parametrize("kernel", ["square", "turbo"])
@pytest.mark.parametrize("variances", ["", "vvv", "v-v", "-v-", "---"])
@pytest.mark.parametrize("has_other", [False, True])
@pytest.mark.parametrize(("time", "number"), [(0.0, 1), (0.0, 2), (3.5, 2)])
def test_same_for_all_that_may_be_summed(
    gpu: Any, kernel: str, variances: str, has_other: bool, time: float, number: int
) -> None:
    random = np.random.default_rng(6)
    size, shape = (9, 12), (13, 19)
    grid = turned_map(*size, shape, 1.0, 1.9)
    pixels = image(random, grid, has_other, variances, bool(variances))._replace(time=time)
    check(gpu, [pixels] * number, shape, whole(kernel, 1.0, 1.0, size))


def test_places_that_are_none_or_far_away(gpu: Any) -> None:
    random = np.random.default_rng(7)
    size, shape = (20, 24), (25, 30)
    grid = turned_map(*size, shape, 1.0, 0.2)
    grid[random.random(size) < 0.05] = np.nan
    grid[3, 4] = 1e12, 3
    grid[5, 6] = np.inf, -np.inf
    grid[12:, 10:14] -= 40  # a jump, over which quadrangles are long
    grid[7, 7] += 11
    for kernel in ("square", "turbo", "lanczos3"):
        check(gpu, [image(random, grid, True, "", False)], shape, whole(kernel, 1.0, 1.0, size))


@pytest.mark.parametrize("kernel", ["square", "point", "gaussian"])
def test_an_image_beside_the_output_adds_nothing(gpu: Any, kernel: str) -> None:
    random = np.random.default_rng(8)
    grid = turned_map(6, 7, (9, 9), 1.0, 0.0) + 100
    sums = check(
        gpu, [image(random, grid, False, "vvv", True)], (9, 9), whole(kernel, 1, 1, (6, 7))
    )
    assert not sums.weights.any()


@pytest.mark.parametrize("size", [(1, 1), (1, 8), (8, 1), (2, 2)])
def test_images_of_a_single_row_or_column(gpu: Any, size: Any) -> None:
    random = np.random.default_rng(9)
    grid = turned_map(*size, (12, 12), 1.0, 0.3)
    for kernel in ("square", "turbo"):
        pixels = image(random, grid, False, "", False)
        check(gpu, [pixels], (12, 12), whole(kernel, 1, 1, size))


def test_only_the_window_is_used(gpu: Any) -> None:
    random = np.random.default_rng(10)
    size, shape = (18, 20), (24, 24)
    grid = turned_map(*size, shape, 1.0, 0.3)
    for kernel in ("square", "turbo"):
        drop = Drop(kernel, 1.0, 1.0, (3, 11, 5, 16))
        check(gpu, [image(random, grid, False, "vvv", True)], shape, drop)


@pytest.mark.parametrize("kernel", ["square", "turbo"])
def test_negative_weights(gpu: Any, kernel: str) -> None:
    random = np.random.default_rng(13)
    grid = turned_map(12, 14, (17, 18), 1.1, 0.3)
    pixels = image(random, grid, False, "vvv", True)
    pixels.weight[random.random(pixels.weight.shape) < 0.5] *= -1
    sums = check(gpu, [pixels], (17, 18), whole(kernel, 1, 1, (12, 14)))
    assert (sums.weights < 0).any()


@pytest.mark.races
@pytest.mark.parametrize("kernel", ["square", "turbo"])
def test_no_races(gpu: Any, kernel: str) -> None:
    random = np.random.default_rng(11)
    grid = turned_map(12, 14, (17, 18), 1.1, 0.3)
    pixels = image(random, grid, False, "vvv", True)
    check(gpu, [pixels], (17, 18), whole(kernel, 1, 1, (12, 14)))


@settings(max_examples=25)
@given(
    kernel=st.sampled_from([kernel for kernel in KERNELS if kernel != "gaussian"]),
    rows=st.integers(1, 20),
    columns=st.integers(1, 20),
    out_rows=st.integers(1, 40),
    out_columns=st.integers(1, 40),
    scale=st.floats(0.2, 5),
    turn=st.floats(-3.2, 3.2),
    pixfrac=st.floats(0.01, 1),
)
def test_any_shapes_scales_and_turns(
    kernel: str,
    rows: int,
    columns: int,
    out_rows: int,
    out_columns: int,
    scale: float,
    turn: float,
    pixfrac: float,
) -> None:
    random = np.random.default_rng(12)
    shape = out_rows, out_columns
    grid = turned_map(rows, columns, shape, scale, turn)
    drop = whole(kernel, pixfrac, 1 / scale, (rows, columns))
    check(open_device("emulated"), [image(random, grid, True, "v-v", True)], shape, drop)


@pytest.mark.parametrize("kernel", ["square", "turbo"])
def test_a_series_for_the_map(gpu: Any, kernel: str) -> None:
    random = np.random.default_rng(9)
    size, shape = (12, 17), (20, 24)
    y, x = np.arange(12.0), np.arange(17.0)
    series = Series(
        np.array([[[4.0, 0.9], [-0.2, 1e-3]], [[2.0, 0.2], [0.9, 1e-3]]]),
        np.stack([np.ones(12), y], axis=-1),
        np.stack([np.ones(17), x]),
    )
    places = np.empty((*size, 2))
    evaluate(*series, places)
    pixels = image(random, places, False, "vvv", True)
    sums = [empty_sums(shape, pixels) for _ in range(2)]
    drop = whole(kernel, 1.0, 1.0, size)
    drizzle(pixels, drop, sums[0], 3)
    found = sent(gpu, sums[1])
    on_gpu = sent(gpu, pixels._replace(pixel_map=None))
    drizzle(on_gpu._replace(pixel_map=sent(gpu, series)), drop, found, 3)
    assert sums[0].weights.any()
    same(gpu, found, sums[0], 0)
