"""The median rate of each ramp: many ramps at a time, so that the processor's vectors are used."""

from __future__ import annotations

from math import isnan, nan
from typing import Any

import numpy as np

from jwgpu.kernels.ramp_fit.parts_cpu import part
from jwgpu.models.flags import DO_NOT_USE, JUMP_DET


@part
def take_differences(
    samples: Any, flags: Any, i: int, width: int, group_time: float, steps: Any, known: Any
) -> None:
    """Take the differences of successive usable samples that are no jumps, in DN/s.

    Parameters
    ----------
    samples, flags : array, (ints, groups, x) float32, uint8
        Ramps, NaN where saturated, of which those of integration `i` are used.
    width : int
        Ramps to use.
    steps : array, (groups, x) float64
        Filled in: the differences, infinite where there is none; last the first sample, NaN where
        it is not usable.
    known : array, (x,) int64
        Filled in: how many differences there are.
    """
    groups = samples.shape[1]
    last = groups - 1
    for x in range(width):
        known[x] = 0
        # Divided before subtracting, as in the official package: a median that ought to be 0
        # decides by its sign.
        first = np.float64(samples[i, 0, x]) / group_time
        steps[last, x] = nan if flags[i, 0, x] & DO_NOT_USE else first
    for g in range(1, groups):
        for x in range(width):
            before = np.float64(samples[i, g - 1, x]) / group_time
            step = np.float64(samples[i, g, x]) / group_time - before
            lost = (flags[i, g - 1, x] | flags[i, g, x]) & DO_NOT_USE | flags[i, g, x] & JUMP_DET
            usable = step == step and lost == 0
            steps[g - 1, x] = step if usable else np.inf
            known[x] += usable


@part
def sort_columns(steps: Any, length: int, width: int) -> None:
    """Sort the first `length` values of each column, by Batcher's merge exchange.

    Which values are compared does not depend on them, so that all columns are sorted at once
    (Knuth, The Art of Computer Programming 3, 5.2.2, algorithm M).
    """
    top = 1
    while 2 * top < length:
        top *= 2
    size = top
    while size > 0:
        distance = size
        stride = top
        remainder = 0
        while True:
            for k in range(length - distance):
                if k & size == remainder:
                    for x in range(width):
                        low = steps[k, x]
                        high = steps[k + distance, x]
                        steps[k, x] = low if low < high else high
                        steps[k + distance, x] = high if low < high else low
            if stride == size:
                break
            distance = stride - size
            stride //= 2
            remainder = size
        size //= 2


@part
def median_rates(
    samples: Any,
    flags: Any,
    i: int,
    width: int,
    group_time: float,
    steps: Any,
    known: Any,
    result: Any,
) -> None:
    """Find the median of each ramp's differences, in DN/s: `result` (x,) float64 is filled in.

    The first sample stands in where there is no difference; 0 where there is none either. See
    `take_differences` for the other parameters; `steps` and `known` are scratch.
    """
    last = samples.shape[1] - 1
    take_differences(samples, flags, i, width, group_time, steps, known)
    sort_columns(steps, last, width)
    for x in range(width):
        half = known[x] // 2
        if known[x] == 0:
            median = steps[last, x]
        elif known[x] & 1:
            median = steps[half, x]
        else:
            median = 0.5 * (steps[half, x] + steps[half - 1, x])
        result[x] = 0.0 if isnan(median) else median
