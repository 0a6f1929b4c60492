"""Statistics of regions on a GPU: allocate and launch."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.kernels.lanes import LANES
from jwgpu.kernels.launching import launch
from jwgpu.kernels.sky_statistics import COUNT, N_MOMENTS, Limits
from jwgpu.kernels.sky_statistics.cpu import N_STATE, N_SUMS, passes

BLOCK = 128

#: Rows that a block counts, and bins that it has room for.
_ROWS = 16
_SHARED_BINS = 4096


def clipped_moments(values: Any, spans: Any, limits: Limits) -> Any:
    """Contract in the package."""
    xp = namespace_of(values, spans)
    image = (values, spans, *_sizes(values, spans))
    n_regions, n_y = spans.shape[:2]
    state = xp.empty((n_regions, N_STATE), xp.float64)
    rows = xp.empty((n_regions, n_y, N_SUMS), xp.float64)
    launch(__file__, "start_regions", n_regions * LANES, (*image, state), block=BLOCK)
    given = [np.nan if limit is None else limit for limit in (limits.lower, limits.upper)]
    numbers = (
        *(np.float32(limit) for limit in given),
        np.float64(limits.lsigma),
        np.float64(limits.usigma),
    )
    for is_first, narrows in passes(limits):
        launch(__file__, "sum_rows", n_regions * n_y * LANES, (*image, state, rows), block=BLOCK)
        which = np.int32(is_first), np.int32(narrows)
        arguments = (rows, np.int32(n_regions), np.int32(n_y), *numbers, *which, state)
        launch(__file__, "finish_regions", n_regions * LANES, arguments, block=BLOCK)
    if given[0] > given[1]:
        state[:, COUNT] = 0
    return xp.ascontiguousarray(state[:, :N_MOMENTS])


def histograms(values: Any, spans: Any, starts: Any, widths: Any, n_bins: Any) -> Any:
    """Contract in the package."""
    xp = namespace_of(values, spans)
    n_regions, n_y = spans.shape[:2]
    most = int(n_bins.max(initial=0))
    counts = xp.zeros((n_regions, most), xp.uint32)
    shared = min(most, _SHARED_BINS)
    sizes = map(np.int32, (most, shared, _ROWS))
    arguments = (
        *(values, spans, *_sizes(values, spans)),
        *(xp.asarray(array) for array in (starts, widths, n_bins)),
        *(*sizes, counts),
    )
    n_threads = (-(-n_y // _ROWS) * BLOCK, n_regions if most else 0)
    launch(
        __file__,
        "count_values",
        n_threads,
        arguments,
        block=(BLOCK, 1),
        shared_memory=4 * max(shared, 1),
    )
    return counts


def medians(values: Any, spans: Any, low: Any, high: Any) -> Any:
    """Contract in the package."""
    xp = namespace_of(values, spans)
    n_regions, n_y = spans.shape[:2]
    rows = xp.empty((n_regions, n_y, 3), xp.int32)
    keys = xp.zeros((n_regions, 2), xp.uint32)
    result = xp.empty(n_regions, xp.float32)
    image = (values, spans, *_sizes(values, spans), xp.asarray(low), xp.asarray(high))
    regions = np.int32(n_regions), np.int32(n_y)
    for place in reversed(range(32)):
        bit = np.uint32(1 << place)
        counting = (*image, keys, bit, rows)
        launch(__file__, "count_below", n_regions * n_y * LANES, counting, block=BLOCK)
        finding = (rows, *regions, bit, keys, result)
        launch(__file__, "find_bit", n_regions * LANES, finding, block=BLOCK)
    return result


def _sizes(values: Any, spans: Any) -> tuple[np.int32, ...]:
    """Return the numbers of regions, rows, columns, and spans of a row."""
    n_regions, n_y, n_spans, _ = spans.shape
    return np.int32(n_regions), np.int32(n_y), np.int32(values.shape[1]), np.int32(n_spans)
