"""A block of pixels of one row, gathered ramp by ramp so that the fit reads neighbouring memory."""

from __future__ import annotations

from math import isnan
from typing import Any, NamedTuple

import numpy as np

from jwgpu.kernels.compiled import compiled
from jwgpu.kernels.ramp_fit.segment_cpu import Pixel, Setup
from jwgpu.models.flags import DO_NOT_USE, JUMP_DET, NO_GAIN_VALUE

#: Bytes of samples and flags that are gathered at once, to stay in the cache.
_BLOCK_BYTES = 96 * 1024


class Exposure(NamedTuple):
    """The input arrays; those that are absent have no elements."""

    data: Any
    groupdq: Any
    pixeldq: Any
    gain: Any
    readnoise: Any
    zeroframe: Any
    dark: Any


class Block(NamedTuple):
    """Some pixels of one row, and memory to work on them; one for each thread."""

    samples: Any  # (x, ints, groups) float32
    flags: Any  # (x, ints, groups) uint8
    zeroframe: Any  # (x, ints) float32
    tally: Any  # (ints, 4) int64, see prepare_ramp
    ordered: Any  # (groups,) float64
    bounds: Any  # (groups, 2) int64, see find_segments


@compiled
def make_block(ints: int, groups: int) -> Block:
    """Allocate a block."""
    width = min(max(_BLOCK_BYTES // (5 * ints * groups), 16), 256)
    return Block(
        np.empty((width, ints, groups), np.float32),
        np.empty((width, ints, groups), np.uint8),
        np.zeros((width, ints), np.float32),
        np.empty((ints, 4), np.int64),
        np.empty(groups, np.float64),
        np.empty((groups, 2), np.int64),
    )


@compiled
def gather(y: int, first: int, stop: int, exposure: Exposure, setup: Setup, block: Block) -> None:
    """Copy the ramps of columns ``first:stop`` of one row.

    Where groups are left out at the start, a jump in the first that remains counts for nothing.
    """
    data = exposure.data
    groupdq = exposure.groupdq
    samples = block.samples
    flags = block.flags
    _, ints, groups = samples.shape
    for i in range(ints):
        for g in range(groups):
            for x in range(stop - first):
                samples[x, i, g] = data[i, setup.first_group + g, y, first + x]
            for x in range(stop - first):
                flags[x, i, g] = groupdq[i, setup.first_group + g, y, first + x]
        if setup.first_group > 0:
            for x in range(stop - first):
                flags[x, i, 0] &= np.uint8(0xFF & ~JUMP_DET)
        if setup.has_zeroframe:
            for x in range(stop - first):
                block.zeroframe[x, i] = exposure.zeroframe[i, y, first + x]


@compiled
def take_pixel(
    y: int, x: int, gain: Any, readnoise: Any, dark: Any, pixeldq: Any, setup: Setup
) -> Pixel:
    """Look up one pixel; the noise is rounded to float32 as in the official package."""
    gain_here = np.float64(gain[y, x])
    noise = np.float32(np.float64(readnoise[y, x]) * (gain_here / setup.noise_scale))
    dq = np.int64(pixeldq[y, x])
    if gain_here <= 0.0 or isnan(gain_here):
        dq |= DO_NOT_USE | NO_GAIN_VALUE
    dark_here = np.float64(dark[y, x]) if setup.has_dark else 0.0
    return Pixel(gain_here, np.float64(noise), dark_here, dq)
