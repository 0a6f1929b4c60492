"""Finding the jumps of one pixel: the scalar bodies."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from jwgpu.kernels.compiled import compiled
from jwgpu.kernels.jump.limits import Limits

#: Zero that Numba does not take for a literal, for which it would compile another version.
START: Final[Any] = np.int64(0)
#: Allowance for rounding in quick tests, far larger than the errors of any order of sums.
CAREFUL: Final = 1.0 - 1e-5


@compiled
def deviation(center: float, read_variance: float) -> float:
    """Return the standard deviation of a difference, in electrons; NaN if it would be zero."""
    sigma = math.sqrt(abs(center) + read_variance)
    return sigma if sigma != 0.0 else np.nan


@compiled
def median_of_sorted(values: Any, first: int, stop: int) -> float:
    """Return the median of sorted ``values[first:stop]``; NaN if there are none."""
    n = stop - first
    if n <= 0:
        return np.nan
    upper = np.float64(values[first + n // 2])
    if n % 2:
        return upper
    return 0.5 * (np.float64(values[first + n // 2 - 1]) + upper)


@compiled
def clipped_median(values: Any, first: int, stop: int) -> float:
    """Return the centre of sorted absolute differences ``values[first:stop]``, two or more.

    Of four or more, all that equal the largest are left out, NaN if that is all of them; two are
    represented by the smaller.
    """
    if stop - first == 2:
        return np.float64(values[first])
    if stop - first >= 4:
        largest = values[stop - 1]
        while stop > first and values[stop - 1] == largest:
            stop -= 1
    return median_of_sorted(values, first, stop)


@compiled
def find_jumps_in_one_ramp(
    values: Any, n: int, read_variance: float, limits: Limits
) -> tuple[int, int]:
    """Find the jumps of one pixel by the iterative method.

    What is farthest from the centre is at one end or the other of the sorted differences, so they
    need not be sorted again.

    Parameters
    ----------
    values : array, (n or more,) float32
        Absolute differences in electrons, sorted.
    n : int
        How many of them are usable.
    read_variance : float
        Variance of a difference from read noise, in square electrons.
    limits : Limits

    Returns
    -------
    first, stop : int
        ``values[first:stop]`` are no jumps; all others are.
    """
    first, stop = START, n
    center_is_rounded = False
    while stop - first >= 2:
        center = clipped_median(values, first, stop)
        if center_is_rounded:
            center = np.float64(np.float32(center))
        below = np.float32(abs(np.float64(values[first]) - center))
        above = np.float32(abs(np.float64(values[stop - 1]) - center))
        farthest = below if below > above else above
        if stop - first >= 4:
            threshold = limits.rejection
        elif stop - first == 3:
            threshold = limits.three_differences
        else:
            threshold = limits.two_differences
        if not np.float64(farthest) / deviation(center, read_variance) > threshold:
            break
        while first < stop and np.float32(abs(np.float64(values[first]) - center)) == farthest:
            first += 1
        while first < stop and np.float32(abs(np.float64(values[stop - 1]) - center)) == farthest:
            stop -= 1
        center_is_rounded = True
    return first, stop
