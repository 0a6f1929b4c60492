"""Parts of segments on the CPU: a segment at a time, flooded from level to level."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows


@compiled
def look_for_extremes(
    first: Any, stop: Any, image: Any, segments: Any, boxes: Any, result: Any
) -> None:
    """Find the extremes of segments ``first:stop`` of the boxes."""
    for i in range(first, stop):
        number, top, bottom, left, right = boxes[i]
        low, high = np.float32(np.inf), np.float32(-np.inf)
        for y in range(top, bottom):
            for x in range(left, right):
                if segments[y, x] == number:
                    low, high = min(low, image[y, x]), max(high, image[y, x])
        result[0, i], result[1, i] = low, high


def find_extremes(image: Any, segments: Any, boxes: Any) -> Any:
    """Contract in the package."""
    result = np.empty((2, len(boxes)), np.float32)
    over_rows(look_for_extremes, len(boxes), image, segments, boxes, result)
    return result


@compiled
def flood(y: Any, x: Any, is_above: Any, corners: Any, pending: Any) -> int:
    """Take a connected part out of `is_above`, and return how many pixels it has."""
    n_rows, n_columns = is_above.shape
    pending[0] = y * n_columns + x
    is_above[y, x] = False
    n_pending, size = 1, 0
    while n_pending:
        n_pending -= 1
        place = pending[n_pending]
        row, column = place // n_columns, place % n_columns
        size += 1
        for other_row in range(max(row - 1, 0), min(row + 2, n_rows)):
            for other in range(max(column - 1, 0), min(column + 2, n_columns)):
                is_beside = corners or other_row == row or other == column
                if is_beside and is_above[other_row, other]:
                    is_above[other_row, other] = False
                    pending[n_pending] = other_row * n_columns + other
                    n_pending += 1
    return size


@compiled
def has_parts(is_above: Any, n_above: Any, least: Any, corners: Any, pending: Any) -> bool:
    """Whether two parts are large enough; `is_above` is used up."""
    left, found = n_above, 0
    for y in range(is_above.shape[0]):
        for x in range(is_above.shape[1]):
            if is_above[y, x]:
                size = flood(y, x, is_above, corners, pending)
                left -= size
                found += size >= least
                if found > 1:
                    return True
                if left < least * (2 - found):
                    return False
    return False


@compiled
def is_divisible(
    image: Any, segments: Any, number: Any, levels: Any, least: Any, corners: Any
) -> bool:
    """Whether a segment, in its box, has two parts above one of the levels."""
    is_above = np.empty(image.shape, np.bool_)
    pending = np.empty(image.size, np.int64)
    for level in levels:
        n_above = 0
        for y in range(image.shape[0]):
            for x in range(image.shape[1]):
                above = segments[y, x] == number and np.float64(image[y, x]) > level
                is_above[y, x] = above
                n_above += above
        if n_above < 2 * least:
            return False
        if has_parts(is_above, n_above, least, corners, pending):
            return True
    return False


@compiled
def look_at_segments(
    first: Any,
    stop: Any,
    image: Any,
    segments: Any,
    boxes: Any,
    levels: Any,
    least: Any,
    corners: Any,
    result: Any,
) -> None:
    """Look at segments ``first:stop`` of the boxes."""
    for i in range(first, stop):
        number, top, bottom, left, right = boxes[i]
        part, own = image[top:bottom, left:right], segments[top:bottom, left:right]
        result[i] = is_divisible(part, own, number, levels[i], least, corners)


def find_divisible(
    image: Any, segments: Any, boxes: Any, levels: Any, least: int, *, corners: bool
) -> Any:
    """Contract in the package."""
    result = np.zeros(len(boxes), bool)
    over_rows(look_at_segments, len(boxes), image, segments, boxes, levels, least, corners, result)
    return result
