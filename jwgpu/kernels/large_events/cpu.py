"""Showers: compiled loops over rows.

Samples, differences, medians, noise and ratios are float32, each operation rounded, as in the
official package: what is above a threshold is decided by it.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows
from jwgpu.kernels.jump.columns_cpu import SIGNED, Block, over_blocks, sort_differences
from jwgpu.kernels.jump.sigma_clip_cpu import clipping_bounds, select
from jwgpu.kernels.large_events import CLIPPING
from jwgpu.models.flags import DO_NOT_USE, JUMP_DET, REFERENCE_PIXEL, SATURATED

_NAN: Final = np.float32(np.nan)
_ZERO: Final = np.float32(0.0)
_HALF: Final = np.float32(0.5)
_DO_NOT_USE: Final = np.uint8(DO_NOT_USE)
_UNUSABLE: Final = np.uint8(DO_NOT_USE | SATURATED)
_INVALID: Final = np.uint8(DO_NOT_USE | SATURATED | JUMP_DET)
_JUMP: Final = np.uint8(JUMP_DET)
_JUMP_ONLY: Final = np.uint8(JUMP_DET | DO_NOT_USE)
_REFERENCE: Final = np.uint32(REFERENCE_PIXEL)
_INF: Final = np.float32(np.inf)
_CLIPPING: Final = CLIPPING


@compiled
def usable_sample(sample: Any, flags: int, gain: Any, unusable: int) -> Any:
    """Return a sample in electrons, NaN if it is not to be used.

    Quirk: of flags that jump detection does not heed itself, only those that stand alone make a
    sample unusable: JUMP_DET with, say, CHARGELOSS does not.
    """
    if flags & unusable or (flags > 0 and flags <= _JUMP_ONLY):
        return _NAN
    return sample * gain


@compiled
def take_clean_differences(data: Any, groupdq: Any, gain: Any, unusable: int, block: Block) -> None:
    """Take the differences of a block of pixels into ``block.differences``."""
    n_ints, n_groups, width = data.shape
    differences, previous = block.differences, block.previous
    for integration in range(n_ints):
        for group in range(n_groups):
            samples, flags = data[integration, group], groupdq[integration, group]
            # The first sample gives no difference: what is written for it is written over.
            row = differences[integration * (n_groups - 1) + max(group, 1) - 1]
            for x in range(width):
                sample = usable_sample(samples[x], flags[x], gain[x], unusable)
                row[x] = sample - previous[x]
                previous[x] = sample


@compiled
def find_noise_in_blocks(
    block: Block,
    first: int,
    stop: int,
    data: Any,
    groupdq: Any,
    gain: Any,
    readnoise: Any,
    frames_averaged: float,
    unusable: int,
    center: Any,
    sigma: Any,
) -> None:
    """Find median and noise of the differences of rows ``first`` to ``stop - 1``."""
    n_columns = data.shape[3]
    for y in range(first, stop):
        for left in range(0, n_columns, block.previous.size):
            right = min(left + block.previous.size, n_columns)
            take_clean_differences(
                data[:, :, y, left:right],
                groupdq[:, :, y, left:right],
                gain[y, left:right],
                unusable,
                block,
            )
            sort_differences(block, right - left, SIGNED)
            for x in range(right - left):
                n = block.n_usable[x]
                median = _NAN
                if n:
                    median = (block.ordered[(n - 1) // 2, x] + block.ordered[n // 2, x]) * _HALF
                noise = readnoise[y, left + x] * gain[y, left + x]
                variance = abs(median) + noise * noise / frames_averaged
                center[y, left + x] = median
                sigma[y, left + x] = math.sqrt(variance)


@compiled
def clip_one_pixel(differences: Any, work: Any) -> tuple[Any, Any]:
    """Return median and standard deviation of what sigma clipping keeps of (ints,) differences."""
    n = 0
    for difference in differences:
        if abs(difference) < _INF:
            work[n] = difference
            n += 1
    low, high = clipping_bounds(work, n, _CLIPPING)
    n = 0
    total = _ZERO
    for difference in differences:
        if difference >= low and difference <= high:
            work[n] = difference
            total += difference
            n += 1
    if n == 0:
        return _NAN, _NAN
    mean = np.float32(np.float64(total) / n)
    squares = _ZERO
    for k in range(n):
        squares += (work[k] - mean) * (work[k] - mean)
    sigma = np.float32(math.sqrt(np.float32(np.float64(squares) / n)))
    upper = np.float32(select(work, n, n // 2))
    lower = np.float32(select(work, n, (n - 1) // 2))
    return (lower + upper) * _HALF, sigma


@compiled
def clip_noise_in_blocks(
    block: Block,
    first: int,
    stop: int,
    data: Any,
    groupdq: Any,
    gain: Any,
    unusable: int,
    center: Any,
    sigma: Any,
) -> None:
    """Find median and scatter of one difference in rows ``first`` to ``stop - 1``."""
    n_columns = data.shape[3]
    for y in range(first, stop):
        for left in range(0, n_columns, block.previous.size):
            right = min(left + block.previous.size, n_columns)
            take_clean_differences(
                data[:, :, y, left:right],
                groupdq[:, :, y, left:right],
                gain[y, left:right],
                unusable,
                block,
            )
            for x in range(right - left):
                center[y, left + x], sigma[y, left + x] = clip_one_pixel(
                    block.differences[:, x], block.work
                )


@compiled
def find_ratios_in_rows(
    first: int,
    stop: int,
    data: Any,
    groupdq: Any,
    pixeldq: Any,
    gain: Any,
    center: Any,
    sigma: Any,
    unusable: int,
    ratio: Any,
    is_good: Any,
) -> None:
    """Find the ratios of one difference in rows ``first`` to ``stop - 1``."""
    n_rows, n_columns = center.shape
    margin = (ratio.shape[0] - n_rows) // 2
    for y in range(first, stop):
        ratios = ratio[y + margin, margin : margin + n_columns]
        goods = is_good[y + margin, margin : margin + n_columns]
        for x in range(n_columns):
            before = usable_sample(data[0, y, x], groupdq[0, y, x], gain[y, x], unusable)
            after = usable_sample(data[1, y, x], groupdq[1, y, x], gain[y, x], unusable)
            value = abs(after - before - center[y, x]) / sigma[y, x]
            flags = groupdq[1, y, x] | pixeldq[y, x]
            is_masked = (flags & _INVALID) != 0 or pixeldq[y, x] == _REFERENCE
            good = value - value == _ZERO and not is_masked
            ratios[x] = value if good else _ZERO
            goods[x] = good


@compiled
def find_usable_planes(first: int, stop: int, planes: Any, pixeldq: Any, found: Any) -> None:
    """Say of planes ``first`` to ``stop - 1`` whether a pixel is usable."""
    for plane in range(first, stop):
        found[plane] = any_usable(planes[plane], pixeldq)


@compiled
def any_usable(plane: Any, pixeldq: Any) -> bool:
    """Say whether a pixel of a plane is usable."""
    for y in range(plane.shape[0]):
        for x in range(plane.shape[1]):
            # Quirk: reference pixels count as unusable, but only those without any other flag.
            if not plane[y, x] & _DO_NOT_USE and pixeldq[y, x] != _REFERENCE:
                return True
    return False


@compiled
def mean_difference(data: Any, gain: Any, invalid: Any) -> Any:
    """Return the mean of the differences of one pixel in which no sample is invalid.

    Summed in the order of groups and in float32, as the official package does.
    """
    total, count = _ZERO, 0
    for group in range(1, data.size):
        if invalid[group] or invalid[group - 1]:
            continue
        difference = data[group] * gain - data[group - 1] * gain
        if difference == difference:
            total += difference
            count += 1
    return np.float32(np.float64(total) / count) if count else _NAN


@compiled
def flag_marked_in_rows(
    first: int,
    stop: int,
    data: Any,
    planes: Any,
    pixeldq: Any,
    gain: Any,
    marks: Any,
    largest_change: float,
) -> None:
    """Flag what is marked in rows ``first`` to ``stop - 1``, unless it changes the mean much."""
    n_groups, _, n_columns = planes.shape
    invalid = np.empty(n_groups, np.bool_)
    for y in range(first, stop):
        for x in range(n_columns):
            is_marked = False
            for word in range(marks.shape[0]):
                is_marked |= marks[word, y, x] != 0
            if not is_marked or pixeldq[y, x] == _REFERENCE:
                continue
            for group in range(n_groups):
                invalid[group] = (planes[group, y, x] & _INVALID) != 0
            before = mean_difference(data[:, y, x], gain[y, x], invalid)
            for group in range(n_groups):
                invalid[group] |= (marks[group // 8, y, x] >> (group % 8)) & 1 != 0
            after = mean_difference(data[:, y, x], gain[y, x], invalid)
            if not abs(before - after) <= largest_change:
                continue
            for group in range(n_groups):
                if (marks[group // 8, y, x] >> (group % 8)) & 1:
                    planes[group, y, x] |= _JUMP


def unusable_flags(jumps_were_searched: bool) -> Any:
    """Return the flags that make a sample unusable whatever other flags it has."""
    # Quirk: it is the search for jumps that blanks such samples officially.
    return _UNUSABLE if jumps_were_searched else np.uint8(0)


def find_noise(
    data: Any,
    groupdq: Any,
    gain: Any,
    readnoise: Any,
    frames_averaged: int,
    jumps_were_searched: bool,
    center: Any,
    sigma: Any,
) -> None:
    """Write the median of all differences of each pixel, and their noise, both (y, x) float32."""
    over_blocks(
        find_noise_in_blocks,
        data,
        groupdq,
        gain,
        readnoise,
        np.float32(frames_averaged),
        unusable_flags(jumps_were_searched),
        center,
        sigma,
    )


def clip_noise(
    data: Any,
    groupdq: Any,
    group: int,
    gain: Any,
    jumps_were_searched: bool,
    center: Any,
    sigma: Any,
) -> None:
    """Write median and scatter of one difference over the integrations, both (y, x) float32."""
    groups = slice(group - 1, group + 1)
    unusable = unusable_flags(jumps_were_searched)
    arguments = (data[:, groups], groupdq[:, groups], gain, unusable, center, sigma)
    over_blocks(clip_noise_in_blocks, *arguments)


def images_at_once(n_rows: int, n_columns: int) -> int:
    """Return how many images to work on together: one, which the processor's cache may hold."""
    del n_rows, n_columns
    return 1


