"""Connected regions on a GPU: allocate, launch, and fetch the numbers of those that count."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, prod
from pathlib import Path
from typing import Any, Final

import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.kernels.launching import launch
from jwgpu.kernels.regions import Regions, Search
from jwgpu.kernels.regions.moments import LEAST_AREA_WITH_HOLE, ellipses_of

_HOLES: Final = Path(__file__).with_name("holes.cu")

#: A region that is large, and one that is if it has holes.
_LARGE, _UNSURE = 1, 2
#: Pixels that are searched together: 32 images of 2048 by 2048. A run takes 81 bytes, and there
#: cannot be more of them than half of the pixels; mostly there is one in some hundred pixels.
_SEARCHED = 1 << 27
#: Pixels of boxes that are filled together, unless one is larger: 64 MiB.
_MOST_PIXELS = 1 << 24
#: Threads that fill a box.
_FILLING = 256
_FOREVER = 1 << 62


@dataclass(frozen=True)
class DeviceRuns:
    """Runs in device memory; see `jwgpu.kernels.regions.Runs`.

    Parameters
    ----------
    runs : array, (m, 3) int32
        Row, counted through all searches, first column and last column.
    starts : array, (rows + 1,) int64
        Where the runs of each row begin.
    regions : array, (m,) int32
        The first run of the region of each.
    n_rows : int
        Of one image.
    """

    runs: Any
    starts: Any
    regions: Any
    n_rows: int

    def of(self, numbers: Any) -> list[Any]:
        """Fetch the runs of some regions, each (k, 3) int32, in order of rows."""
        xp = namespace_of(self.runs)
        is_wanted = xp.zeros(len(self.runs), "bool")
        is_wanted[xp.asarray(numbers)] = True
        picked = xp.flatnonzero(is_wanted[self.regions])
        columns = [self.runs[picked], self.regions[picked].reshape(-1, 1)]
        fetched = xp.concatenate(columns, axis=1).get()
        runs, regions = fetched[:, :3], fetched[:, 3]
        runs[:, 0] %= self.n_rows
        order = np.argsort(regions, kind="stable")
        first = np.searchsorted(regions, numbers, sorter=order)
        last = np.searchsorted(regions, numbers, side="right", sorter=order)
        pairs = zip(first.tolist(), last.tolist(), strict=True)
        return [runs[order[a:b]] for a, b in pairs]


def find_regions(planes: Any, searches: Sequence[Search]) -> list[Regions]:
    """See the package."""
    at_once = max(1, _SEARCHED // max(1, prod(planes.shape[1:])))
    found: list[Regions] = []
    for first in range(0, len(searches), at_once):
        found += _find_together(planes, searches[first : first + at_once])
    return found


def _find_together(planes: Any, searches: Sequence[Search]) -> list[Regions]:
    xp = namespace_of(planes)
    n_rows = planes.shape[1]
    wanted = xp.asarray(np.array([_as_numbers(search) for search in searches], np.int64))
    runs, starts = _find_runs(planes, wanted)
    n_runs = len(runs)
    regions = xp.empty(n_runs, "int32")
    sums, boxes = xp.empty((n_runs, 6), "int64"), xp.empty((n_runs, 4), "int32")
    verdicts = xp.empty(n_runs, "uint8")
    rows, n = np.int32(n_rows), np.int32(n_runs)
    launch(__file__, "begin_regions", n_runs, (runs, regions, sums, boxes, n))
    launch(__file__, "join_runs", n_runs, (runs, starts, regions, rows, n))
    launch(__file__, "flatten_regions", n_runs, (regions, n))
    launch(__file__, "measure_regions", n_runs, (runs, regions, sums, boxes, rows, n))
    arrays = (runs, regions, sums, boxes, wanted, verdicts)
    launch(__file__, "judge_regions", n_runs, (*arrays, np.int32(LEAST_AREA_WITH_HOLE), rows, n))
    kept = DeviceRuns(runs, starts, regions, n_rows)
    table = _fetch_numbers(verdicts, sums, boxes)
    table = table[_are_large(table, searches, kept)]
    # Boxes are in rows that count through all searches.
    owner = table[:, 8] // max(n_rows, 1)
    return [
        ellipses_of(table[owner == k, 2:8], table[owner == k, 0], kept)
        for k in range(len(searches))
    ]


def _as_numbers(search: Search) -> tuple[int, int, int, int]:
    """Return what the kernels know of a search; an area that is not a number is never reached."""
    least = ceil(max(search.min_area, 0)) if search.min_area < _FOREVER else _FOREVER
    return search.plane, -1 if search.unless is None else search.unless, search.flag, least


def _find_runs(planes: Any, wanted: Any) -> tuple[Any, Any]:
    """Return the runs, (n, 3) int32, and where each row starts; waits for their number."""
    xp = namespace_of(planes)
    n_searches, (n_rows, n_columns) = len(wanted), planes.shape[1:]
    sizes = tuple(np.int32(size) for size in (n_searches, n_rows, n_columns))
    counts = xp.zeros(n_searches * n_rows + 1, "int64")
    n_threads = 32 * n_searches * n_rows
    launch(__file__, "scan_rows", n_threads, (planes, wanted, None, counts, None, *sizes))
    starts = xp.cumsum(counts)
    runs = xp.empty((int(starts[-1]), 3), "int32")
    if len(runs):
        launch(__file__, "scan_rows", n_threads, (planes, wanted, starts, None, runs, *sizes))
    return runs, starts


def _fetch_numbers(verdicts: Any, sums: Any, boxes: Any) -> Any:
    """Fetch region, verdict, sums and box of what is large or may be, (n, 12) int64."""
    xp = namespace_of(verdicts)
    chosen = xp.flatnonzero(verdicts)
    table = xp.empty((len(chosen), 12), "int64")
    if not len(chosen):
        return np.empty((0, 12), np.int64)
    arguments = (chosen, verdicts, sums, boxes, table, np.int32(len(chosen)))
    launch(__file__, "gather_regions", len(chosen), arguments)
    return table.get()


def _are_large(table: Any, searches: Sequence[Search], runs: DeviceRuns) -> Any:
    """Say, (n,) bool, which regions have the area, holes included."""
    is_large = table[:, 1] == _LARGE
    unsure = np.flatnonzero(table[:, 1] == _UNSURE)
    areas = [_areas_with_holes(boxes, runs) for boxes in _some(table[unsure][:, [0, 8, 9, 10, 11]])]
    if areas:
        least = np.array([search.min_area for search in searches])
        is_large[unsure] = np.concatenate(areas) >= least[table[unsure, 8] // runs.n_rows]
    return is_large


def _some(boxes: Any) -> Iterator[Any]:
    """Yield regions and boxes, (n, 6) int64, some at a time, with the places of their pixels."""
    sizes = (boxes[:, 2] - boxes[:, 1] + 3) * (boxes[:, 4] - boxes[:, 3] + 3)
    first = 0
    while first < len(boxes):
        ends = np.cumsum(sizes[first:])
        n = max(1, int(np.searchsorted(ends, _MOST_PIXELS, side="right")))
        places = ends[:n] - sizes[first : first + n]
        yield np.column_stack([boxes[first : first + n], places])
        first += n


def _areas_with_holes(boxes: Any, runs: DeviceRuns) -> Any:
    """Fetch the areas, (n,), of regions in boxes, what they enclose included."""
    xp = namespace_of(runs.runs)
    last = boxes[-1]
    n_pixels = int(last[5] + (last[2] - last[1] + 3) * (last[4] - last[3] + 3))
    pixels, areas = xp.empty(n_pixels, "int32"), xp.zeros(len(boxes), "uint64")
    arrays = (runs.runs, runs.starts, runs.regions, xp.asarray(boxes), pixels, areas)
    launch(_HOLES, "fill_regions", _FILLING * len(boxes), arrays, block=_FILLING)
    return areas.get()
