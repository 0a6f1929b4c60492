"""Differences of a block of pixels, sorted for all of its pixels at once.

Arrays are (differences, width): what is done to one pixel is done to all with vector instructions.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows
from jwgpu.models.flags import DO_NOT_USE, JUMP_DET, SATURATED

_UNUSABLE: Final = np.uint8(DO_NOT_USE | SATURATED)
_JUMP: Final = np.uint8(JUMP_DET)
_NAN: Final = np.float32(np.nan)
_INF: Final = np.float32(np.inf)

# Named, and not plain True and False, for which Numba would compile a version each.
ABSOLUTE: Final[Any] = np.bool_(True)
SIGNED: Final[Any] = np.bool_(False)

#: Differences in a block of pixels: a few such arrays stay in the processor's second-level cache.
_BLOCK: Final = 65536
#: Least pixels in a block: a cache line of samples.
_LEAST_WIDTH: Final = 64


class Block(NamedTuple):
    """Scratch for a block of pixels in one row.

    ``differences`` and ``ordered`` are (ints * (groups - 1), width) float32, ``work`` is one
    column of them, ``moments`` (5, width), the others (width,).
    """

    differences: Any
    ordered: Any
    work: Any
    previous: Any
    is_flagged: Any
    n_usable: Any
    read_variance: Any
    moments: Any


def scratch_for(n: int, n_columns: int) -> Block:
    """Return the scratch for blocks of pixels of ``n`` differences, in rows of ``n_columns``."""
    width = min(max(_BLOCK // n, _LEAST_WIDTH), n_columns)
    return Block(
        differences=np.empty((n, width), np.float32),
        ordered=np.empty((n, width), np.float32),
        work=np.empty(n, np.float32),
        previous=np.empty(width, np.float32),
        is_flagged=np.empty(width, np.uint8),
        n_usable=np.empty(width, np.int64),
        read_variance=np.empty(width, np.float64),
        moments=np.empty((5, width), np.float64),
    )


def over_blocks(function: Any, data: Any, *arguments: Any) -> None:
    """Call ``function(block, first, stop, data, *arguments)`` on ranges of all rows.

    Each range has scratch of its own, in which the function takes a block of pixels at a time.

    Parameters
    ----------
    function : callable
    data : array, (ints, groups, y, x)
    *arguments
    """
    over_rows(_with_scratch, data.shape[2], function, data, *arguments)


def _with_scratch(first: int, stop: int, function: Any, data: Any, *arguments: Any) -> None:
    n_ints, n_groups, _, n_columns = data.shape
    function(scratch_for(n_ints * (n_groups - 1), n_columns), first, stop, data, *arguments)


@compiled
def set_jump(groupdq: Any, k: int, x: int) -> int:
    """Flag the second sample of difference ``k``; return how many samples are newly flagged."""
    n_differences = groupdq.shape[1] - 1
    integration, group = k // n_differences, k % n_differences + 1
    is_new = (groupdq[integration, group, x] & _JUMP) == 0
    groupdq[integration, group, x] |= _JUMP
    return int(is_new)


@compiled
def take_differences(data: Any, groupdq: Any, gain: Any, block: Block) -> int:
    """Take the differences of successive samples, in electrons.

    Parameters
    ----------
    data, groupdq : array, (ints, groups, width)
    gain : array, (width,) float32
    block : Block
        ``differences`` gets the result, NaN where a sample is unusable; ``is_flagged`` is not 0
        where a sample of the pixel is JUMP_DET already; ``previous`` is overwritten.

    Returns
    -------
    int
        How many samples are JUMP_DET already.
    """
    n_ints, n_groups, width = data.shape
    differences, previous, is_flagged = block.differences, block.previous, block.is_flagged
    n_flagged = 0
    is_flagged[:width] = np.uint8(0)
    for integration in range(n_ints):
        for group in range(n_groups):
            samples, flags = data[integration, group], groupdq[integration, group]
            # The first sample gives no difference: what is written for it is written over.
            row = differences[integration * (n_groups - 1) + max(group, 1) - 1]
            for x in range(width):
                sample = samples[x] * gain[x]
                if flags[x] & _UNUSABLE:
                    sample = _NAN
                row[x] = sample - previous[x]
                previous[x] = sample
            for x in range(width):
                is_flagged[x] |= flags[x] & _JUMP
            for x in range(width):
                n_flagged += (flags[x] & _JUMP) != 0
    return n_flagged


@compiled
def sort_differences(block: Block, width: int, is_absolute: bool) -> None:
    """Sort the differences of each pixel, or their absolute values, into ``ordered``.

    ``n_usable`` gets how many are not NaN; behind them stands infinity.
    """
    differences, ordered, n_usable = block.differences, block.ordered, block.n_usable
    n_usable[:width] = 0
    for k in range(differences.shape[0]):
        row, target = differences[k], ordered[k]
        for x in range(width):
            value = abs(row[x]) if is_absolute else row[x]
            is_usable = value == value
            n_usable[x] += is_usable
            target[x] = value if is_usable else _INF
    sort_columns(ordered, width)


@compiled
def sort_columns(values: Any, width: int) -> None:
    """Sort each of the first columns of ``values``.

    Batcher's merge exchange (Knuth, The Art of Computer Programming 3, 5.2.2, algorithm M): which
    rows are compared does not depend on the values.
    """
    n = values.shape[0]
    top = 1
    while 2 * top < n:
        top *= 2
    step = top
    while step > 0:
        merged, remainder, distance = top, 0, step
        while True:
            for k in range(n - distance):
                if k & step == remainder:
                    order_rows(values[k], values[k + distance], width)
            if merged == step:
                break
            distance = merged - step
            merged //= 2
            remainder = step
        step //= 2


@compiled
def order_rows(lower: Any, upper: Any, width: int) -> None:
    """Exchange values so that none in ``lower`` is above its partner in ``upper``."""
    for x in range(width):
        a, b = lower[x], upper[x]
        lower[x] = a if a < b else b
        upper[x] = b if a < b else a
