"""Finding jumps by sigma clipping, where there are many integrations."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from jwgpu.kernels.compiled import compiled
from jwgpu.kernels.jump.columns_cpu import (
    Block,
    set_jump,
    take_differences,
)
from jwgpu.kernels.jump.one_ramp_cpu import CAREFUL, START

_ROUNDS: Final = 5
#: In standard deviations: how near the mean the median is in most pixels that have no jump.
_NEAR: Final = 0.3
_INF: Final = np.float32(np.inf)


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
def clipping_bounds(values: Any, n: int, rejection: float) -> tuple[float, float]:
    """Return the bounds that sigma clipping around the median leaves for n finite values.

    The values are overwritten. The sums run in the order that finding the median leaves the values
    in, as in astropy's compiled clipping, so that the bounds are the same to the last bit.
    """
    low, high = np.nan, np.nan
    for _ in range(_ROUNDS):
        if n == 0:
            break
        center = select(values, n, n // 2)
        if n % 2 == 0:
            center = 0.5 * (center + select(values, n, n // 2 - 1))
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
def find_outlying(block: Block, width: int, first: int, step: int, rejection: float) -> None:
    """Leave in ``n_usable``, for rows ``first, first + step, …``, whether clipping may find any.

    Mean and median are never farther apart than the standard deviation; whether they are nearer
    can be counted. Pixels with NaN or infinity are left to the closer look.
    """
    differences = block.differences
    mean, variance, farthest = block.moments[0], block.moments[1], block.moments[2]
    n_low, n_high = block.moments[3], block.moments[4]
    block.moments[:, :width] = 0.0
    n = 0
    for k in range(first, differences.shape[0], step):
        n += 1
        row = differences[k]
        for x in range(width):
            mean[x] += np.float64(row[x])
    for x in range(width):
        mean[x] /= n
    for k in range(first, differences.shape[0], step):
        row = differences[k]
        for x in range(width):
            distance = abs(np.float64(row[x]) - mean[x])
            variance[x] += distance * distance
            farthest[x] = distance if distance > farthest[x] else farthest[x]
    factor = max(rejection - 1.0, 0.0) * CAREFUL
    n_left = 0
    for x in range(width):
        sigma = math.sqrt(variance[x] / n)
        block.n_usable[x] = not farthest[x] <= factor * sigma
        n_left += block.n_usable[x]
        variance[x] = sigma
    if n_left == 0:
        return
    for k in range(first, differences.shape[0], step):
        row = differences[k]
        for x in range(width):
            distance = np.float64(row[x]) - mean[x]
            n_low[x] += distance < -_NEAR * variance[x]
            n_high[x] += distance > _NEAR * variance[x]
    factor = max(rejection - _NEAR, 0.0) * CAREFUL
    for x in range(width):
        if farthest[x] <= factor * variance[x] and 2 * n_low[x] < n and 2 * n_high[x] < n:
            block.n_usable[x] = 0


@compiled
def flag_by_clipping(block: Block, groupdq: Any, rejection: float, first: int, step: int) -> int:
    """Sigma-clip rows ``first, first + step, …`` of the differences; return how many are new."""
    width = groupdq.shape[2]
    differences, work = block.differences, block.work
    find_outlying(block, width, first, step, rejection)
    n_new = 0
    for x in range(width):
        if not block.n_usable[x]:
            continue
        n = START
        for k in range(first, work.size, step):
            difference = differences[k, x]
            if abs(difference) < _INF:
                work[n] = difference
                n += 1
        low, high = clipping_bounds(work, n, rejection)
        for k in range(first, work.size, step):
            difference = differences[k, x]
            if abs(difference) < _INF and (difference < low or difference > high):
                n_new += set_jump(groupdq, k, x)
    return n_new


@compiled
def clip_in_blocks(
    block: Block,
    first: int,
    stop: int,
    data: Any,
    groupdq: Any,
    gain: Any,
    rejection: float,
    step: int,
) -> None:
    """Find the jumps of rows ``first`` to ``stop - 1``, a block of pixels at a time.

    Differences that lie ``step`` apart are compared: 1 for all, ``groups - 1`` for the same one of
    each integration. ``rejection`` is in standard deviations.
    """
    n_columns = data.shape[3]
    for y in range(first, stop):
        for left in range(0, n_columns, block.previous.size):
            right = min(left + block.previous.size, n_columns)
            flags = groupdq[:, :, y, left:right]
            take_differences(data[:, :, y, left:right], flags, gain[y, left:right], block)
            for k in range(step):
                flag_by_clipping(block, flags, rejection, k, step)
