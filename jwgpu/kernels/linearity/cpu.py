"""Polynomials on the CPU.

Pixels are taken in strips of a row, short enough that their coefficients stay in the first-level
cache for all integrations and groups, and long enough for vector instructions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows
from jwgpu.models.flags import NO_LIN_CORR, SATURATED

STRIP = 512  # pixels
READS_STRIP = 128  # pixels, of as many frames as a group has, in double precision
PAD = 16  # pixels between the rows of a scratch array, which would share cache lines without it


@compiled
def take_coefficients(
    strip: Any,
    coefficients: Any,
    coefficients_dq: Any,
    pixeldq: Any,
    y: Any,
    x_first: Any,
    width: Any,
) -> None:
    """Copy the coefficients of a strip, replace unusable ones by those of a straight ramp, flag."""
    n_terms = strip.shape[0]
    for x in range(width):
        pixel = x_first + x
        usable = coefficients_dq[y, pixel] & NO_LIN_CORR == 0 and coefficients[1, y, pixel] != 0
        for term in range(n_terms):
            strip[term, x] = coefficients[term, y, pixel]
            usable &= not np.isnan(strip[term, x])
        pixeldq[y, pixel] |= coefficients_dq[y, pixel]
        if not usable:
            pixeldq[y, pixel] |= np.uint32(NO_LIN_CORR)
            for term in range(n_terms):
                strip[term, x] = np.float32(1.0 if term == 1 else 0.0)


@compiled
def evaluate(result: Any, value: Any, strip: Any) -> None:
    """Write the polynomials in `strip` at `value` to `result`, in the precision of `result`.

    Horner's rule, two terms at a go to halve the traffic of intermediate results.
    """
    term, width = strip.shape[0] - 2, value.size
    for x in range(width):
        result[x] = strip[term + 1, x] * value[x]
    while term > 1:
        for x in range(width):
            higher = (result[x] + strip[term, x]) * value[x]
            result[x] = (higher + strip[term - 1, x]) * value[x]
        term -= 2
    if term == 1:
        for x in range(width):
            result[x] = (result[x] + strip[1, x]) * value[x]
    for x in range(width):
        result[x] += strip[0, x]


@compiled
def straighten_rows(
    first: Any,
    stop: Any,
    data: Any,
    groupdq: Any,
    pixeldq: Any,
    coefficients: Any,
    coefficients_dq: Any,
) -> None:
    """Straighten every sample of some rows by itself."""
    n_ints, n_groups, _, n_x = data.shape
    strip = np.empty((coefficients.shape[0], STRIP + PAD), np.float32)
    straight = np.empty(STRIP, np.float32)
    for y in range(first, stop):
        for x_first in range(0, n_x, STRIP):
            width = min(STRIP, n_x - x_first)
            take_coefficients(strip, coefficients, coefficients_dq, pixeldq, y, x_first, width)
            for i in range(n_ints):
                for group in range(n_groups):
                    sample = data[i, group, y, x_first : x_first + width]
                    flags = groupdq[i, group, y, x_first : x_first + width]
                    evaluate(straight, sample, strip)
                    for x in range(width):
                        is_saturated = flags[x] & np.uint8(SATURATED)
                        sample[x] = sample[x] if is_saturated else straight[x]


@compiled
def mean_frame(group: Any, frames: Any) -> Any:
    """Return the mean number of the frames in a group; the first frame of the ramp is number 1."""
    return np.float64(group * frames * frames + frames * (frames + 1) // 2) / np.float64(frames)


@compiled
def find_slope(
    start: Any,
    slope: Any,
    samples: Any,
    flags: Any,
    y: Any,
    x_first: Any,
    strip: Any,
    frames: Any,
) -> None:
    """Find the straight line for each pixel of a strip: true counts in group one, and per frame.

    The last group used is the last but one of the unsaturated ones, because the last may be
    partly saturated, but never the first; a saturated sample is taken as it is. Release 3.0
    counts unsaturated groups, which is the same unless flags come and go.
    """
    n_groups = samples.shape[0]
    late = np.empty_like(start)
    late_straight = np.empty_like(start)
    last = np.empty(start.size, np.int64)
    for x in range(start.size):
        unsaturated = 0
        for group in range(n_groups):
            unsaturated += flags[group, y, x_first + x] & SATURATED == 0
        last[x] = max(unsaturated - 2, 1)
        late[x] = samples[last[x], y, x_first + x]
    early = samples[0, y, x_first : x_first + start.size]
    evaluate(start, early, strip)
    evaluate(late_straight, late, strip)
    for x in range(start.size):
        if flags[0, y, x_first + x] & SATURATED:
            start[x] = early[x]
        if flags[last[x], y, x_first + x] & SATURATED:
            late_straight[x] = late[x]
        elapsed = mean_frame(last[x], frames) - mean_frame(0, frames)
        slope[x] = np.float64(late_straight[x] - start[x]) / elapsed


@compiled
def straighten_group(
    sample: Any,
    start: Any,
    slope: Any,
    strip: Any,
    inverse_strip: Any,
    group: Any,
    reads: Any,
    scratch: Any,
) -> None:
    """Leave in the first row of `scratch` the mean of the straightened frames of a group."""
    frames = reads.shape[0]
    offset, value = scratch
    for frame in range(frames):
        elapsed = np.float64(group * frames + frame + 1) - mean_frame(0, frames)
        for x in range(start.size):
            value[x] = np.float64(start[x]) + slope[x] * elapsed
        evaluate(reads[frame], value, inverse_strip)
        for x in range(start.size):
            offset[x] = reads[frame, x] + (offset[x] if frame > 0 else 0.0)
    for x in range(start.size):
        offset[x] = np.float64(sample[x]) - offset[x] / frames
    for frame in range(frames):
        for x in range(start.size):
            value[x] = reads[frame, x] + offset[x]
        evaluate(reads[frame], value, strip)
    for x in range(start.size):
        total = 0.0
        for frame in range(frames):
            total += reads[frame, x]
        offset[x] = total / frames


@compiled
def straighten_reads_rows(
    first: Any,
    stop: Any,
    data: Any,
    groupdq: Any,
    pixeldq: Any,
    coefficients: Any,
    inverse_coefficients: Any,
    coefficients_dq: Any,
    frames: Any,
) -> None:
    """Straighten some rows frame by frame."""
    n_ints, n_groups, _, n_x = data.shape
    strip = np.empty((coefficients.shape[0], READS_STRIP + PAD), np.float32)
    inverse_strip = np.empty((inverse_coefficients.shape[0], READS_STRIP + PAD), np.float32)
    for y in range(first, stop):
        for x_first in range(0, n_x, READS_STRIP):
            width = min(READS_STRIP, n_x - x_first)
            take_coefficients(strip, coefficients, coefficients_dq, pixeldq, y, x_first, width)
            take_coefficients(
                inverse_strip, inverse_coefficients, coefficients_dq, pixeldq, y, x_first, width
            )
            reads = np.empty((frames, width), np.float64)
            scratch = np.empty((2, width), np.float64)
            start, slope = np.empty(width, np.float32), np.empty(width, np.float64)
            for i in range(n_ints):
                find_slope(start, slope, data[i], groupdq[i], y, x_first, strip, frames)
                for group in range(n_groups):
                    sample = data[i, group, y, x_first : x_first + width]
                    flags = groupdq[i, group, y, x_first : x_first + width]
                    straighten_group(
                        sample, start, slope, strip, inverse_strip, group, reads, scratch
                    )
                    for x in range(width):
                        if not flags[x] & SATURATED:
                            sample[x] = np.float32(scratch[0, x])


def straighten(
    data: Any, groupdq: Any, pixeldq: Any, coefficients: Any, coefficients_dq: Any
) -> None:
    """Straighten ramps; see :func:`jwgpu.kernels.linearity.straighten`."""
    arrays = (data, groupdq, pixeldq, coefficients, coefficients_dq)
    over_rows(straighten_rows, data.shape[2], *arrays)


def straighten_reads(
    data: Any,
    groupdq: Any,
    pixeldq: Any,
    coefficients: Any,
    inverse_coefficients: Any,
    coefficients_dq: Any,
    frames: int,
) -> None:
    """Straighten frames; see :func:`jwgpu.kernels.linearity.straighten_reads`."""
    arrays = (data, groupdq, pixeldq, coefficients, inverse_coefficients, coefficients_dq)
    over_rows(straighten_reads_rows, data.shape[2], *arrays, frames)


def straighten_zeroframe(zeroframe: Any, coefficients: Any, coefficients_dq: Any) -> None:
    """Straighten frame zero; see :func:`jwgpu.kernels.linearity.straighten_zeroframe`."""
    unused = np.zeros(zeroframe.shape[1:], np.uint32)
    for i in range(len(zeroframe)):  # as a ramp of one group, with zeros for saturated samples
        frame = zeroframe[i : i + 1, None]
        flags = np.where(frame == 0, np.uint8(SATURATED), np.uint8(0))
        straighten(frame, flags, unused, coefficients, coefficients_dq)
