"""Files of the persistence step: windows of time (ASDF), filled traps and what they released."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np

from jwgpu.errors import InputError, ParameterError, ProductError
from jwgpu.models.ramp import Ramp
from jwgpu.models.stored_model import stored_ramp
from jwgpu.models.stored_planes import StoredPlanes

log = logging.getLogger(__name__)

_FULL_FRAME = (2048, 2048)  # of the detectors that have references of traps


def read_windows(
    path: str, detector: str, length: int | None, shape: tuple[int, int]
) -> np.ndarray[Any, Any] | None:
    """Read when the windows of persistence end.

    Parameters
    ----------
    path : str
        ASDF file; it need not exist.
    detector : str
    length : int
        Seconds of a window; those of a file of another length do not count.
    shape : tuple of int
        Rows and columns of the exposure.

    Returns
    -------
    ndarray, (y, x) float64, or None
        In seconds since 1970, 0 where there is none.

    Raises
    ------
    InputError
        If the file cannot be read.
    ParameterError
        If its pixels are not those of the exposure.
    """
    tree = _tree(Path(path))
    if detector not in tree:
        log.info("%s: no windows of %s yet", path, detector)
        return None
    found = tree[detector]
    if found["pers_time"] != length:
        log.warning(
            "%s: its windows last %s s, not %s s: they are not used",
            path,
            found["pers_time"],
            length,
        )
        return None
    ends = np.zeros(shape)
    try:
        ends[np.asarray(found["rows"]), np.asarray(found["cols"])] = np.asarray(found["vals"])
    except IndexError:
        raise ParameterError(
            f"persistence_array_file: {path} has pixels beyond {shape[0]} x {shape[1]}: give one "
            "of the same subarray"
        ) from None
    return ends


def write_windows(path: str, meta: Any, ends: np.ndarray[Any, Any], length: int | None) -> str:
    """Write when the windows end, beside those of other detectors that the file holds.

    Raises
    ------
    ProductError
        If it cannot be written.
    """
    import asdf

    name = Path(path)
    if name.suffix != ".asdf":
        name = name.with_suffix(".asdf")
    tree = _tree(name)
    rows, columns = np.nonzero(ends)
    tree[str(meta.instrument.detector)] = {
        "filename": meta.filename,
        "rows": rows,
        "cols": columns,
        "vals": ends[rows, columns],
        "pers_time": length,
    }
    unfinished = name.with_name(f".{name.name}.{os.getpid()}")
    try:
        asdf.AsdfFile(tree).write_to(unfinished)
        os.replace(unfinished, name)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise ProductError(f"{name}: cannot be written ({error}): choose another name") from error
    return str(name)


def _tree(path: Path) -> dict[str, Any]:
    import asdf

    if not path.exists():
        return {}
    try:
        with asdf.open(path, memmap=False, lazy_load=False) as file:
            return {k: v for k, v in file.tree.items() if k not in ("asdf_library", "history")}
    except Exception as why:  # asdf and yaml raise errors of many kinds
        reason = " ".join(str(why).split())[:120]
        raise InputError(f"{path}: not a file of persistence windows ({reason})") from None


def empty_traps(ramp: Ramp, families: int) -> np.ndarray[Any, Any]:
    """Return the traps of a detector, none of them filled: (families, y, x) float32."""
    place = ramp.meta.subarray
    rows = max(_FULL_FRAME[0], place.ystart - 1 + ramp.image_shape[0])
    columns = max(_FULL_FRAME[1], place.xstart - 1 + ramp.image_shape[1])
    return np.zeros((families, rows, columns), np.float32)


def read_trapsfilled(path: str, families: int) -> tuple[np.ndarray[Any, Any], float]:
    """Read the filled traps that an exposure left.

    Parameters
    ----------
    path : str
        The ``_trapsfilled`` product.
    families : int
        Of the TRAPPARS reference.

    Returns
    -------
    filled : ndarray, (families, y, x) float32
        NaN counts as none.
    end : float
        When that exposure ended, as a Modified Julian Date.

    Raises
    ------
    InputError
        If it is no such product, or of other families.
    """
    from stdatamodels.jwst import datamodels

    try:
        with datamodels.TrapsFilledModel(path) as model:
            filled = np.nan_to_num(np.array(model.data, np.float32), nan=0.0, copy=False)
            end = model.meta.exposure.end_time
    except Exception as why:  # the models raise errors of many kinds
        reason = " ".join(str(why).split())[:120]
        raise InputError(f"input_trapsfilled: {path} cannot be read ({reason})") from None
    if filled.ndim != 3 or filled.shape[0] != families or end is None:
        raise InputError(
            f"input_trapsfilled: {path} must hold {families} images of filled traps and the "
            f"keyword EXPEND; it has the shape {filled.shape}"
        )
    return filled, float(end)


def trapsfilled_model(ramp: Ramp, filled: np.ndarray[Any, Any]) -> Any:
    """Return the official model of the filled traps at the end of an exposure."""
    from stdatamodels.jwst import datamodels

    model = datamodels.TrapsFilledModel(data=filled)
    model.update(ramp.model, only="PRIMARY")
    for name, value in zip(("x", "y"), filled.shape[:0:-1], strict=True):
        setattr(model.meta.subarray, f"{name}start", 1)
        setattr(model.meta.subarray, f"{name}size", value)
    return model


def subtracted_model(ramp: Ramp, subtracted: Any) -> Any:
    """Return the official model of what was subtracted from each sample."""
    from stdatamodels.jwst import datamodels

    if isinstance(subtracted, StoredPlanes):
        model = datamodels.RampModel()
        model.update(ramp.model, only="PRIMARY")
        return stored_ramp(model, subtracted)
    model = datamodels.RampModel(data=subtracted)
    model.update(ramp.model, only="PRIMARY")
    return model
