"""Jump detection against stcal, flag for flag; against truth; and what must hold always."""

from __future__ import annotations

import logging
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from stcal.jump.jump import detect_jumps_data
from stcal.jump.jump_class import JumpData

from jwgpu.kernels import compiled
from jwgpu.kernels.jump import JumpSettings, find_jumps
from jwgpu.models.flags import (
    CHARGELOSS,
    DO_NOT_USE,
    GOOD,
    JUMP_DET,
    NO_GAIN_VALUE,
    REFERENCE_PIXEL,
    SATURATED,
)

UNUSABLE = DO_NOT_USE | SATURATED


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what the official package logs, and NumPy's warnings within it."""
    monkeypatch.setattr(logging.getLogger("stcal"), "level", logging.ERROR)


class Scene:
    """Ramps with hits, their flags, gain and read noise."""

    def __init__(self, seed: int, shape: tuple[int, int, int, int]):
        self.random = random = np.random.default_rng(seed)
        image = shape[2:]
        self.gain = random.uniform(1.5, 2.5, image).astype(np.float32)
        self.readnoise = random.uniform(5, 12, image).astype(np.float32)
        flux = random.choice([0.0, 2.0, 30.0, 1000.0, 5000.0], image) * random.uniform(
            0.5, 1.5, image
        )
        signal = random.poisson(np.broadcast_to(flux, shape)).cumsum(1) / self.gain
        signal = signal + random.normal(0, 1, shape) * self.readnoise / np.sqrt(2)
        is_hit = random.random(shape) < random.choice([0.003, 0.03, 0.2])
        signal += (is_hit * random.lognormal(6, 2.0, shape)).cumsum(1) * random.choice([1, 1, -1])
        self.data = signal.astype(np.float32)
        self.groupdq = np.zeros(shape, np.uint8)
        is_full = signal > random.choice([20000, 60000])
        self.groupdq[np.logical_or.accumulate(is_full, axis=1)] |= SATURATED

    def some(self, share: float) -> np.ndarray:
        """Return a random mask of samples."""
        return self.random.random(self.data.shape) < share

    def some_pixels(self, share: float) -> np.ndarray:
        """Return a random mask of pixels."""
        return self.random.random(self.gain.shape) < share

    def ours(self, device: Any, settings: JumpSettings) -> tuple[np.ndarray, int | None]:
        """Return the flags and the count that our kernel gives."""
        arrays = (self.data, self.groupdq, self.gain, self.readnoise)
        data, groupdq, gain, readnoise = (device.send(array.copy()) for array in arrays)
        count = find_jumps(data, groupdq, gain, readnoise, settings)
        np.testing.assert_array_equal(device.fetch(data), self.data)
        return device.fetch(groupdq), count.jumps

    def official(self, settings: JumpSettings, dn: tuple[float, float]) -> tuple[np.ndarray, int]:
        """Return the flags and the count that stcal gives."""
        job = JumpData()
        job.data, job.gdq = self.data.copy(), self.groupdq.copy()
        job.pdq = np.zeros(self.gain.shape, np.uint32)
        job.gain_2d, job.rnoise_2d = self.gain.copy(), self.readnoise.copy()
        job.nframes = settings.frames_averaged
        job.dt_group, job.n_reads_groupdiff = np.ones(1), np.ones(1) * 2 * job.nframes
        job.fl_sat, job.fl_jump, job.fl_dnu = SATURATED, JUMP_DET, DO_NOT_USE
        job.fl_ngv, job.fl_good, job.fl_ref = NO_GAIN_VALUE, GOOD, REFERENCE_PIXEL
        job.set_detection_settings(
            settings.rejection_threshold,
            settings.three_group_threshold,
            settings.four_group_threshold,
            settings.max_jump_to_flag_neighbors,
            settings.min_jump_to_flag_neighbors,
            settings.flag_4_neighbors,
        )
        groups = settings.after_jump_groups
        job.set_after_jump(dn[0], groups[0], dn[1], groups[1])
        job.min_diffs_single_pass = settings.min_diffs_single_pass
        job.set_sigma_clipping_info(
            settings.minimum_groups, settings.minimum_sigclip_groups, settings.only_use_ints
        )
        job.max_cores = "1"
        with np.errstate(all="ignore"):
            groupdq, _, count, _ = detect_jumps_data(job)
        return groupdq, int(count)

    def compare(
        self, device: Any, settings: JumpSettings, dn: tuple[float, float] = (0.0, 0.0)
    ) -> np.ndarray:
        """Assert that both give the same; return the flags."""
        typical_gain = np.nanmedian(self.gain)
        electrons = (float(dn[0] * typical_gain), float(dn[1] * typical_gain))
        settings = replace(settings, after_jump_electrons=electrons)
        theirs, their_count = self.official(settings, dn)
        mine, count = self.ours(device, settings)
        np.testing.assert_array_equal(mine, theirs, err_msg=str(asdict(settings)))
        # Quirk: the official count is -99 where nothing was searched.
        assert (-99 if count is None else count) == their_count
        return mine


