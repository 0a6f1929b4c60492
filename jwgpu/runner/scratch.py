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


class ScratchPlanes(StoredPlanes):
    """An array in a scratch file.

    Parameters
    ----------
    folder : Path
        Where the file is; it has no name, and goes with the last reference to this object, or
        with the process, whatever ends it.
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
        folder: Path,
        shape: Shape,
        dtype: Any,
        *,
        is_cube: bool = False,
        is_sparse: bool = False,
    ) -> None:
        self.shape, self.dtype, self.is_cube = shape, np.dtype(dtype), is_cube
        self._folder = folder
        needed = math.prod(shape) * self.dtype.itemsize
        try:
            free = shutil.disk_usage(folder).free
            if free < needed and not is_sparse:
                raise OSError(errno.ENOSPC, f"{needed / 1e9:.1f} GB needed, {free / 1e9:.1f} free")
            file = tempfile.TemporaryFile(dir=folder, prefix=".jwgpu-")  # noqa: SIM115
            os.truncate(file.fileno(), needed)
        except OSError as why:
            raise self._trouble(why) from None
        self._file: IO[bytes] = file

    def __del__(self) -> None:
        file = getattr(self, "_file", None)
        if file is not None:
            file.close()

    def read(self, ints: slice = ALL, rows: slice = ALL, groups: slice = ALL) -> Array:
        """Read a part into an array of its own, C-contiguous."""
        ints, groups = within(ints, self.shape[0]), within(groups, self.shape[1])
        rows = within(rows, self.shape[2])
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

    def write(self, ints: slice, part: Array, rows: slice = ALL, groups: slice = ALL) -> None:
        """Write a part: (ints, groups, y, x), each of its rows contiguous.

        Raises
        ------
        ProductError
            If there is no room.
        """
        ints, groups = within(ints, self.shape[0]), within(groups, self.shape[1])
        rows = within(rows, self.shape[2])
        for start, piece in self._pieces(part, ints, groups, rows):
            view, position = memoryview(piece).cast("B"), start
            while view:
                try:
                    done = os.pwrite(self._file.fileno(), view, position)
                except OSError as why:
                    raise self._trouble(why) from None
                view, position = view[done:], position + done

    def __imul__(self, factor: float) -> ScratchPlanes:
        """Multiply all values in place, integration by integration."""
        for i in range(self.shape[0]):
            one = self.read(slice(i, i + 1))
            one *= factor
            self.write(slice(i, i + 1), one)
        return self

    def _pieces(self, part: Array, ints: slice, groups: slice, rows: slice) -> Any:
        """Yield positions in the file, and what of `part` belongs there, in one piece."""
        _, n_groups, n_rows, n_columns = self.shape
        line = n_columns * self.dtype.itemsize
        if not part.size:
            return
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
