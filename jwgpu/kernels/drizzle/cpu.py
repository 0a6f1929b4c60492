"""Drizzle on the CPU: threads share out rows of the output.

Each thread goes through the input in the order of its rows, past those that fall elsewhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows
from jwgpu.kernels.drizzle import KERNELS
from jwgpu.kernels.drizzle.overlap_cpu import quadrangle_areas
from jwgpu.kernels.drizzle.variances_cpu import add_rows

SQUARE, POINT, TURBO, GAUSSIAN, LANCZOS2, LANCZOS3 = range(len(KERNELS))
STRIP = 64  # input pixels that are taken together
NOTES = 1024  # shares of output pixels that are noted down before the means are moved
BOX = 6  # output pixels of scratch along each axis; more are made where they are needed

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
def find_corners(
    pixel_map: Any, y: Any, dy: Any, x_first: Any, number: Any, dx: Any, axis: Any, places: Any
) -> None:
    """Write where the corners of the pixels of a strip fall, along one axis.

    A corner lies ``dx`` and ``dy``, at most half a pixel, beside the centre of its pixel. Its place
    is linear between the four centres around it, and beyond the outer ones.
    """
    n_y, n_x = pixel_map.shape[0], pixel_map.shape[1]
    j = min(max(int(np.floor(y + dy)), 0), n_y - 2)
    v = y + dy - j
    low, high = pixel_map[j, :, axis], pixel_map[j + 1, :, axis]
    left = x_first + int(np.floor(dx))
    inner, outer = min(max(-left, 0), number), max(min(n_x - 1 - left, number), 0)
    for k in range(inner, outer):
        u = x_first + k + dx - (left + k)
        below = low[left + k] * (1 - u) + low[left + k + 1] * u
        above = high[left + k] * (1 - u) + high[left + k + 1] * u
        places[k] = below * (1 - v) + above * v
    for k in range(number):
        if inner <= k < outer:
            continue
        i = 0 if left + k < 0 else n_x - 2
        u = x_first + k + dx - i
        below = low[i] * (1 - u) + low[i + 1] * u
        above = high[i] * (1 - u) + high[i + 1] * u
        places[k] = below * (1 - v) + above * v


@compiled
def find_rows(first: Any, stop: Any, pixel_map: Any, reach: Any, lowest: Any, highest: Any) -> None:
    """Find for some rows of the input between which rows of the output they can fall."""
    n_y, n_x = pixel_map.shape[0], pixel_map.shape[1]
    for j in range(first, stop):
        low, high, step = np.inf, -np.inf, 0.0
        for other in range(max(j - 1, 0), min(j + 2, n_y)):
            before = np.nan
            for i in range(n_x):
                y = pixel_map[other, i, 1]
                if np.isnan(y):
                    continue
                low, high = min(low, y), max(high, y)
                if abs(y - before) > step:
                    step = abs(y - before)
                before = y
        lowest[j] = low - (high - low if n_x == 1 else step) - reach
        highest[j] = high + (high - low if n_x == 1 else step) + reach


@compiled
def add_weight(
    weights: Any, context: Any, mask: Any, target: Any, share: Any, shares: Any, count: Any
) -> None:
    """Add a share of an input pixel to the weight of an output pixel, and note it down."""
    before = weights[target]
    weights[target] = before + share
    if context.size and share > 0:
        context[target] |= mask
    shares[0, count] = share
    shares[1, count] = before
    shares[2, count] = before + share


@compiled
def add_values(
    means: Any, planes: Any, y: Any, targets: Any, sources: Any, shares: Any, count: Any
) -> None:
    """Move the means of all planes by the shares that were noted down, in their order."""
    for plane in range(means.shape[0]):
        mean, value = means[plane], planes[plane, y]
        for k in range(count):
            moved = mean[targets[k]] * shares[1, k] + shares[0, k] * value[sources[k]]
            new = np.float32(np.float64(moved) / np.float64(shares[2, k]))
            mean[targets[k]] = value[sources[k]] if shares[1, k] == 0 else new


@compiled
def place_boxes(xs: Any, ys: Any, number: Any, boxes: Any, jacobian: Any) -> Any:
    """Find the box of output pixels that each quadrangle needs, and count from its corner.

    ``boxes`` gets the left and the lower edge, and the numbers of columns and rows; none for
    quadrangles that fall nowhere. Return the largest numbers.
    """
    most_rows, most_columns = 0, 0
    for i in range(number):
        x_low = min(min(xs[0, i], xs[1, i]), min(xs[2, i], xs[3, i]))
        x_high = max(max(xs[0, i], xs[1, i]), max(xs[2, i], xs[3, i]))
        y_low = min(min(ys[0, i], ys[1, i]), min(ys[2, i], ys[3, i]))
        y_high = max(max(ys[0, i], ys[1, i]), max(ys[2, i], ys[3, i]))
        spread = (x_high - x_low) + (y_high - y_low)
        if not spread < np.inf:
            boxes[2, i] = boxes[3, i] = 0
            for corner in range(4):
                xs[corner, i] = ys[corner, i] = 0.0
            continue
        across = (xs[1, i] - xs[3, i]) * (ys[0, i] - ys[2, i])
        jacobian[i] = 0.5 * abs(across - (xs[0, i] - xs[2, i]) * (ys[1, i] - ys[3, i]))
        left, bottom = np.floor(x_low + 0.5), np.floor(y_low + 0.5)
        boxes[0, i], boxes[1, i] = int(left), int(bottom)
        boxes[2, i] = int(np.floor(x_high + 0.5)) - boxes[0, i] + 1
        boxes[3, i] = int(np.floor(y_high + 0.5)) - boxes[1, i] + 1
        most_columns, most_rows = max(most_columns, boxes[2, i]), max(most_rows, boxes[3, i])
        for corner in range(4):
            xs[corner, i] += 0.5 - left
            ys[corner, i] += 0.5 - bottom
    return most_rows, most_columns


@compiled
def spread_quadrangles(
    first: Any,
    stop: Any,
    planes: Any,
    weight: Any,
    pixel_map: Any,
    half: Any,
    window: Any,
    lowest: Any,
    highest: Any,
    n_out: Any,
    means: Any,
    weights: Any,
    context: Any,
    mask: Any,
) -> None:
    """Spread shrunken pixels over the rows ``first:stop`` of the output."""
    noted = 0
    xs, ys, scratch = np.empty((4, STRIP)), np.empty((4, STRIP)), np.empty((4, STRIP))
    jacobian, boxes = np.empty(STRIP), np.empty((4, STRIP), np.int64)
    areas = np.empty((BOX, BOX, STRIP))
    targets, sources = np.empty(NOTES, np.int64), np.empty(NOTES, np.int64)
    shares = np.empty((3, NOTES), np.float32)
    side_x, side_y = (-half, half, half, -half), (half, half, -half, -half)
    for y in range(window[2], window[3] + 1):
        # A row that falls nowhere compares false with everything.
        if not (highest[y] >= first - 0.5 and lowest[y] <= stop - 0.5):
            continue
        for x_first in range(window[0], window[1] + 1, STRIP):
            number = min(STRIP, window[1] + 1 - x_first)
            for corner in range(4):
                dx, dy = side_x[corner], side_y[corner]
                find_corners(pixel_map, y, dy, x_first, number, dx, 0, xs[corner])
                find_corners(pixel_map, y, dy, x_first, number, dx, 1, ys[corner])
            n_rows, n_columns = place_boxes(xs, ys, number, boxes, jacobian)
            if max(n_rows, n_columns) > areas.shape[0]:
                areas = np.empty((max(n_rows, n_columns), max(n_rows, n_columns), STRIP))
            quadrangle_areas(areas, xs, ys, number, n_rows, n_columns, scratch)
            for i in range(number):
                x = x_first + i
                left, bottom = boxes[0, i], boxes[1, i]
                for row in range(max(first - bottom, 0), min(boxes[3, i], stop - bottom)):
                    for column in range(max(-left, 0), min(boxes[2, i], n_out - left)):
                        area = areas[row, column, i]
                        if area == 0.0:
                            continue
                        share = np.float32(area / jacobian[i] * weight[y, x])
                        if share != 0:
                            targets[noted] = (bottom + row) * n_out + left + column
                            sources[noted] = x
                            add_weight(weights, context, mask, targets[noted], share, shares, noted)
                            noted += 1
                            if noted == NOTES:
                                add_values(means, planes, y, targets, sources, shares, noted)
                                noted = 0
            add_values(means, planes, y, targets, sources, shares, noted)
            noted = 0


@compiled
def overlap(low: Any, high: Any, pixel: Any) -> Any:
    """Return how much of an interval lies in a pixel, along one axis."""
    return max(min(high, pixel + 0.5) - max(low, pixel - 0.5), 0.0)


@compiled
def spread_centres(
    first: Any,
    stop: Any,
    planes: Any,
    weight: Any,
    pixel_map: Any,
    kind: Any,
    reach: Any,
    terms: Any,
    table: Any,
    window: Any,
    lowest: Any,
    highest: Any,
    n_out: Any,
    means: Any,
    weights: Any,
    context: Any,
    mask: Any,
) -> None:
    """Spread pixels by a function of the distance from where their centre falls.

    ``terms`` are the height and the steepness of the function; of a sinc, which ``table`` holds,
    the steps of the table in an output pixel.
    """
    height, steepness = terms
    noted = 0
    targets, sources = np.empty(NOTES, np.int64), np.empty(NOTES, np.int64)
    shares = np.empty((3, NOTES), np.float32)
    for y in range(window[2], window[3] + 1):
        if not (highest[y] >= first - 0.5 and lowest[y] <= stop - 0.5):
            continue
        for x in range(window[0], window[1] + 1):
            at_x, at_y = pixel_map[y, x, 0], pixel_map[y, x, 1]
            if weight[y, x] == 0 or np.isnan(at_x) or np.isnan(at_y):
                continue
            left, right = rounded(at_x - reach), rounded(at_x + reach)
            bottom, top = rounded(at_y - reach), rounded(at_y + reach)
            for jj in range(max(bottom, first), min(top + 1, stop)):
                for ii in range(max(left, 0), min(right + 1, n_out)):
                    if kind == POINT:
                        part = 1.0
                    elif kind == TURBO:
                        part = height * (
                            overlap(at_x - reach, at_x + reach, ii)
                            * overlap(at_y - reach, at_y + reach, jj)
                        )
                    elif kind == GAUSSIAN:
                        square = (at_x - ii) ** 2 + (at_y - jj) ** 2
                        part = height * np.exp(-square * steepness)
                    else:
                        step_x = rounded(abs(at_x - ii) * steepness)
                        step_y = rounded(abs(at_y - jj) * steepness)
                        inside = step_x < table.size and step_y < table.size
                        part = np.float64(table[step_x] * table[step_y]) if inside else 0.0
                    share = np.float32(part * weight[y, x])
                    if share != 0:
                        targets[noted] = jj * n_out + ii
                        sources[noted] = x
                        add_weight(weights, context, mask, targets[noted], share, shares, noted)
                        noted += 1
                        if noted == NOTES:
                            add_values(means, planes, y, targets, sources, shares, noted)
                            noted = 0
        add_values(means, planes, y, targets, sources, shares, noted)
        noted = 0


def lanczos_table(order: int) -> Any:
    """Return a sinc windowed by a sinc, float32, at the steps of a table."""
    distance = np.arange(LANCZOS_TABLE) * LANCZOS_STEP
    values = np.sinc(distance) * np.sinc(distance / order)
    values[distance >= order] = 0.0
    return values.astype(np.float32)


def reach_and_terms(drop: Any) -> tuple[float, tuple[float, float]]:
    """Return how far a drop reaches, in output pixels, and the terms of its function."""
    # Quirk: officially the ratio is of single precision, which moves steps of the table.
    pixfrac, ratio = drop.pixfrac, float(np.float32(drop.scale_ratio))
    if drop.kernel == "point":
        return 0.0, (1.0, 0.0)
    if drop.kernel == "turbo":
        return pixfrac / ratio / 2, (ratio**2 / pixfrac**2, 0.0)
    if drop.kernel == "gaussian":
        steepness = FWHM**2 * ratio**2 / pixfrac**2 / 2
        reach = max(GAUSSIAN_REACH * pixfrac / FWHM / ratio, LEAST_GAUSSIAN_REACH / ratio)
        return reach, (steepness / np.pi, steepness)
    order = int(drop.kernel[-1])
    # As officially, the function is that of whole pixels, whatever pixfrac is.
    return order / ratio, (1.0, ratio / LANCZOS_STEP)


def drizzle(
    planes: Any,
    weight: Any,
    pixel_map: Any,
    drop: Any,
    means: Any,
    weights: Any,
    context: Any,
    bit: int,
) -> None:
    """Add images to running means; see :func:`jwgpu.kernels.drizzle.drizzle`."""
    n_y = pixel_map.shape[0]
    lowest, highest = np.empty(n_y), np.empty(n_y)
    mask = np.array([1 << bit], np.uint32).view(np.int32)[0]
    if context is None:
        context = np.empty((0, 0), np.int32)
    n_rows, n_out = weights.shape
    flat = (means.reshape(len(means), -1), weights.reshape(-1), context.reshape(-1))
    output = (n_out, *flat, mask)
    window = tuple(int(edge) for edge in drop.window)
    kind = KERNELS.index(drop.kernel)
    if kind == SQUARE:
        over_rows(find_rows, n_y, pixel_map, 1.0, lowest, highest)
        pixels = (planes, weight, pixel_map, drop.pixfrac / 2, window, lowest, highest)
        over_rows(spread_quadrangles, n_rows, *pixels, *output)
        return
    reach, terms = reach_and_terms(drop)
    table = lanczos_table(int(drop.kernel[-1])) if kind >= LANCZOS2 else np.ones(1, np.float32)
    over_rows(find_rows, n_y, pixel_map, reach + 1.0, lowest, highest)
    shared = (planes, weight, pixel_map, kind, reach, terms, table, window, lowest, highest)
    over_rows(spread_centres, n_rows, *shared, *output)


def add_variances(
    errors: Any, hit: Any, time: float, noise: int, sums: Any, sum_weights: Any
) -> None:
    """Add variances to those of a mean; see :func:`jwgpu.kernels.drizzle.add_variances`."""
    over_rows(add_rows, len(hit), errors, hit, float(time), noise, sums, sum_weights)