def random_scene(seed: int, n_ints: int | None = None) -> Scene:
    """Return a scene of random shape with a random choice of what may be odd about it."""
    random = np.random.default_rng(seed + 10_000)
    groups = int(random.choice([3, 4, 5, 6, 8, 10, 11, 12, 25]))
    shape = (n_ints or int(random.choice([1, 1, 2, 3, 7])), groups, *random.integers(1, 30, 2))
    scene = Scene(seed, tuple(int(n) for n in shape))
    match seed % 5:
        case 1:
            scene.groupdq[:, [0, -1]] |= DO_NOT_USE
        case 2:
            scene.groupdq[scene.some(0.1)] |= DO_NOT_USE
        case 3:
            scene.groupdq[scene.some(0.02)] |= JUMP_DET
            scene.groupdq[scene.some(0.02)] |= CHARGELOSS
        case 4:
            scene.groupdq[random.integers(shape[0]), random.integers(shape[1])] |= DO_NOT_USE
    if seed % 3 == 0:  # ties
        step = np.float32(random.choice([1, 20]))
        scene.data = np.round(scene.data / step) * step
        scene.gain[:], scene.readnoise[:] = 2, 8
    scene.data[scene.some(random.choice([0, 0.01]))] = np.nan
    if seed % 7 == 0:
        scene.data[scene.some(0.01)] = np.inf
        scene.data[scene.some(0.003)] = -np.inf
    for value in (np.nan, -1, 0):
        scene.gain[scene.some_pixels(0.01)] = value
    for value in (np.nan, 0):
        scene.readnoise[scene.some_pixels(0.01)] = value
    return scene


@pytest.mark.parametrize("seed", range(60))
def test_equals_official(device: Any, seed: int) -> None:
    random = np.random.default_rng(seed)
    settings = JumpSettings(
        frames_averaged=int(random.choice([1, 4, 8])),
        rejection_threshold=float(random.choice([4, 3, 2.5])),
        flag_4_neighbors=bool(seed % 6),
        min_jump_to_flag_neighbors=float(random.choice([10, 4, 0])),
        max_jump_to_flag_neighbors=float(random.choice([1000, 50])),
        min_diffs_single_pass=int(random.choice([10, 3])),
        after_jump_groups=(int(random.integers(0, 5)), int(random.integers(0, 20))),
    )
    dn = (float(random.choice([0, 10, 50])), float(random.choice([100, 1000])))
    random_scene(seed).compare(device, settings, dn)


def test_center_is_rounded_from_the_second_iteration_on(device: Any) -> None:
    # Quirk: the official median is float64 at first, float32 later. Here that decides.
    n_decided = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        scene = quiet_ramp(9, (1, 1))
        # The middle two come first: only small samples have differences with so many digits.
        sizes = [*random.uniform(145, 155, 2), 100, 110, 120, 180, 190, 5000]
        scene.data[0, :, 0, 0] = np.cumsum([0, *sizes], dtype=np.float32)
        left = np.sort(np.diff(scene.data[0, :, 0, 0]))[:-1].astype(np.float64)
        center = 0.5 * (left[2] + left[3])  # that of 5000 is removed, that of 190 left out
        ratios = [
            np.max(np.abs((left - c).astype(np.float32))) / np.sqrt(c + 100)
            for c in (center, np.float64(np.float32(center)))
        ]
        n_decided += ratios[0] != ratios[1]
        threshold = float(np.mean(ratios))
        scene.compare(device, JumpSettings(rejection_threshold=threshold, flag_4_neighbors=False))
    assert n_decided > 5


