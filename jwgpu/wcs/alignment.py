"""Aligning images by their stars: to each other, and to a catalog."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from jwgpu.errors import InputError

log = logging.getLogger(__name__)

#: Group of all images when they are aligned to a catalog: they move together.
_TOGETHER = "all images"


class AlignmentError(Exception):
    """The images cannot be aligned; the message says why."""


@dataclass(frozen=True)
class Matching:
    """How stars of two catalogs are matched; angles in arcsec.

    Attributes
    ----------
    searchrad : float
        Largest offset of the images.
    separation : float
        Stars closer than this are not matched.
    tolerance : float
        Distance at which two stars are one, once the images are shifted.
    use2dhist : bool
        Whether the shift is found from all differences of positions.
    xoffset, yoffset : float
        The shift where it is not looked for.
    """

    searchrad: float
    separation: float
    tolerance: float
    use2dhist: bool = True
    xoffset: float = 0.0
    yoffset: float = 0.0


@dataclass(frozen=True)
class Fitting:
    """How a transform is fitted to matched stars.

    Attributes
    ----------
    geometry : str
        ``shift``, ``rshift``, ``rscale`` or ``general``.
    minobj : int
        Least number of stars.
    nclip : int
        How often stars that are off are left out.
    sigma : float
        From where on a star is off, in RMS errors.
    """

    geometry: str
    minobj: int
    nclip: int
    sigma: float


def corrector_of(meta: Any, catalog: Any) -> Any:
    """Return what `tweakwcs` aligns.

    Parameters
    ----------
    meta : ObjectNode
        Metadata of an image with a geometry.
    catalog : astropy.table.Table
        Its stars, in ``x`` and ``y``.
    """
    from tweakwcs.correctors import JWSTWCSCorrector

    from jwgpu.wcs.corrector import ImageCorrector

    # One that was corrected before is rare.
    kind = JWSTWCSCorrector if "v2v3corr" in meta.wcs.available_frames else ImageCorrector
    names = ("roll_ref", "v2_ref", "v3_ref")
    try:
        return kind(
            wcs=meta.wcs,
            wcsinfo={name: getattr(meta.wcsinfo, name) for name in names},
            meta={"catalog": catalog, "name": catalog.meta.get("name"), "group_id": meta.group_id},
        )
    except ValueError as error:
        raise InputError(f"{meta.filename}: its geometry cannot be aligned: {error}") from error


def is_aligned(corrector: Any) -> bool:
    """Tell whether an image was aligned to others, or to a catalog."""
    return "SUCCESS" in corrector.meta.get("fit_info", {}).get("status", "")


def align_to_each_other(
    correctors: list[Any],
    matching: Matching,
    fitting: Fitting,
    *,
    enforce_user_order: bool = False,
    expand_refcat: bool = False,
) -> None:
    """Align groups of images to one of them.

    That is the first one, or, where the stars of others count as well, that which overlaps most.

    Parameters
    ----------
    correctors : list of JWSTWCSCorrector
        Get the corrected geometry, as ``wcs``.
    matching : Matching
    fitting : Fitting
    enforce_user_order : bool
        Whether the first group is what the others are aligned to.
    expand_refcat : bool
        Whether stars of images that are aligned already count for those that follow.

    Raises
    ------
    AlignmentError
        If there are too few images with stars, or the images would move too far.
    """
    check_separation(matching)
    if expand_refcat:
        _align(
            correctors,
            None,
            matching,
            fitting,
            enforce_user_order=enforce_user_order,
            expand_refcat=True,
        )
    else:
        _align_to_first(correctors, matching, fitting)
    limit = _largest_correction(matching)
    for corrector in correctors:
        if not is_moved_less(corrector, limit):
            raise AlignmentError(
                f"{corrector.meta.get('name')} would move by more than {limit:g} arcsec, so the "
                "stars were not matched rightly"
            )


def align_to_catalog(
    correctors: list[Any], catalog: Any, matching: Matching, fitting: Fitting
) -> None:
    """Align all images, as they lie to each other, to a catalog.

    Parameters
    ----------
    correctors : list of JWSTWCSCorrector
        Get the corrected geometry, as ``wcs``.
    catalog : astropy.table.Table
        With ``RA`` and ``DEC``, in degrees.
    matching : Matching
    fitting : Fitting

    Raises
    ------
    AlignmentError
        If there are too few stars in the catalog or the images.
    """
    if len(catalog) < fitting.minobj:
        raise AlignmentError(
            f"the reference catalog has {len(catalog)} sources, fewer than {fitting.minobj}"
        )
    check_separation(matching)
    for corrector in correctors:
        corrector.meta["group_id"] = _TOGETHER
        if "REFERENCE" in corrector.meta.get("fit_info", {}).get("status", ""):
            del corrector.meta["fit_info"]
    _align(correctors, catalog, matching, fitting, enforce_user_order=True, expand_refcat=False)


def check_separation(matching: Matching) -> None:
    """Check that a star cannot be matched with two.

    Raises
    ------
    AlignmentError
        If it can.
    """
    if matching.separation <= math.sqrt(2.0) * matching.tolerance:
        raise AlignmentError(
            f"separation={matching.separation:g} must be larger than sqrt(2) times "
            f"tolerance={matching.tolerance:g}, or stars are confused"
        )


def is_moved_less(corrector: Any, limit: float) -> bool:
    """Tell whether no corner of an image has moved by `limit`, in arcsec."""
    from astropy.coordinates import SkyCoord

    if corrector.bounding_box is None:
        return True
    (left, right), (bottom, top) = corrector.bounding_box
    x, y = [left, left, right, right], [bottom, top, top, bottom]
    places = [
        corrector.original_wcs(x, y, with_bounding_box=False),
        corrector.det_to_world(x, y),
    ]
    before, after = (SkyCoord(*one, unit="deg") for one in places)
    return bool(np.all(before.separation(after).arcsec < limit))


def _largest_correction(matching: Matching) -> float:
    """Return how far a corner may move, in arcsec: twice as far as stars are looked for."""
    if matching.use2dhist:
        return 2 * (matching.searchrad + matching.tolerance)
    return 2 * (max(abs(matching.xoffset), abs(matching.yoffset)) + matching.tolerance)


def _align_to_first(correctors: list[Any], matching: Matching, fitting: Fitting) -> None:
    """Align groups of images to the first one that has stars.

    tweakwcs would do so too, but for each group unites and intersects outlines on the sky, which
    takes most of its time and is not needed here.
    """
    groups: dict[Any, list[Any]] = {}
    for corrector in correctors:
        groups.setdefault(corrector.meta["group_id"], []).append(corrector)
    with_stars = []
    for group in groups.values():
        if any(len(one.meta["catalog"]) for one in group):
            with_stars.append(group)
        else:
            for one in group:
                one.meta["fit_info"] = {"status": "FAILED: empty source catalog"}
    if len(with_stars) < 2:
        raise AlignmentError("fewer than two images with stars")
    first, *others = with_stars
    catalog = _on_sky(first)
    for one in first:
        one.meta["fit_info"] = {"status": "REFERENCE"}
    rest = [one for group in others for one in group]
    _align(rest, catalog, matching, fitting, enforce_user_order=True, expand_refcat=False)


def _on_sky(group: list[Any]) -> Any:
    """Return the stars of a group as a catalog of the sky."""
    from astropy.table import Table, vstack

    tables = []
    for corrector in group:
        stars = corrector.meta["catalog"]
        if not len(stars):
            continue
        table = Table()
        table["RA"], table["DEC"] = corrector.det_to_world(stars["x"], stars["y"])
        table["id"] = stars["id"] if "id" in stars.colnames else np.arange(1, len(stars) + 1)
        if "weight" in stars.colnames:
            table["weight"] = stars["weight"].astype(float)
        tables.append(table)
    if len({len(table.colnames) for table in tables}) > 1:
        raise InputError("catalogs of one exposure: some have weights, some not: give all or none")
    catalog = vstack(tables, join_type="exact", metadata_conflicts="silent")
    catalog.meta["name"] = group[0].meta["name"]
    return catalog


def _align(
    correctors: list[Any],
    catalog: Any,
    matching: Matching,
    fitting: Fitting,
    *,
    enforce_user_order: bool,
    expand_refcat: bool,
) -> None:
    from tweakwcs.imalign import NotEnoughCatalogs, align_wcs
    from tweakwcs.matchutils import XYXYMatch

    match = XYXYMatch(
        searchrad=matching.searchrad,
        separation=matching.separation,
        use2dhist=matching.use2dhist,
        tolerance=matching.tolerance,
        xoffset=matching.xoffset,
        yoffset=matching.yoffset,
    )
    try:
        align_wcs(
            correctors,
            refcat=catalog,
            enforce_user_order=enforce_user_order,
            expand_refcat=expand_refcat,
            minobj=fitting.minobj,
            match=match,
            fitgeom=fitting.geometry,
            nclip=fitting.nclip,
            sigma=(fitting.sigma, "rmse"),
            # Where outlines tell no order, hulls are good enough.
            group_bb_policy="auto" if expand_refcat else 0,
        )
    except NotEnoughCatalogs as error:
        raise AlignmentError("too few images with stars") from error
    except RuntimeError as error:
        if "exceeded allocation" not in str(error):
            raise
        raise AlignmentError("several stars match one: change tolerance or separation") from error
