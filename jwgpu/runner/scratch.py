"""Exposures that are not in memory: planes read from a FITS file, or from a scratch file.

Files are read and written with plain calls, block by block into ordinary arrays. A mapped file of
several gigabytes would count as resident memory page by page.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np

from jwgpu.errors import InputError, ProductError
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
    """

    shape: Shape
    dtype: Any

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

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
    """An image extension of a file, as `dtype`."""

    def __init__(self, file: FitsFile, extension: str, dtype: Any, threads: int) -> None:
        found = file[extension]
        if len(found.shape) != 4:
            raise InputError(
                f"{file.path}: {extension} has {len(found.shape)} axes {found.shape}, not 4; "
                "stage 1 takes ramps: give a _uncal or _ramp file"
            )
        ints, groups, rows, columns = found.shape
        self.shape = (ints, groups, rows, columns)
        self.dtype = np.dtype(dtype)
        self._file, self._extension, self._threads = file, extension, threads

    def read(self, ints: slice = ALL, rows: slice = ALL, groups: slice = ALL) -> Array:
        """Read a part into an array of its own, C-contiguous."""
        return self._file.read_array(
            self._extension,
            self.dtype,
            cut=(_within(rows, self.shape[2]), ALL),
            planes=(_within(ints, self.shape[0]), _within(groups, self.shape[1])),
            threads=self._threads,
        )


class ZeroPlanes(StoredPlanes):
    """What a file lacks."""

    def __init__(self, shape: Shape, dtype: Any) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)

    def read(self, ints: slice = ALL, rows: slice = ALL, groups: slice = ALL) -> Array:
        """Return zeros."""
        windows = zip((ints, groups, rows, ALL), self.shape, strict=True)
        return np.zeros([len(range(*w.indices(n))) for w, n in windows], self.dtype)


class ScratchPlanes(StoredPlanes):
    """An array in a scratch file.

    Parameters
    ----------
    folder : Path
        Where the file is; it has no name, and goes with the last reference to this object, or
        with the process, whatever ends it.
    shape : tuple of int
    dtype : dtype

    Raises
    ------
    ProductError
        If there is no room.
    """

    def __init__(self, folder: Path, shape: Shape, dtype: Any) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self._folder = folder
        needed = int(np.prod(shape, dtype=np.int64)) * self.dtype.itemsize
        try:
            free = shutil.disk_usage(folder).free
            if free < needed:
                raise OSError(errno.ENOSPC, f"{needed / 1e9:.1f} GB needed, {free / 1e9:.1f} free")
            file = tempfile.TemporaryFile(dir=folder, prefix=".jwgpu-")  # noqa: SIM115
        except OSError as why:
            raise self._trouble(why) from None
        self._file: IO[bytes] = file

    def read(self, ints: slice = ALL, rows: slice = ALL, groups: slice = ALL) -> Array:
        """Read a part into an array of its own, C-contiguous."""
        ints, groups = _within(ints, self.shape[0]), _within(groups, self.shape[1])
        rows = _within(rows, self.shape[2])
        shape = tuple(window.stop - window.start for window in (ints, groups, rows))
        out = np.empty((*shape, self.shape[3]), self.dtype)
        for position, piece in self._pieces(out, ints, groups, rows):
            view = memoryview(piece).cast("B")
            while view:
                got = os.preadv(self._file.fileno(), [view], position)
                if not got:
                    raise self._trouble(OSError(errno.EIO, "it is shorter than it was written"))
                view, position = view[got:], position + got
        return out

    def write(self, ints: slice, part: Array) -> None:
        """Write whole integrations.

        Raises
        ------
        ProductError
            If there is no room.
        """
        ints = _within(ints, self.shape[0])
        whole = slice(0, self.shape[1]), slice(0, self.shape[2])
        for start, piece in self._pieces(part, ints, *whole):
            view, position = memoryview(piece).cast("B"), start
            while view:
                try:
                    done = os.pwrite(self._file.fileno(), view, position)
                except OSError as why:
                    raise self._trouble(why) from None
                view, position = view[done:], position + done

    def _pieces(self, part: Array, ints: slice, groups: slice, rows: slice) -> Any:
        """Yield positions in the file, and what of `part` belongs there, in one piece."""
        _, n_groups, n_rows, n_columns = self.shape
        line = n_columns * self.dtype.itemsize
        is_whole = (groups.stop - groups.start, rows.stop - rows.start) == (n_groups, n_rows)
        for k, integration in enumerate(range(ints.start, ints.stop)):
            plane = integration * n_groups
            if is_whole:
                yield plane * n_rows * line, part[k].reshape(-1)
                continue
            for j, group in enumerate(range(groups.start, groups.stop)):
                yield ((plane + group) * n_rows + rows.start) * line, part[k, j].reshape(-1)

    def _trouble(self, why: OSError) -> ProductError:
        return ProductError(
            f"{self._folder}: no scratch file can be kept there ({why.strerror or why}): choose "
            "another --output-dir, or calibrate without --max-memory"
        )


def _within(window: slice, length: int) -> slice:
    start, stop, _ = window.indices(length)
    return slice(start, max(start, stop))
