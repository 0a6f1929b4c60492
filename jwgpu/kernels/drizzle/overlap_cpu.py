"""How much of quadrangles lies in each pixel of a grid: for many quadrangles at a time.

Under each edge of an outline lies an area; with the sign of the direction in which the edge runs,
the areas of all edges add up to that of the quadrangle. Cut to a pixel, the area under an edge is
the integral of a clamped straight line, which has a closed form without branches: the loops over
quadrangles, the innermost ones, become vector instructions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.compiled import compiled

NOISE = 1e-13
"""Area, in pixels, below which what is left of a sum is rounding."""

FLAT = 1e-7
"""Difference in height, in pixels, below which an edge is as high as its middle."""


@compiled
def clamped(value: Any, low: Any, high: Any) -> Any:
    """Return a value, or the limit that it is beyond."""
    value = low if value < low else value
    return high if value > high else value


@compiled
def primitive(height: Any) -> Any:
    """Integrate min(max(y, 0), 1) from below up to a height."""
    inside = clamped(height, 0.0, 1.0)
    beyond = height - 1.0
    return 0.5 * inside * inside + (beyond if beyond > 0.0 else 0.0)


@compiled
def quadrangle_areas(
    areas: Any, x: Any, y: Any, number: Any, n_rows: Any, n_columns: Any, scratch: Any
) -> None:
    """Leave in ``areas[row, column, i]`` how much of quadrangle i lies in each pixel of its box.

    Parameters
    ----------
    areas : array, (rows, columns, quadrangles) float64
    x, y : array, (4, quadrangles) float64
        Corners in the order of the outline, from the corner of the box; pixel c is [c, c + 1).
    number : int
        Quadrangles.
    n_rows, n_columns : int
        Of all boxes: as many as the largest needs.
    scratch : array, (4, quadrangles) float64
    """
    slope, width, start, end = scratch
    for row in range(n_rows):
        for column in range(n_columns):
            for i in range(number):
                areas[row, column, i] = 0.0
    for corner in range(4):
        x0, y0 = x[corner], y[corner]
        x1, y1 = x[(corner + 1) % 4], y[(corner + 1) % 4]
        for i in range(number):
            run = x1[i] - x0[i]
            slope[i] = (y1[i] - y0[i]) / (run if run != 0.0 else 1.0)
        for column in range(n_columns):
            left, right = np.float64(column), np.float64(column + 1)
            for i in range(number):
                begin, stop = clamped(x0[i], left, right), clamped(x1[i], left, right)
                width[i] = stop - begin
                start[i] = y0[i] + (begin - x0[i]) * slope[i]
                end[i] = y0[i] + (stop - x0[i]) * slope[i]
            for row in range(n_rows):
                under = areas[row, column]
                for i in range(number):
                    low, high = start[i] - row, end[i] - row
                    rise = high - low
                    is_flat = abs(rise) < FLAT
                    mean = (primitive(high) - primitive(low)) / (1.0 if is_flat else rise)
                    middle = clamped(0.5 * (low + high), 0.0, 1.0)
                    under[i] += width[i] * (middle if is_flat else mean)
    for row in range(n_rows):
        for column in range(n_columns):
            for i in range(number):
                area = abs(areas[row, column, i])
                areas[row, column, i] = area if area > NOISE else 0.0
