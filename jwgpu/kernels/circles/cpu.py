"""Circles and rings on the CPU, a source at a time."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows

_TIMES: Final = 5  # to clip
_SIGMAS: Final = 3.0


@compiled
def area_to(x: Any, r: Any) -> Any:
    """Return the area between the x axis and the upper half of a circle, from 0 to `x`."""
    height = math.sqrt(max(r * r - x * x, 0.0))
    return 0.5 * (x * height + r * r * math.asin(min(max(x / r, -1.0), 1.0)))


@compiled
def area_below(left: Any, right: Any, y: Any, r: Any) -> Any:
    """Return the area between the x axis and the lower of the circle and the line at `y`.

    From `left` to `right`, which are within the circle; negative where `y` is.
    """
    reach = math.sqrt(max(r * r - y * y, 0.0))  # of the line within the circle
    first, last = min(max(left, -reach), reach), min(max(right, -reach), reach)
    round_part = area_to(right, r) - area_to(left, r) - (area_to(last, r) - area_to(first, r))
    return math.copysign(round_part, y) + y * (last - first)


@compiled
def share_within(x: Any, y: Any, r: Any) -> Any:
    """Return the share of a pixel, its centre at (x, y), within a circle around (0, 0)."""
    distance = math.sqrt(x * x + y * y)
    if distance > r + 0.75:
        return 0.0
    if distance < r - 0.75:
        return 1.0
    left, right = min(max(x - 0.5, -r), r), min(max(x + 0.5, -r), r)
    low, high = min(max(y - 0.5, -r), r), min(max(y + 0.5, -r), r)
    if left >= right or low >= high:
        return 0.0
    share = area_below(left, right, high, r) - area_below(left, right, low, r)
    return min(max(share, 0.0), 1.0)


@compiled
def sum_sources(
    first: Any,
    stop: Any,
    image: Any,
    variance: Any,
    places: Any,
    radii: Any,
    sums: Any,
    errors: Any,
) -> None:
    """Add up what is in the circles around sources ``first:stop``."""
    n_rows, n_columns = image.shape
    for i in range(first, stop):
        x, y = places[i]
        for k in range(radii.size):
            r = radii[k]
            left, right = math.floor(x - r + 0.5), math.ceil(x + r + 0.5)
            low, high = math.floor(y - r + 0.5), math.ceil(y + r + 0.5)
            sums[k, i], errors[k, i] = np.nan, np.nan
            if right <= 0 or high <= 0 or left >= n_columns or low >= n_rows:
                continue
            total, squares = 0.0, 0.0
            for row in range(max(low, 0), min(high, n_rows)):
                for column in range(max(left, 0), min(right, n_columns)):
                    share = share_within(column - x, row - y, r)
                    if share > 0.0:
                        total += share * np.float64(image[row, column])
                        squares += share * np.float64(variance[row, column])
            sums[k, i], errors[k, i] = total, math.sqrt(squares)


def sum_circles(image: Any, variance: Any, places: Any, radii: Any) -> tuple[Any, Any]:
    """Contract in the package."""
    sums, errors = (np.empty((len(radii), len(places))) for _ in range(2))
    over_rows(sum_sources, len(places), image, variance, places, radii, sums, errors)
    return sums, errors


@compiled
def spread_of(values: Any) -> float:
    """Return the standard deviation of values."""
    total, squares = 0.0, 0.0
    for value in values:
        total += value
    mean = total / values.size
    for value in values:
        squares += (value - mean) ** 2
    return math.sqrt(squares / values.size)


@compiled
def median_of(ordered: Any) -> Any:
    """Return the median of ordered values."""
    n = ordered.size
    if n % 2:
        return ordered[n // 2]
    return (ordered[n // 2 - 1] + ordered[n // 2]) / 2.0


@compiled
def gather(x: Any, y: Any, image: Any, inner: Any, outer: Any, values: Any) -> int:
    """Put the finite values in a ring into an array, row by row; return how many there are."""
    n_rows, n_columns = image.shape
    n = 0
    low, high = math.floor(y - outer), math.ceil(y + outer) + 1
    left, right = math.floor(x - outer), math.ceil(x + outer) + 1
    for row in range(max(low, 0), min(high, n_rows)):
        for column in range(max(left, 0), min(right, n_columns)):
            distance = (column - x) ** 2 + (row - y) ** 2
            if distance < outer * outer and not distance < inner * inner:
                value = np.float64(image[row, column])
                if math.isfinite(value):
                    values[n] = value
                    n += 1
    return n


@compiled
def clip(ordered: Any) -> Any:
    """Return the part of ordered values that is not off their median."""
    kept = ordered
    for _ in range(_TIMES):
        if kept.size == 0:
            break
        middle, reach = median_of(kept), _SIGMAS * spread_of(kept)
        first, stop = 0, kept.size
        while first < stop and kept[first] < middle - reach:
            first += 1
        while stop > first and kept[stop - 1] > middle + reach:
            stop -= 1
        if stop - first == kept.size:
            break
        kept = kept[first:stop]
    return kept


@compiled
def clip_sources(
    first: Any,
    stop: Any,
    image: Any,
    places: Any,
    inner: Any,
    outer: Any,
    median: Any,
    spread: Any,
    count: Any,
) -> None:
    """Clip the rings around sources ``first:stop``."""
    side = 2 * math.ceil(outer) + 3
    values = np.empty(side * side)
    for i in range(first, stop):
        n = gather(places[i, 0], places[i, 1], image, inner, outer, values)
        kept = clip(np.sort(values[:n]))
        count[i], median[i], spread[i] = kept.size, np.nan, np.nan
        if kept.size:
            median[i], spread[i] = median_of(kept), spread_of(kept)


def clip_rings(image: Any, places: Any, inner: float, outer: float) -> tuple[Any, Any, Any]:
    """Contract in the package."""
    n = len(places)
    median, spread, count = np.empty(n), np.empty(n), np.empty(n, np.int64)
    limits = float(inner), float(outer)
    over_rows(clip_sources, n, image, places, *limits, median, spread, count)
    return median, spread, count
