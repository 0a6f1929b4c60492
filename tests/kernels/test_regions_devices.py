"""Regions on a GPU: bit for bit what the CPU finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jwgpu.kernels.regions import Regions, Search, cuda, find_regions
from jwgpu.models.flags import JUMP_DET, SATURATED


def assert_same(ours: Regions, expected: Regions) -> None:
    """Compare all that is known of regions, their pixels too; how they are numbered may differ."""
    for name in ("x", "y", "inertia", "is_exact", "axes"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(expected, name))
    assert np.all(np.diff(ours.number) > 0)
    # Backwards and twice: any order will do.
    places = np.arange(len(ours))[::-1].repeat(2)
    runs = ours.runs.of(ours.number[places])
    for own, wanted in zip(runs, expected.runs.of(expected.number[places]), strict=True):
        np.testing.assert_array_equal(own, wanted)
        assert own.dtype == wanted.dtype


def compare(gpu: Any, planes: np.ndarray, searches: list[Search]) -> int:
    """Compare what both devices find; return how many regions there are."""
    found, expected = find_regions(gpu.send(planes), searches), find_regions(planes, searches)
    for ours, wanted in zip(found, expected, strict=True):
        assert_same(ours, wanted)
    return sum(len(regions) for regions in found)


def all_searches(n_planes: int, min_area: float) -> list[Search]:
    searches = [Search(k, JUMP_DET, min_area + k) for k in range(n_planes)]
    return [*searches, *(Search(k, SATURATED, 1, unless=k - 1) for k in range(1, n_planes))]


@pytest.mark.parametrize("share", [0.02, 0.35, 0.6, 1.0])
@pytest.mark.parametrize("width", [1, 31, 32, 33, 127, 128, 129, 200])
def test_any_width(gpu: Any, width: int, share: float) -> None:
    random = np.random.default_rng(width)
    planes = (random.random((3, 23, width)) < share) * np.uint8(JUMP_DET)
    planes |= (random.random(planes.shape) < share) * np.uint8(SATURATED)
    assert compare(gpu, planes, all_searches(3, 1)) > 0
    compare(gpu, planes, all_searches(3, 40))


@hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 2**32),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 14), st.integers(1, 40)),
    share=st.sampled_from([0.1, 0.5, 0.8]),
    min_area=st.sampled_from([-1.0, 0.0, 1.0, 8.0, 9.5, 30.0, np.inf, np.nan]),
)
def test_any_image(
    gpu: Any, seed: int, shape: tuple[int, int, int], share: float, min_area: float
) -> None:
    random = np.random.default_rng(seed)
    planes = random.integers(0, 256, shape).astype(np.uint8)
    planes[random.random(shape) < share] &= ~np.uint8(JUMP_DET)
    compare(gpu, planes, all_searches(len(planes), min_area))


def test_snakes_are_one_region(gpu: Any) -> None:
    """Long ways from pixel to pixel, where runs are joined in many steps."""
    planes = np.zeros((2, 41, 41), np.uint8)
    planes[:, ::2] = JUMP_DET
    planes[0, 1::4, -1] = planes[0, 3::4, 0] = JUMP_DET
    # All columns are joined in the last row only.
    planes[1] = planes[1].T
    planes[1, -1] = JUMP_DET
    searches = [Search(0, JUMP_DET, 1), Search(1, JUMP_DET, 1)]
    assert compare(gpu, planes, searches) == 2


def rings() -> np.ndarray:
    """Return rings in rings, closed or open across a corner, at the edge, and one by one."""
    planes = np.zeros((1, 40, 60), np.uint8)
    for size, place in ((3, (0, 0)), (5, (20, 3)), (9, (15, 20)), (5, (17, 22)), (7, (33, 53))):
        y, x = place
        planes[0, y : y + size, x : x + size] = JUMP_DET
        planes[0, y + 1 : y + size - 1, x + 1 : x + size - 1] = 0
    planes[0, 20, 3] = planes[0, 15, 28] = 0
    return planes


@pytest.mark.parametrize("min_area", [1, 9, 12, 16, 17, 25, 31, 32, 49, 81, 82])
@pytest.mark.parametrize("most", [1, 300, 1 << 24])
def test_holes(gpu: Any, min_area: float, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "_MOST_PIXELS", most)
    compare(gpu, rings(), [Search(0, JUMP_DET, min_area)] * 2)


@pytest.mark.parametrize("threads", [1, 33, 512])
def test_holes_with_any_number_of_threads(
    gpu: Any, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda, "_FILLING", threads)
    assert compare(gpu, rings(), [Search(0, JUMP_DET, 25)]) > 1


@pytest.mark.races
def test_a_small_image(gpu: Any) -> None:
    planes = rings()[:, 30:, 46:]
    assert compare(gpu, np.ascontiguousarray(planes), [Search(0, JUMP_DET, 40)]) == 1


def test_searches_that_are_too_many_to_be_made_together(
    gpu: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda, "_SEARCHED", 2 * 40 * 60)
    assert compare(gpu, np.repeat(rings(), 5, axis=0), all_searches(5, 16)) > 5


def test_nothing_found(gpu: Any) -> None:
    assert compare(gpu, np.zeros((2, 5, 7), np.uint8), all_searches(2, 1)) == 0
    assert compare(gpu, np.full((2, 5, 7), JUMP_DET, np.uint8), [Search(0, JUMP_DET, 36)]) == 0


def test_the_host_waits_no_oftener_for_more_searches(gpu: Any) -> None:
    if not hasattr(gpu.xp, "counts"):
        pytest.skip("waits are counted by the emulator")
    counts = gpu.xp.counts
    planes = gpu.send(np.repeat(rings(), 6, axis=0))
    waits = []
    for n in (1, 6):
        counts.reset()
        find_regions(planes, all_searches(n, 30))
        waits.append((counts.syncs, counts.sent, counts.launches))
    # The number of runs, the numbers of large regions, the areas of those that may have holes;
    # searches and boxes go there.
    assert waits == [(3, 2, 9), (3, 2, 9)]
