"""Opening images: count rates of stage 1, and what stages 2 and 3 make of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
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
    image = open_image(path)
    return replace(image, **read_arrays(path, threads=threads))


def open_image(path: str | Path) -> Image:
    """Read the metadata of an image; its arrays stay in the file, see `read_arrays`.

    Parameters
    ----------
    path : str or Path
        The FITS file.

    Returns
    -------
    Image
        Without arrays. Its model is a cube's for the images of a time series.

    Raises
    ------
    InputError
        If the file is missing, unreadable, or holds no image.
    """
    from stdatamodels.jwst import datamodels

    name = str(path)
    with FitsFile(name) as file:
        shapes = {
            extension: tuple(file.find(extension).shape)  # type: ignore[union-attr]
            for _, extension, _ in ARRAYS
            if _has_pixels(file.find(extension))
        }
    shape = shapes.get("SCI", ())
    if len(shape) not in (2, 3):
        raise InputError(_no_image(name, shape))
    model = read_metadata(name, datamodels.CubeModel if len(shape) == 3 else datamodels.ImageModel)
    _check(model.meta, shapes, name)
    return Image(None, None, None, model=model)


def read_arrays(
    path: str | Path, names: Collection[str] | None = None, threads: int = 1
) -> dict[str, Any]:
    """Read arrays of an image.

    Parameters
    ----------
    path : str or Path
        The FITS file.
    names : collection of str, optional
        Attributes of `Image`; all by default.
    threads : int
        Threads that read and convert the pixels.

    Returns
    -------
    dict
        Those that the file has; missing flags and errors are zero.

    Raises
    ------
    InputError
        If the file is missing, unreadable or truncated.
    """
    with FitsFile(str(path)) as file:
        arrays = {
            attribute: file.read_array(extension, dtype, threads=threads)
            for attribute, extension, dtype in ARRAYS
            if (names is None or attribute in names) and _has_pixels(file.find(extension))
        }
        shape = file.find("SCI").shape  # type: ignore[union-attr]
    return _with_flags(arrays, shape, names)


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
    _check(
        model.meta,
        {
            extension: arrays[attribute].shape
            for attribute, extension, _ in ARRAYS
            if attribute in arrays
        },
        name,
    )
    return Image(**_with_flags(arrays, arrays["data"].shape), model=model)


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


def _with_flags(
    arrays: dict[str, Any], shape: tuple[int, ...], names: Collection[str] | None = None
) -> dict[str, Any]:
    """Add the arrays that every image has, where a file has none."""
    for name, dtype in (("err", np.float32), ("dq", np.uint32)):
        if names is None or name in names:
            arrays.setdefault(name, np.zeros(shape, dtype))
    return arrays


def _check(meta: Any, shapes: dict[str, tuple[int, ...]], name: str) -> None:
    """Check that an image can be calibrated."""
    science = shapes["SCI"]
    if 0 in science:
        raise InputError(f"{name}: SCI is empty, of shape {science}")
    for extension, shape in shapes.items():
        if shape[-2:] != science[-2:]:
            raise InputError(
                f"{name}: {extension} has the shape {shape}, SCI {science}; "
                "the file is not consistent"
            )
    if meta.instrument.name is None or meta.exposure.type is None:
        raise InputError(
            f"{name}: lacks the keywords INSTRUME or EXP_TYPE; restore them from the archive"
        )


def _no_image(name: str, shape: tuple[int, ...]) -> str:
    what = f"SCI has {len(shape)} axes {shape}" if shape else "has no SCI extension with pixels"
    return f"{name}: {what}; give an image, or the images of a time series, such as a _rate file"
