"""The median of a stack: NumPy's to the bit, on every device."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stcal.outlier_detection.median import nanmedian3D

from jwgpu.backends import get_device
from jwgpu.kernels import compiled
from jwgpu.kernels.median_stack import median_stack

CPU = get_device("cpu")


def run(device, images):
    medians = device.xp.empty(images.shape[1:], dtype=device.xp.float32)
    median_stack(device.send(images), medians)
    return device.fetch(medians)


def official(images):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # all NaN; infinity and its negative
        return nanmedian3D(images.copy())


def stack_of(rng, shape, share=0.2):
    images = rng.normal(size=shape).astype(np.float32)
    images[rng.random(shape) < share] = np.nan
    images[rng.random(shape) < 0.2] = 0.25  # ties
    return images


@pytest.mark.parametrize("n_images", [1, 2, 3, 8, 31, 32, 33, 70])
def test_same_as_official(device, n_images):
    rng = np.random.default_rng(n_images)
    images = stack_of(rng, (n_images, 5, 67))
    images[:, 2, 3:60] = np.nan
    found = run(device, images)
    np.testing.assert_array_equal(found, official(images))
    assert np.isnan(found).any()


def test_infinities(device):
    rng = np.random.default_rng(0)
    values = [np.inf, -np.inf, np.nan, 1.0, 3.4e38, -0.0]
    images = rng.choice(values, (6, 20, 50)).astype(np.float32)
    np.testing.assert_array_equal(run(device, images), official(images))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**31),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 4), st.integers(1, 70)),
    share=st.sampled_from([0.0, 0.2, 0.9]),
)
def test_any_shape(device, seed, shape, share):
    images = stack_of(np.random.default_rng(seed), shape, share)
    np.testing.assert_array_equal(run(device, images), official(images))


@pytest.mark.races
def test_small(gpu):
    images = stack_of(np.random.default_rng(1), (5, 3, 90))
    np.testing.assert_array_equal(run(gpu, images), run(CPU, images))


def test_same_for_any_threads(monkeypatch):
    images = stack_of(np.random.default_rng(2), (7, 23, 70))
    found = []
    for threads in (1, 5):
        monkeypatch.setattr(compiled, "threads", lambda threads=threads: threads)
        found.append(run(CPU, images))
    np.testing.assert_array_equal(found[0], found[1])
