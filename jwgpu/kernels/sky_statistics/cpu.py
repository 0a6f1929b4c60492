"""Statistics of regions on the CPU: a row of the image at a time, for all regions."""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows
from jwgpu.kernels.lanes import LANES, sum_of_lanes
from jwgpu.kernels.sky_statistics import (
    COUNT,
    HIGH,
    HIGHEST,
    LOW,
    LOWEST,
    MEAN,
    N_MOMENTS,
    STDDEV,
    Limits,
)

_INF: Final = np.float32(np.inf)
_NAN: Final = np.float32(np.nan)

# What is known of a region between the passes, after what is returned: its first value, the limits
# that hold before any clipping, and whether nothing changes any more.
_FIRST: Final = N_MOMENTS
_LOWER: Final = N_MOMENTS + 1
_UPPER: Final = N_MOMENTS + 2
_DONE: Final = N_MOMENTS + 3
N_STATE: Final = N_MOMENTS + 4

# Of a row of a region: number, sums of deviations and of their squares, lowest and highest value.
N_SUMS: Final = 5


class Lanes(NamedTuple):
    """What lanes have added up: number, deviations, their squares; lowest and highest value."""

    counts: Any
    sums: Any
    squares: Any
    lowest: Any
    highest: Any


@compiled
def add_span(span: Any, low: Any, high: Any, centre: Any, lanes: Lanes) -> None:
    """Add values to the lanes in turn; there must be as many as fill up all lanes."""
    counts, sums, squares, lowest, highest = lanes
    for block in range(span.size // LANES):
        piece = span[block * LANES : block * LANES + LANES]
        for lane in range(LANES):
            x = piece[lane]
            is_good = (x >= low) & (x <= high)
            deviation = np.float64(x) - centre if is_good else 0.0
            counts[lane] += 1 if is_good else 0
            sums[lane] += deviation
            squares[lane] += deviation * deviation
            lowest[lane] = x if is_good and x < lowest[lane] else lowest[lane]
            highest[lane] = x if is_good and x > highest[lane] else highest[lane]


@compiled
def sum_rows(first: Any, stop: Any, values: Any, spans: Any, state: Any, result: Any) -> None:
    """Sum rows ``first:stop`` of each region into (regions, y, 5)."""
    lanes = Lanes(
        np.zeros(LANES, np.int32),
        np.zeros(LANES, np.float64),
        np.zeros(LANES, np.float64),
        np.full(LANES, _INF),
        np.full(LANES, -_INF),
    )
    rest = np.empty(LANES, np.float32)
    for y in range(first, stop):
        for region in range(spans.shape[0]):
            if state[region, _DONE] > 0.0:
                continue
            low, high = np.float32(state[region, LOW]), np.float32(state[region, HIGH])
            for k in range(spans.shape[2]):
                span = values[y, spans[region, y, k, 0] : spans[region, y, k, 1]]
                centre = state[region, MEAN]
                add_span(span, low, high, centre, lanes)
                whole = span.size // LANES * LANES
                if whole < span.size:
                    for lane in range(LANES):
                        rest[lane] = span[whole + lane] if whole + lane < span.size else _NAN
                    add_span(rest, low, high, centre, lanes)
            finish_row(lanes, result[region, y])


@compiled
def finish_row(lanes: Lanes, result: Any) -> None:
    """Add the lanes up, and empty them."""
    count, lowest, highest = 0, _INF, -_INF
    for lane in range(LANES):
        count += lanes.counts[lane]
        lowest, highest = min(lowest, lanes.lowest[lane]), max(highest, lanes.highest[lane])
        lanes.counts[lane], lanes.lowest[lane], lanes.highest[lane] = 0, _INF, -_INF
    result[0] = count
    result[1], result[2] = sum_of_lanes(lanes.sums), sum_of_lanes(lanes.squares)
    result[3], result[4] = lowest, highest


@compiled
def set_limits(region: Any, limits: Any, state: Any) -> bool:
    """Set the limits that hold before any clipping; return False if no value is within.

    Single precision, as officially. `limits` are NaN where the user gave none.
    """
    lowest, highest = np.float32(state[region, LOWEST]), np.float32(state[region, HIGHEST])
    lower, upper = np.float32(limits[0]), np.float32(limits[1])
    if lower > highest or upper < lowest:
        return False
    state[region, _LOWER] = lowest if math.isnan(lower) else lower
    state[region, _UPPER] = highest if math.isnan(upper) else upper
    state[region, LOW], state[region, HIGH] = state[region, _LOWER], state[region, _UPPER]
    return True


@compiled
def narrow(region: Any, limits: Any, state: Any) -> None:
    """Set the limits around the mean; the region is done if they stay as they are."""
    mean, stddev = state[region, MEAN], state[region, STDDEV]
    # A deviation that is NaN leaves the outer limits.
    low = max(state[region, _LOWER], np.float64(np.float32(mean - limits[2] * stddev)))
    high = min(state[region, _UPPER], np.float64(np.float32(mean + limits[3] * stddev)))
    if math.isnan(stddev):
        low, high = state[region, _LOWER], state[region, _UPPER]
    if low == state[region, LOW] and high == state[region, HIGH]:
        state[region, _DONE] = 1.0
    state[region, LOW], state[region, HIGH] = low, high


@compiled
def finish_region(
    region: Any, rows: Any, limits: Any, is_first: Any, narrows: Any, state: Any
) -> None:
    """Compute the moments of a region from the sums of its rows, and the next limits."""
    if state[region, _DONE] > 0.0:
        return
    sums = np.zeros((3, LANES), np.float64)
    lowest, highest = np.inf, -np.inf
    for y in range(rows.shape[1]):
        for i in range(3):
            sums[i, y % LANES] += rows[region, y, i]
        lowest, highest = min(lowest, rows[region, y, 3]), max(highest, rows[region, y, 4])
    n, total, squares = sum_of_lanes(sums[0]), sum_of_lanes(sums[1]), sum_of_lanes(sums[2])
    state[region, COUNT] = n
    if n == 0.0:
        state[region, _DONE] = 1.0
        return
    before = state[region, MEAN]
    mean = np.float64(np.float32(before + total / n))
    shift = mean - before
    square = squares - 2.0 * shift * total + n * shift * shift
    state[region, MEAN] = mean
    state[region, STDDEV] = np.nan
    if n > 1.0:
        state[region, STDDEV] = np.float64(np.float32(math.sqrt(max(square / (n - 1.0), 0.0))))
    # Quirk: the search for the lowest value begins with the first pixel, or with the limit.
    first = state[region, _FIRST]
    state[region, LOWEST] = state[region, LOW] if first < state[region, LOW] else lowest
    state[region, HIGHEST] = state[region, HIGH] if first > state[region, HIGH] else highest
    if is_first and not set_limits(region, limits, state):
        state[region, COUNT], state[region, _DONE] = 0.0, 1.0
    elif narrows:
        narrow(region, limits, state)


@compiled
def finish_regions(rows: Any, limits: Any, is_first: Any, narrows: Any, state: Any) -> None:
    """Do so for all regions."""
    for region in range(state.shape[0]):
        finish_region(region, rows, limits, is_first, narrows, state)


@compiled
def start_regions(values: Any, spans: Any, state: Any) -> None:
    """Find the first value of each region, which the first sums are taken around."""
    for region in range(spans.shape[0]):
        first = _NAN
        y = 0
        while y < spans.shape[1] and math.isnan(first):
            for k in range(spans.shape[2]):
                for x in range(spans[region, y, k, 0], spans[region, y, k, 1]):
                    if math.isnan(first):
                        first = values[y, x]
            y += 1
        state[region, COUNT], state[region, MEAN], state[region, _FIRST] = 0.0, first, first
        state[region, LOW], state[region, HIGH] = -np.inf, np.inf
        state[region, _DONE] = 1.0 if math.isnan(first) else 0.0


def clipped_moments(values: Any, spans: Any, limits: Limits) -> Any:
    """Contract in the package."""
    n_regions, n_y = spans.shape[:2]
    state = np.full((n_regions, N_STATE), np.nan)
    start_regions(values, spans, state)
    rows = np.empty((n_regions, n_y, N_SUMS))
    given = [np.nan if limit is None else limit for limit in (limits.lower, limits.upper)]
    numbers = np.array([*given, limits.lsigma, limits.usigma], np.float64)
    for is_first, narrows in passes(limits):
        over_rows(sum_rows, n_y, values, spans, state, rows)
        finish_regions(rows, numbers, is_first, narrows, state)
        if (state[:, _DONE] > 0).all():
            break
    if given[0] > given[1]:
        state[:, COUNT] = 0
    return np.ascontiguousarray(state[:, :N_MOMENTS])


def passes(limits: Limits) -> list[tuple[bool, bool]]:
    """Return of each pass over the image whether it is the first, and whether it clips.

    The first pass is one without limits: it serves as the pass within them if there are none.
    """
    is_limited = limits.lower is not None or limits.upper is not None
    clips = [True] * limits.nclip + [False]
    if is_limited:
        clips = [False, *clips]
    return [(number == 0, clip) for number, clip in enumerate(clips)]


@compiled
def count_values(
    first: Any, stop: Any, values: Any, spans: Any, starts: Any, widths: Any, n_bins: Any,
    counts: Any,
) -> None:  # fmt: skip
    """Count the values of regions ``first:stop``; see `histograms`."""
    for region in range(first, stop):
        n, start = n_bins[region], starts[region]
        end = widths[region] * np.float32(n) + start
        scale = np.float32(1.0) / widths[region]
        of_region = counts[region]
        for y in range(spans.shape[1] if n > 0 else 0):
            for k in range(spans.shape[2]):
                span = values[y, spans[region, y, k, 0] : spans[region, y, k, 1]]
                for x in span:
                    if x >= start and x < end:
                        place = np.uint32((x - start) * scale)
                        if place < n:
                            of_region[place] += np.uint32(1)


def histograms(values: Any, spans: Any, starts: Any, widths: Any, n_bins: Any) -> Any:
    """Contract in the package."""
    counts = np.zeros((len(spans), int(n_bins.max(initial=0))), np.uint32)
    over_rows(count_values, len(spans), values, spans, starts, widths, n_bins, counts)
    return counts


@compiled
def gather(values: Any, spans: Any, low: Any, high: Any, result: Any) -> int:
    """Put the values of a region (y, spans, 2) that count into an array; return how many."""
    n = 0
    for y in range(spans.shape[0]):
        for k in range(spans.shape[1]):
            for x in range(spans[y, k, 0], spans[y, k, 1]):
                value = values[y, x]
                result[n] = value
                n += value >= low and value <= high
    return n


def medians(values: Any, spans: Any, low: Any, high: Any) -> Any:
    """Contract in the package."""
    result = np.full(len(spans), _NAN)
    room = np.empty(values.size + 1, np.float32)
    for region, of_region in enumerate(spans):
        n = gather(values, of_region, low[region], high[region], room)
        if n:
            result[region] = np.median(room[:n], overwrite_input=True)
    return result
