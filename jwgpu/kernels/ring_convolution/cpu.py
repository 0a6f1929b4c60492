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
def mirror_rows(image: Any, y: int, zero: Any, mirrored: Any) -> None:
    """Add up the rows that lie as far above as below row ``y``, (margin + 1, x + margins)."""
    margin = mirrored.shape[0] - 1
    middle = image[y + margin]
    for x in range(middle.size):
        mirrored[0, x] = zero + middle[x]
    for distance in range(1, margin + 1):
        above, below = image[y + margin - distance], image[y + margin + distance]
        both = mirrored[distance]
        for x in range(both.size):
            both[x] = (zero + above[x]) + below[x]


@compiled
def add_rows(rows: Any, which: Any, sums: Any) -> None:
    """Set `sums` to the sum of some rows, two by two, in passes of up to four."""
    n = which.size
    a, b = rows[which[0]], rows[which[min(1, n - 1)]]
    c, d = rows[which[min(2, n - 1)]], rows[which[min(3, n - 1)]]
    if n == 1:
        for x in range(sums.size):
            sums[x] = a[x]
    elif n == 2:
        for x in range(sums.size):
            sums[x] = a[x] + b[x]
    elif n == 3:
        for x in range(sums.size):
            sums[x] = (a[x] + b[x]) + c[x]
    else:
        for x in range(sums.size):
            sums[x] = (a[x] + b[x]) + (c[x] + d[x])
    for k in range(4, n - 1, 2):
        a, b = rows[which[k]], rows[which[k + 1]]
        for x in range(sums.size):
            sums[x] += a[x] + b[x]
    if n > 4 and n % 2:
        a = rows[which[n - 1]]
        for x in range(sums.size):
            sums[x] += a[x]


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
    margin, n_columns = mirrored.shape[0] - 1, sums.size
    mirror_rows(image, y, zero, mirrored)
    for x in range(n_columns):
        sums[x] = zero
    first = 0
    while first < ring.shape[0]:
        aside, stop = ring[first, 0], first
        while stop < ring.shape[0] and ring[stop, 0] == aside:
            stop += 1
        add_rows(mirrored, ring[first:stop, 1], column)
        left, right = column[margin - aside :], column[margin + aside :]
        if aside:
            for x in range(n_columns):
                sums[x] += left[x] + right[x]
        else:
            for x in range(n_columns):
                sums[x] = left[x]
        first = stop


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
