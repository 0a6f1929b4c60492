"""Finding the jumps of one pixel: the scalar bodies."""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np

from jwgpu.kernels.compiled import compiled

# The methods of finding jumps; MARK_ONLY finds none, and looks at those found before.
ITERATIVE: Final = 0
SINGLE_PASS: Final = 1
SIGMA_CLIP_INTS: Final = 2
SIGMA_CLIP_ALL: Final = 3
MARK_ONLY: Final = 4

_CLIPPING_ROUNDS: Final = 5
_INF: Final = np.float32(np.inf)


class Limits(NamedTuple):
    """The numbers that decide, as the compiled code takes them; see `JumpSettings`."""

    method: int
    frames_averaged: float
    rejection: float
    three_differences: float
    two_differences: float
    flag_neighbors: bool
    neighbors_above: float
    neighbors_below: float


@compiled
def pack_usable(differences: Any, packed: Any) -> int:
    """Copy the differences that are not NaN to the front of ``packed``; return how many."""
    n = 0
    for k in range(differences.size):
        value = differences[k]
        if value == value:
            packed[n] = value
            n += 1
    return n


@compiled
def select(values: Any, n: int, rank: int) -> float:
    """Return the value of that rank among the first n, which are put in another order.

    Hoare's FIND, as in Wirth, Algorithms + Data Structures = Programs. The order it leaves matters
    to the last bit of sums made afterwards.
    """
    left, right = 0, n - 1
    while left < right:
        pivot = values[rank]
        i, j = left, right
        while i <= j:
            while values[i] < pivot:
                i += 1
            while pivot < values[j]:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if j < rank:
            left = i
        if rank < i:
            right = j
    return np.float64(values[rank])


@compiled
def median(values: Any, n: int) -> float:
    """Return the median of the first n values, which are put in another order; NaN if none."""
    if n == 0:
        return np.nan
    upper = select(values, n, n // 2)
    if n % 2:
        return upper
    return 0.5 * (upper + select(values, n, n // 2 - 1))


@compiled
def deviation(center: float, read_variance: float) -> float:
    """Return the standard deviation of a difference, in electrons; NaN if it would be zero."""
    sigma = math.sqrt(abs(center) + read_variance)
    return sigma if sigma != 0.0 else np.nan


@compiled
def sort(values: Any, n: int) -> None:
    """Sort the first n values: Shell's method with Ciura's gaps, insertion sort for a handful."""
    gap = 1
    while gap < n // 8:
        gap = gap * 9 // 4 + 1
    while gap > 0:
        for k in range(gap, n):
            value = values[k]
            place = k
            while place >= gap and values[place - gap] > value:
                values[place] = values[place - gap]
                place -= gap
            values[place] = value
        gap = gap * 4 // 9


@compiled
def clipped_median(values: Any, first: int, stop: int) -> float:
    """Return the centre of sorted absolute differences ``values[first:stop]``, two or more.

    Of four or more, all that equal the largest are left out, NaN if that is all of them; two are
    represented by the smaller.
    """
    n = stop - first
    if n == 2:
        return np.float64(values[first])
    if n >= 4:
        largest = values[stop - 1]
        while n > 0 and values[first + n - 1] == largest:
            n -= 1
        if n == 0:
            return np.nan
    upper = np.float64(values[first + n // 2])
    if n % 2:
        return upper
    return 0.5 * (np.float64(values[first + n // 2 - 1]) + upper)


@compiled
def clip_iteratively(values: Any, n: int, read_variance: float, limits: Limits) -> tuple[int, int]:
    """Return the range of n sorted absolute differences that is left when all jumps are removed.

    What is farthest from the centre is at one end or the other: nothing is sorted again.
    """
    first, stop = 0, n
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


@compiled
def flag_iteratively(
    differences: Any, work: Any, read_variance: float, limits: Limits, is_jump: Any
) -> bool:
    """Find jumps by the iterative method."""
    n = pack_usable(differences, work)
    for k in range(n):
        work[k] = abs(work[k])
    sort(work, n)
    first, stop = clip_iteratively(work, n, read_variance, limits)
    if stop - first == n:
        return False
    low, high = _INF, -_INF
    if stop > first:
        low, high = work[first], work[stop - 1]
    for k in range(differences.size):
        size = abs(differences[k])
        is_jump[k] = size < low or size > high
    return True


@compiled
def flag_at_once(
    differences: Any, work: Any, read_variance: float, limits: Limits, is_jump: Any
) -> bool:
    """Find jumps by the single pass."""
    center = median(work, pack_usable(differences, work))
    sigma = deviation(center, read_variance)
    found = False
    for k in range(differences.size):
        distance = abs(np.float64(differences[k]) - center)
        is_jump[k] = distance / sigma > limits.rejection and abs(differences[k]) < _INF
        found = found or is_jump[k]
    return found


@compiled
def clipping_bounds(values: Any, n: int, rejection: float) -> tuple[float, float]:
    """Return the bounds that sigma clipping around the median leaves for n finite values.

    The values are overwritten. The sums run in the order that finding the median leaves the values
    in, as in astropy's compiled clipping, so that the bounds are the same to the last bit.
    """
    low, high = np.nan, np.nan
    for _ in range(_CLIPPING_ROUNDS):
        if n == 0:
            break
        center = median(values, n)
        mean = 0.0
        for k in range(n):
            mean += np.float64(values[k])
        mean /= n
        variance = 0.0
        for k in range(n):
            distance = np.float64(values[k]) - mean
            variance += distance * distance
        sigma = math.sqrt(variance / n)
        low = center - rejection * sigma
        high = center + rejection * sigma
        kept = 0
        for k in range(n):
            if values[k] >= low and values[k] <= high:
                values[kept] = values[k]
                kept += 1
        if kept == n:
            break
        n = kept
    return low, high


@compiled
def flag_by_clipping(differences: Any, work: Any, rejection: float, is_jump: Any) -> bool:
    """Find jumps by sigma clipping all of ``differences``."""
    n = 0
    for k in range(differences.size):
        value = differences[k]
        if abs(value) < _INF:
            work[n] = value
            n += 1
    low, high = clipping_bounds(work, n, rejection)
    found = False
    for k in range(differences.size):
        value = differences[k]
        is_jump[k] = abs(value) < _INF and (value < low or value > high)
        found = found or is_jump[k]
    return found


@compiled
def find_jumps_in_one_ramp(
    differences: Any, work: Any, read_variance: float, limits: Limits, n_ints: int, is_jump: Any
) -> bool:
    """Find the jumps of one pixel.

    Parameters
    ----------
    differences : array, (ints * (groups - 1),) float32
        In electrons; NaN where there is none.
    work : array, like ``differences``
        Overwritten.
    read_variance : float
        Variance of a difference from read noise, in square electrons.
    limits : Limits
    n_ints : int
    is_jump : array, like ``differences``, bool
        Result; of no meaning if there is no jump.

    Returns
    -------
    bool
        Whether there is a jump.
    """
    if limits.method == ITERATIVE:
        return flag_iteratively(differences, work, read_variance, limits, is_jump)
    if limits.method == SINGLE_PASS:
        return flag_at_once(differences, work, read_variance, limits, is_jump)
    step = differences.size // n_ints if limits.method == SIGMA_CLIP_INTS else 1
    found = False
    for k in range(step):
        if flag_by_clipping(differences[k::step], work, limits.rejection, is_jump[k::step]):
            found = True
    return found
