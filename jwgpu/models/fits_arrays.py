"""Reading big FITS images straight into their final array.

The official reader maps a file and leaves big-endian arrays behind, which every later operation
swaps again. Here the raw bytes go into the array that the steps will use, a small chunk at a time,
and are swapped, widened and scaled while they are in the processor's cache: the peak of memory is
the result plus one chunk. Of a cut-out, only the rows wanted are read.

Headers are parsed by astropy (imported when the first file is opened); compressed images (tiled
compression) are decoded by it. A gzip'ed file is unpacked into a temporary file first.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, TypeAlias

import numpy as np

from jwgpu.errors import InputError, JwgpuError
from jwgpu.models.fits_transfer import (
    CHUNK,
    Array,
    Extension,
    Transfer,
    extension_of,
    runs_of,
)

Cut: TypeAlias = tuple[slice, slice]
Planes: TypeAlias = slice | tuple[slice, ...]

_BLOCK = 2880  # bytes; all parts of a FITS file are multiples of it


class FitsFile:
    """An open FITS file: headers at once, arrays when asked for.

    Parameters
    ----------
    path : str or Path
        The file, plain or gzip'ed.
    error : type of JwgpuError
        What to raise for a file that cannot be read.

    Raises
    ------
    JwgpuError
        The given `error`, of one line, if the file is missing or is not a FITS file.
    """

    def __init__(self, path: str | Path, error: type[JwgpuError] = InputError) -> None:
        self.path = str(path)
        self._error = error
        self._file: IO[bytes] = self._open()
        self._size = os.fstat(self._file.fileno()).st_size
        self._extensions: list[Extension] = []
        self._scan = self._headers()
        self._is_cut_short = False
        try:
            self._extensions.append(next(self._scan))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> FitsFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; what was read stays valid."""
        self._file.close()

    @property
    def primary(self) -> Any:
        """The primary header (`astropy.io.fits.Header`)."""
        return self._extensions[0].header

    @property
    def extensions(self) -> list[Extension]:
        """All extensions, the primary one first."""
        self._extensions.extend(self._scan)
        return self._extensions

    def find(self, extension: str | int | tuple[str, int]) -> Extension | None:
        """Return an extension by name (first version), name and version, or number; None if absent.

        Raises
        ------
        JwgpuError
            If it is absent from a file that ends too early: it may be in the part that is missing.
        """
        if isinstance(extension, int):
            found = self.extensions[extension] if extension < len(self.extensions) else None
        else:
            name, version = extension if isinstance(extension, tuple) else (extension, 1)
            found = next((e for e in self._known() if (e.name, e.version) == (name, version)), None)
        if found is None and self._is_cut_short:
            raise self._truncated(f"before its extension {extension}")
        return found

    def __contains__(self, extension: str | int | tuple[str, int]) -> bool:
        return self.find(extension) is not None

    def __getitem__(self, extension: str | int | tuple[str, int]) -> Extension:
        found = self.find(extension)
        if found is None:
            names = ", ".join(e.name for e in self.extensions[1:]) or "none"
            raise self._error(f"{self.path}: has no extension {extension} (it has: {names})")
        return found

    def read_array(
        self,
        extension: str | int | tuple[str, int],
        dtype: Any = None,
        *,
        cut: Cut | None = None,
        planes: Planes | None = None,
        out: Array | None = None,
        threads: int = 1,
    ) -> Array:
        """Read an image, or a part of it; see `read_array`."""
        found = self[extension]
        if found.is_compressed:
            return self._decompress(found, dtype, cut, planes, out)
        if len(found.shape) < 2:
            raise self._error(f"{self.path}: its extension {extension} holds no image")
        leading, rows, columns = self._windows(found, found.shape, cut, planes)
        shape = (*(w.stop - w.start for w in leading), rows.stop - rows.start)
        shape = (*shape, columns.stop - columns.start)
        out = _output(shape, found.native_dtype if dtype is None else np.dtype(dtype), out)
        with self.reading(found) as descriptor:
            if out.size:
                runs = runs_of(found.shape, leading, rows)
                Transfer(descriptor, found, columns, out).run(runs, threads)
        return out

    @contextmanager
    def reading(self, extension: Extension) -> Iterator[int]:
        """Give the descriptor of the file, to read an extension that it holds in full.

        Raises
        ------
        JwgpuError
            If it ends before, or reading fails.
        """
        missing = extension.data_offset + extension.data_bytes - self._size
        if missing > 0:
            raise self._truncated(
                f"in its extension {extension.name} ({missing} bytes are missing)"
            )
        try:
            yield self._file.fileno()
        except OSError as why:
            raise self._error(f"{self.path}: cannot be read ({why})") from None

    def columns(self, extension: str | int | tuple[str, int]) -> dict[str, Array]:
        """Read a table: its columns by lower-case name, native-endian; strings without padding."""
        from astropy.io import fits

        found = self[extension]
        raw = self._bytes(found)
        try:
            table = fits.BinTableHDU.fromstring(raw).data
            columns = {str(n).lower(): np.array(table.field(n)) for n in table.names}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, fits.VerifyError) as why:
            raise self._corrupt(found.name, why) from None
        return {
            name: np.char.rstrip(values)
            if values.dtype.kind in "US"
            else values.astype(values.dtype.newbyteorder("="))
            for name, values in columns.items()
        }

    def _open(self) -> IO[bytes]:
        try:
            file = open(self.path, "rb", buffering=0)  # noqa: SIM115 - closed by close()
        except FileNotFoundError:
            raise self._error(f"{self.path}: no such file") from None
        except OSError as why:
            raise self._error(f"{self.path}: cannot be opened ({why.strerror})") from None
        try:
            magic = file.read(2)
            if magic == b"\x1f\x8b":
                with file:
                    return self._unpacked(file)
            file.seek(0)
        except OSError as why:
            raise self._error(f"{self.path}: cannot be read ({why.strerror})") from None
        return file

    def _unpacked(self, packed: IO[bytes]) -> IO[bytes]:
        import gzip
        import shutil
        import zlib

        packed.seek(0)
        file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed by close()
        try:
            with gzip.GzipFile(fileobj=packed) as stream:
                shutil.copyfileobj(stream, file, CHUNK)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            file.close()
            raise self._error(
                f"{self.path}: the gzip'ed file is truncated or corrupt; fetch or make it again"
            ) from None
        file.seek(0)
        return file

    def _headers(self) -> Iterator[Extension]:
        """Walk from header to header; stop at the end of the file or where no header follows."""
        from astropy.io import fits

        offset = 0
        while offset < self._size:
            start = os.pread(self._file.fileno(), 8, offset)
            if start != (b"SIMPLE  " if offset == 0 else b"XTENSION"):
                if offset == 0:
                    raise self._error(f"{self.path}: is not a FITS file")
                return
            self._file.seek(offset)
            try:
                header = fits.Header.fromfile(self._file)
                data_offset = self._file.tell()
                extension = extension_of(header, offset, data_offset)
            except (OSError, EOFError):
                if offset == 0:
                    raise self._truncated("in its first header") from None
                self._is_cut_short = True
                return
            except (KeyError, TypeError, ValueError, AttributeError, fits.VerifyError) as why:
                raise self._corrupt("a header", why) from None
            yield extension
            offset = data_offset + -(-extension.data_bytes // _BLOCK) * _BLOCK
            self._is_cut_short = data_offset + extension.data_bytes > self._size
        if offset == 0:
            raise self._error(f"{self.path}: the file is empty")

    def _known(self) -> Iterator[Extension]:
        """Go through the extensions, reading further headers only as needed."""
        yield from list(self._extensions)
        for extension in self._scan:
            self._extensions.append(extension)
            yield extension

    def _windows(
        self,
        extension: Extension,
        shape: tuple[int, ...],
        cut: Cut | None,
        planes: Planes | None,
    ) -> tuple[list[slice], slice, slice]:
        """Resolve the parts asked for into bounds along each axis."""
        parts = planes if isinstance(planes, tuple) else (planes or slice(None),)
        wanted = [*parts[: len(shape) - 2], *[slice(None)] * (len(shape) - 2 - len(parts))]
        wanted += list(cut or (slice(None), slice(None)))
        windows = []
        for part, length in zip(wanted, shape, strict=True):
            start, stop, step = part.indices(length)
            if step != 1 or (part.stop is not None and part.stop > length) or start > stop:
                raise self._error(
                    f"{self.path}: extension {extension.name} of shape {shape} does not hold "
                    f"the part [{', '.join(f'{w.start}:{w.stop}' for w in wanted)}]"
                )
            windows.append(slice(start, stop))
        return windows[:-2], windows[-2], windows[-1]

    def _decompress(
        self,
        extension: Extension,
        dtype: Any,
        cut: Cut | None,
        planes: Planes | None,
        out: Array | None,
    ) -> Array:
        from astropy.io import fits

        raw = self._bytes(extension)
        try:
            data = np.asarray(fits.CompImageHDU(bintable=fits.BinTableHDU.fromstring(raw)).data)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, fits.VerifyError) as why:
            raise self._corrupt(extension.name, why) from None
        leading, rows, columns = self._windows(extension, data.shape, cut, planes)
        part = data[(*leading, rows, columns)]
        out = _output(part.shape, part.dtype.newbyteorder("=") if dtype is None else dtype, out)
        np.copyto(out, part, casting="unsafe")
        return out

    def _bytes(self, extension: Extension) -> bytes:
        stop = extension.data_offset + -(-extension.data_bytes // _BLOCK) * _BLOCK
        if extension.data_offset + extension.data_bytes > self._size:
            raise self._truncated(f"in its extension {extension.name}")
        self._file.seek(extension.header_offset)
        return self._file.read(stop - extension.header_offset)

    def _truncated(self, where: str) -> JwgpuError:
        return self._error(
            f"{self.path}: the file is truncated, it ends {where}; fetch or make it again"
        )

    def _corrupt(self, what: str, why: Exception) -> JwgpuError:
        reason = " ".join(str(why).split())[:120]
        return self._error(f"{self.path}: {what} is corrupt ({reason}); fetch or make it again")


def read_array(
    file: str | Path | FitsFile,
    extension: str | int | tuple[str, int],
    dtype: Any = None,
    *,
    cut: Cut | None = None,
    planes: Planes | None = None,
    out: Array | None = None,
    threads: int = 1,
) -> Array:
    """Read an image, or a part of it, into a native-endian C-contiguous array.

    Parameters
    ----------
    file : str, Path or FitsFile
        The file; one that is already open stays open.
    extension : str, int or (str, int)
        Name (its first version), number, or name and version.
    dtype : dtype, optional
        What to convert to; values out of its range wrap. Without it, the dtype that holds the
        stored values.
    cut : (slice, slice), optional
        Rows and columns wanted, of step 1. Only these rows are read.
    planes : slice or tuple of slices, optional
        Part wanted of the leading axes, from the first one on.
    out : array, optional
        Where to put the values: C-contiguous, of the shape and dtype of the result.
    threads : int
        Threads that read and convert; the result is the same for any number.

    Returns
    -------
    array
        The values, scaled by BSCALE and BZERO.

    Raises
    ------
    InputError
        If the file is missing, not FITS, truncated or corrupt, or has no such image or part.
    """
    if isinstance(file, FitsFile):
        return file.read_array(extension, dtype, cut=cut, planes=planes, out=out, threads=threads)
    with FitsFile(file) as opened:
        return opened.read_array(extension, dtype, cut=cut, planes=planes, out=out, threads=threads)


def header_values(header: Any) -> Mapping[str, Any]:
    """Return the keywords of an astropy header and their values, commentary left out."""
    from astropy.io.fits.card import Undefined

    return {
        key: None if isinstance(value, Undefined) else value
        for key, value in header.items()
        if key not in ("", "COMMENT", "HISTORY")
    }


def _output(shape: tuple[int, ...], dtype: Any, out: Array | None) -> Array:
    if out is None:
        return np.empty(shape, dtype)
    if out.shape != shape or out.dtype != dtype or not out.flags.c_contiguous:
        raise ValueError(f"out must be C-contiguous, of shape {shape} and dtype {np.dtype(dtype)}")
    return out
