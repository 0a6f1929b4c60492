"""Clipped statistics of an image on a GPU, where values are sorted faster than counted in buckets.

Nothing is read back: what is found stays on the device, for the kernels that use it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.kernels.lanes import LANES
from jwgpu.kernels.launching import launch

THREADS, CHUNK = 256, 1024


class Sorted(NamedTuple):
    """The values of an image that count, in order.

    Attributes
    ----------
    values : array, (n,) float32
        Infinity after them.
    count : array, (1,) int64
        How many there are.
    moments : array, (2, chunks) float64
        Sum, and sum of squares, of each chunk, from the median.
    """

    values: Any
    count: Any
    moments: Any


def sort_values(image: Any, mask: Any) -> Sorted:
    """Sort the finite values of an image where the mask is True."""
    xp = namespace_of(image, mask)
    values = xp.empty(image.size, xp.float32)
    count = xp.zeros(1, xp.int64)
    gathered = (image, mask, np.int64(image.size), values, count.view(xp.uint64))
    launch(__file__, "gather", image.size, gathered, block=THREADS)
    return _with_moments(xp.sort(values), count)


def _with_moments(values: Any, count: Any) -> Sorted:
    xp = namespace_of(values, count)
    chunks = -(-values.size // CHUNK)
    moments = xp.empty((2, chunks))
    launch(__file__, "sum_chunks", chunks * LANES, (values, count, np.int64(chunks), moments))
    return Sorted(values, count, moments)


def find_limits(
    found: Sorted,
    sigmas: tuple[float, float],
    *,
    uses_mean: bool = False,
    lower_half_only: bool = True,
    clip: float = 3.0,
) -> Any:
    """Return lower limit, upper limit, center and sigma of the background: (4,) float64."""
    xp = namespace_of(found.values)
    limits = xp.empty(4)
    numbers = map(np.float64, (clip, *sigmas))
    flags = map(np.bool_, (uses_mean, lower_half_only))
    arguments = (*found, np.int64(found.moments.shape[1]), *numbers, *flags, limits)
    launch(__file__, "find_limits", THREADS, arguments, block=THREADS)
    return limits


def find_median(found: Sorted, limits: Any = None) -> tuple[Any, Any]:
    """Return the median (1,) float32 of the values within limits, and their places (2,) int64."""
    xp = namespace_of(found.values)
    median, places = xp.empty(1, xp.float32), xp.empty(2, xp.int64)
    launch(__file__, "find_median", 1, (*found[:2], limits, median, places), block=1)
    return median, places


def shift_kept(found: Sorted, places: Any, offset: Any) -> Sorted:
    """Return the values at some places, less a float32 offset: that leaves them in order."""
    xp = namespace_of(found.values)
    values = xp.empty_like(found.values)
    arguments = (found.values, places, offset, np.int64(values.size), values)
    launch(__file__, "shift_kept", values.size, arguments)
    return _with_moments(values, places[1:])
