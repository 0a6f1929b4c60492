"""Where images overlap on the sky, and which pixels of an image that is.

Great circles are straight lines in a gnomonic projection, so polygons on the sky are intersected in
one, exactly. Pixels are filled in as officially, by the rounded corners of the polygon.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from jwgpu.wcs.outlines import unit_vectors

#: A place beyond all images.
_NONE = 1 << 40


def outline_of(wcs: Any, shape: tuple[int, int], spacing: int | None = None) -> Any:
    """Return the outline of an image on the sky: the outer edges of its pixels.

    Parameters
    ----------
    wcs : gwcs.WCS
        Pixels to the sky, in degrees.
    shape : (int, int)
        Rows and columns.
    spacing : int, optional
        Pixels between its corners, about; without it there are four.

    Returns
    -------
    array, (corners, 3) float64, or None
        Unit vectors, joined by great circles; None where one has no place on the sky.
    """
    n_y, n_x = shape
    across = np.linspace(-0.5, n_x - 0.5, _points(n_x, spacing))
    up = np.linspace(-0.5, n_y - 0.5, _points(n_y, spacing))[1:-1]
    left, right = np.full_like(up, -0.5), np.full_like(up, n_x - 0.5)
    bottom, top = np.full_like(across, -0.5), np.full_like(across, n_y - 0.5)
    x = np.concatenate([across, right, across[::-1], left])
    y = np.concatenate([bottom, up, top, up[::-1]])
    corners = unit_vectors(*wcs(x, y, with_bounding_box=False))
    return corners if np.isfinite(corners).all() else None


def overlap(one: Any, other: Any) -> list[Any]:
    """Return the polygons that two outlines have in common.

    Parameters
    ----------
    one, other : array, (corners, 3) float64
        Unit vectors.

    Returns
    -------
    list of array, (corners, 2) float64
        Right ascension and declination of each, in degrees, without the first corner again; an
        empty list where there is no overlap.
    """
    import shapely

    corners = np.vstack([one, other])
    middle = corners.sum(axis=0)
    middle /= np.linalg.norm(middle)
    if (corners @ middle <= 0).any():
        return []  # on different sides of the sky
    axes = _axes(middle)
    polygons = [shapely.Polygon(_project(each, middle, axes)) for each in (one, other)]
    shared = shapely.intersection(*polygons)
    found = []
    for part in getattr(shared, "geoms", [shared]):
        if part.geom_type != "Polygon" or part.area == 0:
            continue
        plane = np.asarray(part.exterior.coords)[:-1]
        vectors = middle + plane @ axes
        lon = np.rad2deg(np.arctan2(vectors[:, 1], vectors[:, 0])) % 360
        lat = np.rad2deg(np.arctan2(vectors[:, 2], np.hypot(vectors[:, 0], vectors[:, 1])))
        found.append(np.column_stack([lon, lat]))
    return found


def spans_within(polygons: Sequence[Any], shape: tuple[int, int]) -> Any:
    """Return the pixels within any of some polygons, as spans of the rows.

    Parameters
    ----------
    polygons : sequence of array, (corners, 2) float64
        Columns and rows of the corners, without the first one again.
    shape : (int, int)
        Rows and columns of the image.

    Returns
    -------
    array, (y, spans, 2) int32
        Of each row the first column and the one after the last, of some spans that do not overlap;
        an empty one is (0, 0).

    Notes
    -----
    As officially: corners are rounded to whole pixels, and both ends of a row count, the left one
    rounded up. Corners at negative places are rounded as seen from the outermost of them. (A row of
    a polygon that lies left of the image has no pixels; officially it then has some at the right.)
    """
    found = [_spans_of_polygon(polygon, shape) for polygon in polygons]
    found = [spans for spans in found if spans is not None]
    if not found:
        return np.zeros((shape[0], 1, 2), np.int32)
    together = np.concatenate(found, axis=1)
    return together if together.shape[1] == 1 else _merged(together, shape[1])


def whole_image(shape: tuple[int, int]) -> Any:
    """Return all pixels, as spans of the rows; see `spans_within`."""
    spans = np.zeros((shape[0], 1, 2), np.int32)
    spans[:, :, 1] = shape[1]
    return spans


def _points(size: int, spacing: int | None) -> int:
    return 2 if spacing is None else max(2, math.ceil((size + 1) / spacing))


def _axes(middle: Any) -> Any:
    """Return two unit vectors at right angles to another, (2, 3)."""
    pole = np.eye(3)[np.argmin(np.abs(middle))]
    first = np.cross(pole, middle)
    first /= np.linalg.norm(first)
    return np.array([first, np.cross(middle, first)])


def _project(vectors: Any, middle: Any, axes: Any) -> Any:
    """Return the gnomonic projection of unit vectors, (points, 2)."""
    return (vectors @ axes.T) / (vectors @ middle)[:, None]


def _spans_of_polygon(polygon: Any, shape: tuple[int, int]) -> Any:
    """Return spans (y, spans, 2) of one polygon; None if it has none."""
    if len(polygon) < 3:
        return None
    shift = np.minimum(polygon.min(axis=0), 0)
    corners = np.rint(polygon - shift).astype(np.int64)
    shift = np.rint(shift).astype(np.int64)
    (x_least, y_least), (x_most, y_most) = corners.min(axis=0), corners.max(axis=0)
    if x_least == x_most or y_least == y_most:
        return None
    # Of each row the edges that cross it, and where; an even number of them.
    edges = []
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        # The uppermost row is crossed by the edges that end there.
        rows = np.arange(min(y1, y2), max(y1, y2) + (max(y1, y2) == y_most))
        if y1 != y2:
            places = np.ceil((rows - y1) / (y2 - y1) * (x2 - x1) + x1).astype(np.int64)
            edges.append((rows - y_least, places))
    counts = np.zeros(y_most - y_least + 1, np.int64)
    for rows, _ in edges:
        counts[rows] += 1
    crossings = np.full((len(counts), counts.max() // 2 * 2), _NONE)
    counts[:] = 0
    for rows, places in edges:
        crossings[rows, counts[rows]] = places
        counts[rows] += 1
    ends = np.sort(crossings, axis=1).reshape(len(counts), -1, 2) + shift[0]
    ends[:, :, 1] += 1
    return _within(ends, y_least + shift[1], shape)


def _within(ends: Any, first: int, shape: tuple[int, int]) -> Any:
    """Return spans of the rows from `first` as spans of an image."""
    n_y, n_x = shape
    spans = np.zeros((n_y, ends.shape[1], 2), np.int32)
    start, stop = max(first, 0), min(first + len(ends), n_y)
    if start < stop:
        spans[start:stop] = np.clip(ends[start - first : stop - first], 0, n_x)
    spans[spans[:, :, 0] >= spans[:, :, 1]] = 0
    return spans


def _merged(spans: Any, n_x: int) -> Any:
    """Sort the spans of each row, and join those that overlap."""
    spans = spans.copy()
    spans[spans[:, :, 1] == 0] = n_x  # to the end
    order = np.argsort(spans[:, :, 0], axis=1, kind="stable")
    spans = np.take_along_axis(spans, order[:, :, None], axis=1)
    for k in range(1, spans.shape[1]):
        before, here = spans[:, k - 1], spans[:, k]
        joined = here[:, 0] <= before[:, 1]
        here[joined] = np.column_stack(
            [before[joined, 0], np.maximum(before[joined, 1], here[joined, 1])]
        )
        before[joined] = 0
    spans[spans[:, :, 0] >= spans[:, :, 1]] = 0
    return spans