def find_ratios(
    data: Any,
    groupdq: Any,
    places: list[tuple[int, int]],
    pixeldq: Any,
    gain: Any,
    center: Any,
    sigma: Any,
    jumps_were_searched: bool,
    ratio: Any,
    is_good: Any,
) -> None:
    """Write how far some differences are from the centre, over the noise; 0 if not good.

    ``places`` are integrations and groups, ``ratio`` (float32) and ``is_good`` (uint8) are
    (differences, y, x) with a margin that is left as it is.
    """
    pixels = (pixeldq, gain, center, sigma, unusable_flags(jumps_were_searched))
    for k, (integration, group) in enumerate(places):
        groups = slice(group - 1, group + 1)
        samples = (data[integration, groups], groupdq[integration, groups])
        over_rows(find_ratios_in_rows, center.shape[0], *samples, *pixels, ratio[k], is_good[k])


def find_usable_groups(groupdq: Any, pixeldq: Any) -> Any:
    """Return, (ints, groups) bool, the groups in which a pixel is usable."""
    n_ints, n_groups = groupdq.shape[:2]
    found = np.zeros(n_ints * n_groups, np.bool_)
    planes = groupdq.reshape(-1, *groupdq.shape[2:])
    over_rows(find_usable_planes, len(found), planes, pixeldq, found)
    return found.reshape(n_ints, n_groups)


def flag_marked(
    data: Any, planes: Any, pixeldq: Any, gain: Any, marks: Any, largest_change: float
) -> None:
    """Flag what is marked in (groups, y, x), but not where it changes the mean much."""
    arguments = (data, planes, pixeldq, gain, marks, np.float32(largest_change))
    over_rows(flag_marked_in_rows, planes.shape[1], *arguments)
