"""How much of quadrangles lies in each pixel of a grid: for a strip of quadrangles at a time.

Between an edge of an outline and a horizontal line below it lies an area; with the sign of the
direction in which the edge runs, the areas of all edges add up to what of the quadrangle is above
that line. Up to a vertical line that is an integral with a closed form; what lies in a pixel
is the difference between its borders. There are no branches, so the loops over quadrangles become
vector instructions, if all that they call is part of them.

Coordinates are counted from a corner of the box of pixels that a quadrangle touches, so that its
areas do not depend on its neighbours or on how large the boxes of these are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.compiled import compiled, inlined

STRIP = 64
"""Quadrangles that are taken together."""

SMALL = 3
"""Most rows and columns of a box for which the loop is written out."""

NOISE = 1e-13
"""Area, in pixels, below which what is left of a sum is rounding."""

FAR = 1e9
"""Places, in pixels, beyond which there are none."""


@compiled
def find_corners(
    pixel_map: Any, n_y: Any, y: Any, dy: Any, x: Any, dx: Any, number: Any, places: Any
) -> None:
    """Write where one corner of each pixel of a strip falls.

    A corner lies ``dx`` and ``dy``, at most half a pixel, beside the centre of its pixel. Its place
    is linear between the four centres around it, and beyond the outer ones.

    Parameters
    ----------
    pixel_map : array, (rows, 2 * columns) float64
        Column and row of the output for each pixel, one after the other: of all rows of the
        image, or of some that follow each other, each at its number modulo how many they are.
    n_y : int
        Rows of the image.
    y, dy, x, dx : int, float, int, float
        Row, and first column.
    number : int
        Pixels; one more than there are where the corners of neighbours are one.
    places : array, (2 * (STRIP + 1)) float64
        Gets column and row of each corner.
    """
    n_rows, n_x = pixel_map.shape[0], pixel_map.shape[1] // 2
    j = min(max(y + int(np.floor(dy)), 0), n_y - 2)
    low, high = j % n_rows, (j + 1) % n_rows
    v = y - j + dy
    left = x + int(np.floor(dx))
    u = dx - np.floor(dx)
    inner, outer = min(max(-left, 0), number), max(min(n_x - 1 - left, number), 0)
    # From 0, so that no index can be one from the end, which a vector could not hold.
    at = 2 * (left + inner)
    low_left, low_right = pixel_map[low, at:], pixel_map[low, at + 2 :]
    high_left, high_right = pixel_map[high, at:], pixel_map[high, at + 2 :]
    wanted = places[2 * inner :]
    for k in range(2 * (outer - inner)):
        below = low_left[k] * (1.0 - u) + low_right[k] * u
        above = high_left[k] * (1.0 - u) + high_right[k] * u
        wanted[k] = below * (1.0 - v) + above * v
    for k in range(number):
        if inner <= k < outer:
            continue
        i = min(0, n_x - 2) if left + k < 0 else n_x - 2
        u = left + k - i + dx - np.floor(dx)
        for at in range(2 * i, 2 * i + 2):
            below = pixel_map[low, at] * (1.0 - u) + pixel_map[low, at + 2] * u
            above = pixel_map[high, at] * (1.0 - u) + pixel_map[high, at + 2] * u
            places[2 * k + at - 2 * i] = below * (1.0 - v) + above * v


@compiled
def place_boxes(
    corners: Any, weight: Any, number: Any, xs: Any, ys: Any, left: Any, bottom: Any, scale: Any
) -> Any:
    """Find the box of output pixels that each quadrangle touches, and count from its corner.

    Parameters
    ----------
    corners : tuple of 4 arrays, float64
        Column and row of each corner, in the order of the outline.
    weight : array, float32
    number : int
        Quadrangles.
    xs, ys : array, (4, STRIP) float64
        Get the corners, from the corner of the box; 0 for quadrangles that fall nowhere.
    left, bottom : array, (STRIP) float64
        Get the lowest column and row of the box.
    scale : array, (STRIP) float64
        Gets the weight of an area of 1.

    Returns
    -------
    (int, int)
        Rows and columns that are enough for all boxes, at least 2.
    """
    first, second, third, fourth = corners
    for i in range(number):
        x0, x1, x2, x3 = first[2 * i], second[2 * i], third[2 * i], fourth[2 * i]
        y0, y1 = first[2 * i + 1], second[2 * i + 1]
        y2, y3 = third[2 * i + 1], fourth[2 * i + 1]
        x_low, x_high = min(min(x0, x1), min(x2, x3)), max(max(x0, x1), max(x2, x3))
        y_low, y_high = min(min(y0, y1), min(y2, y3)), max(max(y0, y1), max(y2, y3))
        jacobian = 0.5 * abs((x1 - x3) * (y0 - y2) - (x0 - x2) * (y1 - y3))
        # The sum is NaN if any is, which a minimum may pass over.
        exists = abs((x0 + x1 + x2 + x3) + (y0 + y1 + y2 + y3)) < FAR
        exists &= (x_low > -FAR) & (x_high < FAR) & (y_low > -FAR) & (y_high < FAR)
        column = np.floor(x_low + 0.5) if exists else 0.0
        row = np.floor(y_low + 0.5) if exists else 0.0
        left[i], bottom[i] = column, row
        scale[i] = np.float64(weight[i]) / jacobian if exists else 0.0
        dx, dy = 0.5 - column, 0.5 - row
        xs[0, i] = x0 + dx if exists else 0.0
        xs[1, i] = x1 + dx if exists else 0.0
        xs[2, i] = x2 + dx if exists else 0.0
        xs[3, i] = x3 + dx if exists else 0.0
        ys[0, i] = y0 + dy if exists else 0.0
        ys[1, i] = y1 + dy if exists else 0.0
        ys[2, i] = y2 + dy if exists else 0.0
        ys[3, i] = y3 + dy if exists else 0.0
    n_rows, n_columns = 2, 2
    for i in range(number):
        n_columns = max(n_columns, int(max(max(xs[0, i], xs[1, i]), max(xs[2, i], xs[3, i]))) + 1)
        n_rows = max(n_rows, int(max(max(ys[0, i], ys[1, i]), max(ys[2, i], ys[3, i]))) + 1)
    return n_rows, n_columns


@inlined
def above(y0: Any, y1: Any, height: Any, width: Any, back: Any) -> Any:
    """Integrate max(y - height, 0) along a line of a width; ``back`` is the inverse of its slope.

    Where the line crosses the height, the part above it is narrower than the line.
    """
    low = y0 - height if y0 > height else 0.0
    high = y1 - height if y1 > height else 0.0
    crosses = (y0 > height) != (y1 > height)
    return 0.5 * (low + high) * ((high - low) * back if crosses else width)


@inlined
def clipped(x0: Any, y0: Any, x1: Any, y1: Any, slope: Any, edge: Any) -> Any:
    """Return the heights at both ends, and the width, of what of a line is left of an edge."""
    at_edge = y0 + (edge - x0) * slope
    start = y0 if x0 < edge else at_edge
    end = y1 if x1 < edge else at_edge
    return start, end, (x1 if x1 < edge else edge) - (x0 if x0 < edge else edge)


@inlined
def slopes(run: Any, rise: Any) -> Any:
    """Return the slope of a line and its inverse; where there is none, it is not used."""
    return rise / (run if run != 0.0 else 1.0), run / (rise if rise != 0.0 else 1.0)


@inlined
def integrals(x0: Any, y0: Any, x1: Any, y1: Any) -> Any:
    """Return the integrals along an edge up to columns 1, 2, and 3, each above rows 0, 1, and 2."""
    run = x1 - x0
    slope, back = slopes(run, y1 - y0)
    start, end, width = clipped(x0, y0, x1, y1, slope, 1.0)
    start2, end2, width2 = clipped(x0, y0, x1, y1, slope, 2.0)
    return (
        0.5 * (start + end) * width,
        above(start, end, 1.0, width, back),
        above(start, end, 2.0, width, back),
        0.5 * (start2 + end2) * width2,
        above(start2, end2, 1.0, width2, back),
        above(start2, end2, 2.0, width2, back),
        0.5 * (y0 + y1) * run,
        above(y0, y1, 1.0, run, back),
        above(y0, y1, 2.0, run, back),
    )


@inlined
def share_of(area: Any, scale: Any) -> Any:
    """Return the share of the weight, single precision."""
    area = abs(area)
    return np.float32(area * scale if area > NOISE else 0.0)


@inlined
def shares_in(
    n_rows: Any, n_columns: Any, xs: Any, ys: Any, scale: Any, number: Any, shares: Any
) -> None:
    """Do what `small_shares` does, for constant sizes: what they do not need is not computed."""
    for i in range(number):
        x0, x1, x2, x3 = xs[0, i], xs[1, i], xs[2, i], xs[3, i]
        y0, y1, y2, y3 = ys[0, i], ys[1, i], ys[2, i], ys[3, i]
        a0, a1, a2, b0, b1, b2, c0, c1, c2 = integrals(x0, y0, x1, y1)
        d0, d1, d2, e0, e1, e2, f0, f1, f2 = integrals(x1, y1, x2, y2)
        a0, a1, a2, b0, b1, b2 = a0 + d0, a1 + d1, a2 + d2, b0 + e0, b1 + e1, b2 + e2
        c0, c1, c2 = c0 + f0, c1 + f1, c2 + f2
        d0, d1, d2, e0, e1, e2, f0, f1, f2 = integrals(x2, y2, x3, y3)
        a0, a1, a2, b0, b1, b2 = a0 + d0, a1 + d1, a2 + d2, b0 + e0, b1 + e1, b2 + e2
        c0, c1, c2 = c0 + f0, c1 + f1, c2 + f2
        d0, d1, d2, e0, e1, e2, f0, f1, f2 = integrals(x3, y3, x0, y0)
        a0, a1, a2, b0, b1, b2 = a0 + d0, a1 + d1, a2 + d2, b0 + e0, b1 + e1, b2 + e2
        c0, c1, c2 = c0 + f0, c1 + f1, c2 + f2
        if n_columns == 2:
            # All is left of column 2.
            b0, b1, b2 = c0, c1, c2
        if n_rows == 2:
            a2, b2, c2 = 0.0, 0.0, 0.0
        c0, c1, c2 = c0 - b0, c1 - b1, c2 - b2
        b0, b1, b2 = b0 - a0, b1 - a1, b2 - a2
        shares[0, i] = share_of(a0 - a1, scale[i])
        shares[1, i] = share_of(b0 - b1, scale[i])
        shares[n_columns, i] = share_of(a1 - a2, scale[i])
        shares[n_columns + 1, i] = share_of(b1 - b2, scale[i])
        if n_columns == 3:
            shares[2, i] = share_of(c0 - c1, scale[i])
            shares[5, i] = share_of(c1 - c2, scale[i])
        if n_rows == 3:
            shares[2 * n_columns, i] = share_of(a2, scale[i])
            shares[2 * n_columns + 1, i] = share_of(b2, scale[i])
        if n_rows == 3 and n_columns == 3:
            shares[8, i] = share_of(c2, scale[i])


@compiled
def small_shares(
    xs: Any, ys: Any, scale: Any, number: Any, n_rows: Any, n_columns: Any, shares: Any
) -> None:
    """Leave in ``shares[n_columns * row + column, i]`` the share of quadrangle i.

    Boxes have 2 or 3 rows and columns.
    """
    if n_rows == 2 and n_columns == 2:
        shares_in(2, 2, xs, ys, scale, number, shares)
    elif n_rows == 2:
        shares_in(2, 3, xs, ys, scale, number, shares)
    elif n_columns == 2:
        shares_in(3, 2, xs, ys, scale, number, shares)
    else:
        shares_in(3, 3, xs, ys, scale, number, shares)


@compiled
def large_shares(
    x: Any,
    y: Any,
    scale: Any,
    first: Any,
    stop: Any,
    n_rows: Any,
    n_columns: Any,
    shares: Any,
) -> None:
    """Leave in ``shares[n_columns * row + column, i]`` the share of quadrangles ``first:stop``.

    The arithmetic is that of `small_shares`, for boxes of any size.
    """
    number = stop - first
    sums = np.zeros((n_columns + 1, n_rows + 1, number))
    start, end, width = np.empty(number), np.empty(number), np.empty(number)
    slope, back = np.empty(number), np.empty(number)
    for corner in range(4):
        x0, y0 = x[corner, first:], y[corner, first:]
        x1, y1 = x[(corner + 1) % 4, first:], y[(corner + 1) % 4, first:]
        for i in range(number):
            slope[i], back[i] = slopes(x1[i] - x0[i], y1[i] - y0[i])
        for column in range(1, n_columns + 1):
            edge = np.float64(column)
            for i in range(number):
                start[i], end[i], width[i] = clipped(x0[i], y0[i], x1[i], y1[i], slope[i], edge)
            for i in range(number):
                sums[column, 0, i] += 0.5 * (start[i] + end[i]) * width[i]
            for row in range(1, n_rows):
                height, under = np.float64(row), sums[column, row]
                for i in range(number):
                    under[i] += above(start[i], end[i], height, width[i], back[i])
    for row in range(n_rows):
        for column in range(n_columns):
            below, over = sums[column + 1, row], sums[column + 1, row + 1]
            before, before_over = sums[column, row], sums[column, row + 1]
            for i in range(number):
                area = (below[i] - before[i]) - (over[i] - before_over[i])
                shares[n_columns * row + column, first + i] = share_of(area, scale[first + i])
