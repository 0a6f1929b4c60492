"""Outliers on the CPU: threads share out the rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows
from jwgpu.kernels.outliers.rolling_cpu import FLAGS, finite_error, flag_rolling_rows


@compiled
def find_slopes(blotted: Any, y: Any, slopes: Any) -> None:
    """Find the largest difference of each pixel of a row to one of its four neighbours."""
    n_y, n_x = blotted.shape
    row, infinity, zero = blotted[y], np.float32(np.inf), np.float32(0)
    for x in range(n_x):
        slopes[x] = zero if row[x] == row[x] else row[x]  # no difference is above NaN
    if y > 0:
        other = blotted[y - 1]
        for x in range(n_x):
            # Quirk: officially an infinite difference counts, but not this one.
            step = abs(row[x] - other[x])
            slopes[x] = step if step < infinity else slopes[x]
    if y + 1 < n_y:
        other = blotted[y + 1]
        for x in range(n_x):
            step = abs(row[x] - other[x])
            slopes[x] = step if step > slopes[x] else slopes[x]
    for x in range(n_x - 1):
        step = abs(row[x + 1] - row[x])
        slopes[x + 1] = step if step > slopes[x + 1] else slopes[x + 1]
    for x in range(n_x - 1):
        step = abs(row[x + 1] - row[x])
        slopes[x] = step if step > slopes[x] else slopes[x]


@compiled
def is_beyond(distance: Any, slope: Any, error: Any, snr: Any, scale: Any) -> Any:
    """Tell whether a pixel is farther away than a limit; what is NaN is not."""
    return distance > scale * slope + snr * finite_error(error)


@compiled
def is_near_outlier(
    data: Any,
    err: Any,
    blotted: Any,
    slopes: Any,
    sky: Any,
    snr: Any,
    scale: Any,
    y: Any,
    x: Any,
) -> Any:
    """Tell whether a pixel or one of its neighbours is beyond the first limits."""
    n_y, n_x = data.shape
    for j in range(max(y - 1, 0), min(y + 2, n_y)):
        for i in range(max(x - 1, 0), min(x + 2, n_x)):
            distance = abs(data[j, i] - blotted[j, i] - sky)
            if is_beyond(distance, slopes[j % 3, i], err[j, i], snr, scale):
                return True
    return False


@compiled
def flag_blotted_rows(
    first: Any,
    stop: Any,
    data: Any,
    err: Any,
    blotted: Any,
    sky: Any,
    limits: Any,
    dq: Any,
    counts: Any,
) -> None:
    """Flag the outliers of the rows ``first:stop``."""
    n_y, n_x = data.shape
    snr, snr_around, scale, scale_around = limits
    slopes = np.empty((3, n_x), np.float32)  # of the row, the one before and the one after it
    is_far = np.empty(n_x, np.bool_)
    for y in range(max(first - 1, 0), first + 1):
        find_slopes(blotted, y, slopes[y % 3])
    for y in range(first, stop):
        if y + 1 < n_y:
            find_slopes(blotted, y + 1, slopes[(y + 1) % 3])
        here, seen, errors, slope = data[y], blotted[y], err[y], slopes[y % 3]
        for x in range(n_x):
            distance = abs(here[x] - seen[x] - sky)
            is_far[x] = is_beyond(distance, slope[x], errors[x], snr_around, scale_around)
        for x in range(n_x):
            if is_far[x] and is_near_outlier(data, err, blotted, slopes, sky, snr, scale, y, x):
                dq[y, x] |= FLAGS
                counts[y] += 1


@compiled
def flag_stacked_rows(
    first: Any, stop: Any, data: Any, err: Any, medians: Any, snr: Any, dq: Any, counts: Any
) -> None:
    """Flag the outliers of the rows ``first:stop``."""
    for plane in range(data.shape[0]):
        for y in range(first, stop):
            for x in range(data.shape[2]):
                distance = abs(data[plane, y, x] - medians[y, x])
                if distance > snr * finite_error(err[plane, y, x]):
                    dq[plane, y, x] |= FLAGS
                    counts[y] += 1


def flag_blotted(
    data: Any, err: Any, blotted: Any, sky: float, limits: Any, dq: Any, counts: Any
) -> None:
    """Flag an image; see :func:`jwgpu.kernels.outliers.flag_blotted`."""
    numbers = tuple(np.float32(number) for number in (*limits.snr, *limits.scale))
    arrays = (data, err, blotted, np.float32(sky), numbers, dq, counts)
    over_rows(flag_blotted_rows, len(data), *arrays)


def flag_stacked(data: Any, err: Any, medians: Any, snr: float, dq: Any, counts: Any) -> None:
    """Flag images; see :func:`jwgpu.kernels.outliers.flag_stacked`."""
    arrays = (data, err, medians, np.float32(snr), dq, counts)
    over_rows(flag_stacked_rows, len(medians), *arrays)


def flag_rolling(
    data: Any,
    err: Any,
    is_usable: Any,
    width: int,
    snr: float,
    dq: Any,
    counts: Any,
    medians: Any,
) -> None:
    """Flag a time series; see :func:`jwgpu.kernels.outliers.flag_rolling`."""
    if medians is None:
        medians = np.empty((0, *data.shape[1:]), np.float32)
    arrays = (data, err, is_usable, width, np.float32(snr), dq, counts, medians)
    over_rows(flag_rolling_rows, data.shape[1], *arrays)
