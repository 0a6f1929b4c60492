"""The median of a line of an image.

Counting the values below a level takes a fraction of the time of moving them about, for processors
do many at once. So the median is closed in between two levels by counting, and only the few values
between them are sorted out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.compiled import compiled
from jwgpu.kernels.flicker_noise.buckets_cpu import select

#: Lines of fewer values are not worth it; values that the first levels are taken from.
_SHORT = 128
_SAMPLE = 16

#: So few values are sorted out; levels that are tried at most.
_FEW = 32
_TRIALS = 10


@compiled
def count_below(values: Any, n: int, level: Any) -> int:
    """Return how many of the first `n` values are less than a float32 level."""
    count = 0
    for i in range(n):
        count += values[i] < level
    return count


@compiled
def first_levels(values: Any, n: int, place: int) -> tuple[Any, Any]:
    """Return two levels about the median, `place` values of a sorted sample on either side."""
    sample = np.empty(_SAMPLE, np.float32)
    for k in range(_SAMPLE):
        value = values[n * k // _SAMPLE]
        i = k
        while i > 0 and sample[i - 1] > value:
            sample[i] = sample[i - 1]
            i -= 1
        sample[i] = value
    return sample[_SAMPLE // 2 - 1 - place], sample[_SAMPLE // 2 + place]


@compiled
def keep_middle(values: Any, n: int, first: int, last: int) -> tuple[int, int]:
    """Move the values about some ranks to the front.

    Parameters
    ----------
    values : array, (n,) float32
        Changed: only those that are kept are of use afterwards.
    first, last : int
        Ranks that must be kept.

    Returns
    -------
    kept, below : int
        Values that were kept; how many less than all of them there were.
    """
    for place in (3, 6):
        low, high = first_levels(values, n, place)
        below, under = count_below(values, n, low), count_below(values, n, high)
        if below <= first and last < under:
            break
    else:
        return n, 0
    for trial in range(_TRIALS):
        if under - below <= _FEW:
            break
        # A few values beyond the ranks, on either side in turn, so that both levels come near.
        aim = first - 0.3 * _FEW if trial % 2 == 0 else last + 0.3 * _FEW
        share = min(max((aim - below) / (under - below), 0.05), 0.95)
        level = np.float32(low + np.float32(share) * (high - low))
        if not (level > low and level < high):
            break
        count = count_below(values, n, level)
        if count <= first:
            low, below = level, count
        elif count > last:
            high, under = level, count
        else:
            break
    kept = 0
    for i in range(n):
        value = values[i]
        values[kept] = value
        kept += (value >= low) & (value < high)
    return kept, below


@compiled
def median_of(values: Any, n: int) -> Any:
    """Return the median of the first `n` values as float32, as NumPy rounds it.

    The values, of which none is NaN, are changed; there must be room for one more.
    """
    upper_rank = n // 2
    kept, below = n, 0
    if n >= _SHORT:
        kept, below = keep_middle(values, n, upper_rank - (n % 2 == 0), upper_rank)
    rank = upper_rank - below
    upper = select(values, kept, rank)
    if n % 2:
        return upper
    # Selection has left the smaller ones on the left.
    lower = values[0]
    for i in range(1, rank):
        lower = max(lower, values[i])
    return (lower + upper) / np.float32(2.0)
