"""Smoothing with a ring: compiled loops over rows.

The ring is even, so the mean is a sum of shifted rows over a count of shifted rows. Rows above and
below that lie as far are added first, then columns: the ring is the same in each quadrant. Sums are
float64, which rounding shifts by less than 1e-13; the official package's come from a Fourier
transform in float32.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows
from jwgpu.kernels.ring_convolution import quadrant

_DOUBLE: Final = np.float64(0.0)
_INTEGER: Final = np.int32(0)


@compiled
def add_ring(
    image: Any, y: int, ring: Any, zero: Any, mirrored: Any, column: Any, sums: Any
) -> None:
    """Set `sums` to the sum of what lies on the ring around each pixel of row ``y``.

    Parameters
    ----------
    image : array, (y + margins, x + margins)
    y : int
        Without the margin.
    ring : array, (n, 2) int64
        See `jwgpu.kernels.ring_convolution.quadrant`.
    zero : scalar
        Of the type of the sums.
    mirrored, column : array, (margin + 1, x + margins) and (x + margins,)
        Overwritten.
    sums : array, (x,)
    """
    margin, n_columns, width = mirrored.shape[0] - 1, sums.size, column.size
    for distance in range(margin + 1):
        above, below, both = (
            image[y + margin - distance],
            image[y + margin + distance],
            mirrored[distance],
        )
        for x in range(width):
            both[x] = zero + above[x]
            if distance:
                both[x] += below[x]
    for x in range(n_columns):
        sums[x] = zero
    first = 0
    while first < ring.shape[0]:
        aside = ring[first, 0]
        for x in range(width):
            column[x] = zero
        while first < ring.shape[0] and ring[first, 0] == aside:
            both = mirrored[ring[first, 1]]
            for x in range(width):
                column[x] += both[x]
            first += 1
        left, right = column[margin - aside :], column[margin + aside :]
        if aside:
            for x in range(n_columns):
                sums[x] += left[x] + right[x]
        else:
            for x in range(n_columns):
                sums[x] += left[x]


@compiled
def mark_bright_in_rows(
    first: int,
    stop: int,
    values: Any,
    is_good: Any,
    ring: Any,
    threshold: float,
    is_bright: Any,
) -> None:
    """Mark the bright pixels of rows ``first`` to ``stop - 1``, counted through all images."""
    n_rows, n_columns = is_bright.shape[1:]
    width = values.shape[2]
    margin = (width - n_columns) // 2
    total, count = np.empty(n_columns, np.float64), np.empty(n_columns, np.int32)
    mirrored, column = np.empty((margin + 1, width), np.float64), np.empty(width, np.float64)
    n_mirrored, n_column = np.empty((margin + 1, width), np.int32), np.empty(width, np.int32)
    for row in range(first, stop):
        image, y = row // n_rows, row % n_rows
        add_ring(values[image], y, ring, _DOUBLE, mirrored, column, total)
        add_ring(is_good[image], y, ring, _INTEGER, n_mirrored, n_column, count)
        good = is_good[image, y + margin, margin : margin + n_columns]
        for x in range(n_columns):
            # No good pixel gives 0 / 0, which is not above anything.
            is_above = total[x] / np.float64(count[x]) > threshold
            is_bright[image, y, x] = good[x] & np.uint8(is_above)


def mark_bright(
    values: Any, is_good: Any, offsets: list[tuple[int, int]], threshold: float, is_bright: Any
) -> None:
    """See the package."""
    ring = np.array(quadrant(offsets), np.int64)
    n_rows = is_bright.shape[0] * is_bright.shape[1]
    over_rows(mark_bright_in_rows, n_rows, values, is_good, ring, float(threshold), is_bright)
