"""The optional product of ramp fitting: every segment of every ramp."""

from __future__ import annotations

from math import isfinite, isnan, nan, sqrt
from typing import Any

import numpy as np

from jwgpu.kernels.compiled import compiled
from jwgpu.kernels.ramp_fit import Segments
from jwgpu.kernels.ramp_fit.block_cpu import Block, Exposure, gather, make_block
from jwgpu.kernels.ramp_fit.flags_cpu import find_segments, prepare_block
from jwgpu.kernels.ramp_fit.parts_cpu import part
from jwgpu.kernels.ramp_fit.segment_cpu import (
    Pixel,
    choose_power,
    fit_segment,
    fit_slope,
    limited,
    photon_variance,
    read_variance,
    segment_time,
)
from jwgpu.kernels.ramp_fit.setup import Setup
from jwgpu.kernels.ramp_fit.weights import Weights
from jwgpu.models.flags import JUMP_DET, SATURATED

#: The official package's square root of 2.
_SQRT2 = 1.41421356


@compiled
def count_rows(
    first: int, stop: int, groups: int, exposure: Exposure, setup: Setup, most: Any
) -> None:
    """Find the most segments and the most jumps of a ramp in each row: ``most`` (rows, 2) int64."""
    ints, _, _, columns = exposure.data.shape
    block = make_block(ints, groups)
    flags = block.flags
    step = flags.shape[2]
    for y in range(first, stop):
        for left in range(0, columns, step):
            width = min(step, columns - left)
            gather(y, left, width, exposure, setup, block)
            prepare_block(width, setup, block)
            for i in range(ints):
                for x in range(width):
                    if not flags[i, 0, x] & SATURATED:
                        _, listed = find_segments(flags, i, x, block.bounds)
                        most[y, 0] = max(most[y, 0], listed)
                    jumps = 0
                    for g in range(1, groups):
                        jumps += (flags[i, g, x] & JUMP_DET) != 0
                    most[y, 1] = max(most[y, 1], jumps)


@part
def measure_jumps(
    samples: Any, flags: Any, i: int, x: int, y: int, column: int, crmag: Any
) -> None:
    """Write the size of each jump of a ramp; NaN next to saturated samples."""
    jump = 0
    for g in range(1, flags.shape[1]):
        if flags[i, g, x] & JUMP_DET:
            size: float = np.float64(samples[i, g, x]) - np.float64(samples[i, g - 1, x])
            if (flags[i, g, x] | flags[i, g - 1, x]) & SATURATED:
                size = nan
            crmag[i, jump, y, column] = size
            jump += 1


@part
def intercept(
    samples: Any, i: int, x: int, first: int, stop: int, pixel: Pixel, weights: Weights
) -> tuple[float, float, float]:
    """Error of the slope (electron a group), signal at group 0 (DN) and its error (electron).

    Quirks: these errors leave photon noise out, and are in electrons; a segment of two groups has
    those of its samples; one of a single group has none of these values.
    """
    length = stop - first
    if length == 1:
        return 0.0, 0.0, 0.0
    low = np.float64(samples[i, first, x])
    high = np.float64(samples[i, stop - 1, x])
    if length == 2:
        error = _SQRT2 * pixel.noise
        return error, low * (first + 1.0) - high * first, error
    power = choose_power(high - low, pixel)
    mean = 0.0
    for k in range(length):
        sample = np.float64(samples[i, first + k, x])
        if not isnan(sample):
            mean += weights.outer[length, power, min(k, length - 1 - k)] * sample
    total = weights.total[length, power]
    spread = weights.spread[length, power]
    middle = first + 0.5 * (length - 1)
    slope = fit_slope(samples, i, x, first, stop, pixel, weights.levers)
    square = pixel.noise * pixel.noise
    if not (square > 0.0 and isfinite(square)):
        square = nan  # infinite weights
    error = sqrt(square * (1.0 / total + middle * middle / spread))
    return sqrt(square / spread), mean / total - slope * middle, error


@compiled
def save_rows(
    first: int,
    stop: int,
    groups: int,
    exposure: Exposure,
    setup: Setup,
    weights: Weights,
    rates: Any,
    segments: Segments,
) -> None:
    """Write the segments of some rows, given the rates (ints, y, x) of the integrations."""
    ints, _, _, columns = exposure.data.shape
    block = make_block(ints, groups)
    step = block.samples.shape[2]
    for y in range(first, stop):
        for left in range(0, columns, step):
            width = min(step, columns - left)
            gather(y, left, width, exposure, setup, block)
            for i in range(ints):
                for x in range(width):
                    measure_jumps(block.samples, block.flags, i, x, y, left + x, segments.crmag)
            prepare_block(width, setup, block)
            for i in range(ints):
                for x in range(width):
                    known = not isnan(rates[i, y, left + x])
                    save_ramp(i, x, (y, left + x), known, setup, block, weights, segments)


@part
def save_ramp(
    i: int,
    x: int,
    at: tuple[int, int],
    known: bool,
    setup: Setup,
    block: Block,
    weights: Weights,
    segments: Segments,
) -> None:
    """Write the segments of one ramp and, if its rate is known, its pedestal."""
    y, column = at
    samples = block.samples
    bounds = block.bounds
    pixel = Pixel(block.pixels[0, x], block.pixels[1, x], block.pixels[2, x])
    kind = block.stock[3, i, x]
    count = 0
    if not block.flags[i, 0, x] & SATURATED:
        count, _ = find_segments(block.flags, i, x, bounds)
    slopes = 0.0
    by_noise = 0.0
    for s in range(count):
        first = bounds[s, 0]
        stop = bounds[s, 1]
        time = segment_time(stop - first, kind, setup)
        slope = fit_segment(samples, i, x, first, stop, time, pixel, weights.levers)
        photons = photon_variance(stop - first, time, block.median[x], pixel)
        noise = read_variance(stop - first, time, pixel)
        slopes += slope / noise
        by_noise += 1.0 / noise
        sigslope, yint, sigyint = intercept(samples, i, x, first, stop, pixel, weights)
        segments.slope[i, s, y, column] = slope
        segments.sigslope[i, s, y, column] = sigslope
        segments.var_poisson[i, s, y, column] = photons
        segments.var_rnoise[i, s, y, column] = noise
        segments.yint[i, s, y, column] = yint
        segments.sigyint[i, s, y, column] = sigyint
        segments.weights[i, s, y, column] = 1.0 / noise
    if known:
        rate = slopes * limited(1.0 / by_noise) if count > 0 else 0.0
        pedestal = samples[i, 0, x] - rate * setup.reads_before
        segments.pedestal[i, y, column] = 0.0 if isnan(pedestal) else pedestal