@pytest.mark.parametrize("only_use_ints", [True, False])
@pytest.mark.parametrize("seed", range(12))
def test_sigma_clipping_equals_official(device: Any, seed: int, only_use_ints: bool) -> None:
    settings = JumpSettings(
        minimum_sigclip_groups=20,
        only_use_ints=only_use_ints,
        rejection_threshold=(4.0, 2.0, 0.5)[seed % 3],
        after_jump_groups=(2, 0),
    )
    random_scene(seed, n_ints=20 + seed).compare(device, settings, (50.0, 0.0))


@pytest.mark.parametrize("only_use_ints", [True, False])
def test_clipped_groups_where_every_pixel_jumps(device: Any, only_use_ints: bool) -> None:
    # Quirk: a group in which all pixels are jumps or DO_NOT_USE loses all of its jumps.
    scene = Scene(3, (30, 5, 3, 4))
    scene.data[:] = np.arange(5, dtype=np.float32)[:, None, None] * 50 + scene.some(0.5)
    scene.data[4, 2:] += 5000
    scene.groupdq[:] = 0
    scene.groupdq[4, 2, 0, 0] = DO_NOT_USE | JUMP_DET
    scene.groupdq[4, 2, 1, 1] = CHARGELOSS | JUMP_DET
    scene.groupdq[7, 1] = SATURATED | JUMP_DET
    settings = JumpSettings(
        minimum_sigclip_groups=30, only_use_ints=only_use_ints, flag_4_neighbors=False
    )
    flags = scene.compare(device, settings)
    assert np.count_nonzero(flags[4, 2] & JUMP_DET) <= 3


@pytest.mark.parametrize("n_groups", [3, 4, 5, 6])
@pytest.mark.parametrize("bad", [(), (0,), (1,), (0, 1), (-1,)])
def test_few_usable_groups(device: Any, n_groups: int, bad: tuple[int, ...]) -> None:
    scene = Scene(n_groups, (2, n_groups, 9, 11))
    for group in bad:
        scene.groupdq[0, group] |= DO_NOT_USE
    scene.groupdq[scene.some(0.02)] |= JUMP_DET
    scene.compare(device, JumpSettings())


def test_too_few_usable_groups_only_tidies(device: Any) -> None:
    scene = Scene(0, (1, 4, 5, 6))
    scene.groupdq[:, :2] = DO_NOT_USE | JUMP_DET
    flags, count = scene.ours(device, JumpSettings())
    assert count is None
    assert not np.any(flags & JUMP_DET)


def quiet_ramp(n_groups: int, image: tuple[int, int] = (5, 5)) -> Scene:
    """Return a scene of straight ramps of 10 DN a group, gain 1, read noise 10 DN."""
    scene = Scene(0, (1, n_groups, *image))
    scene.data[:] = 10 * np.arange(n_groups, dtype=np.float32)[:, None, None]
    scene.groupdq[:] = 0
    scene.gain[:], scene.readnoise[:] = 1, 10
    return scene


def flagged(flags: np.ndarray) -> set[tuple[int, ...]]:
    """Return (group, y, x) of the jumps in the first integration."""
    return {tuple(int(n) for n in place) for place in np.argwhere(flags[0] & JUMP_DET)}


@pytest.mark.parametrize("n_groups", [5, 9, 11, 40])
def test_finds_a_jump_and_its_neighbors(device: Any, n_groups: int) -> None:
    scene = quiet_ramp(n_groups)
    scene.data[0, 3:, 2, 1] += 500
    flags, count = scene.ours(device, JumpSettings())
    assert flagged(flags) == {(3, 2, 1), (3, 1, 1), (3, 3, 1), (3, 2, 0), (3, 2, 2)}
    assert count == 1


def test_neighbors_at_edges_and_unusable(device: Any) -> None:
    scene = quiet_ramp(12, (3, 3))
    scene.data[0, 5:, 0, 0] += 500
    scene.data[0, 7:, 2, 2] += 500
    scene.groupdq[0, 5, 0, 1] = SATURATED
    scene.groupdq[0, 7, 1, 2] = DO_NOT_USE
    flags = scene.compare(device, JumpSettings())
    assert flagged(flags) == {(5, 0, 0), (5, 1, 0), (7, 2, 2), (7, 2, 1)}


