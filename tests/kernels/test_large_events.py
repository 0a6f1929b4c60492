"""Snowballs and showers against stcal, flag for flag; and what must always hold."""

from __future__ import annotations

import logging
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy import ndimage
from stcal.jump.jump import (
    detect_jumps_data,
    find_faint_extended,
    flag_large_events,
)
from stcal.jump.jump_class import JumpData

from jwgpu.kernels import compiled
from jwgpu.kernels.large_events import (
    ShowerSettings,
    SnowballSettings,
    flag_showers,
    flag_snowballs,
    noise_of_showers,
)
from jwgpu.models.flags import (
    AD_FLOOR,
    CHARGELOSS,
    DO_NOT_USE,
    GOOD,
    HOT,
    JUMP_DET,
    NO_GAIN_VALUE,
    REFERENCE_PIXEL,
    SATURATED,
)

UNUSABLE = DO_NOT_USE | SATURATED


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what the official package logs."""
    monkeypatch.setattr(logging.getLogger("stcal"), "level", logging.ERROR)


def official_job(**values: Any) -> JumpData:
    """Return the official package's settings, with its numbers of flags."""
    job = JumpData()
    job.fl_sat, job.fl_jump, job.fl_dnu = SATURATED, JUMP_DET, DO_NOT_USE
    job.fl_ngv, job.fl_good, job.fl_ref = NO_GAIN_VALUE, GOOD, REFERENCE_PIXEL
    job.max_cores = "1"
    for name, value in values.items():
        setattr(job, name, value)
    return job


def elliptical_distance(
    shape: tuple[int, ...], y: float, x: float, axes: Any, angle: float
) -> np.ndarray:
    rows, columns = np.mgrid[: shape[-2], : shape[-1]]
    dy, dx = rows - y, columns - x
    along = (dx * np.cos(angle) + dy * np.sin(angle)) / axes[0]
    across = (dy * np.cos(angle) - dx * np.sin(angle)) / axes[1]
    return np.hypot(along, across)


def draw_place(random: np.random.Generator, shape: tuple[int, ...]) -> tuple[float, float]:
    """Return a place on the image or a little off it, a third of them centred on a pixel."""
    y, x = random.uniform(-3, shape[-2] + 3), random.uniform(-3, shape[-1] + 3)
    return (y, x) if random.random() < 0.7 else (float(round(y)), float(round(x)))


# --- snowballs ----------------------------------------------------------------------------------


def random_flags(seed: int) -> np.ndarray:
    """Return flags of ramps with hits, snowballs with and without cores, and other flags."""
    random = np.random.default_rng(seed)
    shape = (*random.integers(1, 4, 1), *random.integers(3, 8, 1), *random.integers(20, 130, 2))
    flags = np.zeros(shape, np.uint8)
    cross = ndimage.generate_binary_structure(2, 1)[None, None]
    flags[ndimage.binary_dilation(random.random(shape) < 0.003, cross)] |= JUMP_DET
    flags[random.random(shape) < 0.01] |= JUMP_DET
    for planes in flags:
        for _ in range(random.integers(0, 12)):
            axes = (
                random.uniform(0.5, 14, 2) if random.random() < 0.7 else [random.uniform(1, 9)] * 2
            )
            distance = elliptical_distance(
                shape, *draw_place(random, shape), axes, random.uniform(0, np.pi)
            )
            group = random.integers(0, shape[1])
            planes[group][distance < 1] |= JUMP_DET
            # The core saturates at once, or one group later.
            core = distance < random.uniform(0, 1)
            planes[group + random.integers(0, 2) :, core] |= SATURATED
    if seed % 3 == 0:
        flags[:, 0] |= DO_NOT_USE
    if seed % 5 == 0:
        flags[:, -1] |= DO_NOT_USE
    flags[random.random(shape) < 0.01] |= AD_FLOOR
    flags[(flags & UNUSABLE) != 0] &= ~np.uint8(JUMP_DET)
    return flags


def official_snowballs(flags: np.ndarray, settings: SnowballSettings) -> tuple[np.ndarray, int]:
    job = official_job(
        min_jump_area=settings.min_jump_area,
        min_sat_area=settings.min_core_area,
        sat_required_snowball=settings.needs_core,
        edge_size=settings.edge_size,
        expand_factor=settings.expansion,
        min_sat_radius_extend=settings.min_core_size,
        sat_expand=settings.core_widening,
        max_extended_width=settings.largest_axis,
        mask_persist_grps_next_int=settings.following_groups > 0,
        persist_grps_flagged=settings.following_groups,
    )
    return flag_large_events(flags.copy(), JUMP_DET, SATURATED, job)


