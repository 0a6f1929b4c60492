"""Snowballs and showers on a GPU: each number, and each flag, is the one of the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jwgpu.kernels.large_events import (
    ShowerSettings,
    SnowballSettings,
    cpu,
    cuda,
    flag_showers,
    flag_snowballs,
)
from jwgpu.models.flags import (
    CHARGELOSS,
    DO_NOT_USE,
    HOT,
    JUMP_DET,
    REFERENCE_PIXEL,
    SATURATED,
)


class Scene:
    """Ramps with whatever may be in them."""

    def __init__(self, shape: tuple[int, int, int, int], seed: int = 0):
        random = np.random.default_rng(seed)
        image = shape[2:]
        self.random = random
        self.data = random.normal(0, 20, shape).cumsum(axis=1).astype(np.float32)
        # Equal differences, among them +0 and -0.
        self.data[..., ::5] = np.arange(shape[1], dtype=np.float32)[:, None, None]
        self.data[..., 1::7] = 3
        for value in (np.nan, np.inf, -np.inf):
            self.data[random.random(shape) < 0.01] = value
        self.groupdq = np.zeros(shape, np.uint8)
        for flag in (DO_NOT_USE, SATURATED, JUMP_DET, CHARGELOSS):
            self.groupdq[random.random(shape) < 0.05] |= np.uint8(flag)
        # Pixels with few differences, or none.
        self.groupdq[:, :, 0, : image[1] // 2] |= SATURATED
        self.groupdq[:, 2:, -1] |= DO_NOT_USE
        self.pixeldq = random.choice(
            np.array([0, DO_NOT_USE, HOT, REFERENCE_PIXEL, REFERENCE_PIXEL | HOT], np.uint32),
            image,
        )
        self.gain = random.uniform(1, 3, image).astype(np.float32)
        self.gain[random.random(image) < 0.02] = np.nan
        self.readnoise = random.uniform(0, 6, image).astype(np.float32)
        self.readnoise[random.random(image) < 0.1] = 0

    def on(self, device: Any | None, *names: str) -> list[Any]:
        """Return copies of arrays; on the host if there is no device."""
        arrays = [getattr(self, name).copy() for name in names]
        return arrays if device is None else [device.send(array) for array in arrays]


races = pytest.mark.races
SHAPES = [pytest.param((1, 2, 5, 7), marks=races), (2, 5, 9, 33), (3, 20, 3, 70), (1, 9, 20, 31)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("searched", [True, False])
@pytest.mark.parametrize("at_once", [1, 100, 1 << 24])
def test_noise(gpu: Any, shape: Any, searched: bool, at_once: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(cuda, "_WORKSPACE", at_once * (10 if at_once == 1 else 1))
    monkeypatch.setattr(cuda, "_FEWEST_PIXELS", 1)
    scene = Scene(shape)
    names = ("data", "groupdq", "gain", "readnoise")
    want = [np.empty(shape[2:], np.float32) for _ in range(2)]
    found = [gpu.xp.empty(shape[2:], "float32") for _ in range(2)]
    with np.errstate(all="ignore"):
        cpu.find_noise(*scene.on(None, *names), 3, searched, *want)
    cuda.find_noise(*scene.on(gpu, *names), 3, searched, *found)
    for ours, expected in zip(found, want, strict=True):
        np.testing.assert_array_equal(gpu.fetch(ours), expected)
    assert np.isfinite(want[0]).any()


@pytest.mark.parametrize(
    "shape",
    [(1, 2, 4, 9), (2, 3, 5, 33), (13, 3, 6, 21), pytest.param((40, 2, 5, 12), marks=races)],
)
@pytest.mark.parametrize("at_once", [300, 1 << 24])
def test_clipped_noise(gpu: Any, shape: Any, at_once: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(cuda, "_WORKSPACE", at_once)
    monkeypatch.setattr(cuda, "_FEWEST_PIXELS", 1)
    scene = Scene(shape)
    # Some far out, to be clipped.
    scene.data[:, 1:][scene.random.random((shape[0], shape[1] - 1, *shape[2:])) < 0.05] += 1e4
    want = [np.empty(shape[2:], np.float32) for _ in range(2)]
    found = [gpu.xp.empty(shape[2:], "float32") for _ in range(2)]
    for group in range(1, shape[1]):
        for searched in (True, False):
            with np.errstate(all="ignore"):
                given_here = scene.on(None, "data", "groupdq")
                cpu.clip_noise(*given_here, group, scene.gain, searched, *want)
            given_there = scene.on(gpu, "data", "groupdq")
            cuda.clip_noise(*given_there, group, gpu.send(scene.gain), searched, *found)
            for ours, expected in zip(found, want, strict=True):
                np.testing.assert_array_equal(gpu.fetch(ours), expected)


@pytest.mark.parametrize(
    ("n_values", "pixels_at_once"),
    [(1, 250_000), (1000, 16777), (10_000, 8192), (100_000, 2684), (1 << 28, 1), (1 << 29, 1)],
)
def test_workspaces_of_long_series_have_enough_pixels(
    monkeypatch: Any, n_values: int, pixels_at_once: int
) -> None:
    taken = []

    class Space:
        def empty(self, size: int, dtype: str) -> None:
            taken.append(size)

    monkeypatch.setattr(cuda, "namespace_of", lambda array: Space())
    data = np.broadcast_to(np.float32(0), (1, 2, 500, 500))
    parts = list(cuda.workspaces(data, n_values, "float32"))
    assert taken == [n_values * pixels_at_once]
    assert sum(some for _, _, some in parts) == 500 * 500


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("searched", [True, False])
def test_ratios(gpu: Any, shape: Any, searched: bool) -> None:
    scene = Scene(shape, 1)
    center, sigma = scene.random.normal(0, 5, (2, *shape[2:])).astype(np.float32)
    sigma[::2, ::3] = 0
    center[1, ::4] = np.nan
    places = [(shape[0] - 1, 1), (0, shape[1] - 1), (0, 1)]
    padded = (3, shape[2] + 4, shape[3] + 4)
    want = np.full(padded, 5, np.float32), np.full(padded, 5, np.uint8)
    found = [gpu.send(array) for array in want]
    with np.errstate(all="ignore"):
        pixels = (*scene.on(None, "pixeldq", "gain"), center, sigma, searched)
        cpu.find_ratios(*scene.on(None, "data", "groupdq"), places, *pixels, *want)
    pixels = (*scene.on(gpu, "pixeldq", "gain"), gpu.send(center), gpu.send(sigma), searched)
    cuda.find_ratios(*scene.on(gpu, "data", "groupdq"), places, *pixels, *found)
    for ours, expected in zip(found, want, strict=True):
        np.testing.assert_array_equal(gpu.fetch(ours), expected)
    assert want[1][:, 2:-2, 2:-2].any()


@pytest.mark.parametrize("last", [0, 1023, 1024, 4095, 4096, 6999])
def test_usable_groups(gpu: Any, last: int) -> None:
    """A group is usable if only one pixel is, wherever it lies."""
    flags = np.full((2, 3, 70, 100), DO_NOT_USE | SATURATED, np.uint8)
    pixeldq = np.zeros((70, 100), np.uint32)
    flags[0, 1].reshape(-1)[last] = SATURATED
    flags[1, 2].reshape(-1)[last] = 0
    want = np.zeros((2, 3), bool)
    want[0, 1] = want[1, 2] = True
    for dq in (0, REFERENCE_PIXEL | DO_NOT_USE, REFERENCE_PIXEL):
        pixeldq.reshape(-1)[last] = dq
        want &= dq != REFERENCE_PIXEL
        np.testing.assert_array_equal(cpu.find_usable_groups(flags, pixeldq), want)
        found = cuda.find_usable_groups(gpu.send(flags), gpu.send(pixeldq))
        np.testing.assert_array_equal(found, want)


@races
def test_a_usable_group(gpu: Any) -> None:
    flags = gpu.send(np.zeros((1, 1, 33, 33), np.uint8))
    pixeldq = gpu.send(np.zeros((33, 33), np.uint32))
    assert cuda.find_usable_groups(flags, pixeldq).tolist() == [[True]]


@pytest.mark.parametrize("n_groups", [2, 8, pytest.param(9, marks=races), 17])
@pytest.mark.parametrize("largest_change", [0.0, 8.0, 1e9])
def test_what_is_marked(gpu: Any, n_groups: int, largest_change: float) -> None:
    scene = Scene((1, n_groups, 11, 37), n_groups)
    random = scene.random
    marks = random.integers(0, 256, ((n_groups + 7) // 8, 11, 37)).astype(np.uint8)
    marks[-1] &= np.uint8((1 << ((n_groups - 1) % 8 + 1)) - 1)
    marks[:, random.random((11, 37)) < 0.4] = 0
    names = ("data", "groupdq", "pixeldq", "gain")
    data, want, *rest = scene.on(None, *names)
    with np.errstate(all="ignore"):
        cpu.flag_marked(data[0], want[0], *rest, marks, largest_change)
    data, found, *rest = scene.on(gpu, *names)
    cuda.flag_marked(data[0], found[0], *rest, gpu.send(marks), largest_change)
    np.testing.assert_array_equal(gpu.fetch(found), want)
    # With two groups there is one difference, and none is left to compare with.
    assert (want != scene.groupdq).any() == (n_groups > 2)


def snowballs(shape: tuple[int, int, int, int], seed: int) -> np.ndarray:
    """Return flags of hits and of snowballs with saturated cores."""
    random = np.random.default_rng(seed)
    flags = (random.random(shape) < 0.02).astype(np.uint8) * np.uint8(JUMP_DET)
    rows, columns = np.mgrid[: shape[2], : shape[3]]
    for planes in flags:
        for _ in range(6):
            y, x = random.uniform(0, shape[2]), random.uniform(0, shape[3])
            distance = np.hypot(rows - y, (columns - x) * random.uniform(0.6, 1.6))
            radius, group = random.uniform(1, 11), random.integers(1, shape[1])
            planes[group][distance < radius] |= JUMP_DET
            planes[group:, distance < radius * random.uniform(0, 0.8)] |= SATURATED
    flags[(flags & SATURATED) != 0] &= ~np.uint8(JUMP_DET)
    flags[:, 0] |= DO_NOT_USE
    return flags


@hypothesis_settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 2**32),
    shape=st.tuples(st.integers(1, 3), st.integers(2, 5), st.integers(1, 45), st.integers(1, 45)),
    needs_core=st.booleans(),
    edge_size=st.sampled_from([0, 5, 25]),
    following_groups=st.integers(0, 4),
)
def test_snowballs(
    gpu: Any, seed: int, shape: Any, needs_core: bool, edge_size: int, following_groups: int
) -> None:
    flags = snowballs(shape, seed)
    settings = SnowballSettings(
        needs_core=needs_core, edge_size=edge_size, following_groups=following_groups
    )
    want, found = flags.copy(), gpu.send(flags)
    assert flag_snowballs(found, settings) == flag_snowballs(want, settings)
    np.testing.assert_array_equal(gpu.fetch(found), want)


def test_a_grid_has_room_for_the_rows_of_small_images() -> None:
    for shape in ((1, 1), (8, 8), (64, 72), (1024, 1032), (3200, 2048)):
        n_images = cuda.images_at_once(*shape)
        assert n_images >= 1
        assert -(-n_images * shape[0] // 8) <= 65535
        assert n_images * shape[0] * shape[1] <= 1 << 25
    assert cuda.images_at_once(1024, 1032) == 31


@pytest.mark.parametrize("clips", [False, True])
@pytest.mark.parametrize("pixels", [1, 3 * 30 * 41, 1 << 25])
def test_showers(gpu: Any, clips: bool, pixels: int, monkeypatch: Any) -> None:
    """However many differences are searched together."""
    monkeypatch.setattr(cuda, "_PIXELS", pixels)
    scene = Scene((4, 5, 30, 41), 2)
    scene.gain[:] = np.nan_to_num(scene.gain, nan=1)
    scene.pixeldq[:] = 0
    scene.groupdq[:, 0] |= DO_NOT_USE
    scene.data[1, 3:, 5:18, 5:30] += 90
    scene.data[3, 2:, 8:25, 20:] += 90
    settings = ShowerSettings(
        min_area=30,
        largest_change=60.0,
        following_groups=1,
        minimum_sigclip_groups=2 if clips else 100,
    )
    names = ("data", "groupdq", "pixeldq", "gain", "readnoise")
    here, there = scene.on(None, *names), scene.on(gpu, *names)
    with np.errstate(all="ignore"):
        count = flag_showers(*here, settings)
    assert flag_showers(*there, settings) == count
    assert count
    np.testing.assert_array_equal(gpu.fetch(there[1]), here[1])
    assert (here[1] != scene.groupdq).any()


def test_the_host_waits_no_oftener_for_more_integrations(gpu: Any) -> None:
    if not hasattr(gpu.xp, "counts"):
        pytest.skip("waits are counted by the emulator")
    counts = gpu.xp.counts
    flags = np.zeros((1, 3, 60, 60), np.uint8)
    flags[0, 1, 20:31, 20:30] = JUMP_DET
    flags[0, 1:, 23:27, 23:27] = SATURATED
    waits = []
    for n_ints in (1, 5):
        planes = gpu.send(flags.repeat(n_ints, axis=0))
        counts.reset()
        assert flag_snowballs(planes, SnowballSettings(edge_size=0)) == n_ints
        waits.append((counts.syncs, counts.fetched_bytes // n_ints))
    # In the first of two groups: the number of runs, what is known of the regions, and the pixels
    # of the snowball. In the second nothing is left to be found.
    assert waits[0][0] == waits[1][0] == 4
    assert waits[0][1] < 1000
