"""Where on the output the pixels of each strip of an image can fall."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows
from jwgpu.kernels.drizzle.overlap_cpu import STRIP
from jwgpu.kernels.pixel_map.cpu import evaluate_row

NOWHERE = 2**31 - 1
UNITS = 64  # in a pixel: whole numbers of them have minima that vectors can find
LIMIT = 2.0**24  # pixels beyond which no output goes
SLACK = 1.0 / UNITS


@compiled
def find_ranges(
    first: Any,
    stop: Any,
    pixel_map: Any,
    series: Any,
    x_first: Any,
    n: Any,
    ranges: Any,
) -> None:
    """Find between which columns and rows the centres of the pixels of strips fall.

    Parameters
    ----------
    first, stop : int
        Rows of the image.
    pixel_map : array, (y, x, 2) float64
        Empty if there is a series.
    series : tuple of 3 arrays
        See `jwgpu.kernels.pixel_map.Series`; empty if there is a map.
    x_first, n : int
        First column, and number of columns, that the strips are cut from.
    ranges : array, (y, strips, 4) int32
        Gets the lowest and highest column, the lowest and highest row, of the pixels of each
        strip and of those beside it, in units.
    """
    n_x = max(pixel_map.shape[1], series[2].shape[1])
    values, held = np.empty(n_x), np.empty((1, n_x, 2))
    places = held if series[0].size else pixel_map
    for y in range(first, stop):
        if series[0].size:
            evaluate_row(y, series[0], series[1], series[2], values, held[0])
        for strip in range(ranges.shape[1]):
            begin = max(x_first + strip * STRIP - 1, 0)
            end = min(x_first + min(strip * STRIP + STRIP, n) + 1, n_x)
            left, right = np.int32(NOWHERE), np.int32(-NOWHERE)
            bottom, top = np.int32(NOWHERE), np.int32(-NOWHERE)
            row = places[y % len(places), begin:]
            for i in range(end - begin):
                across, along = row[i, 0], row[i, 1]
                exists = (abs(across) < LIMIT) & (abs(along) < LIMIT)
                column, line = (
                    np.int32(across * UNITS if exists else 0.0),
                    np.int32(along * UNITS if exists else 0.0),
                )
                left = min(left, column if exists else np.int32(NOWHERE))
                right = max(right, column if exists else np.int32(-NOWHERE))
                bottom = min(bottom, line if exists else np.int32(NOWHERE))
                top = max(top, line if exists else np.int32(-NOWHERE))
            found = ranges[y, strip]
            found[0], found[1], found[2], found[3] = left, right, bottom, top


def reach_of(pixel_map: Any, series: Any, shape: tuple[int, int], window: Any, reach: float) -> Any:
    """Return between which columns and rows of the output the pixels of strips can add something.

    Parameters
    ----------
    pixel_map, series
        See `find_ranges`.
    shape : (int, int)
        Rows and columns of the image.
    window : (int, int, int, int)
        First and last column, first and last row of the pixels that are used.
    reach : float
        How far from its centre a pixel adds; from the corners of its quadrangle, where it has
        some.

    Returns
    -------
    array, (y, strips, 4) float64
        Lowest and highest column, lowest and highest row; the lowest is above the highest where
        there are none.
    """
    n_y, n_x = shape
    n = window[1] + 1 - window[0]
    ranges = np.empty((n_y, -(-n // STRIP), 4), np.int32)
    over_rows(find_ranges, n_y, pixel_map, series, window[0], n, ranges)
    low, high = ranges[..., 0::2] / UNITS, ranges[..., 1::2] / UNITS
    # Corners lie between the centres of neighbours; those beyond the outer centres, as far from
    # them as these centres can be apart, at most half as far again.
    for array, of in ((low, np.minimum), (high, np.maximum)):
        rows = array.copy()
        of(array[1:], rows[:-1], out=array[1:])
        of(array[:-1], rows[1:], out=array[:-1])
    outer = np.zeros(low.shape[:2], bool)
    outer[[0, -1]] = True
    outer[:, :1] |= window[0] == 0
    outer[:, -1:] |= window[1] == n_x - 1
    margin = np.where(outer[..., None], 1.5 * np.maximum(high - low + 2 * SLACK, 0.0), 0.0)
    result = np.empty(ranges.shape)
    result[..., 0::2] = low - margin - reach - SLACK
    result[..., 1::2] = high + margin + reach + SLACK
    return result
