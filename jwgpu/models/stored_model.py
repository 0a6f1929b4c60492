"""Official data models whose largest arrays stay in files."""

from __future__ import annotations

import math
import mmap
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jwgpu.models.stored_planes import StoredPlanes, ZeroPlanes

_BLOCK = 2880  # bytes; all parts of a FITS file are multiples of it

#: Bytes that are read and written at a time, about.
_CHUNK = 1 << 25


class StoredModel:
    """An official data model some of whose arrays are read from files, each when it is needed.

    Saving copies them piece by piece. Whoever asks for one of them gets it, in memory.

    Parameters
    ----------
    model : JwstDataModel
        The product without these arrays.
    planes : mapping of str to StoredPlanes
        The arrays, by the attributes of the model.
    """

    crds_observatory = "jwst"

    def __init__(self, model: Any, planes: Mapping[str, StoredPlanes]) -> None:
        vars(self).update(official=model, planes=dict(planes))

    def __getattr__(self, name: str) -> Any:
        if name in self.planes:
            planes = self.planes.pop(name)
            setattr(self.official, name, planes.read().reshape(planes.true_shape))
        return getattr(self.official, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.official, name, value)

    def get_crds_parameters(self) -> Any:
        """Return what CRDS chooses references by."""
        return self.official.get_crds_parameters()

    def save(self, path: str, *arguments: Any, **keywords: Any) -> str:
        """Write the product; only as FITS without holding it in memory."""
        if Path(path).suffix != ".fits":
            for name in tuple(self.planes):
                getattr(self, name)
        if not self.planes:
            return str(self.official.save(path, *arguments, **keywords))
        _save_piece_by_piece(self.official, self.planes, Path(path))
        return path


def stored_ramp(model: Any, data: StoredPlanes) -> StoredModel:
    """Return a new `RampModel` with such samples, and with flags that are zero, as it has them."""
    model.pixeldq = np.zeros(data.shape[2:], np.uint32)
    return StoredModel(model, {"data": data, "groupdq": ZeroPlanes(data.shape, np.uint8)})


def _save_piece_by_piece(model: Any, planes: Mapping[str, StoredPlanes], path: Path) -> None:
    """Write a product whose headers the official model makes, and whose pixels come from files."""
    from astropy.io import fits

    blanks = {name: _blank(one.true_shape, one.dtype) for name, one in planes.items()}
    frame = path.with_name(f"{path.name}.frame")
    try:
        for name, blank in blanks.items():
            setattr(model, name, blank)
        extensions = _write_frame(model, blanks, path, frame)
    finally:
        for name in blanks:
            model.instance.pop(name, None)
    with fits.open(frame) as product, frame.open("rb") as source, path.open("wb") as target:
        for hdu in product:
            info = hdu.fileinfo()
            start, data, span = info["hdrLoc"], info["datLoc"], info["datSpan"]
            key = (hdu.name, hdu.ver)
            source.seek(start)
            if key not in extensions:
                target.write(source.read(data - start + span))
                continue
            name = extensions[key]
            header = fits.Header.fromfile(source)
            for axis, length in enumerate(reversed(planes[name].true_shape), start=1):
                header[f"NAXIS{axis}"] = length
            target.write(header.tostring().encode("ascii"))
            _copy(planes[name], target)
    frame.unlink()


def _blank(shape: tuple[int, ...], dtype: Any) -> Any:
    """Return zeros that take no memory: a file without contents, mapped and never read."""
    length = math.prod(shape) * dtype.itemsize
    if not length:
        return np.zeros(shape, dtype)
    with tempfile.TemporaryFile() as file:
        file.truncate(length)
        mapped = mmap.mmap(file.fileno(), length, access=mmap.ACCESS_READ)
    return np.frombuffer(mapped, dtype).reshape(shape)


def _write_frame(
    model: Any, blanks: Mapping[str, Any], path: Path, frame: Path
) -> dict[tuple[str, int], str]:
    """Write the product with one pixel instead of each blank; return which extensions those are."""
    import warnings

    from astropy.io import fits
    from stdatamodels import fits_support

    model.on_save(str(path))
    hdus = fits_support.to_fits(model.instance, model._schema)
    found = {}
    for k, hdu in enumerate(hdus):
        name = next((name for name, blank in blanks.items() if hdu.data is blank), None)
        if name is None:
            continue
        found[hdu.name, hdu.ver] = name
        pixel = np.zeros((1,) * blanks[name].ndim, blanks[name].dtype)
        hdus[k] = fits.ImageHDU(pixel, hdu.header)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Card is too long")
        hdus.writeto(frame)
    return found


def _copy(planes: StoredPlanes, target: Any) -> None:
    """Write all pixels as FITS stores them."""
    ints, groups, rows, columns = planes.shape
    size = 0
    n = max(1, _CHUNK // max(1, rows * columns * planes.dtype.itemsize))
    for i in range(ints):
        for first in range(0, groups, n):
            window = slice(first, min(first + n, groups))
            raw = _as_stored(planes.read(slice(i, i + 1), groups=window))
            target.write(memoryview(raw).cast("B"))
            size += raw.nbytes
    target.write(b"\0" * (-size % _BLOCK))


def _as_stored(values: Any) -> Any:
    """Return values as FITS stores them: the highest byte first, and no unsigned integers."""
    if values.dtype.kind == "u" and values.dtype.itemsize > 1:
        values = values ^ values.dtype.type(1 << (8 * values.dtype.itemsize - 1))
    return np.ascontiguousarray(values, values.dtype.newbyteorder(">"))
