"""Smooth maps on the CPU: threads share out the rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows


@compiled
def evaluate_rows(
    first: Any, stop: Any, coefficients: Any, along_y: Any, along_x: Any, pixel_map: Any
) -> None:
    """Evaluate the rows ``first:stop``."""
    n_terms, n_columns = along_x.shape
    values = np.empty(n_columns)
    for row in range(first, stop):
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
                pixel_map[row, column, axis] = values[column]


def evaluate(coefficients: Any, along_y: Any, along_x: Any, pixel_map: Any) -> None:
    """Evaluate a series on a grid; see :func:`jwgpu.kernels.pixel_map.evaluate`."""
    over_rows(evaluate_rows, len(along_y), coefficients, along_y, along_x, pixel_map)
