"""Saturation of interleaved images on a GPU: allocate and launch."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.kernels.launching import launch
from jwgpu.models.flags import AD_FLOOR, SATURATED

#: Integrations at a time: of each, an onset plane of 8 MB.
INTS_AT_A_TIME = 16


def flag_saturation(
    data: Any,
    groupdq: Any,
    threshold: Any,
    bias: Any,
    science_rows: Any,
    grow: int,
    frames_averaged: int,
) -> tuple[int, int]:
    """Contract in the package."""
    xp = namespace_of(data)
    n_groups = data.shape[1]
    n_pixels = threshold.size
    sizes = (n_groups, *data.shape[2:], n_pixels)
    seen = xp.zeros(n_pixels, xp.uint32)
    for begin in range(0, data.shape[0], INTS_AT_A_TIME):
        samples, flags = (part[begin : begin + INTS_AT_A_TIME] for part in (data, groupdq))
        onset = xp.empty((samples.shape[0], n_pixels), xp.uint16)
        arrays = (samples, flags, threshold, science_rows)
        _launch("find_onsets", onset, arrays, sizes, (onset, seen))
        _launch(
            "flag_grown", onset, (flags, onset, science_rows), (grow, 0, n_groups, *sizes), (seen,)
        )
        if frames_averaged > 0 and n_groups > 2:
            arrays = (samples, threshold, bias, science_rows)
            _launch("find_hidden", onset, arrays, (frames_averaged, *sizes), (onset,))
            _launch(
                "flag_grown", onset, (flags, onset, science_rows), (grow, 1, 2, *sizes), (seen,)
            )
    counts = [xp.count_nonzero(seen & flag) for flag in (SATURATED, AD_FLOOR)]
    n_saturated, n_floor = xp.stack(counts).tolist()
    return n_saturated, n_floor


def _launch(
    function: str,
    onset: Any,
    arrays: tuple[Any, ...],
    numbers: tuple[int, ...],
    results: tuple[Any, ...],
) -> None:
    """Launch a kernel with a thread for each pixel of each onset plane."""
    n_ints, n_pixels = onset.shape
    launch(__file__, function, (n_pixels, n_ints), (*arrays, *map(np.int32, numbers), *results))
