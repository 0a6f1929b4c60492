"""CPU bodies of folding: residuals of the ramps, sorted into bins of phase, and clipped there."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows
from jwgpu.kernels.emi.clock import Clock

#: Cycles by which a reference pixel at the end of a row is read later, as the official package
#: counts them: the 3 cycles, and 2**32 more by a slip (its phase means nothing).
REFERENCE_DELAY = 3 + 2**32

#: Columns that are sorted side by side.
_TILE = 16

_CLIP_SIGMA = 3.0
_CLIP_ROUNDS = 5


@compiled
def phase_at(time: float, period: float) -> Any:
    """Return the phase of a time, in turns below 1."""
    turns = time / period
    return turns - np.floor(turns)


@compiled
def bin_of(phase: float, n_bins: int) -> int:
    """Return the bin, open below and closed above, of a phase; -1 for a phase of zero."""
    found = int(np.ceil(phase * n_bins)) - 1
    while found >= 0 and phase <= found / n_bins:
        found -= 1
    while found >= -1 and found < n_bins - 1 and phase > (found + 1) / n_bins:
        found += 1
    return found


@compiled
def select(values: Any, n: int, place: int) -> Any:
    """Return what stands at `place` when ``values[:n]`` is sorted; all before it are no larger."""
    low = 0
    high = n - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i = low
        j = high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                held = values[i]
                values[i] = values[j]
                values[j] = held
                i += 1
                j -= 1
        if place <= j:
            high = j
        elif place >= i:
            low = i
        else:
            break
    return values[place]


@compiled
def bias_of(values: Any, n: int, is_few: bool) -> Any:
    """Return the median of ``values[:n]``, or of few the least, NaN left out; changes `values`."""
    kept = 0
    least = np.float32(np.inf)
    for i in range(n):
        value = values[i]
        if value == value:
            values[kept] = value
            kept += 1
            least = min(least, value)
    if kept == 0:
        return np.float32(np.nan)
    if is_few:
        return least
    upper = select(values, kept, kept // 2)
    if kept % 2 == 1:
        return upper
    lower = values[0]
    for i in range(1, kept // 2):
        lower = max(lower, values[i])
    return (lower + upper) / np.float32(2.0)


@compiled
def sort_columns(tile: Any, n: int) -> None:
    """Sort the first `n` rows of each of `_TILE` columns, none of which holds NaN.

    Batcher's merge exchange (Knuth, The Art of Computer Programming 5.2.2, M): what is compared
    does not depend on the values, so that a processor sorts many columns at once.
    """
    top = 1
    while 2 * top < n:
        top *= 2
    p = top
    while p > 0:
        q = top
        r = 0
        d = p
        while True:
            for i in range(n - d):
                if i & p == r:
                    for x in range(_TILE):
                        a, b = tile[i, x], tile[i + d, x]
                        is_less = a < b
                        tile[i, x] = a if is_less else b
                        tile[i + d, x] = b if is_less else a
            if q == p:
                break
            d = q - p
            q //= 2
            r = p
        p //= 2


@compiled
def fill_biases(left: Any, begin: int, width: int, tile: Any, values: Any, bias: Any) -> None:
    """Fill ``bias[begin:begin + width]`` with that of some columns of `left` (groups, x).

    The first and last group do not count. `tile` is (groups, `_TILE`) and `values` (groups,)
    scratch.
    """
    n = left.shape[0] - 2
    unknown = 0
    for t in range(n):
        for x in range(width):
            value = left[t + 1, begin + x]
            tile[t, x] = value
            unknown += value != value
    if unknown > 0:
        for x in range(width):
            for t in range(n):
                values[t] = tile[t, x]
            bias[begin + x] = bias_of(values, n, n <= 2)
        return
    sort_columns(tile, n)
    for x in range(width):
        if n <= 2:
            bias[begin + x] = tile[0, x]
        elif n % 2 == 1:
            bias[begin + x] = tile[n // 2, x]
        else:
            bias[begin + x] = (tile[n // 2 - 1, x] + tile[n // 2, x]) / np.float32(2.0)


@compiled
def residual_rows(first: int, stop: int, data: Any, residuals: Any) -> None:
    """Fill rows of `residuals` (groups, y, x // 4) from one integration (groups, y, x)."""
    groups, _, width = data.shape
    n = groups - 2
    sum_t = np.float64(n * (n - 1) // 2)
    sum_tt = np.float64((n - 1) * n * (2 * n - 1) // 6)
    slope = np.empty(width, np.float64)
    mean = np.empty(width, np.float64)
    left = np.empty((groups, width), np.float32)
    tile = np.zeros((groups, _TILE), np.float32)
    values = np.empty(groups, np.float32)
    bias = np.empty(width, np.float32)
    for y in range(first, stop):
        for x in range(width):
            slope[x] = 0.0
            mean[x] = 0.0
        for t in range(n):
            for x in range(width):
                slope[x] += t * np.float64(data[t + 1, y, x])
                mean[x] += np.float64(data[t + 1, y, x])
        for x in range(width):
            slope[x] = (n * slope[x] - sum_t * mean[x]) / (n * sum_tt - sum_t * sum_t)
        for group in range(groups):
            for x in range(width):
                left[group, x] = np.float32(data[group, y, x] - slope[x] * group)
        for begin in range(0, width, _TILE):
            fill_biases(left, begin, min(_TILE, width - begin), tile, values, bias)
        for group in range(groups):
            for x in range(width):
                left[group, x] -= bias[x]
            line = residuals[group, y]
            for k in range(width // 4):
                total = left[group, 4 * k] + left[group, 4 * k + 1]
                total = total + left[group, 4 * k + 2] + left[group, 4 * k + 3]
                line[k] = total / np.float32(4.0)
            # The second and third pixel that each amplifier reads are not to be trusted.
            line[1] = (line[0] + line[3]) / np.float32(2.0)
            line[2] = line[1]


@compiled
def time_of(
    y: int, k: int, quarter: int, start: int, row_clocks: int, samples_a_pixel: int, delay: int
) -> Any:
    """Return when a pixel is read, in cycles."""
    time = start + y * row_clocks + k * samples_a_pixel
    if k == quarter - 1:
        time += delay
    return np.float64(time)


@compiled
def sort_into_bins(
    first: int, stop: int, residuals: Any, medians: Any, start: int, frame_clocks: int,
    row_clocks: int, samples_a_pixel: int, delay: int, period: float, places: Any, values: Any,
) -> None:  # fmt: skip
    """Put groups of `residuals` into `values`; `places` (groups, bins) says where bins begin.

    Where `values` is empty, the samples of each bin are only counted in `places`.
    """
    _, height, quarter = residuals.shape
    n_bins = places.shape[1]
    for group in range(first, stop):
        begin = start + group * frame_clocks
        for y in range(height):
            for k in range(quarter):
                time = time_of(y, k, quarter, begin, row_clocks, samples_a_pixel, delay)
                found = bin_of(phase_at(time, period), n_bins)
                if found < 0:
                    continue
                if values.size > 0:
                    values[places[group, found]] = residuals[group, y, k] - medians[group]
                places[group, found] += 1


@compiled
def subtract_table_rows(
    first: int, stop: int, data: Any, start: int, integration_clocks: int, frame_clocks: int,
    row_clocks: int, samples_a_pixel: int, delay: int, period: float, table: Any,
) -> None:  # fmt: skip
    """Subtract the table from rows of all groups."""
    ints, groups, _, width = data.shape
    quarter = width // 4
    for y in range(first, stop):
        for i in range(ints):
            for group in range(groups):
                begin = start + i * integration_clocks + group * frame_clocks
                line = data[i, group, y]
                for k in range(quarter):
                    time = time_of(y, k, quarter, begin, row_clocks, samples_a_pixel, delay)
                    wave = table[int(phase_at(time, period) * period)]
                    for x in range(4 * k, 4 * k + 4):
                        line[x] = np.float32(line[x] - wave)


def fold_residuals(
    data: Any, clock: Clock, period: float, n_bins: int, last_column_is_reference: bool
) -> Any:
    """See :func:`jwgpu.kernels.emi.fold_residuals`."""
    ints, groups, height, width = data.shape
    delay = REFERENCE_DELAY if last_column_is_reference else 0
    residuals = np.empty((groups, height, width // 4), np.float32)
    medians = np.zeros(groups, np.float32)
    places = np.zeros((ints, groups, n_bins), np.int64)

    def sort(i: int, values: Any) -> None:
        over_rows(
            sort_into_bins, groups, residuals, medians, i * clock.integration_clocks,
            clock.frame_clocks, int(clock.row_clocks), int(clock.samples), delay, period,
            places[i], values,
        )  # fmt: skip

    for i in range(ints):
        sort(i, np.empty(0, np.float32))
    # Bins one after the other, in each bin the groups: every group has a place of its own.
    by_bin = np.moveaxis(places, 2, 0)
    ends = np.cumsum(by_bin.ravel()).reshape(by_bin.shape)
    places[...] = np.moveaxis(ends - by_bin, 0, 2)
    edges = [0, *ends[:, -1, -1].tolist()]
    values = np.empty(edges[-1], np.float32)
    for i in range(ints):
        over_rows(residual_rows, height, data[i], residuals)
        for group in range(groups):
            medians[group] = np.median(residuals[group])
        sort(i, values)
    over_rows(_sort_bins, n_bins, values, edges)
    return np.array([clipped_mean(values[edges[b] : edges[b + 1]]) for b in range(n_bins)])


def _sort_bins(first: int, stop: int, values: Any, edges: list[int]) -> None:
    for b in range(first, stop):
        values[edges[b] : edges[b + 1]].sort()


def clipped_mean(values: Any) -> float:
    """Return the mean of sorted `values` after clipping about the median; NaN if there are none.

    What is not finite does not count.
    """
    low, high = np.searchsorted(values, [-np.inf, np.inf], side="right")[0], 0
    high = int(np.searchsorted(values, np.inf, side="left"))
    kept = values[int(low) : high].astype(np.float64)
    for _ in range(_CLIP_ROUNDS):
        n = kept.size
        if n == 0:
            return float("nan")
        median = (kept[(n - 1) // 2] + kept[n // 2]) / 2
        reach = _CLIP_SIGMA * kept.std()
        first = np.searchsorted(kept, median - reach, side="left")
        stop = np.searchsorted(kept, median + reach, side="right")
        kept = kept[first:stop]
        if kept.size == n:
            break
    return float(kept.mean()) if kept.size else float("nan")


def subtract_table(
    data: Any, clock: Clock, period: float, table: Any, last_column_is_reference: bool,
    first_integration: int,
) -> None:  # fmt: skip
    """See :func:`jwgpu.kernels.emi.subtract_table`."""
    start = first_integration * clock.integration_clocks
    delay = REFERENCE_DELAY if last_column_is_reference else 0
    over_rows(
        subtract_table_rows, data.shape[2], data, start, clock.integration_clocks,
        clock.frame_clocks, int(clock.row_clocks), int(clock.samples), delay, period, table,
    )  # fmt: skip
