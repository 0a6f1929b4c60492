"""The optional product of ramp fitting: every segment of every ramp."""

from __future__ import annotations

from math import isfinite, isnan, nan, sqrt
from typing import Any

import numpy as np

from jwgpu.kernels.compiled import compiled
from jwgpu.kernels.ramp_fit import Segments
from jwgpu.kernels.ramp_fit.block_cpu import Exposure, gather, make_block, take_pixel
from jwgpu.kernels.ramp_fit.flags_cpu import find_segments, prepare_ramp
from jwgpu.kernels.ramp_fit.segment_cpu import (
    Pixel,
    Setup,
    choose_power,
    fit_segment,
    fit_slope,
    limited,
)
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
    width = flags.shape[0]
    for y in range(first, stop):
        for left in range(0, columns, width):
            right = min(left + width, columns)
            gather(y, left, right, exposure, setup, block)
            for x in range(right - left):
                prepare_ramp(
                    block.samples, flags, block.zeroframe, x, setup, block.tally, block.ordered
                )
                for i in range(ints):
                    if not flags[x, i, 0] & SATURATED:
                        _, listed = find_segments(flags, x, i, block.bounds)
                        most[y, 0] = max(most[y, 0], listed)
                    jumps = 0
                    for g in range(1, groups):
                        jumps += (flags[x, i, g] & JUMP_DET) != 0
                    most[y, 1] = max(most[y, 1], jumps)


@compiled
def measure_jumps(
    samples: Any, flags: Any, x: int, i: int, y: int, column: int, crmag: Any
) -> None:
    """Write the size of each jump of a ramp; NaN next to saturated samples."""
    jump = 0
    for g in range(1, flags.shape[2]):
        if flags[x, i, g] & JUMP_DET:
            size = np.float64(samples[x, i, g]) - np.float64(samples[x, i, g - 1])
            if (flags[x, i, g] | flags[x, i, g - 1]) & SATURATED:
                size = nan
            crmag[i, jump, y, column] = size
            jump += 1


@compiled
def intercept(
    samples: Any, x: int, i: int, first: int, stop: int, pixel: Pixel, weights: Weights
) -> tuple[float, float, float]:
    """Error of the slope (electron a group), signal at group 0 (DN) and its error (electron).

    Quirks: these errors leave photon noise out, and are in electrons; a segment of two groups has
    those of its samples; one of a single group has none of these values.
    """
    length = stop - first
    if length == 1:
        return 0.0, 0.0, 0.0
    low = np.float64(samples[x, i, first])
    high = np.float64(samples[x, i, stop - 1])
    if length == 2:
        error = _SQRT2 * pixel.noise
        return error, low * (first + 1.0) - high * first, error
    power = choose_power(high - low, pixel)
    mean = 0.0
    for k in range(length):
        sample = np.float64(samples[x, i, first + k])
        if not isnan(sample):
            mean += weights.outer[length, power, min(k, length - 1 - k)] * sample
    total = weights.total[length, power]
    spread = weights.spread[length, power]
    middle = first + 0.5 * (length - 1)
    slope = fit_slope(samples, x, i, first, stop, pixel, weights.levers)
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
    samples = block.samples
    width = samples.shape[0]
    for y in range(first, stop):
        for left in range(0, columns, width):
            right = min(left + width, columns)
            gather(y, left, right, exposure, setup, block)
            for x in range(right - left):
                column = left + x
                pixel = take_pixel(
                    y,
                    column,
                    exposure.gain,
                    exposure.readnoise,
                    exposure.dark,
                    exposure.pixeldq,
                    setup,
                )
                for i in range(ints):
                    measure_jumps(samples, block.flags, x, i, y, column, segments.crmag)
                median = prepare_ramp(
                    samples, block.flags, block.zeroframe, x, setup, block.tally, block.ordered
                )
                for i in range(ints):
                    known = not isnan(rates[i, y, column])
                    save_integration(
                        x, i, (y, column), known, median, pixel, setup, block, weights, segments
                    )


@compiled
def save_integration(
    x: int,
    i: int,
    at: tuple[int, int],
    known: bool,
    median: float,
    pixel: Pixel,
    setup: Setup,
    block: Any,
    weights: Weights,
    segments: Segments,
) -> None:
    """Write the segments of one ramp and, if its rate is known, its pedestal."""
    y, column = at
    samples = block.samples
    bounds = block.bounds
    count = 0
    if not block.flags[x, i, 0] & SATURATED:
        count, _ = find_segments(block.flags, x, i, bounds)
    slopes = 0.0
    by_noise = 0.0
    for s in range(count):
        first = bounds[s, 0]
        stop = bounds[s, 1]
        slope, photons, noise = fit_segment(
            samples,
            x,
            i,
            first,
            stop,
            block.tally[i, 3],
            median,
            pixel,
            setup,
            weights.levers,
        )
        slopes += slope / noise
        by_noise += 1.0 / noise
        sigslope, yint, sigyint = intercept(samples, x, i, first, stop, pixel, weights)
        segments.slope[i, s, y, column] = slope
        segments.sigslope[i, s, y, column] = sigslope
        segments.var_poisson[i, s, y, column] = photons
        segments.var_rnoise[i, s, y, column] = noise
        segments.yint[i, s, y, column] = yint
        segments.sigyint[i, s, y, column] = sigyint
        segments.weights[i, s, y, column] = 1.0 / noise
    if known:
        rate = slopes * limited(1.0 / by_noise) if count > 0 else 0.0
        pedestal = samples[x, i, 0] - rate * setup.reads_before
        segments.pedestal[i, y, column] = 0.0 if isnan(pedestal) else pedestal
