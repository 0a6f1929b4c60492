"""What the flags of a ramp say: its good groups and its segments."""

from __future__ import annotations

from math import isnan, nan
from typing import Any

import numpy as np

from jwgpu.kernels.ramp_fit.block_cpu import Block
from jwgpu.kernels.ramp_fit.median_cpu import median_rates
from jwgpu.kernels.ramp_fit.parts_cpu import part
from jwgpu.kernels.ramp_fit.segment_cpu import segment_time
from jwgpu.kernels.ramp_fit.setup import FIRST_READ, FRAME_ZERO, WHOLE_GROUP, Setup
from jwgpu.models.flags import DO_NOT_USE, JUMP_DET, PERSISTENCE, SATURATED

_UNUSABLE = DO_NOT_USE | SATURATED
_ALL_BUT_PERSISTENCE = 0xFF & ~PERSISTENCE


@part
def tally_flags(
    samples: Any, flags: Any, i: int, x: int, suppress_one_group: bool, ignore_first_jump: bool
) -> tuple[int, int, int, int]:
    """Blank saturated samples and, if asked to, give up a ramp with a single good group.

    Parameters
    ----------
    samples, flags : array, (ints, groups, x) float32, uint8
        Ramps, of which that at ``i, x`` is changed.
    ignore_first_jump : bool
        Whether a jump in the first group counts for nothing. Quirk: that group is not yet good
        where good groups are counted to give up a ramp.

    Returns
    -------
    flags of any group, groups without a flag, saturated groups, unusable groups
    """
    groups = flags.shape[1]
    if suppress_one_group:
        good = 0
        for g in range(groups):
            good += (flags[i, g, x] & _ALL_BUT_PERSISTENCE) == 0
        if good == 1:
            for g in range(groups):
                flags[i, g, x] |= np.uint8(DO_NOT_USE)
    if ignore_first_jump:
        flags[i, 0, x] &= np.uint8(0xFF & ~JUMP_DET)
    some = 0
    good = 0
    saturated = 0
    unusable = 0
    for g in range(groups):
        flag = flags[i, g, x]
        some |= flag
        good += flag == 0
        unusable += (flag & _UNUSABLE) != 0
        if flag & SATURATED:
            saturated += 1
            samples[i, g, x] = nan
    return some, good, saturated, unusable


@part
def take_stock(i: int, width: int, setup: Setup, block: Block) -> None:
    """Count what is flagged in each ramp of one integration, and put frame zero where it is due.

    Frame zero replaces the first group of a ramp without a good one, if single groups are used.
    """
    samples = block.samples
    flags = block.flags
    stock = block.stock
    groups = flags.shape[1]
    for x in range(width):
        kind = WHOLE_GROUP
        good = groups
        saturated = 0
        unusable = 0
        if stock[0, i, x] != 0:
            some, good, saturated, unusable = tally_flags(
                samples, flags, i, x, setup.suppress_one_group, setup.first_group > 0
            )
            stock[0, i, x] = some
        if not setup.suppress_one_group:
            if good == 1 and flags[i, 0, x] == 0:
                kind = FIRST_READ
            elif good == 0 and setup.has_zeroframe and block.zeroframe[i, x] != 0.0:
                kind = FRAME_ZERO
                samples[i, 0, x] = block.zeroframe[i, x]
                flags[i, 0, x] = 0
                unusable -= 1
                if saturated == groups:
                    saturated -= 1
        stock[1, i, x] = saturated
        stock[2, i, x] = unusable
        stock[3, i, x] = kind


@part
def prepare_block(width: int, setup: Setup, block: Block) -> None:
    """Take stock of all ramps of a block, and find the median rate of each pixel, in DN/s."""
    samples = block.samples
    stock = block.stock
    rates = block.rates
    median = block.median
    ints, groups = samples.shape[:2]
    for x in range(width):
        median[x] = 0.0
    for i in range(ints):
        take_stock(i, width, setup, block)
        if groups > 1:
            median_rates(
                samples, block.flags, i, width, setup.group_time, block.steps, block.known, rates
            )
        for x in range(width):
            rate = rates[x]
            if groups == 1:
                rate = samples[i, 0, x] / setup.first_read_time
            elif stock[3, i, x] != WHOLE_GROUP:
                rate = samples[i, 0, x] / segment_time(1, stock[3, i, x], setup)
                if isnan(rate):
                    rate = 0.0
            median[x] += rate
    for x in range(width):
        median[x] /= ints


@part
def find_segments(flags: Any, i: int, x: int, bounds: Any) -> tuple[int, int]:
    """Find the runs of good groups; the jump before a run, if it has no other flag, belongs to it.

    Parameters
    ----------
    flags : array, (ints, groups, x) uint8
    bounds : array, (groups, 2) int64
        Filled in: first group of each segment, and the one after its last.

    Returns
    -------
    kept, listed : int
        Segments to fit: those of two groups or more or, where there are none, the first single
        group. Quirk: the official package counts all single groups when it sizes its optional
        product: ``listed``.
    """
    groups = flags.shape[1]
    kept = 0
    single = 0
    singles = 0
    g = 0
    while g < groups:
        if flags[i, g, x] & _ALL_BUT_PERSISTENCE:
            g += 1
            continue
        first = g
        if g > 0 and (flags[i, g - 1, x] & _ALL_BUT_PERSISTENCE) == JUMP_DET:
            first = g - 1
        while g < groups and not flags[i, g, x] & _ALL_BUT_PERSISTENCE:
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
