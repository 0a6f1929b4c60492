"""A block of pixels of one row, gathered ramp by ramp so that the fit reads neighbouring memory."""

from __future__ import annotations

from math import isnan
from typing import Any, NamedTuple

import numpy as np

from jwgpu.kernels.ramp_fit.parts_cpu import part
from jwgpu.kernels.ramp_fit.setup import Setup
from jwgpu.models.flags import DO_NOT_USE, NO_GAIN_VALUE

#: Bytes of samples and flags that are gathered at once, to stay in the cache.
_BLOCK_BYTES = 384 * 1024


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

    samples: Any  # (ints, groups, x) float32
    flags: Any  # (ints, groups, x) uint8
    zeroframe: Any  # (ints, x) float32
    pixels: Any  # (gain, noise, dark; x) float64
    pixeldq: Any  # (x,) uint32
    stock: Any  # (4, ints, x) int32: flags of any group; saturated groups; unusable groups;
    # when a segment of a single group was exposed (WHOLE_GROUP, FIRST_READ or FRAME_ZERO)
    steps: Any  # (groups, x) float64
    known: Any  # (x,) int64
    rates: Any  # (x,) float64
    median: Any  # (x,) float64: estimated rate, in DN/s
    bounds: Any  # (groups, 2) int64, see find_segments


@part
def make_block(ints: int, groups: int) -> Block:
    """Allocate a block."""
    width = min(max(_BLOCK_BYTES // (5 * ints * groups) // 16 * 16, 16), 256)
    return Block(
        np.empty((ints, groups, width), np.float32),
        np.empty((ints, groups, width), np.uint8),
        np.empty((ints, width), np.float32),
        np.empty((3, width), np.float64),
        np.empty(width, np.uint32),
        np.empty((4, ints, width), np.int32),
        np.empty((groups, width), np.float64),
        np.empty(width, np.int64),
        np.empty(width, np.float64),
        np.empty(width, np.float64),
        np.empty((groups, 2), np.int64),
    )


@part
def gather(y: int, left: int, width: int, exposure: Exposure, setup: Setup, block: Block) -> None:
    """Copy `width` columns of one row from column `left` on."""
    data = exposure.data
    groupdq = exposure.groupdq
    samples = block.samples
    flags = block.flags
    stock = block.stock
    ints, groups, _ = samples.shape
    for i in range(ints):
        for x in range(width):
            stock[0, i, x] = 0
        for g in range(groups):
            for x in range(width):
                samples[i, g, x] = data[i, setup.first_group + g, y, left + x]
            for x in range(width):
                flag = groupdq[i, setup.first_group + g, y, left + x]
                flags[i, g, x] = flag
                stock[0, i, x] |= flag
        if setup.has_zeroframe:
            for x in range(width):
                block.zeroframe[i, x] = exposure.zeroframe[i, y, left + x]
    for x in range(width):
        gain = np.float64(exposure.gain[y, left + x])
        noise = np.float64(exposure.readnoise[y, left + x]) * (gain / setup.noise_scale)
        dq = exposure.pixeldq[y, left + x]
        if gain <= 0.0 or isnan(gain):
            dq |= np.uint32(DO_NOT_USE | NO_GAIN_VALUE)
        block.pixeldq[x] = dq
        block.pixels[0, x] = gain
        # Rounded to float32 as in the official package.
        block.pixels[1, x] = np.float64(np.float32(noise))
        block.pixels[2, x] = np.float64(exposure.dark[y, left + x]) if setup.has_dark else 0.0
