"""Overlaps on the sky: those of the library that the official package uses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gwcs.region import Polygon
from hypothesis import given, settings
from hypothesis import strategies as st
from spherical_geometry.polygon import SphericalPolygon

from jwgpu.wcs.overlaps import outline_of, overlap, spans_within, whole_image


def vectors(lon: Any, lat: Any) -> Any:
    lon, lat = np.deg2rad(lon), np.deg2rad(lat)
    return np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


def filled(spans: Any, n_x: int) -> Any:
    """Return spans as a mask; each pixel must be there once."""
    mask = np.zeros((len(spans), n_x), int)
    for row, pairs in zip(mask, spans, strict=True):
        for first, stop in pairs:
            assert 0 <= first <= stop <= n_x
            row[first:stop] += 1
    assert mask.max(initial=0) <= 1
    return mask.astype(bool)


def square(lon: float, lat: float, roll: float, side: float) -> tuple[Any, Any]:
    """Return the corners of a square in the tangent plane, in degrees."""
    angle = np.deg2rad(roll + 45 + 90 * np.arange(4))
    x, y = side * np.cos(angle), side * np.sin(angle)
    middle = vectors(lon, lat)[0]
    east, north = vectors(lon + 90, 0)[0], vectors(lon, lat + 90)[0]
    found = middle + np.deg2rad(x)[:, None] * east + np.deg2rad(y)[:, None] * north
    return np.rad2deg(np.arctan2(found[:, 1], found[:, 0])) % 360, np.rad2deg(
        np.arctan2(found[:, 2], np.hypot(found[:, 0], found[:, 1]))
    )


@settings(max_examples=40)
@given(
    lon=st.sampled_from([0.0, 53.1, 359.999]),
    lat=st.sampled_from([0.0, -27.8, 89.99, -90.0]),
    x=st.floats(-0.06, 0.06),
    y=st.floats(-0.06, 0.06),
    rolls=st.tuples(st.floats(0, 90), st.floats(0, 90)),
)
def test_squares_overlap_as_on_a_sphere(
    lon: float, lat: float, x: float, y: float, rolls: tuple[float, float]
) -> None:
    near = np.cos(np.deg2rad(lat))
    one = square(lon, lat, rolls[0], 0.04)
    other = square(lon + x / max(near, 1e-3), max(lat + y, -90.0), rolls[1], 0.03)
    found = overlap(vectors(*one), vectors(*other))
    closed = [np.append(corners, corners[:, :1], axis=1) for corners in map(np.array, (one, other))]
    polygons = [SphericalPolygon.from_radec(*corners) for corners in closed]
    shared = polygons[0].intersection(polygons[1])
    area = abs(shared.area())
    assert len(found) == (area > 0) or area < 1e-15
    if not found or area < 1e-15:
        return
    ends = np.vstack([found[0], found[0][:1]])
    assert abs(SphericalPolygon.from_radec(*ends.T).area()) == pytest.approx(area, rel=1e-6)
    wanted = np.vstack(
        [np.column_stack(p) for p in polygons[0].intersection(polygons[1]).to_radec()]
    )
    distances = np.linalg.norm(vectors(*found[0].T)[:, None] - vectors(*wanted.T), axis=2)
    assert distances.min(axis=1).max() < 1e-12  # radians: 0.2 microarcsec


def test_an_outline_overlaps_with_itself() -> None:
    one = vectors(*square(10, 20, 3, 0.01))
    (shared,) = overlap(one, one)
    distances = np.linalg.norm(vectors(*shared.T)[:, None] - one, axis=2)
    np.testing.assert_allclose(distances.min(axis=0), 0, atol=1e-14)
    assert overlap(one, vectors(*square(190, -20, 3, 0.01))) == []
    assert overlap(one, vectors(*square(10.1, 20, 3, 0.01))) == []
    # Squares that touch have a line in common, no area.
    sides = [vectors([0, 1, 1, 0], [0, 0, 1, 1]), vectors([1, 2, 2, 1], [0, 0, 1, 1])]
    assert overlap(*sides) == []


@settings(max_examples=150)
@given(
    seed=st.integers(0, 2**32),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    n=st.integers(1, 3),
)
def test_pixels_are_filled_as_officially(seed: int, shape: tuple[int, int], n: int) -> None:
    """Polygons with corners about an image, up to a pixel beyond it on the left."""
    random = np.random.default_rng(seed)
    polygons, want = [], np.zeros(shape, bool)
    for _ in range(n):
        corners = random.integers(3, 9)
        angle = np.sort(random.random(corners)) * 2 * np.pi
        middle, reach = random.random(2) * shape[::-1], random.uniform(1, 30)
        polygon = middle + reach * np.column_stack([np.cos(angle), np.sin(angle)])
        polygon[:, 0] = np.maximum(polygon[:, 0], -1.0)
        polygons.append(polygon)
        want = Polygon(True, [*map(tuple, polygon), tuple(polygon[0])]).scan(want)
    found = spans_within(polygons, shape)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(filled(found, shape[1]), want)


def test_polygons_of_no_pixels() -> None:
    flat = np.array([[1.0, 2.0], [5.0, 2.1], [9.0, 1.9]])
    for polygons in ([], [flat], [flat[:, ::-1]], [flat[:2]]):
        assert not spans_within(polygons, (12, 12)).any()
    outside = np.array([[20.0, 20.0], [30.0, 20.0], [30.0, 30.0]])
    assert not spans_within([outside], (12, 12)).any()
    assert not spans_within([-outside], (12, 12)).any()
    assert filled(whole_image((3, 7)), 7).all()


def test_the_outline_has_the_corners_that_are_asked_for() -> None:
    def sky(x: Any, y: Any, with_bounding_box: bool) -> tuple[Any, Any]:
        assert not with_bounding_box
        return x, y

    corners = outline_of(sky, (20, 50))
    lon, lat = np.array([-0.5, 49.5, 49.5, -0.5]), np.array([-0.5, -0.5, 19.5, 19.5])
    np.testing.assert_allclose(corners, vectors(lon, lat), atol=1e-15)
    # Fewer than 10 pixels along each side, 6 and 3 points of which the corners are shared.
    assert outline_of(sky, (20, 50), 10).shape == (2 * 6 + 2 * 1, 3)
    assert outline_of(lambda x, y, **_: (x, y + np.nan), (20, 50)) is None
