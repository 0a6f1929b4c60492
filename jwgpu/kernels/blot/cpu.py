"""Blot on the CPU: threads share out the rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows


@compiled
def value_at(image: Any, x: Any, y: Any) -> Any:
    """Return the image at a place within its first and beyond its last pixels."""
    n_y, n_x = image.shape
    i, j = int(x), int(y)
    right, upper = x - np.float32(i), y - np.float32(j)
    left, lower = np.float32(1) - right, np.float32(1) - upper
    here = image[j, i]
    if i + 1 < n_x and j + 1 < n_y:
        value = left * lower * here + right * lower * image[j, i + 1]
        value = value + upper * left * image[j + 1, i]
        return value + right * upper * image[j + 1, i + 1]
    if i + 1 < n_x:
        return left * here + right * image[j, i + 1]
    if j + 1 < n_y:
        return lower * here + upper * image[j + 1, i]
    return here


@compiled
def blot_rows(first: Any, stop: Any, image: Any, pixel_map: Any, blotted: Any) -> None:
    """Blot the rows ``first:stop``."""
    n_y, n_x = image.shape
    end_x, end_y = np.float32(n_x), np.float32(n_y)
    zero = np.float32(0)
    for row in range(first, stop):
        for column in range(blotted.shape[1]):
            x, y = np.float32(pixel_map[row, column, 0]), np.float32(pixel_map[row, column, 1])
            # What is NaN compares false.
            if x >= zero and y >= zero and x < end_x and y < end_y:
                blotted[row, column] = value_at(image, x, y)
            else:
                blotted[row, column] = np.float32(np.nan)


def blot(image: Any, pixel_map: Any, blotted: Any) -> None:
    """Interpolate an image; see :func:`jwgpu.kernels.blot.blot`."""
    over_rows(blot_rows, len(blotted), image, pixel_map, blotted)
