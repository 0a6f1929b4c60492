"""Drizzle on the CPU: threads share out rows of the output.

Each thread takes bands of rows, one after the other, and goes through the input in the order of
its rows, past the strips that fall elsewhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows
from jwgpu.kernels.drizzle import KERNELS
from jwgpu.kernels.drizzle.band_cpu import (
    ADDED,
    HIT,
    LANES,
    VARIANCES,
    WEIGHT,
    add_lanes,
    close_band,
    finish_rows,
    load_values,
    open_band,
)
from jwgpu.kernels.drizzle.overlap_cpu import (
    FAR,
    SMALL,
    STRIP,
    find_corners,
    large_shares,
    place_boxes,
    small_shares,
)
from jwgpu.kernels.drizzle.reach_cpu import reach_of
from jwgpu.kernels.pixel_map import Series
from jwgpu.kernels.pixel_map.cpu import evaluate_row

SQUARE, POINT, TURBO, GAUSSIAN, LANCZOS2, LANCZOS3 = range(len(KERNELS))
BAND = 128  # rows of the output that are summed at a time
PIXELS = 2**19  # of the output, at most, in a band
AREAS = 2**16  # of the overlaps that are computed at a time, at most

NO_SERIES = (np.empty((0, 0, 0)), np.empty((0, 0)), np.empty((0, 0)))

FWHM = 2.3548  # of a Gaussian, in sigma
GAUSSIAN_REACH = 2.5  # sigma
LEAST_GAUSSIAN_REACH = 1.2  # input pixels
LANCZOS_STEP = 0.003  # of the table, in input pixels
LANCZOS_TABLE = 1024  # steps, beyond where the function ends


@compiled
def rounded(value: Any) -> Any:
    """Round to the nearest integer, halves away from zero."""
    if value >= 0:
        return int(np.floor(value + 0.5))
    return -int(np.floor(0.5 - value))


@compiled
def add_boxes(
    band: Any, boxes: Any, shares: Any, flags: Any, strip: Any, values: Any, totals: Any
) -> None:
    """Add the shares of the quadrangles of a strip to a band.

    Parameters
    ----------
    band : (int, int, int, int)
        First row and the one after the last, first column, columns.
    boxes : (array, array, int, int)
        Left and lower edges, rows and columns.
    shares : array, (rows * columns, STRIP) float32
    flags : (array, array)
        Of the image and the output; empty if there are none.
    strip : (int, int, int, int)
        Row and first column of the strip, first quadrangle and the one after the last.
    values, totals : array, (pixels, LANES) float32
    """
    first, stop, start, width = band
    lefts, bottoms, n_rows, n_columns = boxes
    given, collected = flags
    y, x, begin, end = strip
    for i in range(begin, end):
        left, bottom = int(lefts[i]) - start, int(bottoms[i])
        is_inside = 0 <= left <= width - SMALL and first <= bottom <= stop - SMALL
        if is_inside and n_rows <= SMALL and n_columns <= SMALL and not collected.size:
            # The usual case, as loops without limits that have to be computed.
            base = (bottom - first) * width + left
            for row in range(n_rows):
                for column in range(n_columns):
                    share = shares[n_columns * row + column, i]
                    if share != 0:
                        add_lanes(totals, base + row * width + column, values, i, share)
            continue
        low, high = max(-left, 0), min(n_columns, width - left)
        for row in range(max(first - bottom, 0), min(n_rows, stop - bottom)):
            base = (bottom + row - first) * width + left
            for column in range(low, high):
                share = shares[n_columns * row + column, i]
                if share != 0:
                    add_lanes(totals, base + column, values, i, share)
                    if collected.size:
                        collected[bottom + row, start + left + column] |= given[y, x + i]


@compiled
def hold_row(row: Any, series: Any, held: Any, numbers: Any, scratch: Any) -> None:
    """Evaluate a row of the map, unless it is held; ``numbers`` says which are."""
    k = row % len(held)
    if numbers[k] != row:
        numbers[k] = row
        evaluate_row(row, series[0], series[1], series[2], scratch, held[k])


@compiled
def find_outlines(
    pixel_map: Any, n_y: Any, y: Any, x: Any, half: Any, number: Any, corners: Any
) -> None:
    """Write where the four corners of the shrunken pixels of a strip fall, see `find_corners`."""
    high_left, high_right, low_right, low_left = corners
    if half == 0.5:
        # The corners of neighbours are one: those at the right lie in the same arrays.
        find_corners(pixel_map, n_y, y, -half, x, -half, number + 1, low_left)
        find_corners(pixel_map, n_y, y, half, x, -half, number + 1, high_left)
    else:
        find_corners(pixel_map, n_y, y, -half, x, -half, number, low_left)
        find_corners(pixel_map, n_y, y, -half, x, half, number, low_right)
        find_corners(pixel_map, n_y, y, half, x, -half, number, high_left)
        find_corners(pixel_map, n_y, y, half, x, half, number, high_right)


@compiled
def add_large_boxes(
    band: Any, boxes: Any, quadrangles: Any, flags: Any, strip: Any, values: Any, totals: Any
) -> None:
    """Add quadrangles of a strip whose boxes may be of any size, some at a time.

    As `add_boxes`; ``quadrangles`` are columns and rows of the corners, and the weights (see
    `place_boxes`).
    """
    xs, ys, scale = quadrangles
    y, x, first, stop = strip
    n_rows, n_columns = boxes[2], boxes[3]
    area = n_rows * n_columns
    shares = np.empty((area, STRIP), np.float32)
    at_a_time = max(AREAS // area, 1)
    for begin in range(first, stop, at_a_time):
        end = min(begin + at_a_time, stop)
        large_shares(xs, ys, scale, begin, end, n_rows, n_columns, shares)
        add_boxes(band, boxes, shares, flags, (y, x, begin, end), values, totals)


@compiled
def spread_quadrangles(
    band: Any, image: Any, weight: Any, flags: Any, places: Any, drop: Any, totals: Any
) -> None:
    """Spread shrunken pixels over a band of the output.

    Parameters
    ----------
    band : (int, int, int, int)
        First row and the one after the last, first column, columns.
    image : (tuple of 5 arrays, float32)
        See `load_values`; and the level.
    weight : array, (y, x) float32
    flags : (array, array)
        Of the image and the output; empty if there are none.
    places : (array, tuple of 3 arrays, array)
        The map, (y, x, 2) float64, or a series (the other is empty), and the reach of strips,
        (y, strips, 4) float64.
    drop : (tuple, float)
        The window, and half the side of the shrunken pixels.
    totals : array, (pixels, LANES) float32
    """
    first, stop = band[0], band[1]
    whole, series, reach = places
    window, half = drop
    n_y, n_x = weight.shape
    # The rows around the one at hand, where they are evaluated on the way.
    held, numbers, scratch = np.empty((3, n_x, 2)), np.full(3, -1), np.empty(n_x)
    pixel_map = held.reshape(3, 2 * n_x) if series[0].size else whole.reshape(n_y, 2 * n_x)
    low_left, low_right, high_left, high_right = np.empty((4, 2 * (STRIP + 1)))
    xs, ys = np.empty((4, STRIP)), np.empty((4, STRIP))
    left, bottom, scale = np.empty(STRIP), np.empty(STRIP), np.empty(STRIP)
    shares = np.empty((SMALL * SMALL, STRIP), np.float32)
    values = np.zeros((STRIP, LANES), np.float32)
    values[:, VARIANCES:WEIGHT] = np.nan
    values[:, WEIGHT:] = 1
    if half == 0.5:
        # The corners of neighbours are one.
        low_right, high_right = low_left[2:], high_left[2:]
    corners = (high_left, high_right, low_right, low_left)
    for y in range(window[2], window[3] + 1):
        for strip in range(reach.shape[1]):
            if not (reach[y, strip, 3] >= first and reach[y, strip, 2] <= stop - 1):
                continue
            if series[0].size:
                for row in range(max(y - 1, 0), min(y + 2, n_y)):
                    hold_row(row, series, held, numbers, scratch)
            x = window[0] + strip * STRIP
            number = min(STRIP, window[1] + 1 - x)
            find_outlines(pixel_map, n_y, y, x, half, number, corners)
            load_values(image[0], image[1], y, x, number, values)
            size = place_boxes(corners, weight[y, x:], number, xs, ys, left, bottom, scale)
            n_rows, n_columns = size
            boxes = (left, bottom, n_rows, n_columns)
            here = (y, x, 0, number)
            if n_rows <= SMALL and n_columns <= SMALL:
                small_shares(xs, ys, scale, number, n_rows, n_columns, shares)
                add_boxes(band, boxes, shares, flags, here, values, totals)
            else:
                add_large_boxes(band, boxes, (xs, ys, scale), flags, here, values, totals)


@compiled
def overlap(low: Any, high: Any, pixel: Any) -> Any:
    """Return how much of an interval lies in a pixel, along one axis."""
    return max(min(high, pixel + 0.5) - max(low, pixel - 0.5), 0.0)


@compiled
def part_of(kind: Any, across: Any, along: Any, column: Any, row: Any, terms: Any) -> Any:
    """Return the part of a drop, which falls on a place, that an output pixel catches.

    ``terms`` are how far the drop reaches, the height and the steepness of its function; and the
    table of a sinc, with the steps of the table in an output pixel as steepness.
    """
    reach, height, steepness, table = terms
    if kind == POINT:
        return 1.0
    if kind == TURBO:
        return height * (
            overlap(across - reach, across + reach, column)
            * overlap(along - reach, along + reach, row)
        )
    if kind == GAUSSIAN:
        square = (across - column) ** 2 + (along - row) ** 2
        return height * np.exp(-square * steepness)
    step_x = rounded(abs(across - column) * steepness)
    step_y = rounded(abs(along - row) * steepness)
    inside = step_x < table.size and step_y < table.size
    return np.float64(table[step_x] * table[step_y]) if inside else 0.0


@compiled
def spread_centres(
    band: Any, image: Any, weight: Any, flags: Any, places: Any, drop: Any, totals: Any
) -> None:
    """Spread pixels by a function of the distance from where their centre falls.

    As `spread_quadrangles`; ``drop`` holds the window, the number of the kernel and its terms (see
    `part_of`).
    """
    first, stop, start, width = band
    whole, series, strips = places
    window, kind, terms = drop
    n_x = weight.shape[1]
    held, numbers, scratch = np.empty((1, n_x, 2)), np.full(1, -1), np.empty(n_x)
    pixel_map = held if series[0].size else whole
    given, collected = flags
    reach = terms[0]
    values = np.zeros((STRIP, LANES), np.float32)
    values[:, VARIANCES:WEIGHT] = np.nan
    values[:, WEIGHT : HIT + 1] = 1
    for y in range(window[2], window[3] + 1):
        for strip in range(strips.shape[1]):
            if not (strips[y, strip, 3] >= first and strips[y, strip, 2] <= stop - 1):
                continue
            if series[0].size:
                hold_row(y, series, held, numbers, scratch)
            x_first = window[0] + strip * STRIP
            number = min(STRIP, window[1] + 1 - x_first)
            load_values(image[0], image[1], y, x_first, number, values)
            for i in range(number):
                x = x_first + i
                across, along = pixel_map[y % len(pixel_map), x]
                if weight[y, x] == 0 or not (abs(across) < FAR and abs(along) < FAR):
                    continue
                left, right = rounded(across - reach), rounded(across + reach)
                bottom, top = rounded(along - reach), rounded(along + reach)
                for row in range(max(bottom, first), min(top + 1, stop)):
                    for column in range(max(left, start), min(right + 1, start + width)):
                        part = part_of(kind, across, along, column, row, terms)
                        share = np.float32(part * weight[y, x])
                        if share == 0:
                            continue
                        target = (row - first) * width + column - start
                        add_lanes(totals, target, values, i, share)
                        if share > 0:
                            totals[target, ADDED] = 1
                        if collected.size:
                            collected[row, column] |= given[y, x]


def lanczos_table(order: int) -> Any:
    """Return a sinc windowed by a sinc, float32, at the steps of a table."""
    distance = np.arange(LANCZOS_TABLE) * LANCZOS_STEP
    values = np.sinc(distance) * np.sinc(distance / order)
    values[distance >= order] = 0.0
    return values.astype(np.float32)


def terms_of(drop: Any) -> tuple[float, float, float]:
    """Return how far a drop reaches, in output pixels, and the terms of its function."""
    # Quirk: officially the ratio is of single precision, which moves steps of the table.
    pixfrac, ratio = drop.pixfrac, float(np.float32(drop.scale_ratio))
    if drop.kernel == "point":
        return 0.0, 1.0, 0.0
    if drop.kernel == "turbo":
        return pixfrac / ratio / 2, ratio**2 / pixfrac**2, 0.0
    if drop.kernel == "gaussian":
        steepness = FWHM**2 * ratio**2 / pixfrac**2 / 2
        reach = max(GAUSSIAN_REACH * pixfrac / FWHM / ratio, LEAST_GAUSSIAN_REACH / ratio)
        return reach, steepness / np.pi, steepness
    order = int(drop.kernel[-1])
    # As officially, the function is that of whole pixels, whatever pixfrac is.
    return order / ratio, 1.0, ratio / LANCZOS_STEP


def drizzle(pixels: Any, drop: Any, sums: Any, bit: int) -> None:
    """Add an image to sums; see :func:`jwgpu.kernels.drizzle.drizzle`."""
    shape = pixels.data.shape
    pixel_map, series = pixels.pixel_map, NO_SERIES
    if isinstance(pixel_map, Series):
        pixel_map, series = np.empty((0, 0, 2)), tuple(pixel_map)
    window = tuple(int(edge) for edge in drop.window)
    spread: Any = spread_quadrangles
    form: tuple[Any, ...] = (window, drop.pixfrac / 2)
    reach = 0.5
    if drop.kernel != "square":
        kind = KERNELS.index(drop.kernel)
        table = lanczos_table(int(drop.kernel[-1])) if kind >= LANCZOS2 else np.ones(1, np.float32)
        terms = terms_of(drop)
        spread, form, reach = (
            spread_centres,
            (window, kind, (*terms, table)),
            terms[0] + 0.5,
        )
    strips = reach_of(pixel_map, series, shape, window, reach)
    first, stop, start, width = _part_of_output(strips, window, sums.weights.shape)
    if first >= stop or width <= 0:
        return
    n_rows = max(min(BAND, PIXELS // width, stop - first), 1)
    shared = (
        (_planes_of(pixels), np.float32(pixels.level)),
        pixels.weight,
        (_or_empty(pixels.flags, np.uint32), _or_empty(sums.flags, np.uint32)),
        (pixel_map, series, strips),
        form,
    )
    output = _arrays_of(sums)
    mask = np.array([1 << bit], np.uint32).view(np.int32)[0]

    def add(begin: int, end: int) -> None:
        n_bands = -(-(end - begin) // n_rows)
        height = -(-(end - begin) // n_bands)  # so that none is left with a few rows
        totals = np.empty((height * width, LANES), np.float32)
        for low in range(first + begin, first + end, height):
            high = min(low + height, first + end)
            open_band(low, high, start, width, output, totals)
            spread((low, high, start, width), *shared, totals)
            close_band(low, high, start, width, mask, float(pixels.time), output, totals)

    over_rows(add, stop - first)


def finish(sums: Any, fill: float, scaling: float) -> Any:
    """Turn sums into means; see :func:`jwgpu.kernels.drizzle.finish`."""
    values, weights, _, _, variances, variance_weights = _arrays_of(sums)
    errors = np.empty(weights.shape if variances.size else (0, 0), np.float32)
    planes = (values, weights, variances, variance_weights, errors)
    over_rows(finish_rows, len(weights), *planes, np.float32(fill), float(scaling))
    return errors if variances.size else None


def _part_of_output(strips: Any, window: Any, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the first row, the one after the last, the first column, and columns that are hit."""
    used = strips[window[2] : window[3] + 1]
    used = used[(used[..., 0] <= used[..., 1]) & (used[..., 2] <= used[..., 3])]
    if not len(used):
        return 0, 0, 0, 0
    left, bottom = (max(int(np.floor(used[:, edge].min())), 0) for edge in (0, 2))
    right = min(int(np.ceil(used[:, 1].max())), shape[1] - 1)
    top = min(int(np.ceil(used[:, 3].max())), shape[0] - 1)
    return bottom, top + 1, left, right + 1 - left


def _planes_of(pixels: Any) -> tuple[Any, ...]:
    variances = (None,) * 3 if pixels.variances is None else pixels.variances
    planes = (pixels.data, pixels.other, *variances)
    return tuple(np.ascontiguousarray(_or_empty(plane)) for plane in planes)


def _arrays_of(sums: Any) -> tuple[Any, ...]:
    """Return the arrays of sums, empty where there are none."""
    return (
        sums.values,
        sums.weights,
        _or_empty(sums.context, np.int32),
        _or_empty(sums.flags, np.uint32),
        _or_empty(sums.variances, dimensions=3),
        _or_empty(sums.variance_weights, dimensions=3),
    )


def _or_empty(array: Any, dtype: Any = np.float32, dimensions: int = 2) -> Any:
    return np.empty((0,) * dimensions, dtype) if array is None else array
