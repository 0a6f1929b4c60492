"""Numbers as FITS stores them, made into values on the device that they were sent to.

What `jwgpu.models.fits_transfer` does on the way into host memory is done here in the namespace of
the stored numbers: a GPU gets them as they are in the file, half the bytes of raw samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from jwgpu.backends import Device, namespace_of
from jwgpu.models.fits_arrays import FitsFile
from jwgpu.models.fits_transfer import Extension, LineReader

#: Makes values of stored numbers: an array of unsigned integers in the byte order of the file.
Decoder = Callable[[Any], Any]


def read_to(device: Device, file: FitsFile, extension: str, dtype: Any, threads: int = 1) -> Any:
    """Read an image onto a device.

    Parameters
    ----------
    device : Device
        A GPU gets the stored numbers and decodes them, piece by piece.
    file : FitsFile
    extension : str
    dtype : dtype
        What the values become.
    threads : int
        Threads that read.

    Returns
    -------
    array
        On the device: what `FitsFile.read_array` gives.

    Raises
    ------
    JwgpuError
        If it cannot be read.
    """
    found = file[extension]
    decode = decoder_of(found, np.dtype(dtype))
    receive = getattr(device, "receive", None)
    if decode is None or receive is None or not math.prod(found.shape):
        return device.send(file.read_array(extension, dtype, threads=threads))
    with file.reading(found) as descriptor, LineReader(descriptor, found, threads) as lines:
        return receive(found.shape, dtype, lines.dtype, lines.read, decode)


def decoder_of(extension: Extension, dtype: Any) -> Decoder | None:
    """Return what decodes an image on a device; None where that is left to the host.

    Parameters
    ----------
    extension : Extension
    dtype : dtype
        What the values become.
    """
    is_blank = extension.bitpix > 0 and "BLANK" in extension.header
    if extension.is_compressed or extension.scale != 1.0 or is_blank or len(extension.shape) < 2:
        return None
    zero = extension.zero
    decoders: dict[tuple[int, float, str], Decoder] = {
        (8, 0.0, "uint8"): lambda stored: stored,
        (16, 0.0, "float32"): _samples,
        (16, 32768.0, "float32"): _unsigned_samples,
        (32, 0.0, "uint32"): _swapped_words,
        (32, 2147483648.0, "uint32"): lambda stored: _swapped_words(stored) ^ np.uint32(1 << 31),
        (-32, 0.0, "float32"): lambda stored: _swapped_words(stored).view(np.float32),
    }
    return decoders.get((extension.bitpix, zero, str(dtype)))


def _samples(stored: Any) -> Any:
    return _swapped_shorts(stored).view(np.int16).astype(np.float32)


def _unsigned_samples(stored: Any) -> Any:
    # 16 bits and the offset are exact in float32.
    return (_swapped_shorts(stored) ^ np.uint16(1 << 15)).astype(np.float32)


def _swapped_shorts(stored: Any) -> Any:
    return (stored << np.uint16(8)) | (stored >> np.uint16(8))


def _swapped_words(stored: Any) -> Any:
    xp = namespace_of(stored)
    shorts = _swapped_shorts(stored.view(np.uint16)).reshape(-1, 2)
    return xp.ascontiguousarray(shorts[:, ::-1]).reshape(-1).view(np.uint32)
