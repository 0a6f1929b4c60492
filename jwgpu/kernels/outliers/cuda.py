"""Outliers on a GPU: launch."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.launching import launch


def flag_blotted(
    data: Any, err: Any, blotted: Any, sky: float, limits: Any, dq: Any, counts: Any
) -> None:
    """Flag an image; see :func:`jwgpu.kernels.outliers.flag_blotted`."""
    rows, columns = data.shape
    numbers = tuple(np.float32(number) for number in (sky, *limits.snr, *limits.scale))
    arrays = (data, err, blotted, dq, counts)
    arguments = (*arrays, *numbers, np.int32(rows), np.int32(columns))
    launch(__file__, "flag_blotted", (columns, rows), arguments)


def flag_stacked(data: Any, err: Any, medians: Any, snr: float, dq: Any, counts: Any) -> None:
    """Flag images; see :func:`jwgpu.kernels.outliers.flag_stacked`."""
    rows, columns = medians.shape
    numbers = (np.float32(snr), *(np.int32(number) for number in data.shape))
    launch(__file__, "flag_stacked", (columns, rows), (data, err, medians, dq, counts, *numbers))


def flag_rolling(
    data: Any,
    err: Any,
    is_usable: Any,
    width: int,
    snr: float,
    dq: Any,
    counts: Any,
    medians: Any,
) -> None:
    """Flag a time series; see :func:`jwgpu.kernels.outliers.flag_rolling`."""
    _, rows, columns = data.shape
    numbers = (np.float32(snr), *(np.int32(number) for number in (width, *data.shape)))
    arrays = (data, err, is_usable, dq, counts, medians)
    launch(__file__, "flag_rolling", (columns, rows), (*arrays, *numbers))
