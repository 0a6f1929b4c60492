"""Segments that fall into parts, against connected regions of scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from jwgpu.kernels.segments import find_divisible, find_extremes


def crowd(seed, n=60, size=150):
    """Return an image of overlapping peaks, its segments, and their boxes."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((size, size))
    image = rng.normal(0, 0.02, (size, size))
    for _ in range(n):
        place_x, place_y = rng.uniform(0, size, 2)
        image += rng.uniform(0.5, 5) * np.exp(-((x - place_x) ** 2 + (y - place_y) ** 2) / 18)
    image = image.astype(np.float32)
    segments, number = ndimage.label(image > 0.3, np.ones((3, 3)))
    boxes = [
        (label, rows.start, rows.stop, columns.start, columns.stop)
        for label, (rows, columns) in enumerate(ndimage.find_objects(segments), start=1)
    ]
    assert number > 5
    return image, segments, np.array(boxes, np.int64)


@pytest.mark.parametrize("corners", [True, False])
@pytest.mark.parametrize("least", [1, 6, 30])
def test_same_as_scipy(corners, least):
    image, segments, boxes = crowd(least)
    low, high = find_extremes(image, segments, boxes)
    levels = np.linspace(low, high, 12, axis=-1)[:, 1:-1].astype(float)
    found = find_divisible(image, segments, boxes, levels, least, corners=corners)
    structure = np.ones((3, 3)) if corners else None
    expected = []
    for number, own in zip(boxes[:, 0], levels, strict=True):
        sizes = []
        for level in own:
            parts, n = ndimage.label((segments == number) & (image > level), structure)
            size = ndimage.sum_labels(np.ones_like(image), parts, range(1, n + 1))
            sizes.append(np.count_nonzero(size >= least))
        expected.append(max(sizes) > 1)
    assert found.tolist() == expected
    assert 0 < np.count_nonzero(found) < len(found)


def test_extremes():
    image, segments, boxes = crowd(3)
    image[segments == 2] = np.nan
    low, high = find_extremes(image, segments, boxes)
    inside = [image[segments == number] for number in boxes[:, 0]]
    for number, values in enumerate(inside):
        if number != 1:
            assert (low[number], high[number]) == (values.min(), values.max())
    assert not np.isfinite([low[1], high[1]]).any()