def assert_same_snowballs(device: Any, flags: np.ndarray, settings: SnowballSettings) -> int:
    """Compare with the official flags; return how many snowballs there are."""
    expected, count = official_snowballs(flags, settings)
    ours = device.send(flags.copy())
    assert flag_snowballs(ours, settings) == count
    np.testing.assert_array_equal(device.fetch(ours), expected)
    return count


SNOWBALLS = {
    "default": {},
    "no core needed": {"needs_core": False},
    "the whole detector is edge": {"edge_size": 100},
    "no edge": {"edge_size": 0, "min_jump_area": 15.0},
    "all jumps": {"min_jump_area": 1.0, "expansion": 3.0},
    "shrunk": {"expansion": 0.9},
    "large cores only": {"min_core_area": 4.0, "min_core_size": 5.0, "edge_size": 0},
    "small cores, too": {"min_core_size": 0.5, "core_widening": 6, "edge_size": 5},
    "cores not widened": {"core_widening": 0},
    "small": {"largest_axis": 20},
    "next integration": {"following_groups": 100, "edge_size": 0},
    "next group": {"following_groups": 2},
    "no group": {"following_groups": 1},
}


@pytest.mark.parametrize("case", SNOWBALLS)
def test_snowballs_are_the_official_ones(device: Any, case: str) -> None:
    settings = SnowballSettings(**SNOWBALLS[case])
    seeds = range(7 if device.name == "cpu" else 2)
    found = sum(assert_same_snowballs(device, random_flags(seed), settings) for seed in seeds)
    assert found > 0


def disk(shape: tuple[int, ...], y: float, x: float, radius: float) -> np.ndarray:
    return elliptical_distance(shape, y, x, (radius, radius), 0) <= 1


def test_a_snowball(device: Any) -> None:
    shape = (2, 5, 100, 110)
    flags = np.zeros(shape, np.uint8)
    flags[0, 2, disk(shape, 50, 60, 8)] = JUMP_DET
    flags[0, 2:, disk(shape, 50, 60, 4)] = SATURATED
    flags[0, 2, disk(shape, 30, 60, 4)] = JUMP_DET
    settings = SnowballSettings(following_groups=3)
    assert assert_same_snowballs(device, flags, settings) == 1
    ours = device.send(flags.copy())
    flag_snowballs(ours, settings)
    ours = device.fetch(ours)
    assert np.all(ours[0, 2][disk(shape, 50, 60, 15)] & (JUMP_DET | SATURATED))
    assert np.all(ours[0, 2:, disk(shape, 50, 60, 4.9)] == SATURATED)
    assert not (ours[0, 3:] & JUMP_DET).any()
    assert np.all(ours[1, 1:3, disk(shape, 50, 60, 2.9)] == JUMP_DET)
    assert not ours[1, 0].any()
    # without a core: left as it was
    np.testing.assert_array_equal(ours[0, 2, 20:32], flags[0, 2, 20:32])


def test_widened_cores_lose_their_other_flags(device: Any) -> None:
    # Quirk: DO_NOT_USE among them.
    shape = (1, 4, 60, 60)
    flags = np.zeros(shape, np.uint8)
    flags[0, 1:, disk(shape, 30, 30, 5)] = SATURATED
    flags[0, 3] |= DO_NOT_USE
    assert_same_snowballs(device, flags, SnowballSettings())
    ours = device.send(flags.copy())
    assert flag_snowballs(ours, SnowballSettings()) == 0
    assert device.fetch(ours)[0, 3, 30, 30] == SATURATED


def test_the_core_is_sought_in_the_mirrored_ellipse(device: Any) -> None:
    """Quirk: a core off the centre of a long snowball is missed, one beside it taken."""
    shape = (1, 3, 101, 101)
    flags = np.zeros(shape, np.uint8)
    flags[0, 1][elliptical_distance(shape, 50, 50, (20, 4), 0) <= 1] = JUMP_DET
    inside, beside = flags.copy(), flags.copy()
    inside[0, 1:, 50, 62] = SATURATED
    beside[0, 1:, 62, 50] = SATURATED
    assert assert_same_snowballs(device, inside, SnowballSettings()) == 0
    assert assert_same_snowballs(device, beside, SnowballSettings()) == 1


