"""Connected regions and their ellipses against scikit-image, as stcal uses it, to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage
from stcal.jump.jump import _sk_filter_areas

from jwgpu.kernels.regions import Regions, Search, find_regions
from jwgpu.models.flags import JUMP_DET, SATURATED


def random_image(seed: int) -> np.ndarray:
    """Return an image of one flag: speckle, clouds, hits with their neighbours, or closed lines."""
    random = np.random.default_rng(seed)
    shape = tuple(random.integers(1, 70, 2))
    noise = random.normal(size=shape)
    kind = seed % 4
    if kind == 0:
        is_set = random.random(shape) < random.choice([0.05, 0.2, 0.4, 0.6])
    elif kind == 1:
        is_set = ndimage.gaussian_filter(noise, random.uniform(0.5, 3)) > 0.01
    elif kind == 2:
        is_set = ndimage.binary_dilation(random.random(shape) < 0.03)
    else:
        is_set = abs(ndimage.gaussian_filter(noise, 2)) < 0.02
    return (is_set * JUMP_DET).astype(np.uint8)


def regions_of(device: Any, image: np.ndarray, flag: int, min_area: float) -> Regions:
    """Find the regions of one image."""
    (found,) = find_regions(device.send(image[None]), [Search(0, flag, min_area)])
    return found


@pytest.mark.parametrize("seed", range(24))
def test_regions_are_those_of_scikit_image(device: Any, seed: int) -> None:
    image = random_image(seed)
    for min_area in (1, 5, 8.5, 30):
        expected = _sk_filter_areas(image, min_area)
        found = regions_of(device, image, JUMP_DET, min_area).as_rounded_officially()
        # To the last bit: it decides which pixels on the outline of a circle are flagged.
        ours = zip(found.x, found.y, found.minor, found.major, found.degrees(), strict=True)
        theirs = [(*center, *axes, angle) for center, axes, angle in expected]
        assert list(ours) == theirs


def test_holes_count_unless_open_across_a_corner(device: Any) -> None:
    ring = np.zeros((9, 9), np.uint8)
    ring[2:7, 2:7] = 1
    ring[3:6, 3:6] = 0
    assert len(regions_of(device, ring, 1, 25)) == 1
    assert len(regions_of(device, ring, 1, 26)) == 0
    ring[2, 2] = 0
    assert len(regions_of(device, ring, 1, 17)) == len(_sk_filter_areas(ring, 17)) == 0


def test_regions_without_another_flag(device: Any) -> None:
    now, before = random_image(1), random_image(1)
    before[:, ::2] = 0
    new = now & ~before
    planes = device.send(np.stack([before | 128, now | 64]))
    searches = [Search(1, JUMP_DET, 2, unless=0), Search(0, JUMP_DET, 3), Search(0, SATURATED, 1)]
    found = find_regions(planes, searches)
    for regions, (image, area) in zip(found, [(new, 2), (before, 3)], strict=False):
        assert [*regions.x] == [region[0][0] for region in _sk_filter_areas(image, area)]
        assert len(regions) > 0
    assert len(found[2]) == 0
    assert find_regions(planes, []) == []


def test_a_region_as_large_as_a_detector(device: Any) -> None:
    """Its sums of squares and products must not overflow."""
    image = np.full((2048, 2048), SATURATED, np.uint8)
    found = regions_of(device, image, SATURATED, 1.0)
    assert found.x == found.y == 1023.5
    np.testing.assert_allclose(found.major, 4 * np.sqrt((2048**2 - 1) / 12) - 1, rtol=1e-12)
