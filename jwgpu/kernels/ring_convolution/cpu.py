"""Smoothing with a ring: compiled loops over rows.

The ring is even, so the mean is a sum of shifted rows over a count of shifted rows. Sums are
float64, which rounding shifts by less than 1e-13; the official package's come from a Fourier
transform in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows
from jwgpu.kernels.ring_convolution import margin_of


@compiled
def add_shifted(image: Any, offsets: Any, y: int, sums: Any) -> None:
    """Set `sums` to the sum of the rows that the offsets shift to row ``y``."""
    n, n_columns = offsets.shape[0], sums.size
    for x in range(n_columns):
        sums[x] = 0
    # Four at a time, so that the sums are loaded and stored a quarter as often.
    for k in range(0, n - n % 4, 4):
        a = image[y + offsets[k, 0], offsets[k, 1] :]
        b = image[y + offsets[k + 1, 0], offsets[k + 1, 1] :]
        c = image[y + offsets[k + 2, 0], offsets[k + 2, 1] :]
        d = image[y + offsets[k + 3, 0], offsets[k + 3, 1] :]
        for x in range(n_columns):
            sums[x] += (a[x] + b[x]) + (c[x] + d[x])
    for k in range(n - n % 4, n):
        a = image[y + offsets[k, 0], offsets[k, 1] :]
        for x in range(n_columns):
            sums[x] += a[x]


@compiled
def mark_bright_in_rows(
    first: int,
    stop: int,
    values: Any,
    is_good: Any,
    offsets: Any,
    margin: int,
    threshold: float,
    is_bright: Any,
) -> None:
    """Mark the bright pixels of rows ``first`` to ``stop - 1``; offsets are from the margin."""
    n_columns = is_bright.shape[1]
    total = np.empty(n_columns, np.float64)
    count = np.empty(n_columns, np.int32)
    for y in range(first, stop):
        add_shifted(values, offsets, y, total)
        add_shifted(is_good, offsets, y, count)
        good = is_good[y + margin, margin : margin + n_columns]
        for x in range(n_columns):
            # No good pixel gives 0 / 0, which is not above anything.
            is_bright[y, x] = good[x] & np.uint8(total[x] / np.float64(count[x]) > threshold)


def mark_bright(
    values: Any, is_good: Any, offsets: list[tuple[int, int]], threshold: float, is_bright: Any
) -> None:
    """See the package."""
    margin = margin_of(offsets)
    from_margin = np.array(offsets, np.int64) + margin
    arguments = (from_margin, margin, float(threshold), is_bright)
    over_rows(mark_bright_in_rows, is_bright.shape[0], values, is_good, *arguments)
