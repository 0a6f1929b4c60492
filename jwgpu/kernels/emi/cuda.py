"""EMI kernels on a GPU: allocate and launch."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.kernels.emi.clock import Clock
from jwgpu.kernels.emi.cpu import BLOCKS
from jwgpu.kernels.emi.folded_cuda import fold_residuals, median_of, subtract_table
from jwgpu.kernels.launching import launch

__all__ = [
    "evaluate_waveform",
    "fold_residuals",
    "scatter_along_ramps",
    "subtract_table",
    "subtract_waveform",
    "sum_by_phase",
]


def scatter_along_ramps(data: Any) -> Any:
    """Contract in the package."""
    ints, groups, height, width = data.shape
    pixels = np.int64(height * width)
    xp = namespace_of(data)
    scatter = xp.empty((ints, height, width), xp.float32)
    sizes = (np.int32(ints), np.int32(groups), pixels)
    launch(__file__, "measure_scatter", (int(pixels), ints), (data, *sizes, scatter))
    return scatter


def sum_by_phase(
    data: Any, pixeldq: Any, clock: Clock, period: float, n_bins: int, limit: float | None
) -> tuple[Any, Any]:
    """Contract in the package."""
    xp = namespace_of(data, pixeldq)
    ints, groups, height, width = data.shape
    pixels = np.int64(height * width)
    scatter = scatter_along_ramps(data)
    if limit is None:
        limits = xp.float32(2) * median_of(scatter.reshape(1, -1))
    else:
        limits = xp.asarray([limit], dtype=xp.float32)
    is_good = xp.empty(scatter.shape, bool)
    chosen = (scatter, pixeldq, limits, np.int32(ints), pixels, np.int32(width), is_good)
    launch(__file__, "choose_pixels", (int(pixels), ints), chosen)
    places, starts = _places_by_bin(xp, clock, period, n_bins, height, width // 4)
    sums, counts = xp.empty((ints, n_bins, groups)), xp.empty((ints, n_bins))
    numbers = map(np.int32, (ints, groups, height, width, n_bins, BLOCKS))
    summed = (data, is_good, places, starts, *numbers, sums, counts)
    launch(__file__, "sum_bins", (n_bins, groups, ints), summed, block=128)
    return sums, counts


def _places_by_bin(
    xp: Any, clock: Clock, period: float, n_bins: int, height: int, quarter: int
) -> tuple[Any, Any]:
    """Sort what is read at one time by its bin of phase.

    Returns
    -------
    places : array, (y * quarter,) int32
        Numbers ``y * quarter + k``, rising in each bin.
    starts : array, (bins + 1,) int32
        Where the places of a bin start.
    """
    y, k = xp.arange(height)[:, None], xp.arange(quarter)[None, :]
    phase = (y * clock.row_clocks + k * clock.samples) / period
    bins = ((phase - xp.floor(phase)) * n_bins).astype(xp.int64).reshape(-1)
    n = bins.size
    ordered = xp.sort(bins * n + xp.arange(n))
    starts = xp.searchsorted(ordered, xp.arange(n_bins + 1) * n)
    return (ordered % n).astype(xp.int32), starts.astype(xp.int32)


def evaluate_waveform(pieces: Any, phases: Any) -> Any:
    """Contract in the package."""
    xp = namespace_of(pieces, phases)
    phases = xp.ascontiguousarray(phases, dtype=xp.float64)
    values = xp.empty_like(phases)
    evaluated = (pieces, np.int32(pieces.shape[0]), phases, np.int64(phases.size), values)
    launch(__file__, "evaluate", phases.size, evaluated)
    return values


def subtract_waveform(
    data: Any, clock: Clock, period: float, pieces: Any, amplitudes: Any, phases: Any
) -> None:
    """Contract in the package."""
    ints, groups, height, width = data.shape
    numbers = (groups, height, width, clock.row_clocks, clock.samples)
    times = (np.float64(period), np.float64(clock.frame_clocks / period % 1))
    wave = (pieces, np.int32(pieces.shape[0]), amplitudes, phases)
    arguments = (data, *map(np.int32, numbers), *times, *wave)
    launch(__file__, "subtract", (height * (width // 4), groups, ints), arguments)
