"""Values of an image sorted roughly, by size, so that clipped statistics need no look at them all.

A bucket holds the values between two levels, in no order. Number, sum and sum of squares of the
values in an interval come from whole buckets and the single values of the two at its ends, the
median from those of one bucket: the result is exact, whatever the levels are.
"""

from __future__ import annotations

from math import inf, isfinite, nan, sqrt
from typing import Any, NamedTuple

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows

#: Buckets, and pieces of an image that are sorted side by side.
BUCKETS = 2048
PIECES = 16

#: Pixels that the levels are chosen from, and how far to either side they reach, in quartiles.
_SAMPLE = 4096
_REACH = 8.0

#: Sigma clipping at most this often, as `astropy.stats` does by default.
_ROUNDS = 5
_SIGMA = 3.0


class Buckets(NamedTuple):
    """Values of an image by size.

    Attributes
    ----------
    values : array, (n,) float32
        Bucket after bucket.
    starts, counts : array, (buckets,) int64
        Where a bucket starts, how many values it has.
    moments : array, (2, buckets) float64
        Sum of the values less ``levels[0]``, and of their squares.
    levels : array, (3,) float64
        What `moments` are counted from; the lowest level; buckets for one unit.
    scratch : array, float32
        Room for the values of the largest bucket.
    """

    values: Any
    starts: Any
    counts: Any
    moments: Any
    levels: Any
    scratch: Any


@compiled
def bucket_of(value: float, levels: Any) -> int:
    """Return the bucket of a value, which may be infinite."""
    place = (value - levels[1]) * levels[2]
    # NaN is that of an infinite value where there is but one bucket.
    if not place > 0.0:
        return 0
    if place >= BUCKETS - 1:
        return BUCKETS - 1
    return int(place)


