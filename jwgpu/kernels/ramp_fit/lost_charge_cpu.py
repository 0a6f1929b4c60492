"""Read noise as if groups that lost charge to neighbours had been used."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.ramp_fit.block_cpu import Block
from jwgpu.kernels.ramp_fit.flags_cpu import find_segments
from jwgpu.kernels.ramp_fit.parts_cpu import part
from jwgpu.kernels.ramp_fit.segment_cpu import Pixel, limited, read_variance, segment_time
from jwgpu.kernels.ramp_fit.setup import Setup
from jwgpu.models.flags import CHARGELOSS, DO_NOT_USE


@part
def count_lost_charge(
    y: int,
    left: int,
    x: int,
    groupdq: Any,
    setup: Setup,
    block: Block,
    rate_variance: Any,
    rateints_variance: Any,
) -> None:
    """Work out a pixel's variance by read noise as if groups flagged CHARGELOSS had been used.

    Resampling weights by it, and bright pixels shall not count for less. Quirk: it is given even
    where there is no rate. Everything else of the fit stays as it is.

    Parameters
    ----------
    groupdq : array, (ints, groups, y, x) uint8
        The flags of the exposure; those in `block` were changed by the fit.
    rate_variance, rateints_variance : array, (y, x), (ints, y, x) float32
        Changed at the pixel.
    """
    flags = block.flags
    bounds = block.bounds
    ints, groups, _ = flags.shape
    pixel = Pixel(block.pixels[0, x], block.pixels[1, x], block.pixels[2, x])
    by_noise_all = 0.0
    for i in range(ints):
        by_noise = 0.0
        if block.stock[0, i, x] & CHARGELOSS:
            for g in range(groups):
                flag = groupdq[i, setup.first_group + g, y, left + x]
                if flag & CHARGELOSS:
                    flag ^= np.uint8(CHARGELOSS | DO_NOT_USE)
                flags[i, g, x] = flag
            count, _ = find_segments(flags, i, x, bounds)
            for s in range(count):
                length = bounds[s, 1] - bounds[s, 0]
                time = segment_time(length, block.stock[3, i, x], setup)
                variance = read_variance(length, time, pixel)
                if variance > 0.0:
                    by_noise += 1.0 / variance
            rateints_variance[i, y, left + x] = limited(1.0 / by_noise)
        elif rateints_variance[i, y, left + x] > 0.0:
            by_noise = 1.0 / np.float64(rateints_variance[i, y, left + x])
        by_noise_all += by_noise
    if by_noise_all > 0.0:
        rate_variance[y, left + x] = limited(1.0 / by_noise_all)
