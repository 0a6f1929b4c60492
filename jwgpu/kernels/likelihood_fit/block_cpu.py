"""A block of pixels of one row, and memory to fit all of its ramps at once.

Arrays are (differences, x), or (x,): what is done to one ramp is done to all, with vector
instructions. The compiler makes those only where a loop writes one array and reads eight at most;
hence the many small loops.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from jwgpu.kernels.compiled import compiled

#: Bytes that a block takes: it stays in the processor's second-level cache.
_BLOCK_BYTES = 256 * 1024

#: Beside the flags of a ramp's groups, which are bits 0 to 7: that a jump was found in it, and
#: that each of its groups is unusable.
HAS_DROPS, ALL_UNUSABLE = 1 << 8, 1 << 9


class Exposure(NamedTuple):
    """The input arrays; those that are absent have no elements."""

    data: Any
    groupdq: Any
    pixeldq: Any
    gain: Any
    readnoise: Any
    zeroframe: Any
    dark: Any


class Ramps(NamedTuple):
    """What is fitted, float64."""

    difference: Any  # (differences, x), in DN/s
    used: Any  # (differences, x): 1 where the difference is used, else 0
    photon: Any  # (x,): estimated rate over gain, in DN^2/s
    read: Any  # (x,): square of the noise of a read, in DN^2
    rate: Any  # (x,): most likely rate, in DN/s
    origin: Any  # (x,) int64: where in the block the ramp comes from


class Work(NamedTuple):
    """Intermediate results, float64; the symbols of Brandt 2024 stand beside them."""

    alpha: Any  # diagonal of the scaled covariance matrix
    beta: Any  # beside it, 0 where one of the two differences is not used
    masked: Any  # differences, 0 where not used
    head: Any  # theta: determinants of the first rows and columns
    tail: Any  # phi: determinants of the last
    head_ones: Any  # Theta
    tail_ones: Any  # Phi
    head_data: Any  # Theta_D
    tail_data: Any  # Phi_D
    row_ones: Any  # C': inverse covariance times ones
    row_data: Any  # B': inverse covariance times differences
    diagonal: Any  # of the inverse covariance matrix
    beside: Any  # beside its diagonal
    minor: Any  # C'^2 - C * diagonal
    lever: Any  # B * C' - B' * C
    rate_one: Any  # rate, and chi-square, without one difference
    chi_one: Any
    rate_two: Any  # without a difference and the next
    chi_two: Any
    scale: Any  # (x,), of the covariance matrix, as all that follow
    data_data: Any  # A
    data_ones: Any  # B
    ones_ones: Any  # C
    chi_square: Any
    best_one: Any  # largest fall of chi-square without one difference
    best_two: Any  # without two
    joint: Any
    jump_one: Any
    jump_two: Any
    n_used: Any


class Block(NamedTuple):
    """All of it; one for each thread."""

    ramps: Ramps
    again: Ramps  # those in which a jump was found, for another look
    work: Work
    dark: Any  # (x,) float64, in DN/s
    steps: Any  # (differences, x) float64, to sort
    seen: Any  # (x,) int64: flags of any group, HAS_DROPS, ALL_UNUSABLE


@compiled
def make_ramps(n: int, width: int) -> Ramps:
    """Allocate ramps of n differences."""
    return Ramps(
        np.empty((n, width), np.float64),
        np.empty((n, width), np.float64),
        np.empty(width, np.float64),
        np.empty(width, np.float64),
        np.empty(width, np.float64),
        np.empty(width, np.int64),
    )


@compiled
def make_block(n: int) -> Block:
    """Allocate a block for ramps of n differences."""
    bytes_each = 8 * (20 * (n + 1) + 5 * n)
    width = min(max(_BLOCK_BYTES // bytes_each // 16 * 16, 16), 256)
    p = np.empty((19, n + 1, width), np.float64)
    q = np.empty((11, width), np.float64)
    work = Work(
        *(p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9]),
        *(p[10], p[11], p[12], p[13], p[14], p[15], p[16], p[17], p[18]),
        *(q[0], q[1], q[2], q[3], q[4], q[5], q[6], q[7], q[8], q[9], q[10]),
    )
    return Block(
        make_ramps(n, width),
        make_ramps(n, width),
        work,
        np.empty(width, np.float64),
        np.empty((n, width), np.float64),
        np.empty(width, np.int64),
    )
