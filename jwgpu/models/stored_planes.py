"""Samples and flags that stay in their file, and are read piece by piece.

They are read with plain calls into ordinary arrays: a mapped file of several gigabytes would count
as resident memory, page by page.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

from jwgpu.models.fits_arrays import FitsFile

Array: TypeAlias = np.ndarray[Any, Any]
Shape: TypeAlias = tuple[int, int, int, int]

ALL = slice(None)

#: Rows that are looked at first where a whole plane may not be needed.
_FEW_ROWS = 16


class StoredPlanes:
    """An array of (ints, groups, y, x) that is read piece by piece.

    Attributes
    ----------
    shape : tuple of int
    dtype : dtype
    is_cube : bool
        Whether it has one group because it is an array of (ints, y, x).
    """

    shape: Shape
    dtype: Any
    is_cube: bool = False

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def true_shape(self) -> tuple[int, ...]:
        """Shape of the array that this is: without groups, if it is a cube."""
        return (self.shape[0], *self.shape[2:]) if self.is_cube else self.shape

    def __iter__(self) -> Iterator[Iterator[Array]]:
        """Go through the integrations, and in each through its images."""
        for i in range(self.shape[0]):
            yield (
                self.read(slice(i, i + 1), groups=slice(g, g + 1))[0, 0]
                for g in range(self.shape[1])
            )

    def read(self, ints: slice = ALL, rows: slice = ALL, groups: slice = ALL) -> Array:
        """Read a part into an array of its own, C-contiguous."""
        raise NotImplementedError

    def all_have(self, integration: int, group: int, flag: int) -> bool:
        """Return whether all pixels of an image have `flag`; the first that lacks it ends it."""
        first = 0
        while first < self.shape[2]:
            rows = slice(first, first + (self.shape[2] if first else _FEW_ROWS))
            part = self.read(slice(integration, integration + 1), rows, slice(group, group + 1))
            if not ((part & flag) != 0).all():
                return False
            first = rows.stop
        return True

    def where_all_have(self, flag: int) -> Array:
        """Return, (ints, groups) bool, in which images all pixels have `flag`."""
        ints, groups = self.shape[:2]
        found = [[self.all_have(i, g, flag) for g in range(groups)] for i in range(ints)]
        return np.array(found, np.bool_)


class FitsPlanes(StoredPlanes):
    """An image extension, read as `dtype` from a file that stays open.

    One of three axes, (ints, y, x), has one group.
    """

    def __init__(self, path: str, extension: str, dtype: Any, threads: int) -> None:
        self._file, self._extension, self._threads = FitsFile(path), extension, threads
        ints, *groups, rows, columns = self._file[extension].shape
        self.is_cube = not groups
        self.shape = (ints, groups[0] if groups else 1, rows, columns)
        self.dtype = np.dtype(dtype)

    def __del__(self) -> None:
        file = getattr(self, "_file", None)
        if file is not None:
            file.close()

    def read(self, ints: slice = ALL, rows: slice = ALL, groups: slice = ALL) -> Array:
        """Read a part into an array of its own, C-contiguous."""
        planes = (within(ints, self.shape[0]), within(groups, self.shape[1]))
        found = self._file.read_array(
            self._extension,
            self.dtype,
            cut=(within(rows, self.shape[2]), ALL),
            planes=planes[:1] if self.is_cube else planes,
            threads=self._threads,
        )
        return found[:, None][:, planes[1]] if self.is_cube else found


class ZeroPlanes(StoredPlanes):
    """What a file lacks."""

    def __init__(self, shape: Shape, dtype: Any) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)

    def read(self, ints: slice = ALL, rows: slice = ALL, groups: slice = ALL) -> Array:
        """Return zeros."""
        windows = zip((ints, groups, rows, ALL), self.shape, strict=True)
        return np.zeros([len(range(*w.indices(n))) for w, n in windows], self.dtype)


class FirstGroups(StoredPlanes):
    """The first groups of other planes."""

    def __init__(self, planes: StoredPlanes, n_groups: int) -> None:
        self._planes = planes
        self.shape = (planes.shape[0], n_groups, *planes.shape[2:])
        self.dtype = planes.dtype

    def read(self, ints: slice = ALL, rows: slice = ALL, groups: slice = ALL) -> Array:
        """Read a part into an array of its own, C-contiguous."""
        return self._planes.read(ints, rows, within(groups, self.shape[1]))


def median_of(planes: StoredPlanes) -> Any:
    """Return the median of float32 values that are not negative, as NumPy does; NaN if one is NaN.

    In two passes: the upper half of the bits, counted, tells where the middle ones are; of these
    alone, all are in memory.
    """
    counts = np.zeros(1 << 16, np.int64)
    for i in range(planes.shape[0]):
        values = planes.read(slice(i, i + 1)).ravel()
        if np.isnan(values).any():
            return np.float32(np.nan)
        counts += np.bincount(values.view(np.uint32) >> 16, minlength=counts.size)
    ends = np.cumsum(counts)
    places = ((ends[-1] - 1) // 2, ends[-1] // 2)
    low, high = np.searchsorted(ends, places, side="right")
    middle = []
    for i in range(planes.shape[0]):
        values = planes.read(slice(i, i + 1)).ravel()
        bins = values.view(np.uint32) >> 16
        middle.append(values[(bins >= low) & (bins <= high)])
    ordered = np.sort(np.concatenate(middle))
    before = ends[low] - counts[low]
    return np.mean(ordered[[place - before for place in sorted(set(places))]])


def within(window: slice, length: int) -> slice:
    """Return a window with bounds that are within an axis of this length."""
    start, stop, _ = window.indices(length)
    return slice(start, max(start, stop))
