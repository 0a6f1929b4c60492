"""Convolution in place on a GPU, from a copy of a few images at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.kernels.launching import launch

#: Bytes of images that are copied at a time (at least one image is): they stay in the card's cache.
BYTES_AT_A_TIME = 16 << 20


def deconvolve(data: Any, kernel: Any, borders: tuple[int, int, int, int], rows: Any) -> None:
    """Undo interpixel capacitance; see :func:`jwgpu.kernels.ipc.deconvolve`."""
    xp = namespace_of(data)
    n_ints, n_groups, stored_rows, columns = data.shape
    bottom, top, left, right = borders
    n_y = (stored_rows if rows is None else rows.size) - bottom - top
    n_x = columns - left - right
    if n_y <= 0 or n_x <= 0:
        return  # reference pixels only
    kernel = xp.ascontiguousarray(kernel, dtype=xp.float32)
    sizes = (bottom, left, n_y, n_x, *kernel.shape[:2], *(kernel.shape[2:] or (1, 1)))
    images = data.reshape(n_ints * n_groups, stored_rows, columns)
    at_a_time = max(1, min(BYTES_AT_A_TIME // max(1, images[0].nbytes), 1024))
    for first in range(0, images.shape[0], at_a_time):
        some = images[first : first + at_a_time]
        numbers = (some.shape[0], stored_rows, columns, *sizes)
        launch(
            __file__,
            "deconvolve",
            (n_x, n_y, some.shape[0]),
            (some, some.copy(), kernel, rows, *map(np.int32, numbers)),
            block=(64, 4),
        )
