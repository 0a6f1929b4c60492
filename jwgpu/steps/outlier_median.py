"""Medians of stacks of images: what counts, and where the images are until they are all there."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jwgpu.backends import Device, namespace_of
from jwgpu.errors import ProductError
from jwgpu.kernels.median_stack import median_stack
from jwgpu.runner.scratch import ScratchFile, ScratchPlanes

#: Clipping of weights: rounds at most, and standard deviations.
_ROUNDS = 5
_SIGMAS = 3.0

#: Values of the stack that are looked at together (64 MB).
_TOGETHER = 1 << 24

#: Values that are summed up together.
_CHUNK = 1 << 15

#: What must be left of a sum for what was taken off it not to spoil it.
_PRECISE = 1e-6


class Window(NamedTuple):
    """Rows and columns of a part of an image."""

    bottom: int
    top: int
    left: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""
        return self.top - self.bottom, self.right - self.left


class Stack:
    """Images of a common grid, each a part of it, in memory or in a scratch file.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the grid.
    in_memory : bool
        If false, the memory that is needed does not depend on the number of images.
    """

    def __init__(self, shape: tuple[int, int], in_memory: bool) -> None:
        self.shape = shape
        self._in_memory = in_memory
        self._images: list[tuple[Window, Any]] = []
        # One for all: a process may not have many files open.
        self._file = ScratchFile(Path(tempfile.gettempdir()))

    def add(self, image: Any, window: Window | None = None) -> None:
        """Add an image.

        Parameters
        ----------
        image : array, (y, x) float32
            Its own, in host memory; NaN do not count.
        window : Window, optional
            The part of the grid that it is; elsewhere it is NaN.
        """
        window = window or Window(0, self.shape[0], 0, self.shape[1])
        if not self._in_memory:
            stored = _ScratchImage(self._file, (1, 1, *window.shape), np.float32)
            stored.write(slice(0, 1), image[None, None])
            image = stored
        self._images.append((window, image))

    def median(self, device: Device) -> Any:
        """Return the median of the images, (y, x) float32, on a device; NaN where none counts."""
        n_rows, n_columns = self.shape
        medians = device.xp.empty(self.shape, dtype=device.xp.float32)
        step = max(1, _TOGETHER // (max(len(self._images), 1) * n_columns))
        for first in range(0, n_rows, step):
            stop = min(first + step, n_rows)
            here = [
                (window, image)
                for window, image in self._images
                if window.bottom < stop and window.top > first
            ]
            rows = np.empty((len(here), stop - first, n_columns), np.float32)
            for plane, (window, image) in zip(rows, here, strict=True):
                _fill(plane, window, image, first)
            median_stack(device.send(rows), medians[first:stop])
        return medians


def _fill(plane: Any, window: Window, image: Any, first: int) -> None:
    """Copy rows of an image, from `first` of the grid, and make the rest NaN."""
    low, high = max(window.bottom, first), min(window.top, first + len(plane))
    chosen = slice(low - window.bottom, high - window.bottom)
    values = image.read(rows=chosen)[0, 0] if isinstance(image, ScratchPlanes) else image[chosen]
    plane[: low - first] = np.nan
    plane[high - first :] = np.nan
    plane[low - first : high - first, : window.left] = np.nan
    plane[low - first : high - first, window.right :] = np.nan
    plane[low - first : high - first, window.left : window.right] = values


class _ScratchImage(ScratchPlanes):
    """An image in a scratch file."""

    def _trouble(self, why: OSError) -> ProductError:
        return ProductError(
            f"{self._file.folder}: resampled images cannot be kept there ({why.strerror or why}): "
            "set TMPDIR to another disk with room, or keep them in memory (in_memory)"
        )


def least_weight(weight: Any, fraction: float) -> Any:
    """Return the least weight that counts: from a fraction of the mean, without outliers.

    Parameters
    ----------
    weight : array, any shape, float32
        Zeros do not count.
    fraction : float

    Returns
    -------
    float32
        NaN where there is no weight.

    Notes
    -----
    Officially the deviations are computed in single precision: that moves the result by some
    1e-7 of itself.
    """
    xp = namespace_of(weight)
    ordered = xp.sort(xp.reshape(weight, (-1,)))  # infinity and NaN come last
    most = np.float32(np.finfo(np.float32).max)
    lowest, *places = _fetched(ordered[0], *_places(ordered, np.float32(0), most, side="right"))
    if lowest < 0:
        ordered = ordered[ordered != 0]
        places = _fetched(*_places(ordered, -most, most))
    kept = ordered[int(places[0]) : int(places[1])]
    if not len(kept):
        return np.float32(np.nan)
    middle = _middle(kept)
    center, total, square = _fetched(middle, *_moments(kept, middle))
    pivot = center
    for _ in range(_ROUNDS):
        mean = total / len(kept)
        reach = _SIGMAS * math.sqrt(max(square / len(kept) - mean**2, 0.0))
        limits = _within(center - reach, center + reach)
        begin, end = map(int, _fetched(*_places(kept, *limits)))
        if end - begin == len(kept):
            break
        below, above = _moments(kept[:begin], pivot), _moments(kept[end:], pivot)
        kept = kept[begin:end]
        center, *outside = _fetched(_middle(kept), *below, *above)
        left = square - outside[1] - outside[3]
        if left > _PRECISE * square:
            total, square = total - outside[0] - outside[2], left
        else:  # a difference of large numbers
            pivot = center
            total, square = _fetched(*_moments(kept, pivot))
    limit = _fetched(xp.sum(kept, dtype=xp.float64))[0] / len(kept) * fraction
    return _within(limit, limit)[0]


def _fetched(*numbers: Any) -> list[float]:
    """Bring numbers to the host, all at once: each time that it waits for a GPU counts."""
    xp = namespace_of(*numbers)
    fetched: list[float] = xp.stack([xp.astype(one, xp.float64) for one in numbers]).tolist()
    return fetched


def _places(ordered: Any, low: Any, high: Any, side: str = "left") -> tuple[Any, Any]:
    """Return the place of the first value that is not below `low`; above it, if side is right.

    And that of the first that is above `high`. Both are where the values are.
    """
    xp = namespace_of(ordered)
    limits = xp.asarray(np.array([low, high], np.float32))
    begin = xp.searchsorted(ordered, limits[:1], side=side)
    return begin[0], xp.searchsorted(ordered, limits[1:], side="right")[0]


def _within(low: float, high: float) -> tuple[Any, Any]:
    """Return the least and the largest number of single precision between two others."""
    least, largest = np.float32(low), np.float32(high)
    if float(least) < low:
        least = np.nextafter(least, np.float32(np.inf))
    if float(largest) > high:
        largest = np.nextafter(largest, np.float32(-np.inf))
    return least, largest


def _middle(ordered: Any) -> Any:
    """Return the median of values in their order, in double precision, where they are."""
    xp = namespace_of(ordered)
    number = len(ordered)
    return xp.mean(ordered[(number - 1) // 2 : number // 2 + 1], dtype=xp.float64)


def _moments(values: Any, pivot: Any) -> tuple[Any, Any]:
    """Return sum and sum of squares of distances, in double precision, where the values are."""
    xp = namespace_of(values)
    total = square = 0.0
    step = _CHUNK if xp is np else max(len(values), 1)
    for start in range(0, max(len(values), 1), step):
        distance = xp.astype(values[start : start + step], xp.float64) - pivot
        total = total + xp.sum(distance)
        distance *= distance
        square = square + xp.sum(distance)
    return total, square
