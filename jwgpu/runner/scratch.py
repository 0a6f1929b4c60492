"""Scratch files: where an exposure is between the steps when it does not fit into the memory."""

from __future__ import annotations

import errno
import math
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from jwgpu.errors import ProductError
from jwgpu.models.stored_planes import ALL, Array, Shape, StoredPlanes, within


class ScratchFile:
    """A file without a name, for one array or many.

    It goes with the last reference to this object, or with the process, whatever ends it.

    Parameters
    ----------
    folder : Path
        Where it is, from when it is first asked for room.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file: IO[bytes] | None = None
        self._size = 0

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()

    def make_room(self, needed: int, is_sparse: bool = False) -> int:
        """Return the place of a number of bytes, all zero, behind all that there are.

        Raises
        ------
        OSError
            If there is no room, unless ``is_sparse`` says that much of it will never be written.
            Room that was given before counts only once it is written.
        """
        free = shutil.disk_usage(self.folder).free
        if free < needed and not is_sparse:
            raise OSError(errno.ENOSPC, f"{needed / 1e9:.1f} GB needed, {free / 1e9:.1f} free")
        if self._file is None:
            file = tempfile.TemporaryFile(dir=self.folder, prefix=".jwgpu-")  # noqa: SIM115
            self._file = file
        place = self._size
        os.truncate(self._file.fileno(), place + needed)
        self._size += needed
        return place

    def read(self, place: int, piece: Any) -> None:
        """Fill a contiguous array.

        Raises
        ------
        OSError
            If it cannot be read.
        """
        view = memoryview(piece).cast("B")
        while view:
            got = os.preadv(self._number, [view], place)
            if not got:
                raise OSError(errno.EIO, "it is shorter than it was written")
            view, place = view[got:], place + got

    def write(self, place: int, piece: Any) -> None:
        """Write a contiguous array.

        Raises
        ------
        OSError
            If there is no room.
        """
        view = memoryview(piece).cast("B")
        while view:
            done = os.pwrite(self._number, view, place)
            view, place = view[done:], place + done

    @property
    def _number(self) -> int:
        assert self._file is not None, "nothing was given room"
        return self._file.fileno()


class ScratchPlanes(StoredPlanes):
    """An array in a scratch file.

    Parameters
    ----------
    place : Path or ScratchFile
        The folder of a file of its own, or a file that it shares with others.
    shape : tuple of int
    dtype : dtype
    is_cube : bool
        Whether it has one group because its product is of three axes.
    is_sparse : bool
        Whether much of it will never be written; that is zero, and takes no room.

    Raises
    ------
    ProductError
        If there is no room.
    """

    def __init__(
        self,
        place: Path | ScratchFile,
        shape: Shape,
        dtype: Any,
        *,
        is_cube: bool = False,
        is_sparse: bool = False,
    ) -> None:
        self.shape, self.dtype, self.is_cube = shape, np.dtype(dtype), is_cube
        self._file = place if isinstance(place, ScratchFile) else ScratchFile(place)
        try:
            needed = math.prod(shape) * self.dtype.itemsize
            self._start = self._file.make_room(needed, is_sparse)
        except OSError as why:
            raise self._trouble(why) from None

    def read(self, ints: slice = ALL, rows: slice = ALL, groups: slice = ALL) -> Array:
        """Read a part into an array of its own, C-contiguous."""
        ints, groups = within(ints, self.shape[0]), within(groups, self.shape[1])
        rows = within(rows, self.shape[2])
        shape = tuple(window.stop - window.start for window in (ints, groups, rows))
        out = np.empty((*shape, self.shape[3]), self.dtype)
        for place, piece in self._pieces(out, ints, groups, rows):
            try:
                self._file.read(place, piece)
            except OSError as why:
                raise self._trouble(why) from None
        return out

    def write(self, ints: slice, part: Array, rows: slice = ALL, groups: slice = ALL) -> None:
        """Write a part: (ints, groups, y, x), each of its rows contiguous.

        Raises
        ------
        ProductError
            If there is no room.
        """
        ints, groups = within(ints, self.shape[0]), within(groups, self.shape[1])
        rows = within(rows, self.shape[2])
        for place, piece in self._pieces(part, ints, groups, rows):
            try:
                self._file.write(place, piece)
            except OSError as why:
                raise self._trouble(why) from None

    def __imul__(self, factor: float) -> ScratchPlanes:
        """Multiply all values in place, integration by integration."""
        for i in range(self.shape[0]):
            one = self.read(slice(i, i + 1))
            one *= factor
            self.write(slice(i, i + 1), one)
        return self

    def _pieces(self, part: Array, ints: slice, groups: slice, rows: slice) -> Any:
        """Yield places in the file, and what of `part` belongs there, in one piece."""
        _, n_groups, n_rows, n_columns = self.shape
        line = n_columns * self.dtype.itemsize
        if not part.size:
            return
        is_whole = (groups.stop - groups.start, rows.stop - rows.start) == (n_groups, n_rows)
        for k, integration in enumerate(range(ints.start, ints.stop)):
            plane = integration * n_groups
            if is_whole:
                yield self._start + plane * n_rows * line, part[k].reshape(-1)
                continue
            for j, group in enumerate(range(groups.start, groups.stop)):
                place = ((plane + group) * n_rows + rows.start) * line
                yield self._start + place, part[k, j].reshape(-1)

    def _trouble(self, why: OSError) -> ProductError:
        return ProductError(
            f"{self._file.folder}: no scratch file can be kept there ({why.strerror or why}): "
            "choose another --output-dir, or calibrate without --max-memory"
        )