def test_the_last_columns_are_an_edge_by_the_number_of_rows(device: Any) -> None:
    # Quirk: on a detector that is wider than high, half of it may be "edge".
    flags = np.zeros((1, 3, 60, 200), np.uint8)
    flags[0, 1, 28:32, 100:104] = JUMP_DET
    assert assert_same_snowballs(device, flags, SnowballSettings()) == 1
    narrow = np.ascontiguousarray(flags[..., :130].transpose(0, 1, 3, 2))
    assert assert_same_snowballs(device, narrow, SnowballSettings(edge_size=20)) == 0


# --- showers ------------------------------------------------------------------------------------


class Faint:
    """Ramps with showers, their flags after jump detection, and what was found officially."""

    def __init__(self, seed: int, shape: tuple[int, int, int, int]):
        self.random = random = np.random.default_rng(seed)
        image = shape[2:]
        self.gain = random.uniform(4, 6, image).astype(np.float32)
        self.readnoise = random.uniform(3, 6, image).astype(np.float32)
        flux = random.choice([1.0, 10.0, 100.0], image) * random.uniform(0.5, 2)
        signal = random.poisson(np.broadcast_to(flux, shape)).astype(float)
        for planes in signal:
            for _ in range(random.integers(0, 6 if len(signal) < 10 else 2)):
                distance = elliptical_distance(
                    image,
                    *draw_place(random, image),
                    random.uniform(3, 18, 2),
                    random.uniform(0, 3),
                )
                patch = random.uniform(10, 80) * np.exp(-0.5 * distance**2)
                first = random.integers(1, shape[1])
                for group in range(first, shape[1]):
                    planes[group] += random.poisson(patch * np.exp(-(group - first) / 1.5))
        signal += (random.random(shape) < 0.004) * random.lognormal(6, 1, shape)
        data = signal.cumsum(1) / self.gain + random.normal(0, 1, shape) * self.readnoise / 1.4
        data[random.random(shape) < 0.001] = np.nan
        self.data = data.astype(np.float32)
        self.groupdq = np.zeros(shape, np.uint8)
        is_full = data > np.nanquantile(data, 0.98)
        self.groupdq[np.logical_or.accumulate(is_full, axis=1)] |= SATURATED
        for flag, share in ((CHARGELOSS, 0.01), (DO_NOT_USE, 0.005), (JUMP_DET, 0.01)):
            self.groupdq[random.random(shape) < share] |= np.uint8(flag)
        self.pixeldq = np.zeros(image, np.uint32)
        self.pixeldq[random.random(image) < 0.02] |= DO_NOT_USE
        self.pixeldq[random.random(image) < 0.02] |= HOT
        self.pixeldq[:, :4] |= REFERENCE_PIXEL
        self.pixeldq[:, :2] |= DO_NOT_USE

    def official(self, settings: ShowerSettings, find_showers: bool) -> tuple[Any, int, int]:
        """Return flags, number of jumps and of showers."""
        job = official_job(
            data=self.data.copy(),
            gdq=self.groupdq.copy(),
            pdq=self.pixeldq.copy(),
            gain_2d=self.gain,
            rnoise_2d=self.readnoise,
            nframes=settings.frames_averaged,
            dt_group=np.ones(1),
            n_reads_groupdiff=np.ones(1) * 2 * settings.frames_averaged,
            find_showers=find_showers,
            extend_snr_threshold=settings.threshold,
            extend_min_area=settings.min_area,
            extend_inner_radius=settings.inner_radius,
            extend_outer_radius=settings.outer_radius - settings.inner_radius,
            extend_ellipse_expand_ratio=settings.expansion,
            grps_masked_after_shower=settings.following_groups,
            max_extended_width=settings.largest_axis,
            max_shower_amplitude=settings.largest_change,
            minimum_sigclip_groups=settings.minimum_sigclip_groups,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            flags, _, jumps, showers = detect_jumps_data(job)
        return flags, jumps, showers

    def compare(self, device: Any, settings: ShowerSettings) -> int:
        """Assert that our flags are the official ones; return the number of showers."""
        flags, jumps, _ = self.official(settings, find_showers=False)
        expected, _, count = self.official(settings, find_showers=True)
        settings = replace(settings, jumps_were_searched=jumps != -99)
        arrays = (self.data, flags, self.pixeldq, self.gain, self.readnoise)
        sent = [device.send(array.copy()) for array in arrays]
        assert (flag_showers(*sent, settings) or 0) == count
        np.testing.assert_array_equal(device.fetch(sent[1]), expected)
        for mine, before in zip(sent[::2], arrays[::2], strict=True):
            np.testing.assert_array_equal(device.fetch(mine), before)
        return count


CLIPPED = {"minimum_sigclip_groups": 10}
SHOWERS: dict[str, tuple[tuple[int, int], dict[str, Any]]] = {
    "default": ((2, 12), {"largest_change": 20.0}),
    "many": ((3, 9), {"min_area": 20, "threshold": 1.0, "largest_change": 200.0}),
    "little change": ((2, 8), {"min_area": 30, "largest_change": 2.0, "following_groups": 2}),
    "all that follows": ((2, 11), {"following_groups": 20, "largest_change": 50.0}),
    "averaged": ((1, 15), {"frames_averaged": 4, "min_area": 40, "following_groups": 1}),
    "disk": ((1, 12), {"inner_radius": 0.0, "outer_radius": 1.0, "min_area": 40}),
    "wide ring": ((2, 10), {"inner_radius": 1.5, "outer_radius": 4.5, "expansion": 2.0}),
    "small": ((2, 10), {"largest_axis": 30, "expansion": 1.5, "largest_change": 30.0}),
    "clipped": ((14, 4), {**CLIPPED, "min_area": 30, "largest_change": 40.0}),
    "clipped, one difference": ((20, 3), {**CLIPPED, "min_area": 20, "following_groups": 1}),
}


@pytest.mark.parametrize("case", SHOWERS)
def test_showers_are_the_official_ones(device: Any, case: str) -> None:
    (n_ints, n_groups), options = SHOWERS[case]
    found = 0
    for seed in range(2 if device.name == "cpu" else 1):
        shape = (n_ints, n_groups, 50 + 9 * seed, 83 - 7 * seed)
        found += Faint(seed, shape).compare(device, ShowerSettings(**options))
    assert found > 0


def test_groups_that_are_unusable_everywhere(device: Any) -> None:
    scene = Faint(4, (2, 14, 60, 60))
    scene.groupdq[:, [0, -1]] |= DO_NOT_USE
    scene.groupdq[1, :3] |= DO_NOT_USE
    # Quirk: reference pixels without any other flag count as unusable.
    scene.groupdq[0, 1, :, 4:] |= DO_NOT_USE
    assert scene.compare(device, ShowerSettings(min_area=30, largest_change=50.0)) > 0


def test_jumps_not_searched(device: Any) -> None:
    """Quirk: then flags other than those that stand alone do not blank a sample."""
    scene = Faint(5, (12, 3, 60, 60))
    scene.groupdq[0, :2] |= DO_NOT_USE
    scene.groupdq[scene.random.random(scene.groupdq.shape) < 0.05] |= SATURATED | AD_FLOOR
    settings = ShowerSettings(min_area=20, threshold=1.0, largest_change=50.0)
    _, jumps, _ = scene.official(settings, find_showers=False)
    assert jumps == -99
    assert scene.compare(device, settings) > 0


def test_too_few_differences(device: Any) -> None:
    scene = Faint(6, (1, 10, 40, 40))
    arrays = (scene.data, scene.groupdq, scene.pixeldq, scene.gain, scene.readnoise)
    before = scene.groupdq.copy()
    assert flag_showers(*(device.send(array) for array in arrays), ShowerSettings()) is None
    np.testing.assert_array_equal(scene.groupdq, before)
    job = official_job(nframes=1)
    electrons, noise = scene.data * scene.gain, scene.readnoise * scene.gain
    flags, count = find_faint_extended(electrons, before, scene.pixeldq, noise, job)
    assert count == 0
    np.testing.assert_array_equal(flags, before)


def test_threads_make_no_difference(device: Any) -> None:
    scene = Faint(1, (2, 12, 70, 80))
    settings = ShowerSettings(min_area=30, largest_change=50.0, following_groups=2)
    results = []
    for number in (1, 3):
        flags = scene.groupdq.copy()
        compiled.set_threads(number)
        try:
            arrays = (scene.data, flags, scene.pixeldq, scene.gain, scene.readnoise)
            flag_showers(*arrays, settings)
            flag_snowballs(flags, SnowballSettings(edge_size=0))
        finally:
            compiled.set_threads(0)
        results.append(flags)
    assert (results[0] != scene.groupdq).any()
    np.testing.assert_array_equal(*results)


def test_integrations_one_by_one(device: Any) -> None:
    """In parts, each with the cores of the one before."""
    settings = SnowballSettings(edge_size=0, following_groups=3)
    flags = random_flags(2)
    whole, parts = device.send(flags.copy()), device.send(flags.copy())
    cores: list[Any] = []
    counts = [flag_snowballs(parts[k : k + 1], settings, cores) for k in range(len(flags))]
    assert flag_snowballs(whole, settings) == sum(counts)
    np.testing.assert_array_equal(device.fetch(parts), device.fetch(whole))
    alone = device.send(flags.copy())
    for k in range(len(flags)):
        flag_snowballs(alone[k : k + 1], settings)
    assert (device.fetch(alone) != device.fetch(whole)).any()


@pytest.mark.parametrize("clips", [False, True])
def test_showers_of_integrations_one_by_one(device: Any, clips: bool) -> None:
    scene = Faint(3, (3, 8, 50, 60))
    settings = ShowerSettings(
        min_area=30, largest_change=50.0, minimum_sigclip_groups=3 if clips else 100
    )
    arrays = (scene.data, scene.groupdq, scene.pixeldq, scene.gain, scene.readnoise)
    data, flags, pixeldq, gain, readnoise = (device.send(array.copy()) for array in arrays)
    whole = device.send(scene.groupdq.copy())
    noise = noise_of_showers(data, flags, gain, readnoise, settings)
    count = 0
    for k in range(3):
        part = (data[k : k + 1], flags[k : k + 1], pixeldq, gain, readnoise)
        count += flag_showers(*part, settings, noise) or 0
    assert flag_showers(data, whole, pixeldq, gain, readnoise, settings) == count > 0
    np.testing.assert_array_equal(device.fetch(flags), device.fetch(whole))


# --- what must always hold ----------------------------------------------------------------------


@hypothesis_settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), n_ints=st.integers(1, 2), n_groups=st.integers(1, 4),
       n_rows=st.integers(1, 9), n_columns=st.integers(1, 9),
       fill=st.sampled_from([None, 0, SATURATED, JUMP_DET, DO_NOT_USE, 255]))  # fmt: skip
