"""Ellipses against those that stcal draws with scikit-image, to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from stcal.jump.jump import ellipse_subim

from jwgpu.kernels.ellipses import draw_ellipses, flag_ellipses
from jwgpu.models.flags import JUMP_DET


@pytest.mark.parametrize("seed", range(8))
def test_ellipses_are_drawn_as_officially(device: Any, seed: int) -> None:
    random = np.random.default_rng(seed)
    for _ in range(100):
        shape = tuple(random.integers(5, 60, 2))
        x, y = random.uniform(0, shape[1] - 1), random.uniform(0, shape[0] - 1)
        if seed % 2:  # on halves, which are rounded to even numbers
            x, y = round(2 * x) / 2, round(2 * y) / 2
        # Narrow and negative axes, as thin regions have.
        minor, major = sorted(random.uniform(-3, 40 if seed % 3 else 6, 2))
        degrees = random.choice([random.uniform(-90, 90), 0, 45, -45, 90, -90])
        (top, bottom, left, right), drawn = ellipse_subim(x, y, minor, major, degrees, 4, shape)
        expected = np.zeros((1, *shape), np.uint8)
        expected[0, top:bottom, left:right] = drawn
        planes = device.send(np.zeros((1, *shape), np.uint8))
        columns = (np.array([value], float) for value in (x, y, minor, major, degrees))
        flag_ellipses(planes, draw_ellipses(*columns, shape), JUMP_DET)
        np.testing.assert_array_equal(device.fetch(planes), expected)
