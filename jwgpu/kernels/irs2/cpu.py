"""CPU body of the IRS2 correction: one image at a time in each thread, FFTs by scipy.

A thread needs six time series of scratch, 35 MB, whatever the number of groups.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft

from jwgpu.kernels.compiled import compiled, over_rows
from jwgpu.kernels.irs2.layout import (
    IMAGE_TIME,
    LINE_TIME,
    LINES,
    OUTPUTS,
    REFERENCE_RUN,
    SCIENCE_RUN,
    VISIT_TIME,
    VISITS,
    InterleavedLayout,
)
from jwgpu.kernels.irs2.saturation_cpu import flag_saturation

__all__ = ["flag_saturation", "mean_image", "pair_statistics", "subtract_reference"]

#: Lines at either end of the image that a straight line is fitted to.
BORDER = 4
#: Times of a line that are gathered together: as many floats as a cache line holds.
TIMES = 16
#: The window of the interpolation reaches so far to either side.
REACH = 15
#: Rounds of low-pass filtering.
ROUNDS = 3
#: Reference pixels of a visit begin at this time of it; they are stretched from two times earlier.
FIRST_TIME = SCIENCE_RUN // 2 + 1
STRETCHED = 2 * REFERENCE_RUN
FREQUENCIES = IMAGE_TIME // 2 + 1
#: The low-pass filter: frequencies of full and of falling transmission. The image's lines are
#: repeated in time, and so is the pass band: it is there at the highest frequencies, too.
FALLING = 110_000 // VISIT_TIME
FULL = (LINE_TIME // VISIT_TIME) * LINES // 2 - FALLING // 2


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
    for pair in range(first, stop):
        y = rows[pair]
        differences = 0.0
        total = 0.0
        for i in range(images.shape[0]):
            for x in range(images.shape[2]):
                a, b = images[i, y, x], images[i, y + 1, x]
                differences += abs(b - a)
                total += np.float64(a) + np.float64(b)
        n = images.shape[0] * images.shape[2]
        mean = total / (2 * n)
        squares = 0.0
        for i in range(images.shape[0]):
            for x in range(images.shape[2]):
                a, b = images[i, y, x] - mean, images[i, y + 1, x] - mean
                squares += a * a + b * b
        result[pair, 0] = differences / n
        result[pair, 1] = mean
        result[pair, 2] = np.sqrt(squares / (2 * n))


@compiled
def fit_drift(image: Any, offset: Any, row_at: Any, is_reversed: bool) -> tuple[float, float]:
    """Fit a line in time to the outermost lines of pixels of one output: at mid-time, and slope."""
    n = 0
    sum_t = 0.0
    sum_tt = 0.0
    sum_y = 0.0
    sum_ty = 0.0
    middle = (image.shape[1] * row_at.size - 1) / 2
    for time in range(row_at.size):
        y = row_at[time]
        if y < 0:
            continue
        for i in range(2 * BORDER):
            line = i if i < BORDER else image.shape[1] - 2 * BORDER + i
            x = image.shape[1] - 1 - line if is_reversed else line
            value = np.float64(np.float32(image[y, x] - offset[y, x]))
            if value != 0.0:
                t = line * row_at.size + time - middle
                n += 1
                sum_t += t
                sum_tt += t * t
                sum_y += value
                sum_ty += t * value
    if n == 0:
        return 0.0, 0.0
    slope = (sum_ty - sum_t * sum_y / n) / (sum_tt - sum_t * sum_t / n)
    return sum_y / n - slope * sum_t / n, slope


@compiled
def remainder(value: Any, offset: Any, t: Any, level: Any, slope: Any) -> Any:
    """Return a sample less its offset and, if that is not exactly zero, less the drift: float32."""
    rest = np.float32(value - offset)
    is_read = np.float32(1.0) if rest != np.float32(0.0) else np.float32(0.0)
    return rest - (level + np.float32(t) * slope) * is_read


@compiled
def lay_out_in_time(
    series: Any, image: Any, offset: Any, row_at: Any, is_reversed: bool, level: Any, slope: Any
) -> None:
    """Fill `series` (lines, times) with one output, less offset and drift; 0 in the gaps."""
    lines, times = series.shape
    middle = (lines * times - 1) / 2
    for begin in range(0, times, TIMES):
        for line in range(lines):
            x = lines - 1 - line if is_reversed else line
            for time in range(begin, min(begin + TIMES, times)):
                y = row_at[time]
                series[line, time] = np.float32(0.0)
                if y >= 0:
                    t = line * times + time - middle
                    series[line, time] = remainder(image[y, x], offset[y, x], t, level, slope)


@compiled
def interpolate_zeros(series: Any, window: Any, filled: Any) -> None:
    """Copy the flat `series`, with the zeros replaced by the weighted mean of what is near."""
    n = series.size
    for i in range(n):
        filled[i] = series[i]
        if series[i] == np.float32(0.0):
            total = 0.0
            weight = 0.0
            for k in range(window.size):
                near = i + k - REACH
                near += n if near < 0 else (-n if near >= n else 0)
                if series[near] != np.float32(0.0):
                    total += window[k] * series[near]
                    weight += window[k]
            if np.float32(weight) != np.float32(0.0):
                filled[i] = np.float32(total) / np.float32(weight)


@compiled
def fill_gaps(series: Any, filtered: Any, is_science_time: Any) -> None:
    """Replace in `series` (lines, times) what was not read along with the detector's pixels."""
    for line in range(series.shape[0]):
        for time in range(series.shape[1]):
            if not is_science_time[time]:
                series[line, time] = filtered[line, time]


