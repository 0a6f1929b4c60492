"""CPU body of the IRS2 correction: one image at a time in each thread, FFTs by scipy.

A time series is kept as (times, lines), which is the order of the image, and transformed in two
steps: along the lines (2048 points, real), then, after a twiddle factor, along the times (712
points). That is the transform of 712 * 2048 points, without turning anything round. Of the first
step and of its inverse only those times are computed that hold something, or that are wanted.

A thread needs five series of scratch, 30 MB, whatever the number of groups.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import scipy.fft

from jwgpu.kernels.compiled import compiled, over_rows
from jwgpu.kernels.irs2 import tables
from jwgpu.kernels.irs2.layout import (
    IMAGE_TIME,
    LINE_TIME,
    LINES,
    OUTPUTS,
    InterleavedLayout,
)
from jwgpu.kernels.irs2.saturation_cpu import flag_saturation
from jwgpu.kernels.irs2.tables import BORDER, REACH, ROUNDS
from jwgpu.kernels.lanes import LANES, sum_of_lanes

__all__ = ["flag_saturation", "mean_image", "pair_statistics", "subtract_reference"]


@compiled
def mean_rows(first: int, stop: int, images: Any, mean: Any) -> None:
    """Average the images in rows ``first:stop``."""
    for y in range(first, stop):
        for x in range(mean.shape[1]):
            mean[y, x] = 0.0
        for i in range(images.shape[0]):
            for x in range(mean.shape[1]):
                mean[y, x] += images[i, y, x]
        for x in range(mean.shape[1]):
            mean[y, x] /= images.shape[0]


@compiled
def describe_pairs(first: int, stop: int, images: Any, rows: Any, result: Any) -> None:
    """Fill ``result[first:stop]``; see `pair_statistics`."""
    lanes, other_lanes = np.zeros(LANES, np.float64), np.zeros(LANES, np.float64)
    width = images.shape[2]
    n = images.shape[0] * width
    for pair in range(first, stop):
        y = rows[pair]
        for i in range(images.shape[0]):
            for start in range(0, width, LANES):
                for lane in range(min(LANES, width - start)):
                    a, b = images[i, y, start + lane], images[i, y + 1, start + lane]
                    lanes[lane] += abs(b - a)
                    other_lanes[lane] += np.float64(a) + np.float64(b)
        result[pair, 0] = sum_of_lanes(lanes) / n
        mean = sum_of_lanes(other_lanes) / (2 * n)
        for i in range(images.shape[0]):
            for start in range(0, width, LANES):
                for lane in range(min(LANES, width - start)):
                    low, high = (
                        images[i, y, start + lane] - mean,
                        images[i, y + 1, start + lane] - mean,
                    )
                    lanes[lane] += low * low + high * high
        result[pair, 1] = mean
        result[pair, 2] = np.sqrt(sum_of_lanes(lanes) / (2 * n))


def fit_drift(image: Any, offset: Any, row_at: Any, is_reversed: bool) -> tuple[Any, Any]:
    """Fit a line in time to the outermost lines of an output: its value at mid-time, and slope.

    Single precision, and operations in the order of the official package: a sample that lies on
    the line counts as not read afterwards, so that the last bit of the line matters.
    """
    lines = np.concatenate([np.arange(BORDER), np.arange(LINES - BORDER, LINES)])
    (times,) = np.nonzero(row_at >= 0)
    place = (row_at[times], (LINES - 1 - lines if is_reversed else lines)[:, None])
    y = (image[place] - offset[place]).astype(np.float32).reshape(-1)
    x = (lines[:, None] * LINE_TIME + times - (IMAGE_TIME - 1) / 2).astype(np.float32).reshape(-1)
    x, y = x[y != 0], y[y != 0]
    if x.size == 0:
        return np.float32(0.0), np.float32(0.0)
    n = float(x.size)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = ((x * y).sum() - n * x.mean() * y.mean()) / ((x**2).sum() - n * x.mean() ** 2)
    return np.float32(y.mean() - slope * x.mean()), np.float32(slope)


@compiled
def remainder(value: Any, offset: Any, t: Any, level: Any, slope: Any) -> Any:
    """Return a sample less its offset and, if that is not exactly zero, less the drift: float32."""
    rest = np.float32(value - offset)
    is_read = np.float32(1.0) if rest != np.float32(0.0) else np.float32(0.0)
    return rest - (level + np.float32(t) * slope) * is_read


@compiled
def lay_out_in_time(
    series: Any, times: Any, image: Any, offset: Any, row_at: Any, is_reversed: bool, level: Any,
    slope: Any,
) -> None:  # fmt: skip
    """Fill rows of `series` with an output at some `times`, less offset and drift; 0 in gaps."""
    lines = series.shape[1]
    middle = (lines * row_at.size - 1) / 2
    for i in range(times.size):
        y = row_at[times[i]]
        for line in range(lines):
            series[i, line] = np.float32(0.0)
            if y >= 0:
                x = lines - 1 - line if is_reversed else line
                t = line * row_at.size + times[i] - middle
                series[i, line] = remainder(image[y, x], offset[y, x], t, level, slope)


@compiled
def interpolate(
    series: Any, filled: Any, time: int, window: Any, first: int, stop: int, total: Any, weight: Any
) -> None:
    """Fill ``filled[time, first:stop]`` with the weighted mean of what is near and not zero."""
    times, lines = series.shape
    for line in range(first, stop):
        total[line] = 0.0
        weight[line] = 0.0
    for k in range(window.size):
        near = time + k - REACH
        shift = -1 if near < 0 else (1 if near >= times else 0)
        row = series[near - shift * times]
        for line in range(first, stop):
            value = row[(line + shift) % lines]
            if value != np.float32(0.0):
                total[line] += window[k] * value
                weight[line] += window[k]
    for line in range(first, stop):
        filled[time, line] = np.float32(0.0)
        if np.float32(weight[line]) != np.float32(0.0):
            filled[time, line] = np.float32(total[line]) / np.float32(weight[line])


@compiled
def interpolate_zeros(series: Any, row_at: Any, window: Any, filled: Any) -> None:
    """Copy `series` (times, lines), with the zeros interpolated."""
    times, lines = series.shape
    total = np.empty(lines, np.float64)
    weight = np.empty(lines, np.float64)
    for time in range(times):
        if row_at[time] < 0:
            interpolate(series, filled, time, window, 0, lines, total, weight)
            continue
        for line in range(lines):
            filled[time, line] = series[time, line]
            if series[time, line] == np.float32(0.0):
                interpolate(series, filled, time, window, line, line + 1, total, weight)


@compiled
def spread(spectrum: Any, rows: Any, row_of: Any, times: Any, twiddle: Any) -> None:
    """Put transformed `rows` at `times` of the spectrum, between the two steps of the transform."""
    for i in range(times.size):
        time, row = times[i], row_of[i]
        for k in range(spectrum.shape[1]):
            spectrum[time, k] = rows[row, k] * twiddle[time, k]


@compiled
def collect(rows: Any, spectrum: Any, times: Any, twiddle: Any) -> None:
    """Take `rows` from some `times`, between the two steps of the inverse transform."""
    for i in range(times.size):
        for k in range(spectrum.shape[1]):
            rows[i, k] = spectrum[times[i], k] * np.conj(twiddle[times[i], k])


@compiled
def combine(reference: Any, beta: Any, output: Any, alpha: Any) -> None:
    """Make of the spectrum `reference` that of the correction."""
    for i in range(reference.shape[0]):
        for k in range(reference.shape[1]):
            reference[i, k] = reference[i, k] * beta[i, k] + output[i, k] * alpha[i, k]


@compiled
def subtract_rows(
    correction: Any, times: Any, is_science_time: Any, image: Any, offset: Any, row_at: Any,
    is_reversed: bool, level: Any, slope: Any,
) -> None:  # fmt: skip
    """Write one output at some `times`, less drift and correction, back into the `image`."""
    lines = correction.shape[1]
    middle = (lines * row_at.size - 1) / 2
    for i in range(times.size):
        y = row_at[times[i]]
        keeps_offset = is_science_time[times[i]]
        for line in range(lines):
            x = lines - 1 - line if is_reversed else line
            t = line * row_at.size + times[i] - middle
            rest = remainder(image[y, x], offset[y, x], t, level, slope) - correction[i, line]
            image[y, x] = np.float32(rest + offset[y, x]) if keeps_offset else rest


@compiled
def write_output(series: Any, image: Any, offset: Any, row_at: Any, is_reversed: bool) -> None:
    """Write the gapless reference output into the `image`."""
    times, lines = series.shape
    for time in range(times):
        y = row_at[time]
        if y >= 0:
            for line in range(lines):
                x = lines - 1 - line if is_reversed else line
                image[y, x] = np.float32(series[time, line] + offset[y, x])


class _Tables:
    """What is the same for all images: times of interest, twiddle factors, window, filter."""

    def __init__(self) -> None:
        self.every_time = np.arange(LINE_TIME)
        self.reference_times = tables.reference_times()
        self.stretched_times, self.stretched_rows = tables.stretched()
        turns = np.outer(self.every_time, np.arange(LINES // 2 + 1)) / IMAGE_TIME
        self.twiddle = np.exp(-2j * np.pi * turns).astype(np.complex64)
        self.window = tables.window()
        self.transmission = tables.in_lines(tables.transmission())


@cache
def _tables() -> _Tables:
    return _Tables()


class _Scratch:
    """What one thread works in."""

    def __init__(self) -> None:
        half = LINES // 2 + 1
        self.series = np.empty((LINE_TIME, LINES), np.float32)
        self.filled = np.empty((LINE_TIME, LINES), np.float32)
        self.steady = np.empty((LINE_TIME, half), np.complex64)
        self.spectrum = np.empty((LINE_TIME, half), np.complex64)
        self.rows = np.empty((LINE_TIME, half), np.complex64)


def mean_image(images: Any) -> Any:
    """Contract in the package."""
    mean = np.empty(images.shape[1:], np.float64)
    over_rows(mean_rows, images.shape[1], images, mean)
    return mean


def pair_statistics(images: Any, rows: Any) -> Any:
    """Contract in the package."""
    result = np.empty((rows.size, 3), np.float64)
    over_rows(describe_pairs, rows.size, images, rows, result)
    return result


def subtract_reference(
    images: Any, offset: Any, alpha: Any, beta: Any, layout: InterleavedLayout, keep_reference: bool
) -> None:
    """Contract in the package."""
    spare: list[_Scratch] = []
    _tables()

    def correct(first: int, stop: int) -> None:
        scratch = spare.pop() if spare else _Scratch()
        for i in range(first, stop):
            _correct(images[i], offset, alpha, beta, layout, keep_reference, scratch)
        spare.append(scratch)

    over_rows(correct, images.shape[0])


def _correct(
    image: Any,
    offset: Any,
    alpha: Any,
    beta: Any,
    layout: InterleavedLayout,
    keep_reference: bool,
    scratch: _Scratch,
) -> None:
    """Correct one image."""
    known = _tables()
    turned = bool(layout.is_reversed)
    places: Any = []
    for row_at in layout.row_at:
        places.append((image, offset, row_at, turned, *fit_drift(image, offset, row_at, turned)))

    of_output = _spectrum_of_output(places[0], layout, scratch)
    if keep_reference:
        write_output(scratch.filled, *places[0][:4])
    wanted = np.flatnonzero(layout.is_science_time | (keep_reference & (layout.row_at[1] >= 0)))
    spectrum = scratch.spectrum
    for k in range(1, OUTPUTS):
        values = scratch.series[: known.reference_times.size]
        lay_out_in_time(values, known.reference_times, *places[k])
        rows = scipy.fft.rfft(values, axis=1)
        spectrum[...] = 0
        spread(spectrum, rows, known.stretched_rows, known.stretched_times, known.twiddle)
        spectrum = scipy.fft.fft(spectrum, axis=0, overwrite_x=True)
        combine(spectrum, beta[k - 1], of_output, alpha[k - 1])
        correction = _times_of(spectrum, wanted, scratch)
        subtract_rows(correction, wanted, layout.is_science_time, *places[k])


def _spectrum_of_output(place: Any, layout: InterleavedLayout, scratch: _Scratch) -> Any:
    """Make the reference output gapless, in ``scratch.filled``, and return its spectrum."""
    known, steady = _tables(), scratch.steady
    lay_out_in_time(scratch.series, known.every_time, *place)
    interpolate_zeros(scratch.series, layout.row_at[0], known.window, scratch.filled)
    rows = scipy.fft.rfft(scratch.filled, axis=1)
    spread(steady, rows, known.every_time, known.every_time, known.twiddle)
    gaps = np.flatnonzero(~layout.is_science_time)
    for _ in range(ROUNDS):
        np.copyto(scratch.spectrum, steady)
        spectrum = scipy.fft.fft(scratch.spectrum, axis=0, overwrite_x=True)
        spectrum *= known.transmission
        filtered = _times_of(spectrum, gaps, scratch)
        scratch.filled[gaps] = filtered
        # Only the gaps have changed.
        rows = scipy.fft.rfft(filtered, axis=1)
        spread(steady, rows, np.arange(gaps.size), gaps, known.twiddle)
    return scipy.fft.fft(steady, axis=0, overwrite_x=True)


def _times_of(spectrum: Any, times: Any, scratch: _Scratch) -> Any:
    """Transform a spectrum back, and return the values (n, lines) at n `times`; spoils it."""
    back = scipy.fft.ifft(spectrum, axis=0, overwrite_x=True)
    rows = scratch.rows[: times.size]
    collect(rows, back, times, _tables().twiddle)
    return scipy.fft.irfft(rows, LINES, axis=1, overwrite_x=True)
