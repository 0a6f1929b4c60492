"""Finding jumps: compiled loops over rows.

Two passes over the rows. The first finds the jumps of each pixel and notes, one bit a difference,
those whose neighbours are to be flagged; the second flags the neighbours and the groups after
large jumps. So rows may be shared out to threads in any way.

Samples and differences are float32, medians, noise and ratios float64, and the distance from the
median is rounded to float32 in the iterative method, as is the median itself from the second
iteration on: this is what the official package computes, and it decides ties and close calls.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows
from jwgpu.kernels.jump.columns_cpu import (
    ABSOLUTE,
    SIGNED,
    Block,
    over_blocks,
    set_jump,
    sort_differences,
    take_differences,
)
from jwgpu.kernels.jump.limits import ITERATIVE, SINGLE_PASS, AfterJump, Limits
from jwgpu.kernels.jump.one_ramp_cpu import (
    CAREFUL,
    START,
    deviation,
    find_jumps_in_one_ramp,
    median_of_sorted,
)
from jwgpu.kernels.jump.sigma_clip_cpu import clip_in_blocks
from jwgpu.kernels.jump.spread_cpu import flag_after_jumps_in_blocks, flag_neighbors_in_rows
from jwgpu.models.flags import JUMP_DET

_JUMP: Final = np.uint8(JUMP_DET)
_INF: Final = np.float32(np.inf)


@compiled
def flag_iteratively(block: Block, groupdq: Any, limits: Limits) -> int:
    """Flag the jumps of a block by the iterative method; return how many are new."""
    width = groupdq.shape[2]
    sort_differences(block, width, ABSOLUTE)
    threshold = min(limits.rejection, limits.two_differences, limits.three_differences) * CAREFUL
    n_new = 0
    for x in range(width):
        n = block.n_usable[x]
        if n < 2:
            continue
        # No difference is farther from the centre than from the other end, and no noise is less
        # than that of the smallest: most pixels need no closer look.
        low, high = block.ordered[0, x], block.ordered[n - 1, x]
        spread = np.float64(high) - np.float64(low)
        variance = np.float64(low) + block.read_variance[x]
        if not spread * spread > threshold * threshold * variance:
            continue
        first, stop = find_jumps_in_one_ramp(block.ordered[:, x], n, block.read_variance[x], limits)
        if stop - first == n:
            continue
        block.is_flagged[x] = _JUMP
        low, high = _INF, -_INF
        if stop > first:
            low, high = block.ordered[first, x], block.ordered[stop - 1, x]
        for k in range(block.work.size):
            size = abs(block.differences[k, x])
            if size < low or size > high:
                n_new += set_jump(groupdq, k, x)
    return n_new


@compiled
def flag_at_once(block: Block, groupdq: Any, limits: Limits) -> int:
    """Flag the jumps of a block in a single pass; return how many are new."""
    width = groupdq.shape[2]
    sort_differences(block, width, SIGNED)
    n_new = 0
    for x in range(width):
        n = block.n_usable[x]
        if n == 0:
            continue
        center = median_of_sorted(block.ordered[:, x], START, n)
        sigma = deviation(center, block.read_variance[x])
        below = abs(np.float64(block.ordered[0, x]) - center) / sigma
        above = abs(np.float64(block.ordered[n - 1, x]) - center) / sigma
        if not (below > limits.rejection or above > limits.rejection):
            continue
        for k in range(block.work.size):
            difference = block.differences[k, x]
            ratio = abs(np.float64(difference) - center) / sigma
            if ratio > limits.rejection and abs(difference) < _INF:
                n_new += set_jump(groupdq, k, x)
                block.is_flagged[x] = _JUMP
    return n_new


@compiled
def mark_jumps(block: Block, groupdq: Any, limits: Limits, marks: Any) -> None:
    """Note the jumps of a block whose neighbours are to be flagged.

    ``block.ordered`` holds the sorted differences; ``marks``, (ints, ceil((groups - 1) / 8),
    width) uint8, gets a bit for each difference, the lowest for the first.
    """
    n_ints, n_groups, width = groupdq.shape
    for x in range(width):
        if not block.is_flagged[x]:
            continue
        center = median_of_sorted(block.ordered[:, x], START, block.n_usable[x])
        sigma = deviation(center, block.read_variance[x])
        for integration in range(n_ints):
            for k in range(n_groups - 1):
                if groupdq[integration, k + 1, x] & _JUMP:
                    difference = block.differences[integration * (n_groups - 1) + k, x]
                    ratio = abs(np.float64(difference) - center) / sigma
                    if ratio < limits.neighbors_below and ratio > limits.neighbors_above:
                        marks[integration, k // 8, x] |= np.uint8(1 << (k % 8))


@compiled
def find_jumps_in_blocks(
    block: Block,
    first: int,
    stop: int,
    data: Any,
    groupdq: Any,
    gain: Any,
    readnoise: Any,
    limits: Limits,
    marks: Any,
    n_jumps: Any,
) -> None:
    """Find the jumps of rows ``first`` to ``stop - 1``, a block of pixels at a time."""
    n_columns = data.shape[3]
    for y in range(first, stop):
        n_jumps[y] = 0
        for left in range(0, n_columns, block.previous.size):
            right = min(left + block.previous.size, n_columns)
            flags = groupdq[:, :, y, left:right]
            n_found = take_differences(data[:, :, y, left:right], flags, gain[y, left:right], block)
            for x in range(right - left):
                noise = readnoise[y, left + x] * gain[y, left + x]
                block.read_variance[x] = np.float64(noise * noise) / limits.frames_averaged
            if limits.method == ITERATIVE:
                n_found += flag_iteratively(block, flags, limits)
            elif limits.method == SINGLE_PASS:
                n_found += flag_at_once(block, flags, limits)
            if limits.flag_neighbors and n_found:
                if limits.method != SINGLE_PASS:
                    sort_differences(block, right - left, SIGNED)
                mark_jumps(block, flags, limits, marks[y, :, :, left:right])
            n_jumps[y] += n_found


@compiled
def check_planes(first: int, stop: int, groupdq: Any, flags: int, is_full: Any) -> None:
    """Say of planes ``first`` to ``stop - 1`` whether every pixel has one of ``flags``."""
    for plane in range(first, stop):
        is_full[plane] = True
        for sample in groupdq[plane].flat:
            if not sample & flags:
                is_full[plane] = False
                break


def full_groups(groupdq: Any, flags: int) -> Any:
    """Return, (ints, groups) bool, the groups of which every pixel has one of ``flags``."""
    n_ints, n_groups, n_rows, n_columns = groupdq.shape
    is_full = np.empty(n_ints * n_groups, np.bool_)
    planes = groupdq.reshape(n_ints * n_groups, n_rows, n_columns)
    over_rows(check_planes, is_full.size, planes, int(flags), is_full)
    return is_full.reshape(n_ints, n_groups)


def clear_full_groups(groupdq: Any, is_full: Any) -> None:
    """Take JUMP_DET, if alone, off groups in which each sample is JUMP_DET or DO_NOT_USE."""
    for integration, group in zip(*np.nonzero(is_full), strict=True):
        flags = groupdq[integration, group]
        flags[flags == JUMP_DET] = 0


def clear_unusable(groupdq: Any) -> None:
    """Take JUMP_DET off samples that are of no use."""
    n_ints, _, n_rows, n_columns = groupdq.shape
    marks = np.empty((n_rows, n_ints, 0, n_columns), np.uint8)
    over_rows(flag_neighbors_in_rows, n_rows, groupdq, marks)


def clip_jumps(data: Any, groupdq: Any, gain: Any, rejection: float, step: int) -> None:
    """Flag what sigma clipping finds among differences that lie ``step`` apart."""
    over_blocks(clip_in_blocks, data, groupdq, gain, rejection, step)


def flag_jumps(
    data: Any, groupdq: Any, gain: Any, readnoise: Any, limits: Limits, after: AfterJump | None
) -> Any:
    """Flag jumps, their neighbours and what follows them; return the jumps of each row, (y,)."""
    n_ints, n_groups, n_rows, n_columns = data.shape
    n_words = (n_groups + 6) // 8 if limits.flag_neighbors else 0
    marks = np.zeros((n_rows, n_ints, n_words, n_columns), np.uint8)
    n_jumps = np.empty(n_rows, np.int64)
    arrays = (data, groupdq, gain, readnoise)
    over_blocks(find_jumps_in_blocks, *arrays, limits, marks, n_jumps)
    over_rows(flag_neighbors_in_rows, n_rows, groupdq, marks)
    if after is not None:
        over_blocks(flag_after_jumps_in_blocks, data, groupdq, gain, after)
    return n_jumps
