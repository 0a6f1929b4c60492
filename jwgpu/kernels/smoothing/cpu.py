"""Smoothing on the CPU: rows in double precision, a block of columns at a time."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows

_BLOCK: Final = 128


@compiled
def fill_row(y: Any, image: Any, is_hole: Any, half: Any, row: Any, has_holes: Any) -> Any:
    """Convert a row, with zeros around it; tell for each block whether a hole is near.

    Returns whether the row has any hole.
    """
    n_rows, n_columns = image.shape
    row[:] = 0.0
    has_holes[:] = False
    if y < 0 or y >= n_rows:
        return False
    source, holes = image[y], is_hole[y]
    n_holes = 0
    for x in range(n_columns):
        value = np.float64(source[x])
        row[x + half] = np.nan if holes[x] else value
        n_holes += holes[x] | (value != value)
    if n_holes == 0:
        return False
    for block in range(has_holes.size):
        first = block * _BLOCK
        stop = min(first + _BLOCK + 2 * half, row.size)
        found = 0
        for x in range(first, stop):
            found += row[x] != row[x]
        has_holes[block] = found > 0
    return True


@compiled
def add_clean(row: Any, weights: Any, first: Any, sums: Any) -> None:
    """Add a row without holes, each pixel times its weights."""
    n = sums.size
    for k in range(weights.size):
        weight = weights[k]
        part = row[first + k : first + k + n]
        for i in range(n):
            sums[i] += part[i] * weight


@compiled
def add_with_holes(row: Any, weights: Any, first: Any, sums: Any, total: Any) -> None:
    """Add a row without its holes, and the weights of what is there."""
    n = sums.size
    for k in range(weights.size):
        weight = weights[k]
        part = row[first + k : first + k + n]
        for i in range(n):
            value = part[i]
            is_good = value == value
            sums[i] += value * weight if is_good else 0.0
            total[i] += weight if is_good else 0.0


@compiled
def smooth_rows(
    first: Any, stop: Any, image: Any, is_hole: Any, weights: Any, whole: Any, result: Any
) -> None:
    """Smooth rows ``first:stop``; `whole` is the sum of all weights."""
    n_columns = image.shape[1]
    n_k = weights.shape[0]
    half_y, half_x = n_k // 2, weights.shape[1] // 2
    n_blocks = (n_columns + _BLOCK - 1) // _BLOCK
    rows = np.empty((n_k, n_columns + 2 * half_x))
    has_holes = np.zeros((n_k, n_blocks), np.bool_)
    all_sums, all_totals = np.empty(_BLOCK), np.empty(_BLOCK)
    for y in range(first - half_y, first + half_y):
        slot = (y + n_k) % n_k
        fill_row(y, image, is_hole, half_x, rows[slot], has_holes[slot])
    for y in range(first, stop):
        slot = (y + half_y) % n_k
        fill_row(y + half_y, image, is_hole, half_x, rows[slot], has_holes[slot])
        for block in range(n_blocks):
            left = block * _BLOCK
            n = min(_BLOCK, n_columns - left)
            is_clean = True
            for k in range(n_k):
                is_clean &= not has_holes[k, block]
            sums, totals = all_sums[:n], all_totals[:n]
            sums[:] = 0.0
            totals[:] = 0.0
            for k in range(n_k):
                row = rows[(y - half_y + k + n_k) % n_k]
                if is_clean:
                    add_clean(row, weights[k], left, sums)
                else:
                    add_with_holes(row, weights[k], left, sums, totals)
            out = result[y, left : left + n]
            for i in range(n):
                by = whole if is_clean else totals[i]
                out[i] = np.float32(sums[i] / by)


def smooth(image: Any, is_hole: Any, weights: Any) -> Any:
    """Contract in the package."""
    result = np.empty_like(image)
    # Quirk: without any hole the weights are added up in another order.
    has_hole = bool(is_hole.any()) or bool(np.isnan(image.sum(dtype=np.float64)))
    whole = np.cumsum(weights)[-1] if has_hole else weights.sum()
    over_rows(smooth_rows, image.shape[0], image, is_hole, weights, whole, result)
    return result
