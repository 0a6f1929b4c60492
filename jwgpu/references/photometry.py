"""References that turn count rates into physical units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jwgpu.errors import ReferenceFileError
from jwgpu.references import types

if TYPE_CHECKING:
    from jwgpu.references.decode import Decoding

#: Tables of changes over time, and the columns that they must have.
_TIME_COEFFICIENTS = {
    "linear": ("t0", "lossperyear"),
    "exponential": ("t0", "amplitude", "tau", "const"),
    "powerlaw": ("t0", "year1value", "tsoft", "alpha"),
}


def photom(decoding: Decoding) -> types.Reference:
    """Decode the conversion factors of imaging modes.

    Raises
    ------
    ReferenceFileError
        If there is no table of them, or one of changes over time that does not fit to it.
    """
    source = decoding.source
    table = source.table("PHOTOM")
    if table is None or "photmjsr" not in table:
        raise ReferenceFileError(
            f"{source.path}: has no table PHOTOM with a column PHOTMJSR, which images need"
        )
    rows = len(table["photmjsr"])
    changes = {}
    for kind, columns in _TIME_COEFFICIENTS.items():
        found = source.table(f"TIMECOEFF_{kind.upper()}")
        if found is None:
            continue
        if any(name not in found or len(found[name]) != rows for name in columns):
            raise ReferenceFileError(
                f"{source.path}: TIMECOEFF_{kind.upper()} needs the columns {', '.join(columns)} "
                f"and {rows} rows, as many as PHOTOM has"
            )
        shared = [name for name in found if name in table and found[name].dtype.kind in "US"]
        if any((found[name] != table[name]).any() for name in shared):
            raise ReferenceFileError(
                f"{source.path}: the rows of TIMECOEFF_{kind.upper()} are of other "
                f"{' and '.join(shared)}s than those of PHOTOM; put them in the same order"
            )
        changes[kind] = {name: found[name] for name in columns}
    return types.PhotomReference(dict(table), changes, *_areas(decoding), **decoding.common())


def area(decoding: Decoding) -> types.Reference:
    """Decode the map of pixel areas."""
    return types.AreaReference(decoding.image("SCI", 2), *_areas(decoding), **decoding.common())


def apcorr(decoding: Decoding) -> types.Reference:
    """Decode the aperture corrections of imaging modes.

    Raises
    ------
    ReferenceFileError
        If there is no table of them.
    """
    columns = ("eefraction", "radius", "apcorr", "skyin", "skyout")
    table = decoding.source.table("APCORR")
    if table is None or any(name not in table for name in columns):
        raise ReferenceFileError(
            f"{decoding.source.path}: has no table APCORR with the columns {', '.join(columns)}, "
            "which images need"
        )
    return types.ApcorrReference(dict(table), **decoding.common())


def abvegaoffset(decoding: Decoding) -> types.Reference:
    """Decode the offsets between AB and Vega magnitudes.

    Raises
    ------
    ReferenceFileError
        If there is no table of them.
    """
    found = decoding.source.node("abvega_offset")
    names = [str(name) for name in getattr(found, "colnames", None) or found or ()]
    if "abvega_offset" not in names:
        raise ReferenceFileError(
            f"{decoding.source.path}: has no table abvega_offset with a column of that name"
        )
    table = {name: np.array(found[name]) for name in names}
    return types.ABVegaOffsetReference(table, **decoding.common())


def _areas(decoding: Decoding) -> tuple[Any, Any]:
    """Return the average area of a pixel, in steradian and in square arcsec; None if not there."""
    found: list[Any] = [decoding.number(keyword, float) for keyword in ("PIXAR_SR", "PIXAR_A2")]
    return tuple(value if value is None or np.isfinite(value) else None for value in found)  # type: ignore[return-value]
