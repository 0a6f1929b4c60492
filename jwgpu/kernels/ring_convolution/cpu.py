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
    """Mark the bright pixels of rows ``first`` to ``stop - 1``."""
    n_columns = is_bright.shape[1]
    total = np.empty(n_columns, np.float64)
    count = np.empty(n_columns, np.int32)
    for y in range(first, stop):
        for x in range(n_columns):
            total[x] = 0.0
            count[x] = 0
        for k in range(offsets.shape[0]):
            row, left = y + margin + offsets[k, 0], margin + offsets[k, 1]
            shifted = values[row, left : left + n_columns]
            good = is_good[row, left : left + n_columns]
            for x in range(n_columns):
                total[x] += shifted[x]
            for x in range(n_columns):
                count[x] += np.int32(good[x])
        good = is_good[y + margin, margin : margin + n_columns]
        for x in range(n_columns):
            # No good pixel gives 0 / 0, which is not above anything.
            is_bright[y, x] = good[x] & np.uint8(total[x] / np.float64(count[x]) > threshold)


def mark_bright(
    values: Any, is_good: Any, offsets: list[tuple[int, int]], threshold: float, is_bright: Any
) -> None:
    """See the package."""
    arguments = (np.array(offsets, np.int64), margin_of(offsets), float(threshold), is_bright)
    over_rows(mark_bright_in_rows, is_bright.shape[0], values, is_good, *arguments)
