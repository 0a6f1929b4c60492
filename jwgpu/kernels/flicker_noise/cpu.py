"""Flicker noise on the CPU."""

from __future__ import annotations

import logging
from math import inf, isfinite, nan, sqrt
from typing import Any

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows
from jwgpu.kernels.flicker_noise import Lines
from jwgpu.kernels.flicker_noise.buckets_cpu import (
    Buckets,
    clipped,
    clipped_lower_half,
    fill_buckets,
    keep_within,
    middle_pair,
    select,
    sums_within,
)
from jwgpu.kernels.flicker_noise.histogram import fit_gaussian
from jwgpu.kernels.flicker_noise.median_cpu import median_of

log = logging.getLogger(__name__)

#: Columns that are gathered together, for lines along the first axis.
_TOGETHER = 32

_SIGMA = 3.0


@compiled
def difference_rows(
    first: int,
    stop: int,
    image: Any,
    mask: Any,
    current: Any,
    previous: Any,
    scene: Any,
    groupdq: Any,
    unusable: int,
    flat: Any,
    has: tuple[bool, bool],
) -> None:
    """See `take_difference`; `has` says whether there are a previous image and a flat."""
    for y in range(first, stop):
        for x in range(image.shape[1]):
            value = current[y, x]
            if has[0]:
                value = value - previous[y, x]
            if has[1]:
                value = value / flat[y, x]
            image[y, x] = value
            mask[y, x] = scene[y, x] and value == value
        if unusable:
            for x in range(image.shape[1]):
                mask[y, x] &= (groupdq[y, x] & unusable) == 0


@compiled
def mask_rows(first: int, stop: int, image: Any, mask: Any, low: float, high: float) -> None:
    """See `mask_outside`."""
    for y in range(first, stop):
        for x in range(image.shape[1]):
            value = image[y, x]
            mask[y, x] &= not (value < low or value > high)


@compiled
def subtract_rows(
    first: int,
    stop: int,
    image: Any,
    mask: Any,
    offset: float,
    before: tuple[float, float],
    after: tuple[float, float],
) -> None:
    """Subtract a float32 offset; drop pixels outside limits before and after from the mask."""
    shift = np.float32(offset)
    for y in range(first, stop):
        for x in range(image.shape[1]):
            value = image[y, x]
            less = value - shift
            image[y, x] = less
            is_out = value < before[0] or value > before[1] or less < after[0] or less > after[1]
            mask[y, x] &= not is_out


@compiled
def row_medians(first: int, stop: int, image: Any, mask: Any, scratch: Any, result: Any) -> None:
    """Write the medians of rows: result (rows, channels); scratch (1, y, x)."""
    channels = result.shape[1]
    length = image.shape[1] // channels
    for y in range(first, stop):
        for channel in range(channels):
            n = 0
            for x in range(channel * length, (channel + 1) * length):
                scratch[0, y, n] = image[y, x]
                n += mask[y, x]
            if n:
                result[y, channel] = median_of(scratch[0, y], n)


@compiled
def column_medians(first: int, stop: int, image: Any, mask: Any, scratch: Any, result: Any) -> None:
    """Write the medians of blocks of columns: result (channels, columns).

    Scratch is (blocks, columns of a block, rows).
    """
    channels, columns = result.shape
    length = image.shape[0] // channels
    counts = np.empty(_TOGETHER, np.int64)
    for block in range(first, stop):
        left = block * _TOGETHER
        width = min(_TOGETHER, columns - left)
        for channel in range(channels):
            for x in range(width):
                counts[x] = 0
            for y in range(channel * length, (channel + 1) * length):
                for x in range(width):
                    if mask[y, left + x]:
                        scratch[block, x, counts[x]] = image[y, left + x]
                        counts[x] += 1
            for x in range(width):
                if counts[x]:
                    result[channel, left + x] = median_of(scratch[block, x], counts[x])


