"""The ring on a GPU: the very pixels that the CPU finds, also where rounding decides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jwgpu.backends import namespace_of
from jwgpu.kernels.ring_convolution import margin_of, mark_bright, ring_offsets

RINGS = [
    pytest.param((1.0, 3.6), marks=pytest.mark.races),
    (0.0, 1.0),
    (1.5, 4.5),
    (2.0, 2.9),
    (0.0, 0.0),
    (2.0, 2.0),
]


@pytest.mark.parametrize("radii", RINGS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 9, 31), (2, 17, 65)])
def test_the_same_pixels(gpu: Any, radii: tuple[float, float], shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(shape[2])
    offsets = ring_offsets(*radii)
    margin = margin_of(offsets)
    margins = ((0, 0), (margin, margin), (margin, margin))
    is_good = (random.random(shape) < 0.7).astype(np.uint8)
    image = np.where(is_good, random.exponential(1.0, shape), 0).astype(np.float32)
    values, is_good = np.pad(image, margins), np.pad(is_good, margins, constant_values=1)
    # Good pixels without good ones around.
    is_good[:, :, : shape[2] // 3 + 2 * margin : 2] = 0
    values[is_good == 0] = 0
    sent = gpu.send(values), gpu.send(is_good)
    for threshold in (-1.0, 0.0, 0.9):
        assert_same(sent, values, is_good, offsets, threshold)


def assert_same(sent: Any, values: Any, is_good: Any, offsets: Any, threshold: float) -> Any:
    """Compare what both devices mark, and return it."""
    margin = margin_of(offsets)
    shape = (len(values), *(size - 2 * margin for size in values.shape[1:]))
    want, result = np.full(shape, 7, np.uint8), namespace_of(sent[0]).empty(shape, "uint8")
    with np.errstate(all="ignore"):
        mark_bright(values, is_good, offsets, threshold, want)
    mark_bright(*sent, offsets, threshold, result)
    np.testing.assert_array_equal(result.get(), want)
    return want


@pytest.mark.parametrize("radii", [(1.0, 3.6), (0.0, 5.0)])
def test_values_are_summed_in_the_same_order(gpu: Any, radii: tuple[float, float]) -> None:
    """The threshold is one value after the other, as near as they are, around the mean."""
    random = np.random.default_rng(1)
    offsets = ring_offsets(*radii)
    margin = margin_of(offsets)
    # Sums of values that are as large as each other would be exact.
    values = random.lognormal(0, 9, (1, 2 * margin + 1, 2 * margin + 9)).astype(np.float32)
    is_good = np.ones(values.shape, np.uint8)
    sent = gpu.send(values), gpu.send(is_good)
    for x in range(9):
        around = [float(values[0, margin + dy, margin + x + dx]) for dy, dx in offsets]
        threshold = np.mean(around)
        marks = []
        for steps in range(-12, 13):
            near = float(threshold + steps * np.spacing(threshold))
            marks.append(int(assert_same(sent, values, is_good, offsets, near)[0, 0, x]))
        assert sorted(set(marks)) == [0, 1]
