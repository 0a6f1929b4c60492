"""What the flags of a ramp say: good groups, segments, and the median of the first differences."""

from __future__ import annotations

from math import isnan, nan
from typing import Any

import numpy as np

from jwgpu.kernels.compiled import compiled
from jwgpu.kernels.ramp_fit.segment_cpu import FIRST_READ, FRAME_ZERO, WHOLE_GROUP, Setup
from jwgpu.models.flags import DO_NOT_USE, JUMP_DET, PERSISTENCE, SATURATED

_UNUSABLE = DO_NOT_USE | SATURATED
_ALL_BUT_PERSISTENCE = 0xFF & ~PERSISTENCE

# Arrays are passed whole, with the pixel's indices: a view for each pixel costs more than the fit.


@compiled
def tally_flags(
    samples: Any, flags: Any, x: int, i: int, suppress_one_group: bool
) -> tuple[int, int, int, int]:
    """Blank saturated samples and, if asked to, give up a ramp with a single good group.

    Parameters
    ----------
    samples, flags : array, (x, ints, groups) float32, uint8
        Ramps, of which that at ``x, i`` is changed.

    Returns
    -------
    flags of any group, groups without a flag, saturated groups, unusable groups
    """
    groups = flags.shape[2]
    some = 0
    for g in range(groups):
        some |= flags[x, i, g]
    if some == 0:
        return 0, groups, 0, 0
    if suppress_one_group:
        good = 0
        for g in range(groups):
            good += (flags[x, i, g] & _ALL_BUT_PERSISTENCE) == 0
        if good == 1:
            for g in range(groups):
                flags[x, i, g] |= np.uint8(DO_NOT_USE)
    good = 0
    saturated = 0
    unusable = 0
    for g in range(groups):
        flag = flags[x, i, g]
        good += flag == 0
        unusable += (flag & _UNUSABLE) != 0
        if flag & SATURATED:
            saturated += 1
            samples[x, i, g] = nan
    return some, good, saturated, unusable


@compiled
def find_segments(flags: Any, x: int, i: int, bounds: Any) -> tuple[int, int]:
    """Find the runs of good groups; the jump before a run, if it has no other flag, belongs to it.

    Parameters
    ----------
    flags : array, (x, ints, groups) uint8
    bounds : array, (groups, 2) int64
        Filled in: first group of each segment, and the one after its last.

    Returns
    -------
    kept, listed : int
        Segments to fit: those of two groups or more or, where there are none, the first single
        group. Quirk: the official package counts all single groups when it sizes its optional
        product: ``listed``.
    """
    groups = flags.shape[2]
    kept = 0
    single = 0
    singles = 0
    g = 0
    while g < groups:
        if flags[x, i, g] & _ALL_BUT_PERSISTENCE:
            g += 1
            continue
        first = g
        if g > 0 and (flags[x, i, g - 1] & _ALL_BUT_PERSISTENCE) == JUMP_DET:
            first = g - 1
        while g < groups and not flags[x, i, g] & _ALL_BUT_PERSISTENCE:
            g += 1
        if g - first > 1:
            bounds[kept, 0] = first
            bounds[kept, 1] = g
            kept += 1
        else:
            if singles == 0:
                single = first
            singles += 1
    if kept == 0 and singles > 0:
        bounds[0, 0] = single
        bounds[0, 1] = single + 1
        return 1, singles
    return kept, kept


@compiled
def median_rate(
    samples: Any, flags: Any, x: int, i: int, group_time: float, ordered: Any
) -> float:
    """Median of the differences of successive usable samples that are no jumps, in DN/s.

    The first sample stands in where there is no such difference; 0 where there is none either.

    Parameters
    ----------
    samples, flags : array, (x, ints, groups) float32, uint8
        Ramps, NaN where saturated.
    ordered : array, (groups,) float64
        Scratch.
    """
    known = 0
    # Divided before subtracting, as in the official package: a median that ought to be 0 decides
    # by its sign.
    first = nan if flags[x, i, 0] & DO_NOT_USE else samples[x, i, 0] / group_time
    before = first
    for g in range(1, flags.shape[2]):
        now = nan if flags[x, i, g] & DO_NOT_USE else samples[x, i, g] / group_time
        step = now - before
        before = now
        if isnan(step) or flags[x, i, g] & JUMP_DET:
            continue
        k = known
        while k > 0 and ordered[k - 1] > step:
            ordered[k] = ordered[k - 1]
            k -= 1
        ordered[k] = step
        known += 1
    if known == 0:
        return 0.0 if isnan(first) else first
    median = ordered[known // 2]
    if not known & 1:
        median = 0.5 * (median + ordered[known // 2 - 1])
    return 0.0 if isnan(median) else median


@compiled
def prepare_ramp(
    samples: Any, flags: Any, zeroframe: Any, x: int, setup: Setup, tally: Any, ordered: Any
) -> float:
    """Take stock of the flags of all integrations of a pixel, and return its median rate, in DN/s.

    Frame zero replaces the first group of a ramp without a good one, where single groups are used.

    Parameters
    ----------
    samples, flags, zeroframe : array, (x, ints, groups) float32, uint8; (x, ints) float32
        Ramps, of which those at ``x`` are changed.
    tally : array, (ints, 4) int64
        Filled in: flags of any group; saturated groups; unusable groups; when a segment of a single
        group was exposed: WHOLE_GROUP, FIRST_READ or FRAME_ZERO.
    ordered : array, (groups,) float64
        Scratch.
    """
    ints, groups = flags.shape[1:]
    total = 0.0
    for i in range(ints):
        some, good, saturated, unusable = tally_flags(
            samples, flags, x, i, setup.suppress_one_group
        )
        kind = WHOLE_GROUP
        time = setup.group_time
        if not setup.suppress_one_group:
            if good == 1 and flags[x, i, 0] == 0:
                kind = FIRST_READ
                time = setup.first_read_time
            elif good == 0 and setup.has_zeroframe and zeroframe[x, i] != 0.0:
                kind = FRAME_ZERO
                time = setup.frame_time
                samples[x, i, 0] = zeroframe[x, i]
                flags[x, i, 0] = 0
                unusable -= 1
                if saturated == groups:
                    saturated -= 1
        tally[i, 0] = some
        tally[i, 1] = saturated
        tally[i, 2] = unusable
        tally[i, 3] = kind
        if groups == 1:
            total += samples[x, i, 0] / setup.first_read_time
        elif kind == WHOLE_GROUP:
            total += median_rate(samples, flags, x, i, setup.group_time, ordered)
        elif not isnan(samples[x, i, 0]):
            total += samples[x, i, 0] / time
    return total / ints
