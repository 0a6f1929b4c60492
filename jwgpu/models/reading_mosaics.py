"""Opening mosaics: what resample made of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from jwgpu.errors import InputError
from jwgpu.models.fits_arrays import FitsFile
from jwgpu.models.mosaics import Mosaic
from jwgpu.models.reading import read_metadata

_EXTENSIONS = (("data", "SCI"), ("err", "ERR"), ("wht", "WHT"))


def read_mosaic(path: str | Path, threads: int = 1) -> Mosaic:
    """Read signal, errors and weights of a mosaic (``_i2d``), or of an image without weights.

    Parameters
    ----------
    path : str or Path
        The FITS file.
    threads : int
        Threads that read and convert the pixels.

    Returns
    -------
    Mosaic
        In host memory, without its other arrays.

    Raises
    ------
    InputError
        If the file is missing, unreadable, truncated, or holds no image.
    """
    from stdatamodels.jwst import datamodels

    name = str(path)
    with FitsFile(name) as file:
        found = {
            attribute: file.read_array(extension, np.float32, threads=threads)
            for attribute, extension in _EXTENSIONS
            if getattr(file.find(extension), "shape", ())
        }
    return _checked(found, read_metadata(name, datamodels.ImageModel), name)


def mosaic_of(model: Any) -> Mosaic:
    """Return signal, errors and weights of an official model, sharing its arrays.

    Raises
    ------
    InputError
        If it holds no image.
    """
    found = {
        attribute: np.ascontiguousarray(model[attribute], np.float32)
        for attribute, _ in _EXTENSIONS
        if attribute in model.instance and model[attribute] is not None
    }
    return _checked(found, model, str(model.meta.filename or "the data model"))


def _checked(found: dict[str, Any], model: Any, name: str) -> Mosaic:
    shape = found["data"].shape if "data" in found else ()
    if len(shape) != 2 or 0 in shape:
        raise InputError(f"{name}: SCI has the shape {shape}: give one image, such as an _i2d file")
    for attribute, array in found.items():
        if array.shape != shape:
            raise InputError(
                f"{name}: {attribute} has the shape {array.shape}, SCI {shape}; "
                "the file is not consistent"
            )
    if model.meta.instrument.name is None:
        raise InputError(f"{name}: lacks the keyword INSTRUME; restore it from the archive")
    if model.meta.wcs is None:
        raise InputError(f"{name}: lacks its geometry: give an image that assign_wcs has seen")
    return Mosaic(data=found["data"], wht=found.get("wht"), err=found.get("err"), model=model)
