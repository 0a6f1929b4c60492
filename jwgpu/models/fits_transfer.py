"""How the numbers of a FITS extension are stored, and their way into an array."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]

CHUNK = 1 << 21  # bytes of the file that are read and converted at a time

RAW: dict[int, np.dtype[Any]] = {
    8: np.dtype("u1"),
    16: np.dtype(">i2"),
    32: np.dtype(">i4"),
    64: np.dtype(">i8"),
    -32: np.dtype(">f4"),
    -64: np.dtype(">f8"),
}

# Offsets by which FITS, which has no such integers, stores unsigned ones.
_UNSIGNED: dict[int, tuple[int, np.dtype[Any]]] = {
    16: (1 << 15, np.dtype("u2")),
    32: (1 << 31, np.dtype("u4")),
}

# What scaled values are computed in, as astropy does.
_WIDE = {bitpix: np.dtype("f4" if bitpix in (8, 16, -32) else "f8") for bitpix in RAW}


@dataclass(frozen=True)
class Extension:
    """Where one extension lies in its file, and how its numbers are stored."""

    name: str
    version: int
    header: Any
    header_offset: int
    data_offset: int
    data_bytes: int
    shape: tuple[int, ...]
    bitpix: int

    @property
    def scale(self) -> float:
        """BSCALE: the factor of the stored numbers."""
        return float(self.header.get("BSCALE", 1.0))

    @property
    def zero(self) -> float:
        """BZERO: the offset of the stored numbers."""
        return float(self.header.get("BZERO", 0.0))

    @property
    def is_compressed(self) -> bool:
        """Whether this is an image in tiled compression."""
        return bool(self.header.get("ZIMAGE", False))

    @property
    def native_dtype(self) -> np.dtype[Any]:
        """The dtype that holds the values without loss, as astropy chooses it."""
        if self.scale == 1.0 and self.zero == 0.0:
            return RAW[self.bitpix].newbyteorder("=")
        offset, unsigned = _UNSIGNED.get(self.bitpix, (0, _WIDE[self.bitpix]))
        if self.scale == 1.0 and self.zero == offset:
            return cast("np.dtype[Any]", unsigned)
        return _WIDE[self.bitpix]


class Transfer:
    """Reads lines (image rows) of an extension and converts them into the lines of an array."""

    def __init__(self, descriptor: int, extension: Extension, columns: slice, out: Array) -> None:
        self._descriptor = descriptor
        self._start = extension.data_offset
        self._bitpix = extension.bitpix
        self._scale, self._zero = extension.scale, extension.zero
        self._blank = extension.header.get("BLANK") if extension.bitpix > 0 else None
        self._columns = columns
        self._lines = out.reshape(-1, out.shape[-1])
        self._raw = RAW[extension.bitpix]
        self._width = extension.shape[-1]
        self._scratch = threading.local()
        self._is_unsigned = (
            self._scale == 1.0 and self._zero == _UNSIGNED.get(self._bitpix, (0,))[0]
        )

    def run(self, runs: Sequence[tuple[int, int, int]], threads: int) -> None:
        """Move all (first line in the file, first line in the array, number of lines)."""
        at_once = max(1, CHUNK // (self._width * self._raw.itemsize))
        chunks = [
            (source + i, target + i, min(at_once, number - i))
            for source, target, number in runs
            for i in range(0, number, at_once)
        ]
        if threads > 1 and len(chunks) > 1:
            with ThreadPoolExecutor(threads) as pool:
                for _ in pool.map(self._move, chunks):
                    pass
        else:
            for chunk in chunks:
                self._move(chunk)

    def _move(self, chunk: tuple[int, int, int]) -> None:
        # Through a scratch buffer that stays in the cache, even where the bytes would fit in place:
        # swapping them while copying was measured to be faster than swapping them afterwards.
        source, target, number = chunk
        scratch = self._buffer(number)
        _fill(self._descriptor, scratch, self._start + source * scratch.strides[0])
        self._convert(scratch[:, self._columns], self._lines[target : target + number])

    def _buffer(self, number: int) -> Array:
        buffer = getattr(self._scratch, "buffer", None)
        if buffer is None or len(buffer) < number:
            buffer = self._scratch.buffer = np.empty((number, self._width), self._raw)
        part: Array = buffer[:number]
        return part

    def _convert(self, raw: Array, lines: Array) -> None:
        with np.errstate(invalid="ignore"):  # NaN to an integer: any value is as good
            self._rescale(raw, lines)
        if self._blank is not None and lines.dtype.kind == "f":
            lines[raw == self._blank] = np.nan

    def _rescale(self, raw: Array, lines: Array) -> None:
        if self._scale == 1.0 and self._zero == 0.0:
            np.copyto(lines, raw, casting="unsafe")
        elif self._is_unsigned and lines.dtype == _UNSIGNED[self._bitpix][1]:
            np.bitwise_xor(raw.view(raw.dtype.str.replace("i", "u")), int(self._zero), out=lines)
        elif self._is_unsigned and self._bitpix == 16 and lines.dtype.kind == "f":
            np.add(raw, lines.dtype.type(self._zero), out=lines)  # the raw ramps; exact
        elif self._scale == 1.0 and self._bitpix > 0 and lines.dtype.kind in "iu":
            np.copyto(lines, raw.astype("i8") + int(self._zero), casting="unsafe")
        else:
            scaled = raw.astype(_WIDE[self._bitpix])
            scaled *= self._scale
            scaled += self._zero
            np.copyto(lines, scaled, casting="unsafe")


class LineReader:
    """Reads the numbers of an image as they are stored, for a device that decodes them.

    Attributes
    ----------
    dtype : dtype
        An unsigned integer of their size; the bytes are in the order of the file.
    """

    def __init__(self, descriptor: int, extension: Extension, threads: int) -> None:
        self._descriptor, self._start = descriptor, extension.data_offset
        self.dtype = np.dtype(f"u{RAW[extension.bitpix].itemsize}")
        self._pool = ThreadPoolExecutor(threads)

    def __enter__(self) -> LineReader:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown()

    def read(self, out: Array, first: int) -> None:
        """Fill an array of one axis with the numbers from `first` on."""
        at_once = CHUNK // self.dtype.itemsize
        position = self._start + first * self.dtype.itemsize

        def move(start: int) -> None:
            offset = position + start * self.dtype.itemsize
            _fill(self._descriptor, out[start : start + at_once], offset)

        for _ in self._pool.map(move, range(0, len(out), at_once)):
            pass


def _fill(descriptor: int, out: Array, position: int) -> None:
    view = out.view("u1").data.cast("B")
    while view:
        got = os.preadv(descriptor, [view], position)
        if got == 0:
            raise OSError("it became shorter while it was read")
        view = view[got:]
        position += got


def extension_of(header: Any, header_offset: int, data_offset: int) -> Extension:
    """Read from a header what lies behind it; ValueError, KeyError or TypeError if it is none."""
    axes = [int(header[f"NAXIS{i}"]) for i in range(int(header["NAXIS"]), 0, -1)]
    bitpix = int(header["BITPIX"])
    if bitpix not in RAW or any(length < 0 for length in axes):
        raise ValueError(f"BITPIX is {bitpix}, axes are {axes}")
    samples = math.prod(axes) if axes else 0
    groups, extra = int(header.get("GCOUNT", 1)), int(header.get("PCOUNT", 0))
    is_image = header_offset == 0 or str(header["XTENSION"]).strip() == "IMAGE"
    return Extension(
        name=str(header.get("EXTNAME", "PRIMARY" if header_offset == 0 else "")).strip().upper(),
        version=int(header.get("EXTVER", 1)),
        header=header,
        header_offset=header_offset,
        data_offset=data_offset,
        data_bytes=abs(bitpix) // 8 * groups * (extra + samples) if axes else 0,
        shape=tuple(axes) if is_image else (),
        bitpix=bitpix,
    )


def runs_of(
    shape: tuple[int, ...], leading: Sequence[slice], rows: slice
) -> list[tuple[int, int, int]]:
    """Find the runs of image rows that lie together in the file: (source, target, number)."""
    height, lengths = shape[-2], shape[:-2]
    planes = np.zeros(1, np.int64)
    for window, length in zip(leading, lengths, strict=True):
        planes = (planes[:, None] * length + np.arange(window.start, window.stop)).ravel()
    number = rows.stop - rows.start
    runs: list[tuple[int, int, int]] = []
    for index, plane in enumerate(planes.tolist()):
        source, target = plane * height + rows.start, index * number
        if runs and runs[-1][0] + runs[-1][2] == source:
            runs[-1] = (runs[-1][0], runs[-1][1], runs[-1][2] + number)
        else:
            runs.append((source, target, number))
    return runs
