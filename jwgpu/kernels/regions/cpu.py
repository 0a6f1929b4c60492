"""Connected regions: compiled loops.

The image is scanned once, rows shared out to threads, for runs of flagged pixels; everything else
works on the runs, of which there are few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows
from jwgpu.kernels.regions import Regions, Search
from jwgpu.kernels.regions.moments import LEAST_AREA_WITH_HOLE, ellipses_of

#: Pixels that are looked at together: most such blocks hold no flag.
_BLOCK: Final = 128
_ZERO: Final = np.uint8(0)

# Columns of a run.
_Y, _FIRST, _LAST = 0, 1, 2
# Columns of the sums of a region.
_N, _SUM_X, _SUM_Y, _SUM_XX, _SUM_XY, _SUM_YY = range(6)


@compiled
def scan_row(row: Any, excluded: Any, flag: int, runs: Any, keep: bool) -> int:
    """Find the runs of flagged pixels in a row; write them to `runs` if told to keep them."""
    n_columns = row.size
    n_runs = 0
    was_set = False
    for left in range(0, n_columns, _BLOCK):
        right = min(left + _BLOCK, n_columns)
        any_set = _ZERO
        for x in range(left, right):
            any_set |= row[x] & ~excluded[x] & flag
        if any_set == _ZERO:
            if was_set and keep:
                runs[n_runs - 1, _LAST] = left - 1
            was_set = False
            continue
        for x in range(left, right):
            is_set = (row[x] & ~excluded[x] & flag) != 0
            if is_set and not was_set:
                if keep:
                    runs[n_runs, _FIRST] = x
                n_runs += 1
            elif was_set and not is_set and keep:
                runs[n_runs - 1, _LAST] = x - 1
            was_set = is_set
    if was_set and keep:
        runs[n_runs - 1, _LAST] = n_columns - 1
    return n_runs


@compiled
def scan_rows(
    first: int,
    stop: int,
    image: Any,
    excluded: Any,
    is_excluding: bool,
    flag: int,
    starts: Any,
    runs: Any,
    keep: bool,
) -> None:
    """Scan rows ``first`` to ``stop - 1``; count their runs into ``starts[1:]``, or keep them."""
    nothing = np.zeros(image.shape[1], np.uint8)
    for y in range(first, stop):
        beside = excluded[y] if is_excluding else nothing
        if not keep:
            starts[y + 1] = scan_row(image[y], beside, flag, runs, keep)
        elif starts[y + 1] > starts[y]:
            own = runs[starts[y] : starts[y + 1]]
            for k in range(own.shape[0]):
                own[k, _Y] = y
            scan_row(image[y], beside, flag, own, keep)


@compiled
def root_of(parents: Any, k: int) -> int:
    """Return the first run of the region of run ``k``."""
    while parents[k] != k:
        parents[k] = parents[parents[k]]
        k = parents[k]
    return k


@compiled
def join_runs(runs: Any, starts: Any, regions: Any) -> int:
    """Give each run the number of its region, and return how many regions there are."""
    for k in range(regions.size):
        regions[k] = k
    for y in range(1, starts.size - 1):
        above = starts[y - 1]
        for k in range(starts[y], starts[y + 1]):
            while above < starts[y] and runs[above, _LAST] < runs[k, _FIRST] - 1:
                above += 1
            other = above
            while other < starts[y] and runs[other, _FIRST] <= runs[k, _LAST] + 1:
                a, b = root_of(regions, k), root_of(regions, other)
                if a < b:
                    regions[b] = a
                else:
                    regions[a] = b
                other += 1
    n_regions = 0
    for k in range(regions.size):
        # The root of a region is its first run, and already numbered when the others come.
        if regions[k] == k:
            regions[k] = n_regions
            n_regions += 1
        else:
            regions[k] = regions[regions[k]]
    return n_regions


@compiled
def measure_regions(runs: Any, regions: Any, sums: Any, boxes: Any) -> None:
    """Sum up the moments of each region, and find its box: first and last row and column."""
    for k in range(regions.size):
        y, left, right = np.int64(runs[k, 0]), np.int64(runs[k, 1]), np.int64(runs[k, 2])
        region = regions[k]
        n = right - left + 1
        sum_x = n * (left + right) // 2
        before = (left - 1) * left * (2 * left - 1) // 6
        own, box = sums[region], boxes[region]
        if own[_N] == 0:
            box[0], box[2] = y, left
        own[_N] += n
        own[_SUM_X] += sum_x
        own[_SUM_Y] += n * y
        own[_SUM_XX] += right * (right + 1) * (2 * right + 1) // 6 - before
        own[_SUM_XY] += sum_x * y
        own[_SUM_YY] += n * y * y
        box[1] = y
        box[2] = min(box[2], left)
        box[3] = max(box[3], right)


@compiled
def area_with_holes(runs: Any, box: Any) -> Any:
    """Return the area of the region of these runs, what it encloses included."""
    # One pixel of margin all around, from which the background is filled.
    n_rows, n_columns = box[1] - box[0] + 3, box[3] - box[2] + 3
    is_taken = np.zeros((n_rows, n_columns), np.uint8)
    for k in range(runs.shape[0]):
        for x in range(runs[k, _FIRST], runs[k, _LAST] + 1):
            is_taken[runs[k, _Y] - box[0] + 1, x - box[2] + 1] = 1
    waiting = np.empty(n_rows * n_columns, np.int64)
    waiting[0] = 0
    is_taken[0, 0] = 1
    n_waiting, n_outside = 1, 0
    while n_waiting:
        n_waiting -= 1
        n_outside += 1
        y, x = waiting[n_waiting] // n_columns, waiting[n_waiting] % n_columns
        for beside_y in range(max(y - 1, 0), min(y + 2, n_rows)):
            for beside_x in range(max(x - 1, 0), min(x + 2, n_columns)):
                if not is_taken[beside_y, beside_x]:
                    is_taken[beside_y, beside_x] = 1
                    waiting[n_waiting] = beside_y * n_columns + beside_x
                    n_waiting += 1
    return n_rows * n_columns - n_outside


def find_runs(image: Any, flag: int, unless: Any) -> tuple[Any, Any]:
    """Return the runs (n, 3) int32 of row, first and last column, and where each row starts."""
    starts = np.zeros(image.shape[0] + 1, np.int64)
    excluded, is_excluding = (image, False) if unless is None else (unless, True)
    arguments = (image, excluded, is_excluding, np.uint8(flag), starts)
    runs = np.empty((0, 3), np.int32)
    over_rows(scan_rows, image.shape[0], *arguments, runs, False)
    np.cumsum(starts, out=starts)
    runs = np.empty((starts[-1], 3), np.int32)
    if len(runs):
        over_rows(scan_rows, image.shape[0], *arguments, runs, True)
    return runs, starts


@dataclass
class HostRuns:
    """Runs in host memory; see `jwgpu.kernels.regions.Runs`.

    Parameters
    ----------
    runs : ndarray, (m, 3) int32
        Row, first column and last column.
    regions : ndarray, (m,) int64
        Number of the region.
    """

    runs: Any
    regions: Any
    _order: Any = field(default=None, repr=False)

    def of(self, numbers: Any) -> list[Any]:
        """Return the runs of some regions, each (k, 3) int32, in order of rows."""
        if self._order is None:
            self._order = np.argsort(self.regions, kind="stable")
        first = np.searchsorted(self.regions, numbers, sorter=self._order)
        last = np.searchsorted(self.regions, numbers, side="right", sorter=self._order)
        pairs = zip(first.tolist(), last.tolist(), strict=True)
        return [self.runs[self._order[a:b]] for a, b in pairs]


def are_large(runs: HostRuns, sums: Any, boxes: Any, min_area: float) -> Any:
    """Say, (n,) bool, which regions have the area, holes included."""
    area = sums[:, _N]
    box_area = (boxes[:, 1] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 2] + 1)
    is_large = area >= min_area
    unsure = np.flatnonzero(~is_large & (area >= LEAST_AREA_WITH_HOLE) & (box_area >= min_area))
    if len(unsure):
        for region, own in zip(unsure.tolist(), runs.of(unsure), strict=True):
            is_large[region] = area_with_holes(own, boxes[region]) >= min_area
    return is_large


def regions_of(image: Any, flag: int, min_area: float, unless: Any) -> Regions:
    """Find the regions of one image."""
    runs, starts = find_runs(image, flag, unless)
    regions = np.empty(len(runs), np.int64)
    n_regions = join_runs(runs, starts, regions) if len(runs) else 0
    sums = np.zeros((n_regions, 6), np.int64)
    boxes = np.zeros((n_regions, 4), np.int64)
    if n_regions:
        measure_regions(runs, regions, sums, boxes)
    kept = HostRuns(runs, regions)
    number = np.flatnonzero(are_large(kept, sums, boxes, min_area))
    return ellipses_of(sums[number], number, kept)


def find_regions(planes: Any, searches: Sequence[Search]) -> list[Regions]:
    """See the package."""
    found = []
    for search in searches:
        unless = None if search.unless is None else planes[search.unless]
        found.append(regions_of(planes[search.plane], search.flag, search.min_area, unless))
    return found
