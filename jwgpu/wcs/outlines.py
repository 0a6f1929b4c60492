"""Outlines of images on the sky: the keyword S_REGION, and areas."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

log = logging.getLogger(__name__)

#: Corners closer than this, in pixels, are one.
_CLOSE = 5e-2

#: An angle below which an outline goes straight on, in radians.
_STRAIGHT = 1e-6

#: Distance of the points of an outline, in pixels.
_SPACING = 15

_NUMBER = re.compile(r"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?")


def corners_of(s_region: str) -> list[Any]:
    """Return the corners of each polygon of the keyword S_REGION.

    Returns
    -------
    list of array, (corners, 2) float64
        Right ascension and declination, in degrees.
    """
    parts = [part for part in s_region.split("POLYGON ICRS") if part.strip()]
    return [np.array(_NUMBER.findall(part), dtype=float).reshape(-1, 2) for part in parts]


def united(s_regions: Sequence[str], wcs: Any) -> str | None:
    """Return the outline of several images on a grid, as the keyword S_REGION has it.

    Parameters
    ----------
    s_regions : sequence of str
        Of the images.
    wcs : gwcs.WCS
        Of the grid that they were resampled to, with its bounding box.

    Returns
    -------
    str or None
        A polygon for each part; None where the images do not touch the grid.
    """
    import shapely

    to_sky = wcs.get_transform("detector", _sky_of(wcs))
    to_pixels = to_sky.inverse

    def polygon(corners: Any) -> Any:
        return shapely.Polygon(np.column_stack(to_pixels(corners[:, 0], corners[:, 1])))

    images = [polygon(corners) for s_region in s_regions for corners in corners_of(s_region)]
    grid = polygon(np.asarray(wcs.footprint()))
    outlines = [_simple(one) for one in _parts(shapely.unary_union(images))]
    cut = [shapely.intersection(shapely.Polygon(outline), grid) for outline in outlines]
    parts = [_simple(part) for one in cut for part in _parts(one)]
    if not parts:
        log.warning("no image touches the output: it gets no S_REGION")
        return None
    texts = []
    for part in parts:
        places = np.column_stack(to_sky(part[:, 0], part[:, 1]))
        texts.append("POLYGON ICRS  " + " ".join(f"{angle:.9f}" for angle in places.ravel()))
    return "  ".join(texts)


def unit_vectors(lon: Any, lat: Any) -> Any:
    """Return the unit vectors to places on a sphere.

    Parameters
    ----------
    lon, lat : array, any shape, or float
        In degrees.

    Returns
    -------
    array, (..., 3) float64
        Along the last axis: to longitude 0, to longitude 90 degrees, and to the pole.
    """
    lon, lat = np.deg2rad(lon), np.deg2rad(lat)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def mean_pixel_area(wcs: Any, shape: Sequence[int]) -> float | None:
    """Return the average area of a pixel on the sky.

    Parameters
    ----------
    wcs : gwcs.WCS
    shape : (int, int)
        Rows and columns.

    Returns
    -------
    float or None
        In steradian, of the rectangle of the centres of the outer pixels within the bounding box;
        None where its outline has no place on the sky.

    References
    ----------
    Eriksson 1990, Mathematics Magazine 63, 184.
    """
    n_y, n_x = shape
    box: Any = ((-0.5, n_x - 0.5), (-0.5, n_y - 0.5))
    if wcs.bounding_box is not None:
        box = tuple(sorted(edges) for edges in wcs.bounding_box.bounding_box(order="F"))
    (left, right), (bottom, top) = box
    left, bottom = max(0, int(left + 0.5)), max(0, int(bottom + 0.5))
    right, top = min(n_x - 1, int(right - 0.5)), min(n_y - 1, int(top - 0.5))
    if left >= right or bottom >= top:
        return None
    x, y = _outline(left, right, bottom, top)
    corners = unit_vectors(*wcs(x, y))
    middle = unit_vectors(*wcs((left + right) / 2, (bottom + top) / 2))
    if not (np.isfinite(corners).all() and np.isfinite(middle).all()):
        return None
    # Triangles with the middle as a corner; differences first, for they are small.
    a, b = corners - middle, np.roll(corners, -1, axis=0) - middle
    volumes = np.cross(a, b) @ middle
    cosines = 1 + corners @ middle + np.roll(corners, -1, axis=0) @ middle
    cosines += np.sum(corners * np.roll(corners, -1, axis=0), axis=1)
    area = abs(np.sum(2 * np.arctan2(volumes, cosines)))
    return float(area / ((right - left) * (top - bottom)))


def _sky_of(wcs: Any) -> str:
    return "moving_target" if "moving_target" in wcs.available_frames else "world"


def _parts(shape: Any) -> list[Any]:
    """Return the polygons of what shapely made of polygons."""
    members = getattr(shape, "geoms", [shape])
    return [one for one in members if one.geom_type == "Polygon" and not one.is_empty]


def _simple(polygon: Any) -> Any:
    """Return the corners of a polygon, without those that are none."""
    corners = np.asarray(polygon.exterior.coords)[:-1]
    before = corners - np.roll(corners, 1, axis=0)
    after = np.roll(corners, -1, axis=0) - corners
    slopes = [step[:, 1] / (step[:, 0] + 1e-12) for step in (before, after)]
    turns = np.arctan((slopes[1] - slopes[0]) / (1 + slopes[0] * slopes[1]))
    is_repeated = (np.abs(before) < _CLOSE).all(axis=1)
    return corners[~(is_repeated | (np.abs(turns) < _STRAIGHT))]


def _outline(left: int, right: int, bottom: int, top: int) -> tuple[Any, Any]:
    """Return points along the edge of a rectangle, counter-clockwise from the lower left."""
    n_x = _points(right - left)
    n_y = _points(top - bottom)
    across = np.linspace(left, right, n_x, endpoint=False)
    up = np.linspace(bottom, top, n_y, endpoint=False)
    x = [across, np.full(n_y, right), left + right - across, np.full(n_y, left)]
    y = [np.full(n_x, bottom), up, np.full(n_x, top), bottom + top - up]
    return np.concatenate(x).astype(float), np.concatenate(y).astype(float)


def _points(length: int) -> int:
    return max(1, -(-(length + 1) // max(min(length // 4, _SPACING), 1)))
