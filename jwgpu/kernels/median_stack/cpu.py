"""The median of a stack on the CPU: threads share out the rows.

A few columns at a time are sorted, all of them in step, so that vectors do it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows

STRIP = 64  # columns
FEW = 32  # values that are sorted in step; more are sorted column by column


@compiled
def take_strip(images: Any, row: Any, left: Any, width: Any, strip: Any, counts: Any) -> None:
    """Copy the values of some columns, with infinity for NaN, and count those that are none."""
    infinity = np.float32(np.inf)
    for column in range(width):
        counts[column] = 0
    for k in range(images.shape[0]):
        values, kept = images[k, row], strip[k]
        for column in range(width):
            value = values[left + column]
            is_number = value == value
            kept[column] = value if is_number else infinity
            counts[column] += is_number


@compiled
def sort_in_step(strip: Any, width: Any) -> None:
    """Sort each column, upwards, by swapping neighbours."""
    for stop in range(strip.shape[0] - 1, 0, -1):
        for k in range(stop):
            lower, upper = strip[k], strip[k + 1]
            for column in range(width):
                one, other = lower[column], upper[column]
                is_turned = other < one
                lower[column] = other if is_turned else one
                upper[column] = one if is_turned else other


@compiled
def median_rows(first: Any, stop: Any, images: Any, medians: Any) -> None:
    """Take the medians of the rows ``first:stop``."""
    n_images, n_columns = images.shape[0], images.shape[2]
    strip = np.empty((n_images, STRIP), np.float32)
    counts = np.empty(STRIP, np.int64)
    two = np.float32(2)
    for row in range(first, stop):
        for left in range(0, n_columns, STRIP):
            width = min(STRIP, n_columns - left)
            take_strip(images, row, left, width, strip, counts)
            if n_images <= FEW:
                sort_in_step(strip, width)
            else:
                for column in range(width):
                    strip[:, column] = np.sort(strip[:, column])
            for column in range(width):
                count = counts[column]
                if count == 0:
                    medians[row, left + column] = np.float32(np.nan)
                    continue
                upper, lower = strip[count // 2, column], strip[(count - 1) // 2, column]
                medians[row, left + column] = (lower + upper) / two


def median_stack(images: Any, medians: Any) -> None:
    """Take medians; see :func:`jwgpu.kernels.median_stack.median_stack`."""
    over_rows(median_rows, len(medians), images, medians)
