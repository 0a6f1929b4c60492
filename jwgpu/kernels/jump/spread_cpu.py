"""The second pass over the rows: what is flagged around jumps."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from jwgpu.kernels.compiled import compiled
from jwgpu.kernels.jump.columns_cpu import (
    SIGNED,
    Block,
    sort_differences,
    take_differences,
)
from jwgpu.kernels.jump.limits import AfterJump
from jwgpu.kernels.jump.one_ramp_cpu import START, median_of_sorted
from jwgpu.models.flags import DO_NOT_USE, JUMP_DET, SATURATED

_UNUSABLE: Final = np.uint8(DO_NOT_USE | SATURATED)
_JUMP: Final = np.uint8(JUMP_DET)


@compiled
def flag_after_jumps(data: Any, groupdq: Any, gain: Any, after: AfterJump, block: Block) -> None:
    """Flag the groups of a block of pixels that follow large jumps."""
    n_ints, n_groups, width = data.shape
    differences = block.differences
    if not take_differences(data, groupdq, gain, block):
        return
    sort_differences(block, width, SIGNED)
    for x in range(width):
        if not block.is_flagged[x]:
            continue
        center = median_of_sorted(block.ordered[:, x], START, block.n_usable[x])
        for integration in range(n_ints):
            last = 0
            for group in range(1, n_groups):
                flags = groupdq[integration, group, x]
                if flags & _JUMP:
                    k = integration * (n_groups - 1) + group - 1
                    size = np.float64(differences[k, x]) - center
                    if size >= after.electrons_1:
                        last = max(last, group + after.groups_1)
                    if size >= after.electrons_2:
                        last = max(last, group + after.groups_2)
                if group <= last and not flags & _UNUSABLE:
                    groupdq[integration, group, x] |= _JUMP


@compiled
def flag_neighbors(marks: Any, y: int, groupdq: Any) -> None:
    """Flag, in one row (ints, groups, x), what is beside a noted jump or the jump itself."""
    n_rows, n_ints, n_words, n_columns = marks.shape
    for integration in range(n_ints):
        for word in range(n_words):
            row = marks[y, integration, word]
            above = marks[min(y + 1, n_rows - 1), integration, word]
            below = marks[max(y - 1, 0), integration, word]
            for x in range(n_columns):
                bits = row[x] | above[x] | below[x]
                bits |= row[max(x - 1, 0)] | row[min(x + 1, n_columns - 1)]
                group = word * 8 + 1
                while bits:
                    if bits & 1 and not groupdq[integration, group, x] & _UNUSABLE:
                        groupdq[integration, group, x] |= _JUMP
                    bits >>= 1
                    group += 1


@compiled
def flag_neighbors_in_rows(first: int, stop: int, groupdq: Any, marks: Any) -> None:
    """Flag the noted neighbours, and take JUMP_DET off unusable samples."""
    n_ints, n_groups, _, n_columns = groupdq.shape
    for y in range(first, stop):
        if marks.size:
            flag_neighbors(marks, y, groupdq[:, :, y])
        for integration in range(n_ints):
            for group in range(n_groups):
                flags = groupdq[integration, group, y]
                for x in range(n_columns):
                    if flags[x] & _UNUSABLE:
                        flags[x] &= ~_JUMP


@compiled
def flag_after_jumps_in_blocks(
    block: Block, first: int, stop: int, data: Any, groupdq: Any, gain: Any, after: AfterJump
) -> None:
    """Flag what follows large jumps in rows ``first`` to ``stop - 1``, a block at a time."""
    n_columns = data.shape[3]
    for y in range(first, stop):
        for left in range(0, n_columns, block.previous.size):
            right = min(left + block.previous.size, n_columns)
            flag_after_jumps(
                data[:, :, y, left:right],
                groupdq[:, :, y, left:right],
                gain[y, left:right],
                after,
                block,
            )