@compiled
def count_pieces(first: int, stop: int, image: Any, mask: Any, levels: Any, counts: Any) -> None:
    """Count the values of each piece of an image by bucket: counts (pieces, buckets)."""
    rows, columns = image.shape
    for piece in range(first, stop):
        for y in range(rows * piece // PIECES, rows * (piece + 1) // PIECES):
            for x in range(columns):
                value = image[y, x]
                if mask[y, x] and isfinite(value):
                    counts[piece, bucket_of(value, levels)] += 1


@compiled
def sort_pieces(
    first: int, stop: int, image: Any, mask: Any, levels: Any, places: Any, values: Any
) -> None:
    """Write the values of each piece to their buckets; `places` says where, and moves on."""
    rows, columns = image.shape
    for piece in range(first, stop):
        for y in range(rows * piece // PIECES, rows * (piece + 1) // PIECES):
            for x in range(columns):
                value = image[y, x]
                if mask[y, x] and isfinite(value):
                    k = bucket_of(value, levels)
                    values[places[piece, k]] = value
                    places[piece, k] += 1


@compiled
def sum_buckets(
    first: int,
    stop: int,
    values: Any,
    starts: Any,
    counts: Any,
    moments: Any,
    origin: float,
    offset: float,
    limits: tuple[float, float],
) -> None:
    """Keep the values within limits, subtract an offset from them, and sum them by bucket.

    The subtraction is one of float32; `origin` is what the moments are counted from, afterwards.
    """
    shift = np.float32(offset)
    for k in range(first, stop):
        start = starts[k]
        kept = 0
        total = 0.0
        squares = 0.0
        for i in range(start, start + counts[k]):
            value = values[i]
            if value >= limits[0] and value <= limits[1]:
                value = value - shift
                values[start + kept] = value
                kept += 1
                distance = value - origin
                total += distance
                squares += distance * distance
        counts[k] = kept
        moments[0, k] = total
        moments[1, k] = squares


@compiled
def sums_within(buckets: Buckets, low: float, high: float) -> tuple[int, float, float]:
    """Return number, sum and sum of squares (from ``levels[0]``) of the values in an interval.

    Values of the two buckets at each end are looked at one by one: an offset that was subtracted
    has rounded them, so that those near the edge of a bucket may lie in the one beside it.
    """
    values, starts, counts, moments, levels, _ = buckets
    first, last = bucket_of(low, levels), bucket_of(high, levels)
    n = 0
    total = 0.0
    squares = 0.0
    for k in range(max(first - 1, 0), min(last + 2, BUCKETS)):
        if k > first + 1 and k < last - 1:
            n += counts[k]
            total += moments[0, k]
            squares += moments[1, k]
            continue
        for i in range(starts[k], starts[k] + counts[k]):
            value = values[i]
            if value >= low and value <= high:
                distance = value - levels[0]
                n += 1
                total += distance
                squares += distance * distance
    return n, total, squares


@compiled
def select(values: Any, n: int, rank: int) -> Any:
    """Return the value of a rank (from 0) among the first `n`, which are put in another order.

    Hoare's selection, ACM Communications 4, 321 (1961).
    """
    left = 0
    right = n - 1
    while left < right:
        # The median of three keeps sorted and constant values from being slow.
        middle = (left + right) >> 1
        a, b, c = values[left], values[middle], values[right]
        pivot = max(min(a, b), min(max(a, b), c))
        i = left
        j = right
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if rank <= j:
            right = j
        elif rank >= i:
            left = i
        else:
            break
    return values[rank]


@compiled
def of_rank(buckets: Buckets, low: float, high: float, rank: int) -> Any:
    """Return the value of a rank (from 0) among those in an interval."""
    values, starts, counts, _, levels, scratch = buckets
    first, last = bucket_of(low, levels), bucket_of(high, levels)
    for k in range(max(first - 1, 0), min(last + 2, BUCKETS)):
        if k > first + 1 and k < last - 1 and rank >= counts[k]:
            rank -= counts[k]
            continue
        n = 0
        for i in range(starts[k], starts[k] + counts[k]):
            value = values[i]
            if value >= low and value <= high:
                scratch[n] = value
                n += 1
        if rank < n:
            return select(scratch, n, rank)
        rank -= n
    return np.float32(nan)


@compiled
def middle_pair(buckets: Buckets, low: float, high: float, n: int) -> tuple[Any, Any]:
    """Return the two middle values of the `n` in an interval: the same one twice if n is odd."""
    upper = of_rank(buckets, low, high, n // 2)
    if n % 2:
        return upper, upper
    return of_rank(buckets, low, high, n // 2 - 1), upper


@compiled
def clipped(buckets: Buckets, sigma: float) -> tuple[float, float, float]:
    """Return mean, median and standard deviation of all values after sigma clipping.

    Values stay within `sigma` standard deviations of the median; this is repeated until none goes.
    NaN if there are no values.
    """
    low, high = -inf, inf  # what is left
    lower, upper = low, high  # the last limits
    for _ in range(_ROUNDS):
        n, total, squares = sums_within(buckets, low, high)
        if n == 0:
            return nan, nan, nan
        a, b = middle_pair(buckets, low, high, n)
        median = 0.5 * (np.float64(a) + np.float64(b))
        mean = total / n
        reach = sigma * sqrt(max(squares / n - mean * mean, 0.0))
        lower, upper = median - reach, median + reach
        low, high = max(low, lower), min(high, upper)
        left, _, _ = sums_within(buckets, low, high)
        if left == n or left == 0:
            break
    # Quirk: all values are judged by the last limits, those that went before included.
    n, total, squares = sums_within(buckets, lower, upper)
    if n == 0:
        return nan, nan, nan
    a, b = middle_pair(buckets, lower, upper, n)
    mean = total / n
    std = sqrt(max(squares / n - mean * mean, 0.0))
    return mean + buckets.levels[0], 0.5 * (np.float64(a) + np.float64(b)), std


@compiled
def clipped_lower_half(buckets: Buckets, center: float) -> float:
    """Return the standard deviation from `center` of the values below, after sigma clipping.

    As if each value had its mirror image above the center.
    """
    shift = center - buckets.levels[0]
    low = -inf
    lower = low
    for _ in range(_ROUNDS):
        n, total, squares = sums_within(buckets, low, center)
        if n == 0:
            return nan
        variance = (squares - 2.0 * shift * total) / n + shift * shift
        lower = center - _SIGMA * sqrt(max(variance, 0.0))
        low = max(low, lower)
        left, _, _ = sums_within(buckets, low, center)
        if left == n or left == 0:
            break
    n, total, squares = sums_within(buckets, lower, center)
    if n == 0:
        return nan
    return sqrt(max((squares - 2.0 * shift * total) / n + shift * shift, 0.0))


def fill_buckets(image: Any, mask: Any) -> Buckets:
    """Sort the finite values of an image where the mask is True.

    Parameters
    ----------
    image : array, (y, x) float32
    mask : array, (y, x) bool
    """
    levels = _levels(image, mask)
    places = np.zeros((PIECES, BUCKETS), np.int64)
    over_rows(count_pieces, PIECES, image, mask, levels, places)
    counts = places.sum(axis=0)
    ends = np.cumsum(places.T.reshape(-1))
    values = np.empty(int(ends[-1]), np.float32)
    places = np.ascontiguousarray((ends - places.T.reshape(-1)).reshape(BUCKETS, PIECES).T)
    starts = places[0].copy()
    over_rows(sort_pieces, PIECES, image, mask, levels, places, values)
    moments = np.empty((2, BUCKETS))
    scratch = np.empty(max(int(counts.max()), 1), np.float32)
    buckets = Buckets(values, starts, counts, moments, levels, scratch)
    keep_within(buckets, -inf, inf)
    return buckets


def keep_within(buckets: Buckets, low: float, high: float, offset: Any = 0.0) -> None:
    """Drop the values outside an interval, then subtract a float32 offset from the others."""
    offset = float(offset)
    buckets.levels[0] -= offset
    over_rows(
        sum_buckets,
        BUCKETS,
        *buckets[:4],
        float(buckets.levels[0]),
        offset,
        (float(low), float(high)),
    )
    buckets.levels[1] -= offset


def _levels(image: Any, mask: Any) -> Any:
    """Choose levels from a few pixels, spread over the image."""
    every = max(1, image.size // _SAMPLE)
    # Not a divisor of the width, so that all columns have their turn.
    every += 1 - every % 2
    sample = image.reshape(-1)[::every][mask.reshape(-1)[::every]]
    sample = np.sort(sample[np.isfinite(sample)]).astype(np.float64)
    if not sample.size:
        return np.zeros(3)
    n = sample.size
    low, middle, high = sample[n // 4], sample[n // 2], sample[3 * n // 4]
    width = 2 * _REACH * (high - low)
    scale = BUCKETS / width if width > 0 else 1.0
    return np.array([middle, middle - width / 2, scale])
