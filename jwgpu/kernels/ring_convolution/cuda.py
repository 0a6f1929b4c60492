"""Smoothing with a ring on a GPU: launch."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.kernels.launching import launch
from jwgpu.kernels.ring_convolution import quadrant


def mark_bright(
    values: Any, is_good: Any, offsets: list[tuple[int, int]], threshold: float, is_bright: Any
) -> None:
    """See the package."""
    n_images, n_rows, n_columns = is_bright.shape
    ring = np.array(quadrant(offsets), np.int32)
    sizes = (len(ring), (values.shape[2] - n_columns) // 2, n_images, n_rows, n_columns)
    launch(
        __file__,
        "mark_bright",
        (n_columns, n_images * n_rows),
        (
            values,
            is_good,
            namespace_of(values).asarray(ring),
            is_bright,
            *(np.int32(size) for size in sizes),
            np.float64(threshold),
        ),
        block=(32, 8),
    )
