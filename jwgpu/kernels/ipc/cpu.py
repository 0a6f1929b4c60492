"""Convolution in place on the CPU, one image a thread.

Each image keeps a ring of its last few original rows, padded with zeros, because the rows above
the current one are overwritten already.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows

IMAGES_AT_A_TIME = 8  # that share a pass over a kernel with one matrix a pixel


@compiled
def load_row(ring: Any, image: Any, row: Any, bottom: Any, stop: Any, left: Any, n_x: Any) -> None:
    """Put row `row` of the science part, or zeros beyond its top, into the ring of rows."""
    n_rows, width = ring.shape
    pad = (width - n_x + 1) // 2
    kept = ring[row % n_rows]
    for x in range(n_x):
        kept[pad + x] = image[bottom + row, left + x] if bottom + row < stop else np.float32(0.0)


@compiled
def accumulate(result: Any, row: Any, shift: Any, weight: Any) -> None:
    """Add to a row of results its shifted samples times a weight, or a row of weights."""
    if weight.size == 1:
        factor = weight[0]
        for x in range(result.size):
            result[x] += factor * row[x + shift]
    else:
        for x in range(result.size):
            result[x] += weight[x] * row[x + shift]


@compiled
def convolve_row(result: Any, ring: Any, kernel: Any, y: Any, kernel_y: Any, kernel_x: Any) -> None:
    """Write row `y` of the convolution to `result`, from the original rows around it."""
    size_y, size_x = kernel.shape[:2]
    centre_y, centre_x = size_y // 2, size_x // 2
    stop_x = kernel_x + result.size if kernel.shape[3] > 1 else kernel_x + 1
    for x in range(result.size):
        result[x] = np.float32(0.0)
    for j in range(size_y):
        row = ring[(y + size_y - 1 - j - centre_y + size_y) % size_y]
        for i in range(size_x):
            if j != centre_y or i != centre_x:
                weight = kernel[j, i, kernel_y, kernel_x:stop_x]
                accumulate(result, row, size_x - 1 - i, weight)
    weight = kernel[centre_y, centre_x, kernel_y, kernel_x:stop_x]
    accumulate(result, ring[y % size_y], centre_x, weight)


@compiled
def deconvolve_images(
    first: Any,
    stop: Any,
    images: Any,
    kernel: Any,
    at_a_time: Any,
    bottom: Any,
    top: Any,
    left: Any,
    right: Any,
) -> None:
    """Convolve some images, a few at a time, with a kernel (ky, kx, 1, 1) or (ky, kx, y, x)."""
    size_y, size_x = kernel.shape[:2]
    n_x = images.shape[2] - left - right
    y_stop = images.shape[1] - top
    ahead = size_y - 1 - size_y // 2
    rings = np.empty((at_a_time, size_y, n_x + size_x - 1), np.float32)
    varies = kernel.shape[2] * kernel.shape[3] > 1
    for begin in range(first, stop, at_a_time):
        end = min(begin + at_a_time, stop)
        for i in range(begin, end):
            ring = rings[i - begin]
            for row in range(size_y):
                for x in range(ring.shape[1]):
                    ring[row, x] = np.float32(0.0)
            for row in range(ahead):
                load_row(ring, images[i], row, bottom, y_stop, left, n_x)
        for y in range(y_stop - bottom):
            for i in range(begin, end):
                ring = rings[i - begin]
                load_row(ring, images[i], y + ahead, bottom, y_stop, left, n_x)
                result = images[i, bottom + y, left : left + n_x]
                convolve_row(
                    result, ring, kernel, y, bottom + y if varies else 0, left if varies else 0
                )


def deconvolve(data: Any, kernel: Any, borders: tuple[int, int, int, int]) -> None:
    """Undo interpixel capacitance; see :func:`jwgpu.kernels.ipc.deconvolve`."""
    n_ints, n_groups, n_y, n_x = data.shape
    if borders[0] + borders[1] >= n_y or borders[2] + borders[3] >= n_x:
        return  # reference pixels only
    images = data.reshape(n_ints * n_groups, n_y, n_x)
    kernel = np.ascontiguousarray(kernel, np.float32)
    at_a_time = 1 if kernel.ndim == 2 else IMAGES_AT_A_TIME
    kernel = kernel.reshape(*kernel.shape[:2], *(kernel.shape[2:] or (1, 1)))
    over_rows(deconvolve_images, len(images), images, kernel, at_a_time, *borders)
