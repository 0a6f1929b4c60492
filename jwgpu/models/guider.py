"""Guide star exposures in memory: their samples, and the count rates made of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jwgpu.errors import InputError
from jwgpu.models import reading
from jwgpu.models.fits_arrays import FitsFile

#: What EXP_TYPE says of the exposures that the guider takes to find and follow a star.
GUIDER_TYPES = frozenset(
    ("FGS_ACQ1", "FGS_ACQ2", "FGS_FINEGUIDE", "FGS_ID-IMAGE", "FGS_ID-STACK", "FGS_TRACK")
)

_TABLES = (
    "planned_star_table",
    "flight_star_table",
    "pointing_table",
    "centroid_table",
    "track_sub_table",
)

_AXES = "(integrations, groups, rows, columns)"


@dataclass
class GuiderRaw:
    """Samples of a guide star exposure.

    Attributes
    ----------
    data : array, (ints, groups, y, x) float32
        In DN.
    dq : array, (y, x) uint32
        Flags of each pixel.
    model : GuiderRawModel
        Metadata and tables, without these arrays.
    err : array, or None
        Errors, if the file has such an extension; nothing uses them.
    """

    data: Any
    dq: Any
    model: Any
    err: Any = None

    @property
    def meta(self) -> Any:
        """The metadata tree of `stdatamodels`."""
        return self.model.meta


@dataclass
class GuiderRates:
    """Count rates of a guide star exposure.

    Attributes
    ----------
    data, err : array, (ints, y, x) float32
        In DN/s.
    dq : array, (y, x) uint32
        Flags of each pixel.
    model : GuiderCalModel
        Metadata and tables, without these arrays.
    var_flat : array, (ints, y, x) float32, or None
        Variance by the flat field, in (DN/s)^2.
    """

    data: Any
    err: Any
    dq: Any
    model: Any
    var_flat: Any = None

    @property
    def meta(self) -> Any:
        """The metadata tree of `stdatamodels`."""
        return self.model.meta


def is_guider(meta: Any) -> bool:
    """Whether an exposure is one of the guider's own."""
    return str(meta.exposure.type).upper() in GUIDER_TYPES


def is_of_guider(source: Any) -> bool:
    """Whether a file or an official data model is an exposure of the guider."""
    if isinstance(source, (str, Path)):
        with FitsFile(str(source)) as file:
            return str(file.primary.get("EXP_TYPE")).strip().upper() in GUIDER_TYPES
    return is_guider(source.meta)


def open_raw(source: Any) -> GuiderRaw:
    """Open a file, or wrap an official data model, as raw samples of the guider.

    Raises
    ------
    InputError
        If it is no such exposure.
    """
    from stdatamodels.jwst import datamodels

    arrays = _arrays(source, ("data", "err", "dq"), datamodels.GuiderRawModel)
    data, dq, model, name = arrays["data"], arrays["dq"], arrays["model"], arrays["name"]
    if data is None or data.ndim != 4 or 0 in data.shape:
        raise InputError(
            f"{name}: SCI has the shape {None if data is None else data.shape}, not {_AXES}: give "
            "a _uncal file of the guider"
        )
    if dq is None or dq.shape != data.shape[-2:]:
        dq = np.zeros(data.shape[-2:], np.uint32)
    return GuiderRaw(data, dq, model, arrays["err"])


def open_rates(source: Any) -> GuiderRates:
    """Open a file, or wrap an official data model, as count rates of the guider.

    Raises
    ------
    InputError
        If it is no such product.
    """
    from stdatamodels.jwst import datamodels

    arrays = _arrays(source, ("data", "err", "dq"), datamodels.GuiderCalModel)
    data, err, dq = arrays["data"], arrays["err"], arrays["dq"]
    if data is None or data.ndim != 3:
        raise InputError(
            f"{arrays['name']}: SCI has the shape {None if data is None else data.shape}, not "
            "(integrations, rows, columns): give a _cal file of the guider"
        )
    return GuiderRates(
        data,
        np.zeros_like(data) if err is None else err,
        np.zeros(data.shape[-2:], np.uint32) if dq is None else dq,
        arrays["model"],
    )


def model_of(exposure: GuiderRaw | GuiderRates) -> Any:
    """Return the official data model of an exposure whose arrays are on the host, sharing them.

    Of samples it has errors too, which are zero: the official model always does.
    """
    if exposure.err is None:
        exposure.err = np.zeros_like(exposure.data)
    for name in ("data", "err", "dq", "var_flat"):
        value = getattr(exposure, name, None)
        if value is not None:
            setattr(exposure.model, name, value)
    return exposure.model


def rates_of(raw: GuiderRaw, data: Any, err: Any) -> GuiderRates:
    """Return count rates (DN/s) with the metadata and tables of the samples they come from."""
    from stdatamodels.jwst import datamodels

    model = datamodels.GuiderCalModel()
    for table in _TABLES:
        if table in raw.model.instance:
            setattr(model, table, raw.model[table])
    model.update(raw.model)
    model.meta.bunit_data = "DN/s"
    return GuiderRates(data, err, raw.dq, model)


def _arrays(source: Any, names: tuple[str, ...], model_class: Any) -> dict[str, Any]:
    """Return the arrays of a file or model by name, ``model`` without them, and ``name``."""
    dtypes = {"data": np.float32, "err": np.float32, "dq": np.uint32}
    found: dict[str, Any] = dict.fromkeys(names)
    if isinstance(source, (str, Path)):
        found["name"] = str(source)
        with FitsFile(found["name"]) as file:
            for name in names:
                extension = "SCI" if name == "data" else name.upper()
                stored = file.find(extension)
                if stored is not None and stored.shape:
                    found[name] = file.read_array(extension, dtypes[name])
        found["model"] = reading.read_metadata(source, model_class)
        return found
    found["name"] = str(source.meta.filename or "the data model")
    for name in names:
        if name in source.instance:
            found[name] = np.ascontiguousarray(source[name], dtypes[name])
    if not isinstance(source, model_class):
        other = model_class()
        other.update(source)
        source = other
    found["model"] = source
    return found
