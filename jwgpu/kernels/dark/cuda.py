"""Subtracting an averaged dark on a GPU: launch."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from jwgpu.kernels.launching import launch


def subtract_dark(data: Any, dark: Any, n_averaged: int, step: int) -> None:
    """See the package."""
    _launch("subtract_dark", data, dark, n_averaged, step)


def subtract_extrapolated_dark(
    data: Any, dark: Any, n_averaged: int, step: int, n_extrapolated: int
) -> None:
    """See the package."""
    _launch("subtract_extrapolated_dark", data, dark, n_averaged, step, n_extrapolated)


def _launch(function: str, data: Any, dark: Any, *numbers: int) -> None:
    n_ints, n_groups = data.shape[:2]
    n_pixels = prod(data.shape[2:])
    sizes = (n_ints, n_groups, n_pixels, dark.shape[0])
    scalars = (np.int32(number) for number in (*sizes, *numbers))
    launch(__file__, function, (n_pixels, n_groups), (data, dark, *scalars))
