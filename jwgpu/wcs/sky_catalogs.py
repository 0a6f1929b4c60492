"""Catalogs of stars on the sky: from files, and from the archive's service."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from jwgpu.errors import InputError, NotYetError, ReferenceFileError
from jwgpu.wcs.output import grid_around

#: Catalogs that the archive's service has.
SERVED = ("GAIAREFCAT", "GAIADR3", "GAIADR2", "GAIADR1")

#: Catalogs that lie in the cloud, which officially are known as well.
_IN_THE_CLOUD = ("GAIADR3_S3",)

#: Environment variable with another address of the service, as officially.
_VARIABLE = "ASTROMETRIC_CATALOG_URL"
_SERVICE = "https://gsss.stsci.edu/webservices"

#: Seconds that the service may take to answer.
_PATIENCE = 30.0

_COLUMNS = ("ra", "dec", "mag", "objID", "epoch")
_MOTION = ("pmra", "pmdec")


def check_name(name: str) -> None:
    """Check that a reference catalog is a file or one that the service has.

    Raises
    ------
    InputError
        If it is neither.
    NotYetError
        If it lies in the cloud.
    """
    if name.upper() in _IN_THE_CLOUD:
        raise NotYetError(
            f"abs_refcat={name}: catalogs in the cloud are not read yet: choose one of "
            f"{', '.join(SERVED)}, or give a file"
        )
    if name.upper() not in SERVED and not Path(name).is_file():
        raise InputError(
            f"abs_refcat={name}: there is no such file; give one, or one of {', '.join(SERVED)}"
        )


def read_catalog(path: str | Path) -> Any:
    """Read a catalog of places on the sky.

    Parameters
    ----------
    path : str or Path
        In a format that `astropy.table` knows, with ``RA`` and ``DEC`` (degrees) or
        ``sky_centroid``, in upper or lower case, and perhaps ``weight``.

    Returns
    -------
    astropy.table.Table
        With ``RA`` and ``DEC``.

    Raises
    ------
    InputError
        If the file cannot be read, or lacks the columns.
    """
    table = read_table(path)
    by_name: dict[str, list[str]] = {}
    for name in table.colnames:
        by_name.setdefault(name.lower(), []).append(name)
    for name in ("ra", "dec", "sky_centroid"):
        if len(by_name.get(name, ())) > 1:
            raise InputError(f"{path}: has several columns {', '.join(by_name[name])}: leave one")
    if "ra" in by_name and "dec" in by_name:
        for name in ("ra", "dec"):
            table.rename_column(by_name[name][0], name.upper())
        if "sky_centroid" in by_name:
            table.remove_column(by_name["sky_centroid"][0])
    elif "sky_centroid" in by_name:
        places = table[by_name["sky_centroid"][0]]
        table["RA"], table["DEC"] = places.ra, places.dec
        table.remove_column(by_name["sky_centroid"][0])
    else:
        raise InputError(
            f"{path}: has the columns {', '.join(table.colnames)}; it needs RA and DEC, or "
            "sky_centroid"
        )
    table.meta["name"] = Path(path).name
    return table


def read_table(path: str | Path) -> Any:
    """Read a table in any format that `astropy.table` knows by name or content.

    Raises
    ------
    InputError
        If there is none.
    """
    from astropy.io.registry import IORegistryError
    from astropy.table import Table

    try:
        return Table.read(str(path))
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such catalog") from error
    except (IORegistryError, OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: no catalog can be read: {reason}") from error


def fetch_catalog(name: str, outlines: Sequence[Any], meta: Any, epoch: float) -> Any:
    """Ask the archive's service for the stars around images.

    Parameters
    ----------
    name : str
        One of `SERVED`.
    outlines : sequence of array, (corners, 2) float64
        Of the images, in degrees.
    meta : ObjectNode
        Metadata of the first image.
    epoch : float
        Year that the stars' places shall be of.

    Returns
    -------
    astropy.table.Table
        ``RA``, ``DEC``, ``mag``, ``objID``, ``epoch``; the faintest star first.

    Raises
    ------
    ReferenceFileError
        If the service does not answer, or not with a catalog.
    """
    from astropy.table import Table

    ra, dec, radius = cone_around(outlines, meta)
    query = f"RA={ra}&DEC={dec}&EPOCH={epoch}&SR={radius}&FORMAT=CSV&CAT={name}"
    service = os.environ.get(_VARIABLE, _SERVICE)
    address = f"{service}/vo/CatalogSearch.aspx?{query}"
    lines = [line for line in _answer(address).splitlines() if line and not line.startswith("#")]
    if not lines or lines[0].startswith("No data records"):
        return Table(names=[column.upper() for column in _COLUMNS[:2]], dtype=(float, float))
    reader = csv.DictReader(lines)
    missing = {*_COLUMNS, *_MOTION} - set(reader.fieldnames or ())
    if missing:
        raise ReferenceFileError(
            f"{service}: answered with no catalog {name}, but {lines[0][:80]!r} (without "
            f"{', '.join(sorted(missing))}); try again later, or give a file as abs_refcat"
        )
    # Stars without a proper motion come with the place of another epoch.
    stars = [row for row in reader if all(row[column] for column in _MOTION)]
    table = Table()
    for column in _COLUMNS:
        values = [row[column] for row in stars]
        is_name = column == "objID"
        new = column.upper() if column in ("ra", "dec") else column
        table[new] = values if is_name else np.array([float(value or "nan") for value in values])
    table.sort("mag", reverse=True)
    table.meta.update(catalog=name, name=name)
    return table


def cone_around(outlines: Sequence[Any], meta: Any) -> tuple[float, float, float]:
    """Return the middle and the radius of a cone around images, in degrees.

    The cone holds the mosaic that they would be resampled to.
    """
    from astropy.coordinates import SkyCoord

    from jwgpu.wcs.output import middle

    def text(corners: Any) -> str:
        return "POLYGON ICRS  " + " ".join(repr(float(value)) for value in np.ravel(corners))

    info = meta.wcsinfo
    names = ("ra_ref", "dec_ref", "roll_ref", "v3yangle", "vparity")
    images = [
        SimpleNamespace(
            filename=meta.filename,
            wcs=meta.wcs,
            hasattr=lambda _: True,
            wcsinfo=SimpleNamespace(
                **{name: getattr(info, name) for name in names}, s_region=text(corners)
            ),
        )
        for corners in outlines
    ]
    corners = grid_around(images, (2, 2)).wcs.footprint()
    ra, dec = middle(corners)
    centre = SkyCoord(ra, dec, unit="deg")
    radius = centre.separation(SkyCoord(corners[:, 0], corners[:, 1], unit="deg")).max()
    return float(ra), float(dec), float(radius.deg)


def _answer(address: str) -> str:
    """Return what the service answers."""
    import urllib.error
    import urllib.request

    request = urllib.request.Request(address, headers={"Content-Type": "text/csv"})
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:
            text: str = answer.read().decode()
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise ReferenceFileError(
            f"{address.split('?')[0]}: the catalog service cannot be reached ({reason}); try "
            "again later, or give a file as abs_refcat"
        ) from error
    return text
