"""Drizzle on a GPU: allocate and launch. A thread takes a pixel of the output, see the source."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.kernels.drizzle import KERNELS
from jwgpu.kernels.drizzle.cpu import lanczos_table, terms_of
from jwgpu.kernels.launching import launch
from jwgpu.kernels.pixel_map import Series, evaluate

#: As in the source: sides of a tile, and pixels of a box whose shares are kept.
TILE, SMALL_BOX = 16, 9


def drizzle(pixels: Any, drop: Any, sums: Any, bit: int) -> None:
    """Add an image to sums; see :func:`jwgpu.kernels.drizzle.drizzle`."""
    xp = namespace_of(pixels.data)
    if isinstance(pixels.pixel_map, Series):
        places = xp.empty((*pixels.data.shape, 2))
        evaluate(*pixels.pixel_map, places)
        pixels = pixels._replace(pixel_map=places)
    left, right, bottom, top = (int(edge) for edge in drop.window)
    n_out = tuple(map(np.int32, sums.weights.shape))
    window = (left, bottom, right + 1 - left, top + 1 - bottom)
    n_pixels = max(window[2], 0) * max(window[3], 0)
    n_tiles = int(np.prod([-(-int(n) // TILE) for n in n_out]))
    if not n_pixels or not n_tiles:
        return
    is_square = drop.kernel == "square"
    reach, height, steepness = map(
        np.float64, (drop.pixfrac / 2, 0, 0) if is_square else terms_of(drop)
    )
    given = (
        *(xp.ascontiguousarray(array) for array in (pixels.pixel_map, pixels.weight)),
        *map(np.int32, (*pixels.data.shape, *window)),
    )
    boxes = xp.empty((n_pixels, 4), xp.int32)
    counts = xp.empty(n_pixels, xp.int64)
    shares = xp.empty((SMALL_BOX, n_pixels), xp.float32) if is_square else None
    found = (boxes, shares, counts) if is_square else (boxes, counts)
    place = "place_quadrangles" if is_square else "place_drops"
    launch(__file__, place, n_pixels, (*given, reach, *n_out, *found), block=128)
    entries, starts = _by_tile(boxes, counts, n_out, n_tiles)
    if entries is None:
        return
    kind = KERNELS.index(drop.kernel)
    is_sinc = drop.kernel.startswith("lanczos")
    table = xp.asarray(lanczos_table(int(drop.kernel[-1]))) if is_sinc else None
    n_table = np.int32(0 if table is None else table.size)
    numbers = (np.int32(kind), reach, height, steepness, table, n_table)
    arguments = (
        *given,
        *numbers,
        *_of_image(xp, pixels),
        *_of_sums(sums, bit, pixels.time),
    )
    tiles = (*n_out, boxes, shares, entries, starts)
    launch(__file__, "add_pixels", n_tiles * TILE**2, (*arguments, *tiles), block=TILE**2)


def finish(sums: Any, fill: float, scaling: float) -> Any:
    """Turn sums into means; see :func:`jwgpu.kernels.drizzle.finish`."""
    xp = namespace_of(sums.values)
    n = sums.weights.size
    errors = None if sums.variances is None else xp.empty(sums.weights.shape, xp.float32)
    arrays = (sums.values, sums.weights, sums.variances, sums.variance_weights, errors)
    numbers = (
        np.int32(len(sums.values)),
        np.int64(n),
        np.float32(fill),
        np.float64(scaling),
    )
    launch(__file__, "finish", n, (*arrays, *numbers))
    return errors


def _by_tile(boxes: Any, counts: Any, n_out: Any, n_tiles: int) -> tuple[Any, Any]:
    """Return tile and pixel, in order, and where each tile begins; None if there are none.

    The host waits once, for their number.
    """
    xp = namespace_of(boxes)
    ends = xp.cumsum(counts)
    n_entries = int(ends[-1])
    if not n_entries:
        return None, None
    entries = xp.empty(n_entries, xp.int64)
    numbers = (np.int64(len(boxes)), *n_out)
    launch(__file__, "list_tiles", len(boxes), (boxes, ends, *numbers, entries))
    entries.sort()
    starts = xp.searchsorted(entries, xp.arange(n_tiles + 1, dtype=xp.int64) << 32)
    return entries, starts


def _of_image(xp: Any, pixels: Any) -> tuple[Any, ...]:
    variances = (None,) * 3 if pixels.variances is None else pixels.variances
    arrays = (pixels.data, pixels.other, *variances, pixels.flags)
    contiguous = (None if array is None else xp.ascontiguousarray(array) for array in arrays)
    return (*contiguous, np.float32(pixels.level))


def _of_sums(sums: Any, bit: int, time: float) -> tuple[Any, ...]:
    mask = np.array([1 << bit], np.uint32).view(np.int32)[0]
    values = (sums.values, np.int32(len(sums.values)), sums.weights)
    others = (sums.context, sums.flags, sums.variances, sums.variance_weights)
    return (*values, *others, mask, np.float64(time))
