"""The ring on a GPU: the very pixels that the CPU finds, also where rounding decides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

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
    for threshold in (-1.0, 0.0, 0.9, *threshold_on_the_edge(values, is_good, offsets, margin)):
        want, result = np.full(shape, 7, np.uint8), gpu.xp.empty(shape, "uint8")
        with np.errstate(all="ignore"):
            mark_bright(values, is_good, offsets, threshold, want)
        mark_bright(*sent, offsets, threshold, result)
        np.testing.assert_array_equal(gpu.fetch(result), want)


def threshold_on_the_edge(values: Any, is_good: Any, offsets: Any, margin: int) -> list[float]:
    """Return means of the ring, nearly: there the order of sums decides."""
    y, x = (size // 2 for size in values.shape[1:])
    if y < margin or x < margin:
        return []
    total = sum(float(values[0, y + dy, x + dx]) for dy, dx in offsets)
    count = sum(int(is_good[0, y + dy, x + dx]) for dy, dx in offsets)
    middle = total / max(count, 1)
    return [middle, float(np.nextafter(middle, 0)), float(np.nextafter(middle, 9))]
