"""Smooth maps on the CPU: threads share out the rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows


@compiled
def evaluate_row(
    row: Any, coefficients: Any, along_y: Any, along_x: Any, values: Any, places: Any
) -> None:
    """Evaluate a row; ``values``, (columns), are scratch, ``places``, (columns, 2), the result."""
    n_terms, n_columns = along_x.shape
    for axis in range(2):
        values[:] = 0.0
        for i in range(n_terms):
            term = 0.0
            for j in range(n_terms):
                term += coefficients[axis, j, i] * along_y[row, j]
            functions = along_x[i]
            for column in range(n_columns):
                values[column] += term * functions[column]
        for column in range(n_columns):
            places[column, axis] = values[column]


@compiled
def evaluate_rows(
    first: Any, stop: Any, coefficients: Any, along_y: Any, along_x: Any, pixel_map: Any
) -> None:
    """Evaluate the rows ``first:stop``."""
    values = np.empty(along_x.shape[1])
    for row in range(first, stop):
        evaluate_row(row, coefficients, along_y, along_x, values, pixel_map[row])


def evaluate(coefficients: Any, along_y: Any, along_x: Any, pixel_map: Any) -> None:
    """Evaluate a series on a grid; see :func:`jwgpu.kernels.pixel_map.evaluate`."""
    over_rows(evaluate_rows, len(along_y), coefficients, along_y, along_x, pixel_map)
