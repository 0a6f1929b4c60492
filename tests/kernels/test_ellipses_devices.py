"""Ellipses on a GPU: the very pixels that the CPU flags."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jwgpu.kernels.ellipses import (
    Ellipses,
    cuda,
    draw_ellipses,
    flag_ellipses,
    joined,
    mark_ellipses,
    replace_flags,
)
from jwgpu.models.flags import JUMP_DET, SATURATED


def made(seed: int, n: int, shape: tuple[int, ...]) -> Ellipses:
    """Return ellipses, some of which are flat, cut by their boxes or off the image."""
    random = np.random.default_rng(seed)
    x, y = random.uniform(-5, shape[-1] + 5, n), random.uniform(-5, shape[-2] + 5, n)
    minor, major = np.sort(random.uniform(-3, 25, (n, 2)), axis=1).T
    degrees = random.choice([0.0, 45.0, -45.0, 90.0, *random.uniform(-90, 90, 6)], n)
    return draw_ellipses(x, y, minor, major, degrees, shape)


def flags(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    random = np.random.default_rng(seed)
    values = random.integers(0, 256, shape).astype(np.uint8)
    values[random.random(shape) < 0.8] &= ~np.uint8(SATURATED | JUMP_DET)
    return values


def compare(gpu: Any, before: np.ndarray, draw: Any) -> None:
    want, result = before.copy(), gpu.send(before)
    draw(want)
    draw(result)
    np.testing.assert_array_equal(gpu.fetch(result), want)


@pytest.mark.parametrize(
    ("n", "shape"),
    [(1, (1, 9, 7)), (12, (3, 50, 67)), (40, (2, 64, 33)), (255, (1, 40, 40)), (700, (2, 70, 64))],
)
def test_the_same_pixels(gpu: Any, n: int, shape: tuple[int, ...]) -> None:
    ellipses = made(n, n, shape)
    before = flags(n, shape)
    compare(gpu, before, lambda planes: flag_ellipses(planes, ellipses, JUMP_DET))
    compare(gpu, before, lambda planes: flag_ellipses(planes, ellipses, JUMP_DET, SATURATED))
    compare(gpu, before, lambda planes: replace_flags(planes, ellipses, SATURATED))


@pytest.mark.parametrize(
    "groups", [(0, 1), pytest.param((2, 11), marks=pytest.mark.races), (7, 9), (4, 4)]
)
def test_the_same_marks(gpu: Any, groups: tuple[int, int]) -> None:
    planes = flags(1, (11, 40, 51))
    marks = flags(2, (2, 40, 51))
    for n in (3, 300):
        ellipses = made(n, n, planes.shape)
        sent = gpu.send(planes)
        want, result = marks.copy(), gpu.send(marks)
        mark_ellipses(want, planes, *groups, ellipses, unless=SATURATED)
        mark_ellipses(result, sent, *groups, ellipses, unless=SATURATED)
        np.testing.assert_array_equal(gpu.fetch(result), want)
        np.testing.assert_array_equal(gpu.fetch(sent), planes)


@pytest.mark.parametrize("block", [(64, 1), (7, 9), (32, 32)])
def test_any_block(gpu: Any, block: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "_BLOCK", block)
    ellipses = made(5, 300, (50, 70))
    compare(gpu, flags(5, (2, 50, 70)), lambda planes: flag_ellipses(planes, ellipses, JUMP_DET))


def test_nothing_to_draw(gpu: Any) -> None:
    flat = draw_ellipses(*(np.array([value]) for value in (9.0, 9.0, 0.5, 8.0, 0.0)), (20, 20))
    compare(gpu, flags(3, (1, 20, 20)), lambda planes: flag_ellipses(planes, flat, JUMP_DET))
    none = Ellipses(np.empty((0, 4), np.int64), np.empty((0, 6)))
    compare(gpu, flags(3, (1, 20, 20)), lambda planes: replace_flags(planes, none, JUMP_DET))


@pytest.mark.races
def test_joined_ellipses(gpu: Any) -> None:
    shape = (1, 60, 60)
    parts = [made(seed, 4, shape) for seed in range(3)]

    def draw(planes: Any) -> None:
        flag_ellipses(planes, joined(parts), JUMP_DET)

    one_by_one = np.zeros(shape, np.uint8)
    for part in parts:
        flag_ellipses(one_by_one, part, JUMP_DET)
    together = gpu.send(np.zeros(shape, np.uint8))
    draw(together)
    np.testing.assert_array_equal(gpu.fetch(together), one_by_one)


def test_launches_and_transfers(gpu: Any) -> None:
    if not hasattr(gpu.xp, "counts"):
        pytest.skip("they are counted by the emulator")
    planes = gpu.send(np.zeros((4, 60, 60), np.uint8))
    ellipses = made(1, 50, (60, 60))
    gpu.xp.counts.reset()
    flag_ellipses(planes, ellipses, JUMP_DET)
    counts = gpu.xp.counts
    assert (counts.launches, counts.sent, counts.syncs) == (1, 1, 0)
