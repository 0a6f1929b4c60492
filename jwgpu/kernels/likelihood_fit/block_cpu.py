"""A block of pixels of one row, and memory to fit all of its ramps at once.

Arrays are (differences, x), or (x,): what is done to one ramp is done to all, with vector
instructions. The compiler makes those only where a loop writes one array and reads eight at most;
hence the many small loops.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from jwgpu.kernels.ramp_fit.parts_cpu import part

#: Bytes that a block takes: it stays in the processor's second-level cache.
_BLOCK_BYTES = 256 * 1024

#: Beside the flags of a ramp's groups, which are bits 0 to 7: that a jump was found in it, and
#: that each of its groups is unusable.
HAS_DROPS, ALL_UNUSABLE = 1 << 8, 1 << 9


class Numbers(NamedTuple):
    """Numbers of the ramps of a block, float64."""

    rows: Any  # (kinds, differences, x)
    lanes: Any  # (kinds, x)


#: Of the ramps to fit, for each difference: itself, in DN/s; 1 where it is used, else 0.
DIFFERENCE, USED = range(2)
#: For each ramp: estimated rate over gain, in DN^2/s; square of the noise of a read, in DN^2; most
#: likely rate, in DN/s; where in the block the ramp comes from; dark current, in DN/s; gain, in
#: electron/DN.
PHOTON, READ, RATE, ORIGIN, DARK, GAIN = range(6)

#: Intermediate results, for each difference. The scaled covariance matrix: its diagonal; beside
#: that, 0 where one of the two differences is not used. The differences, 0 where not used.
ALPHA, BETA, MASKED = range(3)
#: theta, Theta, Theta_D and phi, Phi, Phi_D of Brandt 2024: determinants of the first, or last,
#: rows and columns, and their sums with ones and with the differences.
HEAD, HEAD_ONES, HEAD_DATA, TAIL, TAIL_ONES, TAIL_DATA = range(3, 9)
#: C' and B': the inverse covariance matrix times ones, times the differences. Its diagonal, and
#: what stands beside it.
ROW_ONES, ROW_DATA, DIAGONAL, BESIDE = range(9, 13)
#: C'^2 - C * diagonal, and B * C' - B' * C.
MINOR, LEVER = range(13, 15)
#: Rate and chi-square without the difference; without it and the next.
RATE_ONE, CHI_ONE, RATE_TWO, CHI_TWO = range(15, 19)
_N_ROWS = 19

#: For each ramp: scale of the covariance matrix; A, B and C of Brandt 2024; chi-square.
SCALE, DATA_DATA, DATA_ONES, ONES_ONES, CHI_SQUARE = range(5)
#: Largest fall of chi-square without one difference, and without two.
BEST_ONE, BEST_TWO = range(5, 7)
#: Scratch.
JOINT, JUMP_ONE, JUMP_TWO, N_USED = range(7, 11)
#: Rate, its error, its variances by photons and by read noise.
FITTED_RATE, FITTED_ERR, FITTED_PHOTON, FITTED_READ = range(11, 15)
#: 1 over the determinant of the scaled matrix.
INVERSE = 15
_N_LANES = 16


class Block(NamedTuple):
    """All of it; one for each thread."""

    ramps: Numbers
    again: Numbers  # those in which a jump was found, for another look
    work: Numbers
    steps: Any  # (differences, x) float64, to sort
    seen: Any  # (x,) int64: flags of any group, HAS_DROPS, ALL_UNUSABLE


@part
def make_block(n: int) -> Block:
    """Allocate a block for ramps of n differences."""
    width = min(max(_BLOCK_BYTES // (8 * (_N_ROWS + 5) * (n + 1)) // 16 * 16, 16), 256)
    return Block(
        Numbers(np.empty((2, n, width), np.float64), np.empty((6, width), np.float64)),
        Numbers(np.empty((2, n, width), np.float64), np.empty((6, width), np.float64)),
        Numbers(
            np.empty((_N_ROWS, n + 1, width), np.float64), np.empty((_N_LANES, width), np.float64)
        ),
        np.empty((n, width), np.float64),
        np.empty(width, np.int64),
    )
