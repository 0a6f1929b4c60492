"""The two things that a reference is decoded from: a file, or an open data model."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, TypeAlias

import numpy as np

from jwgpu.errors import ReferenceFileError
from jwgpu.models.fits_arrays import Cut, FitsFile, Planes, header_values
from jwgpu.references.exposure import keywords_of

Array: TypeAlias = np.ndarray[Any, Any]


class Source(Protocol):
    """Arrays, tables and keywords by the names that FITS extensions have."""

    path: str
    header: Mapping[str, Any]

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Return the shape of an image; None if there is none of this name."""

    def array(self, name: str, dtype: Any, cut: Cut | None, planes: Planes | None) -> Array:
        """Return an image, or a part of it, in an array that nothing else uses."""

    def table(self, name: str) -> Mapping[str, Array] | None:
        """Return the columns of a table by lower-case name; None if there is none."""

    def entry(self, *names: str) -> Array | None:
        """Return an array of an ASDF tree by the names on the way there; None if there is none."""

    def node(self, *names: str) -> Any:
        """Return what an ASDF tree holds, as it is there; None if there is none."""


class FitsSource:
    """A reference in a FITS file."""

    def __init__(self, file: FitsFile, threads: int = 1) -> None:
        self._file = file
        self._threads = threads
        self.path = file.path
        self.header: Mapping[str, Any] = header_values(file.primary)

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Return the shape of an image; None if there is none of this name."""
        found = self._file.find(name)
        return found.shape if found is not None else None

    def array(self, name: str, dtype: Any, cut: Cut | None, planes: Planes | None) -> Array:
        """Read an image, or a part of it."""
        return self._file.read_array(name, dtype, cut=cut, planes=planes, threads=self._threads)

    def table(self, name: str) -> Mapping[str, Array] | None:
        """Read a table."""
        return self._file.columns(name) if self._file.find(name) is not None else None

    def entry(self, *names: str) -> Array | None:
        """Return None: a FITS file has no tree."""
        del names
        return None

    node = entry


class ModelSource:
    """A reference in an open data model, which has translated its flags already."""

    _ATTRIBUTES: Mapping[str, str] = {
        "SCI": "data",
        "DQ": "dq",
        "ERR": "err",
        "COEFFS": "coeffs",
        "INV_COEFFS": "inv_coeffs",
        "AVDRKCUR": "average_dark_current",
    }
    _TABLES: Mapping[str, str] = {
        "RSCD_GROUP_SKIP": "rscd_group_skip_table",
        "IRS2": "irs2_table",
        "TRAPPARS": "trappars_table",
        "DQ": "dq_table",
        "PHOTOM": "phot_table",
        "APCORR": "apcorr_table",
        "TIMECOEFF_LINEAR": "timecoeff_linear",
        "TIMECOEFF_EXPONENTIAL": "timecoeff_exponential",
        "TIMECOEFF_POWERLAW": "timecoeff_powerlaw",
    }

    def __init__(self, model: Any, path: str | None = None) -> None:
        self._model = model
        self.path = path or name_of_model(model)
        self.header: Mapping[str, Any] = keywords_of(model.meta.instance)

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Return the shape of an image; None if there is none of this name."""
        found = self._get(name)
        return None if found is None else tuple(found.shape)

    def array(self, name: str, dtype: Any, cut: Cut | None, planes: Planes | None) -> Array:
        """Copy an image, or a part of it."""
        found = self._get(name)
        if found is None:
            raise ReferenceFileError(f"{self.path}: has no array {self._ATTRIBUTES[name]}")
        leading = planes if isinstance(planes, tuple) else (planes or slice(None),)
        rows, columns = cut or (slice(None), slice(None))
        part = found[(*leading[: found.ndim - 2], ..., rows, columns)]
        return np.array(part, dtype=dtype, order="C")

    def table(self, name: str) -> Mapping[str, Array] | None:
        """Copy the columns of a table."""
        found = self._get(name, self._TABLES)
        if found is None:
            return None
        return {key.lower(): np.array(found[key]) for key in found.dtype.names}

    def entry(self, *names: str) -> Array | None:
        """Copy an array of the tree."""
        found = self.node(*names)
        return None if found is None else np.array(found)

    def node(self, *names: str) -> Any:
        """Return what the tree holds."""
        found = self._model.instance
        for name in names:
            if not isinstance(found, Mapping) or name not in found:
                return None
            found = found[name]
        return found

    def _get(self, name: str, places: Mapping[str, str] = _ATTRIBUTES) -> Any:
        attribute = places.get(name)
        if attribute is None or not self._model.hasattr(attribute):
            return None
        return getattr(self._model, attribute)


def name_of_model(model: Any) -> str:
    """Return how the official package names an open model that overrides a reference."""
    return str(getattr(model, "override_handle", None) or model.meta.filename or "an open model")


@contextmanager
def open_source(reference: Any, threads: int = 1) -> Iterator[Source]:
    """Open a reference for reading: a path, or a model that is open already (and stays so).

    Raises
    ------
    ReferenceFileError
        If the file cannot be read.
    """
    if not isinstance(reference, str | os.PathLike):
        yield ModelSource(reference)
        return
    path = os.fspath(reference)
    if not path.lower().endswith((".asdf", ".json")):
        with FitsFile(path, ReferenceFileError) as file:
            yield FitsSource(file, threads)
        return
    from stdatamodels.jwst import datamodels

    try:
        model = datamodels.open(path)
    except Exception as why:  # asdf, yaml and the models raise errors of many kinds
        reason = " ".join(str(why).split())[:120]
        raise ReferenceFileError(f"{path}: cannot be read ({reason})") from None
    with model:
        yield ModelSource(model, path)
