"""SIRS on a GPU: bit for bit what the CPU computes."""

from __future__ import annotations

import numpy as np
import pytest

from jwgpu.kernels.reference_pixels.layout import Placement
from jwgpu.kernels.sirs import cuda, subtract_template

ORIENTATIONS = [(1, 2), (-1, 2), (1, -2), (2, 1), (-2, -1)]


def check(gpu, images, kernels, orientation=(1, 2), limit=3.0):
    place = Placement(*images.shape[1:], 0, 0, *orientation)
    want, result = images.copy(), gpu.send(images)
    with np.errstate(all="ignore"):
        subtract_template(want, kernels, place, limit)
    subtract_template(result, kernels, place, limit)
    np.testing.assert_array_equal(gpu.fetch(result), want)
    return want


def made(shape=(3, 48, 36), length=7, seed=0):
    random = np.random.default_rng(seed)
    images = random.normal(5, 2, shape).astype(np.float32)
    images[random.random(shape) < 0.02] += 100
    return images, random.uniform(-0.1, 1, (2, 4, length))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_as_on_the_cpu(gpu, orientation):
    images, kernels = made()
    assert not np.array_equal(check(gpu, images, kernels, orientation), images)


@pytest.mark.parametrize("length", [1, 2, 6, 31])
@pytest.mark.parametrize("rows", [31, 32, 33])
def test_any_length(gpu, length, rows):
    check(gpu, *made((1, rows, 8), length), limit=1.0)


def test_what_is_not_finite(gpu):
    images, kernels = made((3, 40, 20))
    images[0, 11, 2] = np.nan
    images[1, 11, 2] = np.inf
    images[2] = 7.0  # no scatter at all
    want = check(gpu, images, kernels)
    assert np.isnan(want[0]).any()


@pytest.mark.races
def test_values_in_the_middle(gpu):
    # Many equal values; an even number of them, of which the two in the middle differ.
    images, kernels = made((1, 16, 12))
    images[0, :, :4] = np.repeat([1.0, 2.0], 32).reshape(16, 4)
    images[0, :, -4:] = np.random.default_rng(1).integers(-2, 2, (16, 4))
    check(gpu, images, kernels, limit=0.5)


def test_images_at_a_time(gpu, monkeypatch):
    monkeypatch.setattr(cuda, "IMAGES_AT_A_TIME", 2)
    check(gpu, *made())