@compiled
def restore_rows(
    first: int,
    stop: int,
    target: Any,
    image: Any,
    noise: Any,
    size: tuple[int, int],
    level: float,
    background: Any,
    flat: Any,
    base: Any,
    has: tuple[bool, bool, bool, bool],
) -> None:
    """See `restore`; noise is constant in boxes of `size`; `has` says which arrays there are."""
    constant = np.float32(level)
    line = np.empty(image.shape[1], np.float32)
    for y in range(first, stop):
        if has[0]:
            for box in range(noise.shape[1]):
                value = noise[y // size[0], box]
                for x in range(box * size[1], (box + 1) * size[1]):
                    line[x] = value
        for x in range(image.shape[1]):
            value = image[y, x]
            if has[0]:
                value = value - line[x]
            if has[1]:
                value = value + background[y, x]
            else:
                value = value + constant
            if has[2]:
                value = value * flat[y, x]
            if has[3]:
                value = base[y, x] + value
            target[y, x] = value


@compiled
def copy_rows(first: int, stop: int, view: Any, result: Any) -> None:
    """Copy a few rows and columns at a time: both images are then read and written by lines."""
    columns = view.shape[1]
    for top in range(first, stop, _TOGETHER):
        for left in range(0, columns, _TOGETHER):
            for y in range(top, min(top + _TOGETHER, stop)):
                for x in range(left, min(left + _TOGETHER, columns)):
                    result[y, x] = view[y, x]


@compiled
def clip_box(values: Any, n: int) -> int:
    """Sigma-clip `n` values in place; return how many are left, at the start."""
    rounds = 0
    while n:
        a = np.float64(select(values, n, n // 2))
        median = a
        if n % 2 == 0:
            lower = values[0]
            for i in range(1, n // 2):
                lower = max(lower, values[i])
            median = 0.5 * (a + np.float64(lower))
        mean = 0.0
        for i in range(n):
            mean += values[i]
        mean /= n
        variance = 0.0
        for i in range(n):
            variance += (values[i] - mean) ** 2
        reach = _SIGMA * sqrt(variance / n)
        kept = 0
        for i in range(n):
            value = values[i]
            if value >= median - reach and value <= median + reach:
                values[kept] = value
                kept += 1
        rounds += 1
        if kept == n or kept == 0 or rounds == 5:
            return kept
        n = kept
    return 0


@compiled
def box_rows(
    first: int, stop: int, image: Any, mask: Any, box: tuple[int, int], scratch: Any, result: Any
) -> None:
    """Write clipped medians and counts of rows of boxes: result (2, boxes, boxes) float64."""
    rows, columns = image.shape
    for j in range(first, stop):
        for i in range(result.shape[2]):
            n = 0
            for y in range(j * box[0], min((j + 1) * box[0], rows)):
                for x in range(i * box[1], min((i + 1) * box[1], columns)):
                    value = image[y, x]
                    if mask[y, x] and isfinite(value):
                        scratch[j, n] = value
                        n += 1
            n = clip_box(scratch[j], n)
            result[0, j, i] = median_of(scratch[j], n) if n else nan
            result[1, j, i] = n


@compiled
def fill_rows(
    first: int, stop: int, image: Any, mask: Any, threshold: float, scratch: Any, result: Any
) -> None:
    """See `fill_outliers`; all in float32."""
    reach = np.float32(threshold)
    for y in range(first, stop):
        n = 0
        for x in range(image.shape[1]):
            scratch[y, n] = image[y, x]
            n += mask[y, x]
        if n == 0:
            continue
        median = median_of(scratch[y], n)
        n = 0
        for x in range(image.shape[1]):
            scratch[y, n] = abs(image[y, x] - median)
            n += mask[y, x]
        sigma = np.float32(1.4826) * median_of(scratch[y], n)
        low, high = median - reach * sigma, median + reach * sigma
        for x in range(image.shape[1]):
            if mask[y, x]:
                value = image[y, x]
                result[y, x] = value if value >= low and value <= high else median


def background_limits(
    image: Any,
    mask: Any,
    sigma_lower: float,
    sigma_upper: float,
    fit_histogram: bool,
    lower_half_only: bool,
    clip: float,
) -> tuple[float, float]:
    """See the contract."""
    buckets = fill_buckets(image, mask)
    mean, median, sigma = clipped(buckets, clip)
    center = mean if fit_histogram else median
    if lower_half_only and isfinite(center):
        sigma = clipped_lower_half(buckets, center)
    if fit_histogram and isfinite(center):
        center, sigma = fit_gaussian(image[mask], center, sigma)
    return center - sigma_lower * sigma, center + sigma_upper * sigma


def masked_median(image: Any, mask: Any) -> Any:
    """See the contract."""
    return _median(fill_buckets(image, mask), -inf, inf)


def take_difference(
    image: Any,
    mask: Any,
    current: Any,
    previous: Any,
    scene: Any,
    groupdq: Any,
    unusable: int,
    flat: Any,
) -> None:
    """See the contract."""
    has = (previous is not None, flat is not None)
    if groupdq is None:
        groupdq, unusable = np.zeros((1, 1), np.uint8), 0
    over_rows(
        difference_rows,
        image.shape[0],
        *(image, mask, current, image if previous is None else previous, scene),
        *(groupdq, unusable, image if flat is None else flat, has),
    )


def mask_outside(image: Any, mask: Any, low: float, high: float) -> None:
    """See the contract."""
    over_rows(mask_rows, image.shape[0], image, mask, float(low), float(high))


def subtract_background(image: Any, mask: Any, n_sigma: float) -> Any:
    """See the contract."""
    buckets = fill_buckets(image, mask)
    before = _lower_half_limits(buckets, _SIGMA)
    median = _median(buckets, *before)
    after = (-inf, inf)
    if n_sigma > 0:
        keep_within(buckets, *before, median)
        after = _lower_half_limits(buckets, n_sigma)
    over_rows(subtract_rows, image.shape[0], image, mask, float(median), before, after)
    return median


def stripes(image: Any, mask: Any, lines: Lines) -> Any:
    """See the contract."""
    rows, columns = image.shape
    if lines.axis == 1:
        result = np.zeros((rows, lines.channels), np.float32)
        # One place more: a masked pixel is written, and then written over.
        over_rows(
            row_medians, rows, image, mask, np.empty((1, rows, columns + 1), np.float32), result
        )
        return result
    blocks = -(-columns // _TOGETHER)
    result = np.zeros((lines.channels, columns), np.float32)
    scratch = np.empty((blocks, _TOGETHER, rows), np.float32)
    over_rows(column_medians, blocks, image, mask, scratch, result)
    return result


def restore(target: Any, image: Any, noise: Any, background: Any, flat: Any, base: Any) -> None:
    """See the contract."""
    size = (1, 1)
    if noise is not None:
        size = (image.shape[0] // noise.shape[0], image.shape[1] // noise.shape[1])
    is_image = getattr(background, "ndim", 0) == 2
    has = (noise is not None, is_image, flat is not None, base is not None)
    over_rows(
        restore_rows,
        image.shape[0],
        *(target, image, noise if has[0] else image, size),
        *(0.0 if is_image else float(background), background if is_image else image),
        *(flat if has[2] else image, base if has[3] else image, has),
    )


def contiguous(view: Any) -> Any:
    """See the contract."""
    if view.flags.c_contiguous:
        return view.copy()
    result = np.empty(view.shape, view.dtype)
    over_rows(copy_rows, view.shape[0], view, result)
    return result


def box_medians(image: Any, mask: Any, box: tuple[int, int]) -> tuple[Any, Any]:
    """See the contract."""
    boxes = tuple(-(-n // m) for n, m in zip(image.shape, box, strict=True))
    result = np.empty((2, *boxes))
    scratch = np.empty((boxes[0], box[0] * box[1]), np.float32)
    over_rows(box_rows, boxes[0], image, mask, (int(box[0]), int(box[1])), scratch, result)
    return result[0].astype(np.float32), result[1].astype(np.int64)


def fill_outliers(image: Any, mask: Any, threshold: float) -> Any:
    """See the contract."""
    result = np.zeros(image.shape, np.float32)
    scratch = np.empty((image.shape[0], image.shape[1] + 1), np.float32)
    over_rows(fill_rows, image.shape[0], image, mask, threshold, scratch, result)
    return result


def _lower_half_limits(buckets: Buckets, n_sigma: float) -> tuple[float, float]:
    _, center, _ = clipped(buckets, _SIGMA)
    if not isfinite(center):
        return nan, nan
    reach = n_sigma * clipped_lower_half(buckets, center)
    return center - reach, center + reach


def _median(buckets: Buckets, low: float, high: float) -> Any:
    n, _, _ = sums_within(buckets, low, high)
    if n == 0:
        return np.float32(nan)
    lower, upper = middle_pair(buckets, low, high, n)
    # As NumPy rounds it.
    return np.float32(upper) if n % 2 else (np.float32(lower) + np.float32(upper)) / np.float32(2)
