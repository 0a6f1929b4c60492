"""Blot: the official package's values to the bit, on every device."""

from __future__ import annotations

import numpy as np
import pytest
from drizzle.resample import blot_image
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jwgpu.backends import get_device
from jwgpu.kernels import compiled
from jwgpu.kernels.blot import blot

CPU = get_device("cpu")


def run(device, image, places):
    blotted = device.xp.empty(places.shape[:2], dtype=device.xp.float32)
    blot(device.send(image), device.send(places), blotted)
    return device.fetch(blotted)


def official(image, places):
    result = np.full(places.shape[:2], np.nan, np.float32)
    given = np.where(np.isnan(places), -1.0, places)
    blot_image(image, pixmap=given, out_img=result, fillval=np.nan, iscale=1.0, interp="linear")
    return result


def places_on(rng, shape, n_y, n_x, margin=0.7):
    """Places all over an image and around it, some of them just on pixels or edges."""
    places = rng.uniform(-margin, np.array(shape[::-1]) + margin - 1, (n_y, n_x, 2))
    chosen = rng.random((n_y, n_x, 2)) < 0.2
    places[chosen] = np.round(places[chosen])
    places[..., 0][rng.random((n_y, n_x)) < 0.1] = shape[1] - 1
    places[rng.random((n_y, n_x)) < 0.05] = np.nan
    return places


def image_of(rng, shape):
    image = rng.normal(size=shape).astype(np.float32)
    image[rng.random(shape) < 0.05] = np.nan
    return image


@pytest.mark.parametrize("shape", [(30, 41), (1, 9), (9, 1), (1, 1), (2, 2)])
def test_same_as_official(device, shape):
    rng = np.random.default_rng(shape[0])
    image, places = image_of(rng, shape), places_on(rng, shape, 23, 37)
    found = run(device, image, places)
    np.testing.assert_array_equal(found, official(image, places))
    assert np.isnan(found).any()
    assert np.isfinite(found).any()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**31),
    shape=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    size=st.tuples(st.integers(1, 9), st.integers(1, 40)),
)
def test_any_shape(device, seed, shape, size):
    rng = np.random.default_rng(seed)
    image, places = image_of(rng, shape), places_on(rng, shape, *size, margin=2.0)
    np.testing.assert_array_equal(run(device, image, places), official(image, places))


def test_edges_of_single_precision(device):
    image = np.arange(12, dtype=np.float32).reshape(3, 4)
    edges = [-1e-9, -0.0, 0.0, 1 - 1e-9, 3 - 1e-9, 3.0, 3.9999, 4 - 1e-9, 4.0, np.inf, -np.inf]
    places = np.array([[[edge, 1.25] for edge in edges], [[1.25, edge] for edge in edges]])
    np.testing.assert_array_equal(run(device, image, places), official(image, places))


@pytest.mark.races
def test_small(gpu):
    rng = np.random.default_rng(3)
    image, places = image_of(rng, (9, 12)), places_on(rng, (9, 12), 5, 70)
    np.testing.assert_array_equal(run(gpu, image, places), run(CPU, image, places))


def test_same_for_any_threads(monkeypatch):
    rng = np.random.default_rng(5)
    image, places = image_of(rng, (20, 30)), places_on(rng, (20, 30), 19, 25)
    found = []
    for threads in (1, 5):
        monkeypatch.setattr(compiled, "threads", lambda threads=threads: threads)
        found.append(run(CPU, image, places))
    np.testing.assert_array_equal(found[0], found[1])
