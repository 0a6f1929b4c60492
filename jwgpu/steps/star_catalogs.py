"""Catalogs of stars that users give for their images, and those that are saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jwgpu.errors import InputError
from jwgpu.models.library import Library
from jwgpu.models.writing import TableProduct, save_product
from jwgpu.wcs.sky_catalogs import read_table

#: Formats that catalogs can be saved in, as `astropy.table` calls them.
FORMATS = {"ecsv": "ascii.ecsv", "fits": "fits"}


def catalogs_of(catfile: str, library: Library) -> dict[str, str | None] | None:
    """Return what users say of catalogs, by the names of images without their folders.

    Parameters
    ----------
    catfile : str
        Text file with the name of an image and that of its catalog in each line; what lies in
        another folder is taken from this file's. If empty, the association tells.
    library : Library

    Returns
    -------
    dict or None
        None for an image whose stars are to be found. None alone if there is a file that names no
        catalog.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    if catfile:
        return _read_list(Path(catfile)) or None
    found: dict[str, str | None] = {}
    for entry in library.entries:
        if "expname" in entry and "tweakreg_catalog" in entry:
            name = (entry["tweakreg_catalog"] or "").strip()
            folder = library.folder or Path()
            found[Path(entry["expname"]).name] = str(folder / name) if name else None
    return found


def path_of(meta: Any, given: dict[str, str | None] | None) -> str | None:
    """Return the path of the catalog that a user gives for an image; None if there is none.

    Parameters
    ----------
    meta : ObjectNode
        Metadata of the image, whose keyword counts where `given` does not name it.
    given : dict or None
        See `catalogs_of`; None if catalogs of users are not wanted.
    """
    if given is None:
        return None
    own = (meta.tweakreg_catalog or "").strip()
    return given.get(Path(meta.filename).name, own) or None


def read_stars(path: str) -> Any:
    """Read a user's catalog of stars.

    Returns
    -------
    astropy.table.Table
        With ``x`` and ``y``, in pixels from 0, and perhaps ``weight``.

    Raises
    ------
    InputError
        If it cannot be read, or lacks the columns.
    """
    catalog = read_table(path)
    with_xy(catalog, path)
    return catalog


def with_xy(catalog: Any, name: str) -> Any:
    """Rename the columns of places to ``x`` and ``y``, in place."""
    for axis in ("x", "y"):
        names = [axis, f"{axis}centroid", f"{axis}_centroid"]
        there = [one for one in names if one in catalog.colnames]
        if not there:
            raise InputError(
                f"{name}: has the columns {', '.join(catalog.colnames)}; it needs one of "
                f"{', '.join(names)}"
            )
        if there[0] != axis:
            catalog.rename_column(there[0], axis)
    return catalog


def within(catalog: Any, bounding_box: Any) -> Any:
    """Return the stars within the bounding box of a geometry."""
    if bounding_box is None or not len(catalog):
        return catalog
    (left, right), (bottom, top) = bounding_box
    x, y = catalog["x"], catalog["y"]
    return catalog[(x > left) & (x < right) & (y > bottom) & (y < top)]


def save_stars(catalog: Any, image_name: str, kind: str, folder: str | None) -> str:
    """Save the catalog of an image, whole or not at all.

    Parameters
    ----------
    catalog : astropy.table.Table
    image_name : str
        Of the image; the catalog's ends in ``_cat``.
    kind : str
        One of `FORMATS`.
    folder : str or None
        Where; None for the working directory.

    Returns
    -------
    str
        File name, without the folder.

    Raises
    ------
    ProductError
        If it cannot be written.
    """
    name = image_name.replace(".fits", f"_cat.{kind}")
    save_product(TableProduct(catalog, FORMATS[kind]), Path(folder or "") / name)
    return name


def _read_list(path: Path) -> dict[str, str | None]:
    """Read the names of images and their catalogs."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: no list of catalogs (catfile) can be read: {error}") from error
    found: dict[str, str | None] = {}
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) > 2:
            raise InputError(
                f"{path}: line {number} has {len(words)} columns; give an image and its catalog"
            )
        found[Path(words[0]).name] = str(path.parent / words[1]) if len(words) == 2 else None
    return found
