"""Opening images: count rates of stage 1, and what stages 2 and 3 make of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from jwgpu.errors import InputError
from jwgpu.models.fits_arrays import FitsFile
from jwgpu.models.images import Image
from jwgpu.models.reading import forget_arrays, read_metadata
from jwgpu.models.unchecked import unchecked

#: Arrays of an image: attribute of `Image` and of the official models, extension, dtype.
ARRAYS = (
    ("data", "SCI", np.float32),
    ("err", "ERR", np.float32),
    ("dq", "DQ", np.uint32),
    ("var_poisson", "VAR_POISSON", np.float32),
    ("var_rnoise", "VAR_RNOISE", np.float32),
    ("var_flat", "VAR_FLAT", np.float32),
    ("area", "AREA", np.float32),
)


def read_image(path: str | Path, threads: int = 1) -> Image:
    """Read an image, or the images of a time series (``_rate``, ``_rateints``, ``_cal``, …).

    Parameters
    ----------
    path : str or Path
        The FITS file.
    threads : int
        Threads that read and convert the pixels.

    Returns
    -------
    Image
        In host memory; missing flags and errors are zero.

    Raises
    ------
    InputError
        If the file is missing, unreadable, truncated, or holds no image.
    """
    from stdatamodels.jwst import datamodels

    name = str(path)
    with FitsFile(name) as file:
        arrays = {
            attribute: file.read_array(extension, dtype, threads=threads)
            for attribute, extension, dtype in ARRAYS
            if _has_pixels(file.find(extension))
        }
    if "data" not in arrays or arrays["data"].ndim not in (2, 3):
        shape = arrays["data"].shape if "data" in arrays else ()
        raise InputError(_no_image(name, shape))
    is_cube = arrays["data"].ndim == 3
    model = read_metadata(name, datamodels.CubeModel if is_cube else datamodels.ImageModel)
    return _complete(Image(**_with_flags(arrays), model=model), name)


def image_of(model: Any, name: str = "") -> Image:
    """Return the image of an official model, sharing its arrays.

    Raises
    ------
    InputError
        If the model holds no image.
    """
    name = name or str(model.meta.filename or "the data model")
    arrays = {
        attribute: np.ascontiguousarray(model[attribute], dtype)
        for attribute, _, dtype in ARRAYS
        if attribute in model.instance and model[attribute] is not None
    }
    if "data" not in arrays or arrays["data"].ndim not in (2, 3):
        shape = arrays["data"].shape if "data" in arrays else ()
        raise InputError(_no_image(name, shape))
    forget_arrays(model)
    return _complete(Image(**_with_flags(arrays), model=model), name)


def model_of_image(image: Image) -> Any:
    """Return an image as the official model that it came from, sharing its arrays, on the host."""
    with unchecked(image.model):
        for attribute, *_ in ARRAYS:
            value = getattr(image, attribute)
            if value is not None:
                setattr(image.model, attribute, value)
    return image.model


def _has_pixels(extension: Any) -> bool:
    return extension is not None and bool(extension.shape)


def _with_flags(arrays: dict[str, Any]) -> dict[str, Any]:
    """Add the arrays that every image has, where a file has none."""
    shape = arrays["data"].shape
    arrays.setdefault("err", np.zeros(shape, np.float32))
    arrays.setdefault("dq", np.zeros(shape, np.uint32))
    return arrays


def _complete(image: Image, name: str) -> Image:
    """Check that an image can be calibrated."""
    if 0 in image.data.shape:
        raise InputError(f"{name}: SCI is empty, of shape {image.data.shape}")
    for attribute, extension, _ in ARRAYS:
        array = getattr(image, attribute)
        if array is not None and array.shape[-2:] != image.data.shape[-2:]:
            raise InputError(
                f"{name}: {extension} has the shape {array.shape}, SCI {image.data.shape}; "
                "the file is not consistent"
            )
    if image.meta.instrument.name is None or image.meta.exposure.type is None:
        raise InputError(
            f"{name}: lacks the keywords INSTRUME or EXP_TYPE; restore them from the archive"
        )
    return image


def _no_image(name: str, shape: tuple[int, ...]) -> str:
    what = f"SCI has {len(shape)} axes {shape}" if shape else "has no SCI extension with pixels"
    return f"{name}: {what}; give an image, or the images of a time series, such as a _rate file"