@compiled
def stretch_reference(
    series: Any, image: Any, offset: Any, row_at: Any, is_reversed: bool, level: Any, slope: Any
) -> None:
    """Put each visit's reference pixels into `series` (lines, times), which is 0 elsewhere.

    Of r0 r1 r2 r3 come r0 r2 r0 r2 r1 r3 r1 r3: the two readings of each pair change places.
    """
    lines, times = series.shape
    middle = (lines * times - 1) / 2
    for visit in range(VISITS):
        first = visit * VISIT_TIME + FIRST_TIME
        for line in range(lines):
            x = lines - 1 - line if is_reversed else line
            for k in range(REFERENCE_RUN):
                y = row_at[first + k]
                t = line * times + first + k - middle
                value = remainder(image[y, x], offset[y, x], t, level, slope)
                place = first - 2 + (k % 2) * REFERENCE_RUN + k // 2
                series[line, place] = value
                series[line, place + 2] = value


@compiled
def combine(reference: Any, beta: Any, output: Any, alpha: Any) -> None:
    """Make of the spectrum `reference` that of the correction."""
    for i in range(reference.size):
        reference[i] = reference[i] * beta[i] + output[i] * alpha[i]


@compiled
def subtract_series(
    series: Any, is_science_time: Any, keep_reference: bool,
    image: Any, offset: Any, row_at: Any, is_reversed: bool, level: Any, slope: Any,
) -> None:  # fmt: skip
    """Write one output, less drift and correction, back into the `image`."""
    lines, times = series.shape
    middle = (lines * times - 1) / 2
    for begin in range(0, times, TIMES):
        for line in range(lines):
            x = lines - 1 - line if is_reversed else line
            for time in range(begin, min(begin + TIMES, times)):
                y = row_at[time]
                if y < 0 or not (is_science_time[time] or keep_reference):
                    continue
                t = line * times + time - middle
                rest = remainder(image[y, x], offset[y, x], t, level, slope) - series[line, time]
                if is_science_time[time]:
                    rest = np.float32(rest + offset[y, x])
                image[y, x] = rest


@compiled
def write_output(series: Any, image: Any, offset: Any, row_at: Any, is_reversed: bool) -> None:
    """Write the gapless reference output into the `image`."""
    lines, times = series.shape
    for time in range(times):
        y = row_at[time]
        if y >= 0:
            for line in range(lines):
                x = lines - 1 - line if is_reversed else line
                image[y, x] = np.float32(series[line, time] + offset[y, x])


class _Scratch:
    """What one thread works in."""

    def __init__(self) -> None:
        shape = (LINES, LINE_TIME)
        self.series = np.empty(shape, np.float32)
        self.filled = np.empty(shape, np.float32)
        self.reference = np.zeros(shape, np.float32)


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
    turned = bool(layout.is_reversed)
    drifts = []
    for output in range(OUTPUTS):
        level, slope = fit_drift(image, offset, layout.row_at[output], turned)
        drifts.append((np.float32(level), np.float32(slope)))
    places: Any = [(image, offset, layout.row_at[k], turned, *drifts[k]) for k in range(OUTPUTS)]

    series = _gapless_output(places[0], layout, scratch)
    of_output = scipy.fft.rfft(series.reshape(-1))
    if keep_reference:
        write_output(series, *places[0][:4])
    for k in range(1, OUTPUTS):
        stretch_reference(scratch.reference, *places[k])
        spectrum = scipy.fft.rfft(scratch.reference.reshape(-1))
        combine(spectrum, beta[k - 1], of_output, alpha[k - 1])
        correction = scipy.fft.irfft(spectrum, IMAGE_TIME, overwrite_x=True)
        subtract_series(
            correction.reshape(series.shape), layout.is_science_time, bool(keep_reference),
            *places[k],
        )  # fmt: skip


def _gapless_output(place: Any, layout: InterleavedLayout, scratch: _Scratch) -> Any:
    """Return the series (lines, times) of the reference output, without gaps."""
    lay_out_in_time(scratch.series, *place)
    # Single precision first: the official window is made so.
    steps = np.arange(1, 2 * REACH + 2, dtype=np.float32) / np.float32(32.0)
    window = np.sin(steps * np.float32(np.pi)).astype(np.float64)
    interpolate_zeros(scratch.series.reshape(-1), window, scratch.filled.reshape(-1))
    transmission = _transmission()
    for _ in range(ROUNDS):
        spectrum = scipy.fft.rfft(scratch.filled.reshape(-1))
        spectrum *= transmission
        filtered = scipy.fft.irfft(spectrum, IMAGE_TIME, overwrite_x=True)
        fill_gaps(scratch.filled, filtered.reshape(scratch.filled.shape), layout.is_science_time)
    return scratch.filled


def _transmission() -> Any:
    """Return the low-pass filter, float32, for the frequencies from zero on."""
    falling = (np.cos(np.arange(FALLING) * (np.pi / FALLING)) + 1.0) / 2.0
    result = np.zeros(FREQUENCIES, np.float32)
    result[:FULL] = 1.0
    result[FULL : FULL + FALLING] = falling
    half = FREQUENCIES - 1
    # The official filter is symmetric about half of its own length, 729088: the highest
    # frequency of all, which mirrors frequency zero, is passed.
    result[half - FULL : half] = 1.0
    result[half - FULL - FALLING : half - FULL] = falling[::-1]
    result[half] = 1.0
    return result