def test_any_flags(
    seed: int, n_ints: int, n_groups: int, n_rows: int, n_columns: int, fill: int | None
) -> None:
    random = np.random.default_rng(seed)
    shape = (n_ints, n_groups, n_rows, n_columns)
    flags = random.integers(0, 256, shape).astype(np.uint8)
    if fill is not None:
        flags[:] = fill
    before = flags.copy()
    settings = SnowballSettings(min_jump_area=random.integers(1, 9), needs_core=bool(seed % 2))
    assert flag_snowballs(flags, settings) >= 0
    # Saturation and jumps are only added, but for the flags that widened cores lose.
    assert np.all((flags & SATURATED) >= (before & SATURATED))
    assert np.all((flags == SATURATED) | ((flags | JUMP_DET) == (before | JUMP_DET)))
    np.testing.assert_array_equal(flags[:, 0], before[:, 0])


@hypothesis_settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    fill=st.sampled_from([None, 0.0, np.nan, np.inf, -np.inf]),
    gain=st.sampled_from([None, np.nan, 0.0]),
)
def test_any_samples(seed: int, fill: float | None, gain: float | None) -> None:
    random = np.random.default_rng(seed)
    shape = (2, *random.integers(2, 9, 3))
    data = random.normal(0, 100, shape).astype(np.float32)
    data[random.random(shape) < 0.2] = random.choice([np.nan, np.inf, 0])
    if fill is not None:
        data[:] = fill
    flags = random.integers(0, 8, shape).astype(np.uint8) * (random.random(shape) < 0.2)
    before = flags.astype(np.uint8)
    ours = before.copy()
    image = shape[2:]
    gains = np.full(image, 2.0 if gain is None else gain, np.float32)
    pixeldq = random.choice(np.array([0, 1, REFERENCE_PIXEL], np.uint32), image)
    settings = ShowerSettings(min_area=3, threshold=0.5, following_groups=1)
    flag_showers(data, ours, pixeldq, gains, np.ones(image, np.float32), settings)
    np.testing.assert_array_equal(ours & ~np.uint8(JUMP_DET), before & ~np.uint8(JUMP_DET))
    assert np.all((ours & JUMP_DET) >= (before & JUMP_DET))
