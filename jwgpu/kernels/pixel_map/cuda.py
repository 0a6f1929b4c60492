"""Smooth maps on a GPU: launch."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.launching import launch


def evaluate(coefficients: Any, along_y: Any, along_x: Any, pixel_map: Any) -> None:
    """Evaluate a series on a grid; see :func:`jwgpu.kernels.pixel_map.evaluate`."""
    n_terms, n_columns = along_x.shape
    arrays = (coefficients, along_y, along_x, pixel_map)
    launch(
        __file__,
        "evaluate",
        (n_columns, len(along_y)),
        (*arrays, np.int32(n_terms), np.int32(n_columns)),
        shared_memory=2 * n_terms * pixel_map.itemsize,
    )
