"""Opening exposures: metadata through the official data models, pixels straight into arrays."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np

from jwgpu.backends import Device, namespace_of
from jwgpu.backends.cpu import CPU
from jwgpu.errors import InputError, JwgpuError
from jwgpu.models.decoding import read_to
from jwgpu.models.fits_arrays import FitsFile
from jwgpu.models.ramp import Ramp, StoredArray
from jwgpu.models.rates import Rates
from jwgpu.models.stored_model import StoredModel
from jwgpu.models.stored_planes import FitsPlanes, StoredPlanes, ZeroPlanes
from jwgpu.models.stripes import count_superstripes

log = logging.getLogger(__name__)

#: Arrays of a ramp: attribute of `Ramp`, extension, dtype, number of axes.
_RAMP_ARRAYS = (
    ("data", "SCI", np.float32, 4),
    ("groupdq", "GROUPDQ", np.uint8, 4),
    ("pixeldq", "PIXELDQ", np.uint32, 2),
    ("zeroframe", "ZEROFRAME", np.float32, 3),
    ("refout", "REFOUT", np.float32, 4),
    ("average_dark_current", "AVDRKCUR", np.float32, 2),
)

#: Keywords without which stage 1 cannot run, and where the metadata tree holds them.
_NEEDED = (
    ("INSTRUME", "instrument.name"),
    ("DETECTOR", "instrument.detector"),
    ("READPATT", "exposure.readpatt"),
    ("NGROUPS", "exposure.ngroups"),
    ("NINTS", "exposure.nints"),
    ("SUBARRAY", "subarray.name"),
    ("SUBSTRT1", "subarray.xstart"),
    ("SUBSTRT2", "subarray.ystart"),
    ("SUBSIZE1", "subarray.xsize"),
    ("SUBSIZE2", "subarray.ysize"),
)

#: Arrays that are being read ahead, and where they are, by the absolute name of the file.
_ahead: dict[str, Future[tuple[Device, dict[str, Any]]]] = {}

#: What a two- or three-dimensional product is, for the error message.
_AXES = "(integrations, groups, rows, columns)"


def read_ramp(
    path: str | Path,
    model: Any = None,
    threads: int = 1,
    *,
    in_memory: bool = True,
    device: Device = CPU,
) -> Ramp:
    """Read an exposure before ramp fitting (``_uncal``, ``_ramp`` or what a stage-1 step wrote).

    Parameters
    ----------
    path : str or Path
        The FITS file.
    model : RampModel, optional
        What `read_metadata` gave for this file, if it was asked already.
    threads : int
        Threads that read and convert the samples.
    in_memory : bool
        If false, samples and their flags stay in the file, as `StoredPlanes`.
    device : Device
        Where the arrays shall be.

    Returns
    -------
    Ramp
        Missing flags are zero.

    Raises
    ------
    InputError
        If the file is missing, unreadable, truncated, not of ramps, or lacks a keyword.
    """
    name = str(path)
    arrays = _taken_over(name, device) if in_memory else None
    if arrays is None:
        arrays = _read_arrays(name, threads, in_memory, device)
    ramp = Ramp(model=read_metadata(name) if model is None else model, **arrays)
    complete(ramp, name)
    return ramp


def read_ahead(
    path: str | Path, open_device: Callable[[], Device] = lambda: CPU, threads: int = 1
) -> None:
    """Begin to read an exposure; the next `read_ramp` of this file takes over what is read.

    For the time in which nothing else can be done: a thread reads while the libraries that a
    pipeline needs are imported, or while a GPU calibrates the exposure before.

    Parameters
    ----------
    path : str or Path
        The FITS file.
    open_device : callable
        Called in the thread: returns where the arrays shall be.
    threads : int
        Threads that read and convert the samples.
    """
    result: Future[tuple[Device, dict[str, Any]]] = Future()

    def read() -> None:
        try:
            device = open_device()
            device.use()
            result.set_result((device, _read_arrays(str(path), threads, device=device)))
        except BaseException as error:  # for whoever takes over
            result.set_exception(error)

    _ahead[os.path.abspath(path)] = result
    Thread(target=read, name="jwgpu reads ahead", daemon=True).start()


def forget_ahead(path: str | Path | None = None) -> None:
    """Forget what was read ahead of a file, or of all, and not taken over: nobody wants it now."""
    if path is None:
        _ahead.clear()
    else:
        _ahead.pop(os.path.abspath(path), None)


def _taken_over(name: str, device: Device) -> dict[str, Any] | None:
    """Return what was read ahead of a file; None if nothing, or it must be read again."""
    ahead = _ahead.pop(os.path.abspath(name), None)
    if ahead is None:
        return None
    try:
        return _moved(*ahead.result(), device)
    except JwgpuError:
        raise
    except Exception as error:  # no room, or a device that the run does not use: read it here
        log.debug("%s: what was read ahead is of no use (%s)", name, error)
        return None


def _moved(source: Device, arrays: dict[str, Any], target: Device) -> dict[str, Any]:
    """Return arrays of a ramp on another device."""
    if source.name == target.name:
        return arrays
    return {
        key: target.send(source.fetch(value)) if isinstance(value, source.xp.ndarray) else value
        for key, value in arrays.items()
    }


def _read_arrays(
    name: str, threads: int, in_memory: bool = True, device: Device = CPU
) -> dict[str, Any]:
    """Read the arrays of a ramp by the names that `Ramp` gives them; None for those not there."""
    with FitsFile(name) as file:
        arrays: dict[str, Any] = {}
        for attribute, extension, dtype, axes in _RAMP_ARRAYS:
            found = file.find(extension)
            if found is None or not found.shape:
                arrays[attribute] = None
                continue
            # In superstripes, each stripe has flags of its own.
            if len(found.shape) not in ((2, 3) if attribute == "pixeldq" else (axes,)):
                raise InputError(_wrong_axes(name, extension, found.shape, axes))
            if attribute == "refout":
                arrays[attribute] = StoredArray(name, extension, dtype)
                continue
            if axes > 2 and attribute != "pixeldq" and not in_memory:
                arrays[attribute] = FitsPlanes(name, extension, dtype, threads)
                continue
            arrays[attribute] = read_to(device, file, extension, dtype, threads)
    if arrays["data"] is None:
        raise InputError(f"{name}: has no SCI extension with samples; give a _uncal or _ramp file")
    return arrays


def read_metadata(path: str | Path, model_class: Any = None) -> Any:
    """Read the metadata and tables of a product as an official data model without image arrays.

    Parameters
    ----------
    path : str or Path
        The FITS file.
    model_class : type, optional
        The data model; that of a ramp if not given.

    Raises
    ------
    InputError
        If the metadata cannot be understood.
    """
    from asdf.exceptions import AsdfWarning
    from astropy.io import fits
    from astropy.utils.exceptions import AstropyWarning
    from stdatamodels.exceptions import ValidationWarning

    try:
        with fits.open(path, memmap=True) as file, warnings.catch_warnings():
            # A header out of its schema is reported by the checks here, once and in one line.
            # Nothing else is hidden, since this holds for all threads, and a product may be
            # written in another one.
            for category in (ValidationWarning, AsdfWarning, AstropyWarning):
                warnings.simplefilter("ignore", category)
            if model_class is None:
                has_stripes = bool(file[0].header.get("SSTR_NST"))
                model_class = _ramp_class(has_stripes)
            model = model_class(fits.HDUList([_without_pixels(hdu) for hdu in file]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: its metadata cannot be read ({_one_line(error)})") from error
    forget_arrays(model)
    return model


def forget_arrays(model: Any) -> None:
    """Drop the image arrays of `model`, in place: they live elsewhere, or nowhere."""
    # A model that was saved has a new tree; its file object keeps the old one, with the arrays.
    for tree in (model.instance, model._asdf._tree):
        for name, value in list(tree.items()):
            if isinstance(value, np.ndarray) and value.dtype.names is None:
                del tree[name]


def ramp_of(model: Any, name: str = "") -> Ramp:
    """Return the ramp of an official `RampModel`, sharing its arrays.

    Raises
    ------
    InputError
        If the model is not that of a ramp.
    """
    name = name or str(model.meta.filename or "the data model")
    model, arrays = _as_ramp_model(model)
    data = arrays["data"]
    if data is None or data.ndim != 4:
        raise InputError(_wrong_axes(name, "SCI", () if data is None else data.shape, 4))
    ramp = Ramp(model=model, **arrays)
    complete(ramp, name)
    return ramp


def model_of(ramp: Ramp) -> Any:
    """Return `ramp` as an official model that shares its arrays, which are on the host.

    It is a `RampModel`, for superstripes a `SuperstripeRampModel`; of an exposure in files a
    `StoredModel` of one.
    """
    model = ramp.model
    planes: dict[str, StoredPlanes] = {}
    for attribute, *_ in _RAMP_ARRAYS:
        value = getattr(ramp, attribute)
        if isinstance(value, StoredArray) and ramp.storage is not None:
            value = FitsPlanes(value.path, value.extension, value.dtype, 1)
        if isinstance(value, StoredArray):
            value = value.read()
        if isinstance(value, StoredPlanes):
            planes[attribute] = value
        elif value is not None:
            setattr(model, attribute, value)
    return StoredModel(model, planes) if planes else model


def rates_of(model: Any) -> Rates:
    """Return the count rates of an official `ImageModel` or `CubeModel`, sharing its arrays."""
    if isinstance(model, StoredModel):
        return Rates(**model.planes, model=model.official)
    return Rates(
        data=model.data,
        dq=model.dq,
        err=model.err,
        var_poisson=model.var_poisson,
        var_rnoise=model.var_rnoise,
        model=model,
    )


def complete(ramp: Ramp, name: str) -> None:
    """Check that `ramp` can be calibrated, and give it the flags that it lacks.

    Raises
    ------
    InputError
        If keywords are missing, sizes disagree, or there is no finite sample.
    """
    missing = [keyword for keyword, path in _NEEDED if _value(ramp.meta, path) is None]
    if missing:
        raise InputError(
            f"{name}: lacks the keywords {', '.join(missing)}; restore them from the archive"
        )
    is_stored = isinstance(ramp.data, StoredPlanes)
    xp = np if is_stored else namespace_of(ramp.data)
    zeros = ZeroPlanes if is_stored else xp.zeros
    if 0 in ramp.data.shape:
        raise InputError(f"{name}: SCI is empty, of shape {ramp.data.shape} {_AXES}")
    if ramp.groupdq is None or ramp.groupdq.shape != ramp.data.shape:
        ramp.groupdq = zeros(ramp.data.shape, np.uint8)
    stripes = count_superstripes(ramp.meta)
    if stripes and ramp.data.shape[0] % stripes:
        raise InputError(
            f"{name}: {ramp.data.shape[0]} integrations are not whole sets of {stripes} "
            "superstripes; correct SSTR_NST"
        )
    shape = (stripes, *ramp.image_shape) if stripes else ramp.image_shape
    if ramp.pixeldq is None or ramp.pixeldq.shape != shape:
        ramp.pixeldq = xp.zeros(shape, np.uint32)
    if not any(xp.isfinite(image).any() for image in _images(ramp.data)):
        raise InputError(f"{name}: SCI holds no finite value; there is nothing to calibrate")


def _images(samples: Any) -> Iterator[Any]:
    """Go through the images of samples, which may be in a file."""
    if isinstance(samples, StoredPlanes):
        yield from (image for integration in samples for image in integration)
        return
    for place in np.ndindex(*samples.shape[:2]):
        yield samples[place]


def _as_ramp_model(model: Any) -> tuple[Any, dict[str, Any]]:
    """Return `model` as a model of ramps, and its arrays with the dtypes of a `Ramp`."""
    arrays: dict[str, Any] = {}
    for attribute, _, dtype, _ in _RAMP_ARRAYS:
        value = model[attribute] if attribute in model.instance else None
        arrays[attribute] = None if value is None else np.ascontiguousarray(value, dtype)
    return _of_its_class(model), arrays


def _of_its_class(model: Any) -> Any:
    """Return a model without arrays as a `RampModel`, for superstripes a `SuperstripeRampModel`."""
    wanted = _ramp_class(count_superstripes(model.meta) > 0)
    if type(model) is wanted:
        return model
    ramp_model = wanted()
    ramp_model.update(model)
    for table in ("group", "int_times", "int_times_stripe"):
        if table in model.instance:
            setattr(ramp_model, table, model[table])
    return ramp_model


def _ramp_class(has_superstripes: bool) -> Any:
    from stdatamodels.jwst import datamodels

    return datamodels.SuperstripeRampModel if has_superstripes else datamodels.RampModel


def _without_pixels(hdu: Any) -> Any:
    """Return a copy of an image HDU with one pixel instead of its data; tables stay as they are."""
    from astropy.io import fits

    if not isinstance(hdu, fits.ImageHDU) or not hdu.header["NAXIS"]:
        _ = hdu.data  # tables are read now: the file is closed before they are used
        return hdu
    header = hdu.header.copy()
    for keyword in ("BZERO", "BSCALE"):
        header.remove(keyword, ignore_missing=True)
    return fits.ImageHDU(np.zeros((1,) * hdu.header["NAXIS"], np.float32), header)


def _value(node: Any, path: str) -> Any:
    for part in path.split("."):
        node = getattr(node, part, None)
    return node


def _wrong_axes(name: str, extension: str, shape: tuple[int, ...], axes: int) -> str:
    what = f"{extension} has {len(shape)} axes {shape}, not {axes}"
    return (
        f"{name}: {what}; stage 1 takes ramps with SCI of axes {_AXES}: give a _uncal or _ramp file"
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