@pytest.mark.parametrize(("size", "n_flagged"), [(30, 0), (80, 1), (500, 5), (20000, 1)])
def test_limits_of_neighbors(device: Any, size: float, n_flagged: int) -> None:
    # One sigma is sqrt(10 + 100) electrons: 3, 8, 48 and 1900 sigma.
    scene = quiet_ramp(9)
    scene.data[0, 4:, 2, 2] += size
    flags, _ = scene.ours(device, JumpSettings())
    assert len(flagged(flags)) == n_flagged


def test_groups_after_a_jump(device: Any) -> None:
    scene = quiet_ramp(12, (1, 2))
    scene.data[0, 2:, 0, 0] += 300
    scene.data[0, 5:, 0, 1] += 3000
    scene.groupdq[0, 6, 0, 1] = SATURATED
    settings = JumpSettings(
        flag_4_neighbors=False, after_jump_groups=(1, 4), after_jump_electrons=(200.0, 2000.0)
    )
    flags, count = scene.ours(device, settings)
    first = {(group, 0, 0) for group in (2, 3)}
    second = {(group, 0, 1) for group in (5, 7, 8, 9)}
    assert flagged(flags) == first | second
    assert count == 2


def test_false_and_true_positives(device: Any) -> None:
    random = np.random.default_rng(8)
    shape = (1, 20, 128, 128)
    scene = Scene(1, shape)
    scene.gain[:], scene.readnoise[:] = 2, 9
    electrons = random.poisson(100.0, shape).cumsum(1)
    is_hit = random.random(shape) < 0.002
    is_hit[:, 0] = False
    electrons += (is_hit * 1000).cumsum(1)
    scene.data = (electrons / 2 + random.normal(0, 9 / np.sqrt(2), shape)).astype(np.float32)
    scene.groupdq[:] = 0
    flags, _ = scene.ours(device, JumpSettings(flag_4_neighbors=False))
    is_found = (flags & JUMP_DET) != 0
    assert np.mean(is_found[is_hit]) > 0.99
    # Four sigma either way are 6e-5 of a normal distribution.
    assert np.mean(is_found[~is_hit]) < 2e-4


def test_threads_do_not_change_the_result() -> None:
    scene = Scene(5, (2, 7, 67, 33))
    results = []
    before = compiled._threads
    try:
        for number in (1, 2, 5):
            compiled.set_threads(number)
            groupdq = scene.groupdq.copy()
            settings = JumpSettings(after_jump_groups=(2, 0), after_jump_electrons=(10.0, 0.0))
            count = find_jumps(scene.data, groupdq, scene.gain, scene.readnoise, settings)
            results.append((groupdq, count))
    finally:
        compiled.set_threads(before)
    for groupdq, count in results[1:]:
        np.testing.assert_array_equal(groupdq, results[0][0])
        assert count == results[0][1]


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 4), st.integers(3, 12), st.integers(1, 6), st.integers(1, 9)),
    seed=st.integers(0, 2**31),
    share=st.sampled_from([0.0, 0.3, 1.0]),
    flag=st.sampled_from([DO_NOT_USE, SATURATED, 0]),
    clip=st.booleans(),
)
def test_always(
    shape: tuple[int, int, int, int], seed: int, share: float, flag: int, clip: bool
) -> None:
    scene = Scene(seed, shape)
    before = scene.groupdq
    before[scene.some(share)] |= flag
    if flag == 0:
        scene.data[scene.some(share)] = np.nan
    groupdq = before.copy()
    settings = JumpSettings(minimum_sigclip_groups=2 if clip else 100)
    count = find_jumps(scene.data, groupdq, scene.gain, scene.readnoise, settings)
    changed = groupdq ^ before
    assert not np.any(changed & ~np.uint8(JUMP_DET))
    assert not np.any(groupdq[(before & UNUSABLE) != 0] & JUMP_DET)
    assert not np.any(groupdq[:, 0] & JUMP_DET)
    if share == 1.0:
        assert not changed.any()
    if count.jumps is not None:
        assert count.jumps <= np.count_nonzero(groupdq & JUMP_DET)
