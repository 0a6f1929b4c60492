"""Convolution in place on the CPU, one image a thread.

Each image keeps a ring of its last few original rows, padded with zeros, because the rows above
the current one are overwritten already. Samples are taken from slices, and three elements of the
kernel at a time: an index that might be negative keeps the compiler from vectors.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows

IMAGES_AT_A_TIME = 8  # that share a pass over a kernel with one matrix a pixel


@compiled
def load_row(ring: Any, image: Any, rows: Any, row: Any, left: Any, n_x: Any) -> None:
    """Put row `row` of the science part, or zeros beyond its top, into the ring of rows."""
    n_rows, width = ring.shape
    pad = (width - n_x + 1) // 2
    kept = ring[row % n_rows][pad : pad + n_x]
    if row < rows.size:
        source = image[rows[row]][left : left + n_x]
        for x in range(n_x):
            kept[x] = source[x]
    else:
        for x in range(n_x):
            kept[x] = np.float32(0.0)


@compiled
def add_one(result: Any, samples: Any, weight: Any) -> None:
    """Add to a row of results its samples times a weight, or a row of weights."""
    if weight.size == 1:
        factor = weight[0]
        for x in range(result.size):
            result[x] += factor * samples[x]
    else:
        for x in range(result.size):
            result[x] += weight[x] * samples[x]


@compiled
def add_three(
    result: Any, a: Any, b: Any, c: Any, weight_a: Any, weight_b: Any, weight_c: Any
) -> None:
    """Do the same for three elements of the kernel, one after the other."""
    if weight_a.size == 1:
        f, g, h = weight_a[0], weight_b[0], weight_c[0]
        for x in range(result.size):
            result[x] = ((result[x] + f * a[x]) + g * b[x]) + h * c[x]
    else:
        for x in range(result.size):
            result[x] = ((result[x] + weight_a[x] * a[x]) + weight_b[x] * b[x]) + weight_c[x] * c[x]


@compiled
def order_of_elements(size_y: Any, size_x: Any) -> Any:
    """Return (elements, 4) the kernel's elements in the order of summation, the central one last.

    Of each its row and column, how many rows further on (in turns of the ring) its samples are,
    and where they begin in that row.
    """
    centre_y, centre_x = size_y // 2, size_x // 2
    order = np.empty((size_y * size_x, 4), np.int64)
    n = 0
    for j in range(size_y):
        for i in range(size_x):
            if j != centre_y or i != centre_x:
                order[n, 0], order[n, 1] = j, i
                order[n, 2], order[n, 3] = 2 * size_y - 1 - j - centre_y, size_x - 1 - i
                n += 1
    # The centre of an even side is off by half, but not for its own sample.
    order[n, 0], order[n, 1], order[n, 2], order[n, 3] = centre_y, centre_x, 0, centre_x
    return order


@compiled
def convolve_row(
    result: Any, ring: Any, kernel: Any, order: Any, y: Any, kernel_y: Any, kernel_x: Any
) -> None:
    """Write row `y` of the convolution to `result`, from the original rows around it."""
    size_y = ring.shape[0]
    n_x = result.size
    stop_x = kernel_x + n_x if kernel.shape[3] > 1 else kernel_x + 1
    for x in range(n_x):
        result[x] = np.float32(0.0)
    done = 0
    while done < order.shape[0]:
        j, i, step, shift = order[done]
        samples = ring[(y + step) % size_y][shift : shift + n_x]
        weight = kernel[j, i, kernel_y, kernel_x:stop_x]
        if done + 3 > order.shape[0]:
            add_one(result, samples, weight)
            done += 1
            continue
        j, i, step, shift = order[done + 1]
        samples_b = ring[(y + step) % size_y][shift : shift + n_x]
        weight_b = kernel[j, i, kernel_y, kernel_x:stop_x]
        j, i, step, shift = order[done + 2]
        samples_c = ring[(y + step) % size_y][shift : shift + n_x]
        weight_c = kernel[j, i, kernel_y, kernel_x:stop_x]
        add_three(result, samples, samples_b, samples_c, weight, weight_b, weight_c)
        done += 3


@compiled
def deconvolve_images(
    first: Any, stop: Any, images: Any, kernel: Any, at_a_time: Any, rows: Any, bottom: Any,
    left: Any, right: Any,
) -> None:  # fmt: skip
    """Convolve some images, a few at a time, with a kernel (ky, kx, 1, 1) or (ky, kx, y, x).

    `rows` are those of the science part in the images; it begins with row `bottom` of the kernel.
    """
    size_y, size_x = kernel.shape[:2]
    n_x = images.shape[2] - left - right
    ahead = size_y - 1 - size_y // 2
    order = order_of_elements(size_y, size_x)
    rings = np.zeros((at_a_time, size_y, n_x + size_x - 1), np.float32)
    varies = kernel.shape[2] * kernel.shape[3] > 1
    for begin in range(first, stop, at_a_time):
        end = min(begin + at_a_time, stop)
        for i in range(begin, end):
            ring = rings[i - begin]
            for row in range(size_y):
                for x in range(ring.shape[1]):
                    ring[row, x] = np.float32(0.0)
            for row in range(ahead):
                load_row(ring, images[i], rows, row, left, n_x)
        for y in range(rows.size):
            for i in range(begin, end):
                ring = rings[i - begin]
                load_row(ring, images[i], rows, y + ahead, left, n_x)
                result = images[i, rows[y]][left : left + n_x]
                convolve_row(
                    result, ring, kernel, order, y, bottom + y if varies else 0,
                    left if varies else 0,
                )  # fmt: skip


def deconvolve(data: Any, kernel: Any, borders: tuple[int, int, int, int], rows: Any) -> None:
    """Undo interpixel capacitance; see :func:`jwgpu.kernels.ipc.deconvolve`."""
    n_ints, n_groups, n_y, n_x = data.shape
    bottom, top, left, right = borders
    stored = np.arange(n_y, dtype=np.int32) if rows is None else rows
    if bottom + top >= stored.size or left + right >= n_x:
        return  # reference pixels only
    images = data.reshape(n_ints * n_groups, n_y, n_x)
    kernel = np.ascontiguousarray(kernel, np.float32)
    at_a_time = 1 if kernel.ndim == 2 else IMAGES_AT_A_TIME
    kernel = kernel.reshape(*kernel.shape[:2], *(kernel.shape[2:] or (1, 1)))
    science = stored[bottom : stored.size - top]
    over_rows(
        deconvolve_images, len(images), images, kernel, at_a_time, science, bottom, left, right
    )
