"""Outliers of a time series: each image beside the median of those around it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from jwgpu.kernels.compiled import compiled
from jwgpu.models.flags import DO_NOT_USE, OUTLIER

FLAGS: Final = np.uint32(DO_NOT_USE | OUTLIER)
STRIP: Final = 16  # columns that are taken together


@compiled
def finite_error(error: Any) -> Any:
    """Return an error, 0 for NaN and the largest number for infinity."""
    most = np.float32(np.finfo(np.float32).max)
    if error != error:
        return np.float32(0)
    return min(max(error, -most), most)


@compiled
def value_of_rank(values: Any, first: Any, width: Any, rank: Any, guess: Any) -> Any:
    """Walk from a guess to the value of a rank among ``values[first : first + width]``.

    None of them is NaN. Return it, and how many are below it.
    """
    found = guess
    while True:
        below, not_above = 0, 0
        lower, upper = np.float32(-np.inf), np.float32(np.inf)
        for k in range(first, first + width):
            value = values[k]
            below += value < found
            not_above += value <= found
            lower = value if lower < value < found else lower
            upper = value if found < value < upper else upper
        if rank < below:
            found = lower
        elif rank >= not_above:
            found = upper
        else:
            return found, below


@compiled
def window_median(values: Any, first: Any, width: Any, guess: Any) -> Any:
    """Return the median of a window in double precision, and its upper middle value."""
    upper, below = value_of_rank(values, first, width, width // 2, guess)
    if width % 2 == 1 or below < width // 2:
        return np.float64(upper), upper
    lower = np.float32(-np.inf)
    for k in range(first, first + width):
        lower = values[k] if lower < values[k] < upper else lower
    return (np.float64(lower) + np.float64(upper)) / 2.0, upper


@compiled
def span_of(start: Any, width: Any, n: Any) -> Any:
    """Return the first of the images that a window's median is for, and the one after the last."""
    half = width // 2
    first = 0 if start == 0 else start + half
    stop = n if start == n - width else start + half + 1
    if width == 2:
        # Quirk: officially the last median of pairs is that of all images.
        first, stop = 0, stop if start == n - width else 0
    return first, stop


@compiled
def flag_series(
    values: Any, data: Any, errors: Any, width: Any, snr: Any, dq: Any, medians: Any
) -> Any:
    """Flag the outliers of a pixel; return how many there are.

    ``values`` are the data, NaN where they are not usable.
    """
    n, n_invalid, n_flagged = values.size, 0, 0
    guess = np.float32(np.nan)
    for k in range(width - 1):
        n_invalid += values[k] != values[k]
    for start in range(n - width + 1):
        last = values[start + width - 1]
        n_invalid += last != last
        median = np.nan
        if n_invalid == 0:
            guess = guess if guess == guess else values[start]
            median, guess = window_median(values, start, width, guess)
        n_invalid -= values[start] != values[start]
        first, stop = span_of(start, width, n)
        for k in range(first, stop):
            if medians.size:
                medians[k] = np.float32(median)
            limit = np.float64(snr * finite_error(errors[k]))
            if abs(np.float64(data[k]) - median) > limit:
                dq[k] |= FLAGS
                n_flagged += 1
    return n_flagged


@compiled
def flag_rolling_rows(
    first: Any,
    stop: Any,
    data: Any,
    err: Any,
    is_usable: Any,
    width: Any,
    snr: Any,
    dq: Any,
    counts: Any,
    medians: Any,
) -> None:
    """Flag the outliers of the rows ``first:stop``, a few columns at a time."""
    n, n_x = data.shape[0], data.shape[2]
    strips = np.empty((3, STRIP, n), np.float32)  # what is usable, data, errors
    values, samples, errors = strips[0], strips[1], strips[2]
    for y in range(first, stop):
        for left in range(0, n_x, STRIP):
            number = min(STRIP, n_x - left)
            for k in range(n):
                for i in range(number):
                    sample = data[k, y, left + i]
                    samples[i, k], errors[i, k] = sample, err[k, y, left + i]
                    values[i, k] = sample if is_usable[k, y, left + i] else np.float32(np.nan)
            for i in range(number):
                x = left + i
                series = values[i], samples[i], errors[i]
                counts[y] += flag_series(*series, width, snr, dq[:, y, x], medians[:, y, x])
