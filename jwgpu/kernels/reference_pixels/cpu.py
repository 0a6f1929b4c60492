"""CPU body of the reference-pixel correction: one image at a time, threads over the images."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows
from jwgpu.kernels.lanes import LANES, sum_of_lanes
from jwgpu.kernels.reference_pixels.layout import NearInfraredLayout, Sections


@compiled
def clipped_mean(values: Any, n: int, limit: float, lanes: Any) -> Any:
    """Return the mean of ``values[:n]`` within `limit` standard deviations.

    What was clipped once stays out: a value counts that lies within all limits so far. `lanes` is
    scratch, all zeros.
    """
    lowest, highest = -np.inf, np.inf
    n_within, is_first = n, True
    while n_within > 0:
        # The first time all count: NaN makes the mean NaN, and the standard deviation.
        for first in range(0, n, LANES):
            for lane in range(min(LANES, n - first)):
                value = values[first + lane]
                if is_first or (value >= lowest and value <= highest):
                    lanes[lane] += value
        mean = sum_of_lanes(lanes) / n_within
        for first in range(0, n, LANES):
            for lane in range(min(LANES, n - first)):
                value = values[first + lane]
                if is_first or (value >= lowest and value <= highest):
                    lanes[lane] += (value - mean) * (value - mean)
        sigma = np.sqrt(sum_of_lanes(lanes) / n_within)
        if sigma == 0.0:
            return mean
        if np.isnan(sigma):
            return np.nan
        lowest = max(lowest, mean - limit * sigma)
        highest = min(highest, mean + limit * sigma)
        n_before, n_within, is_first = n_within, 0, False
        for i in range(n):
            n_within += values[i] >= lowest and values[i] <= highest
        if n_within == n_before:
            return mean
    return np.nan


@compiled
def find_offsets(
    image: Any, first: Any, of_differences: bool, pixels: Any, bounds: Any, limit: float,
    values: Any, offsets: Any,
) -> None:  # fmt: skip
    """Fill `offsets` (sections) from the flat `image`, or from its differences to `first`."""
    lanes = np.zeros(LANES, np.float64)
    for section in range(bounds.shape[1]):
        total = 0.0
        edges = 0
        for edge in range(bounds.shape[0]):
            start = bounds[edge, section, 0]
            n = bounds[edge, section, 1] - start
            if n == 0:
                continue
            for i in range(n):
                pixel = pixels[start + i]
                if of_differences:
                    values[i] = image[pixel] - first[pixel]
                else:
                    values[i] = image[pixel]
            total += clipped_mean(values, n, limit, lanes)
            edges += 1
        offsets[section] = total / edges if edges > 0 else 0.0


@compiled
def insert_sorted(window: Any, n: int, value: float) -> None:
    """Put `value` into the ascending ``window[:n]``."""
    place = n
    while place > 0 and window[place - 1] > value:
        window[place] = window[place - 1]
        place -= 1
    window[place] = value


@compiled
def remove_sorted(window: Any, n: int, value: float) -> None:
    """Take one `value`, which must be there, out of the ascending ``window[:n]``."""
    place = n - 1
    held = window[place]
    while held != value:
        place -= 1
        before = window[place]
        window[place] = held
        held = before


@compiled
def find_side_signal(
    values: Any, row: int, stop: int, length: int, window: Any, signal: Any
) -> None:
    """Fill ``signal[row:stop]`` with the running median of `values`.

    Parameters
    ----------
    values : array, (rows of the detector, 4) float64
        Side pixels; inf marks those that are missing.
    row, stop : int
        Rows that are wanted.
    length : int
        Rows of the window.
    window : array, (4 * length,) float64
        Scratch.
    signal : array, (rows of the detector,) float64
        Result; NaN where the window has no pixel, or a NaN.
    """
    last = values.shape[0] - 1
    n = 0
    n_nan = 0
    entering = row - length // 2
    leaving = entering
    while row < stop:
        while entering < row - length // 2 + length:
            source = abs(entering) if entering <= last else 2 * last - entering
            for j in range(values.shape[1]):
                value = values[source, j]
                if np.isnan(value):
                    n_nan += 1
                elif value != np.inf:
                    insert_sorted(window, n, value)
                    n += 1
            entering += 1
        while leaving < row - length // 2:
            source = abs(leaving) if leaving <= last else 2 * last - leaving
            for j in range(values.shape[1]):
                value = values[source, j]
                if np.isnan(value):
                    n_nan -= 1
                elif value != np.inf:
                    remove_sorted(window, n, value)
                    n -= 1
            leaving += 1
        if n == 0 or n_nan > 0:
            signal[row] = np.nan
        else:
            signal[row] = 0.5 * (window[(n - 1) // 2] + window[n // 2])
        row += 1


@compiled
def add_side_signal(
    image: Any, n_columns: int, side_pixels: Any, row_of_line: Any, fast_along_x: bool,
    length: int, gain: float, of_line: Any, of_row: Any,
) -> None:  # fmt: skip
    """Set `of_row` (stored lines along the fast axis) from the side pixels of the flat `image`.

    `of_line` holds the offsets that are removed from the side pixels before.
    """
    rows = side_pixels.shape[1]
    values = np.empty((rows, side_pixels.shape[2]), np.float64)
    # A row enters before the one at the other end leaves: room for one row more than the window.
    window = np.empty((length + 1) * side_pixels.shape[2], np.float64)
    signals = np.empty((2, rows), np.float64)
    first = min(row_of_line[0], row_of_line[-1])
    stop = max(row_of_line[0], row_of_line[-1]) + 1
    for side in range(2):
        for row in range(rows):
            for j in range(side_pixels.shape[2]):
                pixel = side_pixels[side, row, j]
                if pixel < 0:
                    values[row, j] = np.inf
                else:
                    line = pixel % n_columns if fast_along_x else pixel // n_columns
                    values[row, j] = image[pixel] - of_line[line]
        find_side_signal(values, first, stop, length, window, signals[side])
    for line in range(row_of_line.size):
        left = signals[0, row_of_line[line]]
        right = signals[1, row_of_line[line]]
        if np.isnan(left):
            left = right
        if np.isnan(right):
            right = left
        of_row[line] = 0.0 if np.isnan(left) else gain * (0.5 * (left + right))


@compiled
def subtract_sum(image: Any, of_y: Any, of_x: Any) -> None:
    """Subtract ``of_y[y] + of_x[x]`` from `image` (y, x)."""
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            image[y, x] = np.float32(image[y, x] - (of_y[y] + of_x[x]))


@compiled
def correct_images(
    first: int, stop: int, images: Any, pixels: Any, bounds: Any, section_of_line: Any,
    row_of_line: Any, side_pixels: Any, fast_along_x: bool, limit: float, length: int, gain: float,
) -> None:  # fmt: skip
    """Correct ``images[first:stop]``; see `subtract_drift`."""
    values = np.empty(pixels.size, np.float64)
    offsets = np.empty(bounds.shape[1], np.float64)
    of_line = np.empty(section_of_line.size, np.float64)
    of_row = np.zeros(row_of_line.size, np.float64)
    for i in range(first, stop):
        flat = images[i].reshape(-1)
        find_offsets(flat, flat, False, pixels, bounds, limit, values, offsets)
        for line in range(of_line.size):
            of_line[line] = offsets[section_of_line[line]]
        if side_pixels.shape[0] > 0:
            add_side_signal(
                flat, images.shape[2], side_pixels, row_of_line, fast_along_x, length, gain,
                of_line, of_row,
            )  # fmt: skip
        if fast_along_x:
            subtract_sum(images[i], of_row, of_line)
        else:
            subtract_sum(images[i], of_line, of_row)


@compiled
def subtract_from_difference(image: Any, initial: Any, offsets: Any) -> None:
    """Subtract the offset of each pixel's section from ``image - initial``, and add `initial` back.

    Each operation is rounded to float32, as the official package stores each result.
    """
    parities = offsets.size // 4
    of_x = np.empty(image.shape[1], np.float32)
    for y in range(image.shape[0]):
        for x in range(of_x.size):
            of_x[x] = offsets[(x % 4) * parities + y % parities]
        for x in range(of_x.size):
            image[y, x] = ((image[y, x] - initial[y, x]) - of_x[x]) + initial[y, x]


@compiled
def correct_differences(
    first: int, stop: int, images: Any, groups: int, pixels: Any, bounds: Any, limit: float
) -> None:
    """Correct ``images[first:stop]``; see `subtract_drift_from_differences`."""
    values = np.empty(pixels.size, np.float64)
    offsets = np.empty(bounds.shape[1], np.float64)
    for i in range(first, stop):
        initial = images[i - i % groups]
        if i % groups == 0:
            continue
        find_offsets(
            images[i].reshape(-1), initial.reshape(-1), True, pixels, bounds, limit, values, offsets
        )
        subtract_from_difference(images[i], initial, offsets)


def subtract_drift(
    images: Any, layout: NearInfraredLayout, sigma_limit: float, side_length: int, side_gain: float
) -> None:
    """Contract in the package."""
    over_rows(
        correct_images, images.shape[0], images, layout.pixels, layout.bounds,
        layout.section_of_line, layout.row_of_line, layout.side_pixels, bool(layout.fast_along_x),
        float(sigma_limit), int(side_length), float(side_gain),
    )  # fmt: skip


def subtract_drift_from_differences(data: Any, sections: Sections, sigma_limit: float) -> None:
    """Contract in the package."""
    ints, groups, rows, columns = data.shape
    over_rows(
        correct_differences, ints * groups, data.reshape(ints * groups, rows, columns), int(groups),
        sections.pixels, sections.bounds, float(sigma_limit),
    )  # fmt: skip
