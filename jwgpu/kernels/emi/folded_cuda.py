"""Folding on a GPU: allocate and launch."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.kernels.emi.clock import Clock
from jwgpu.kernels.emi.folded_cpu import REFERENCE_DELAY
from jwgpu.kernels.lanes import LANES
from jwgpu.kernels.launching import launch

#: Samples of an integration whose ramps are taken away at a time (256 MB, and as much scratch).
_SAMPLES = 1 << 26


def median_of(values: Any) -> Any:
    """Return the median of each row, (n,) float32, as NumPy rounds it; NaN where one is NaN."""
    xp = namespace_of(values)
    ordered = xp.sort(values, axis=1)  # NaN come last
    n = values.shape[1]
    middle = (ordered[:, (n - 1) // 2] + ordered[:, n // 2]) / xp.float32(2)
    return xp.where(xp.isnan(ordered[:, -1]), xp.float32(xp.nan), middle)


def fold_residuals(
    data: Any, clock: Clock, period: float, n_bins: int, last_column_is_reference: bool
) -> Any:
    """Contract in the package."""
    xp = namespace_of(data[0])
    ints, groups, height, width = data.shape
    places = height * (width // 4)
    delay = REFERENCE_DELAY if last_column_is_reference else 0
    keys = xp.empty((ints, groups, places), xp.uint64)
    for i in range(ints):
        residuals = _residuals(xp, data[i])
        medians = median_of(residuals)
        # What is in the first bin at phase zero of a turn is in none: the keys say so.
        sizes = (np.int32(groups), np.int32(width // 4), np.int64(places))
        times = (
            *map(np.int64, (i * clock.integration_clocks, clock.frame_clocks)),
            *map(np.int32, (clock.row_clocks, clock.samples)),
            np.int64(delay),
            np.float64(period),
        )
        keyed = (residuals, medians, *sizes, *times, np.int32(n_bins), keys[i])
        launch(__file__, "make_keys", (places, groups), keyed)
    ordered = xp.sort(keys.reshape(-1))
    edges = xp.arange(n_bins + 1, dtype=xp.uint64) << xp.uint64(32)
    starts = xp.searchsorted(ordered, edges).astype(xp.int64)
    means = xp.empty(n_bins)
    clipped = (ordered, starts, np.int32(n_bins), means)
    launch(__file__, "clip_bins", n_bins * LANES, clipped, block=128)
    return means


def _residuals(xp: Any, integration: Any) -> Any:
    """Return what ramps leave, the mean of four amplifiers: (groups, places) float32."""
    groups, height, width = integration.shape
    quarter = width // 4
    residuals = xp.empty((groups, height * quarter), xp.float32)
    at_once = max(1, min(height, _SAMPLES // (groups * width)))
    left, scratch = (xp.empty(groups * at_once * width, xp.float32) for _ in range(2))
    for row in range(0, height, at_once):
        rows = min(at_once, height - row)
        numbers = map(np.int64, (height * width, row * width, rows * width))
        taken = (integration, np.int32(groups), *numbers, left, scratch)
        launch(__file__, "take_ramps", rows * width, taken)
        sizes = (np.int32(groups), np.int32(quarter))
        numbers = map(np.int64, (row * quarter, rows * quarter, height * quarter))
        joined = (left, *sizes, *numbers, residuals)
        launch(__file__, "join_amplifiers", (rows * quarter, groups), joined)
    return residuals


def subtract_table(
    data: Any,
    clock: Clock,
    period: float,
    table: Any,
    last_column_is_reference: bool,
    first_integration: int,
) -> None:
    """Contract in the package."""
    start = first_integration * clock.integration_clocks
    ints, groups, height, width = data.shape
    delay = REFERENCE_DELAY if last_column_is_reference else 0
    arguments = (
        data,
        *map(np.int32, (groups, height, width)),
        *map(np.int64, (start, clock.integration_clocks, clock.frame_clocks)),
        *map(np.int32, (clock.row_clocks, clock.samples)),
        np.int64(delay),
        np.float64(period),
        table,
    )
    launch(__file__, "subtract_table", (height * (width // 4), groups, ints), arguments)
