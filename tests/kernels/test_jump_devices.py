"""CUDA kernels of jump detection give what the CPU gives, to the bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from test_jump import Scene, random_scene

from jwgpu.kernels.jump import (
    JumpCount,
    JumpSettings,
    Surroundings,
    clip_jumps,
    cuda,
    find_full_groups,
    find_jumps,
)
from jwgpu.models.flags import DO_NOT_USE, JUMP_DET, SATURATED

AFTER = JumpSettings(after_jump_groups=(2, 5), after_jump_electrons=(30.0, 300.0))


@pytest.fixture(params=["in registers", "read again"], autouse=True)
def _kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the kernel for few samples, as far as it goes, or that for many also for few."""
    if request.param == "read again":
        monkeypatch.setattr(cuda, "IN_REGISTERS", ())


def on_cpu(
    scene: Scene, settings: JumpSettings, around: Surroundings | None = None
) -> tuple[np.ndarray, JumpCount]:
    groupdq = scene.groupdq.copy()
    with np.errstate(all="ignore"):
        count = find_jumps(scene.data, groupdq, scene.gain, scene.readnoise, settings, around)
    return groupdq, count


def compare(
    gpu: Any, scene: Scene, settings: JumpSettings, around: Surroundings | None = None
) -> np.ndarray:
    """Assert that both devices flag and count the same; return the flags."""
    want, want_count = on_cpu(scene, settings, around)
    arrays = (scene.data, scene.groupdq, scene.gain, scene.readnoise)
    data, groupdq, gain, readnoise = (gpu.send(array) for array in arrays)
    count = find_jumps(data, groupdq, gain, readnoise, settings, around)
    np.testing.assert_array_equal(gpu.fetch(groupdq), want, err_msg=str(settings))
    assert count == want_count
    np.testing.assert_array_equal(gpu.fetch(data), scene.data)
    return want


def random_settings(seed: int) -> JumpSettings:
    random = np.random.default_rng(seed)
    return JumpSettings(
        frames_averaged=int(random.choice([1, 4, 8])),
        rejection_threshold=float(random.choice([4, 3, 2.5, 1.0])),
        flag_4_neighbors=bool(seed % 6),
        min_jump_to_flag_neighbors=float(random.choice([10, 4, 0])),
        max_jump_to_flag_neighbors=float(random.choice([1000, 50])),
        min_diffs_single_pass=int(random.choice([10, 3])),
        minimum_sigclip_groups=int(random.choice([100, 5, 2])),
        only_use_ints=bool(random.integers(2)),
        after_jump_groups=(int(random.integers(0, 5)), int(random.integers(0, 20))),
        after_jump_electrons=(10.0, 200.0),
    )


@pytest.mark.parametrize("seed", range(1000, 1080))
def test_equals_cpu(gpu: Any, seed: int) -> None:
    compare(gpu, random_scene(seed), random_settings(seed))


@pytest.mark.parametrize("n_groups", [*range(3, 10), 12, 13, 16, 17, 24, 32, 33, 48, 64, 65, 200])
@pytest.mark.parametrize("min_diffs_single_pass", [3, 1000])
def test_any_number_of_groups(gpu: Any, n_groups: int, min_diffs_single_pass: int) -> None:
    scene = Scene(n_groups, (1, n_groups, 3, 37))
    settings = replace(AFTER, min_diffs_single_pass=min_diffs_single_pass)
    assert (compare(gpu, scene, settings) & JUMP_DET).any()


@pytest.mark.parametrize("method", [dict(min_diffs_single_pass=1000), {}])
def test_values_of_the_same_rank(gpu: Any, method: dict[str, Any]) -> None:
    # More values in a bin than can be kept, some of them the same, and all the same.
    scene = Scene(2, (2, 150, 2, 16))
    scene.groupdq[:] = 0
    step = np.array([0.0, 1e-3, 1.0, 100.0] * 4, np.float32)
    random = np.random.default_rng(0)
    scene.data = (random.integers(0, 3, scene.data.shape) * step).astype(np.float32)
    scene.data[:, 40:, :, 5] += np.float32(1e30)
    scene.data[:, 41:, :, 6] += np.float32(3e38)
    scene.data[0, 30:90, :, 7] *= np.float32(1e-42)
    scene.data[1, 30:, 0, 8], scene.data[1, 31:, 1, 8] = np.inf, -np.inf
    scene.data[:, :100, :, 9] = np.cumsum(2.0 ** np.arange(-50, 50)).astype(np.float32)[:, None]
    scene.gain[:] = 1
    compare(gpu, scene, replace(AFTER, rejection_threshold=3.0, **method))


@pytest.mark.parametrize("only_use_ints", [True, False])
@pytest.mark.parametrize("shared_bytes", [0, 48 << 10])
def test_sigma_clipping_in_either_memory(
    gpu: Any, monkeypatch: pytest.MonkeyPatch, only_use_ints: bool, shared_bytes: int
) -> None:
    monkeypatch.setattr(cuda, "SHARED_BYTES", shared_bytes)
    monkeypatch.setattr(cuda, "WORKSPACE_BYTES", 20_000)  # so that threads clip several sets
    scene = random_scene(21, n_ints=40)
    settings = replace(AFTER, minimum_sigclip_groups=30, only_use_ints=only_use_ints)
    assert (compare(gpu, scene, settings) & JUMP_DET).any()
    groupdq, want = gpu.send(scene.groupdq), scene.groupdq.copy()
    clip_jumps(gpu.send(scene.data), groupdq, gpu.send(scene.gain), settings)
    clip_jumps(scene.data, want, scene.gain, settings)
    np.testing.assert_array_equal(gpu.fetch(groupdq), want)


def test_clipping_looks_closer_where_it_must(gpu: Any) -> None:
    # The median is far from the mean; and one value is just beyond the threshold, or just not.
    scene = Scene(4, (60, 3, 2, 40))
    scene.groupdq[:], scene.gain[:] = 0, 1
    random = np.random.default_rng(3)
    steps = random.normal(0, 10, scene.data.shape)
    steps[:, 1, 0] = np.where(random.random((60, 40)) < 0.4, 100, 0) + random.random((60, 40))
    steps[5, 2, 1] = np.linspace(20, 60, 40)
    scene.data = steps.cumsum(1).astype(np.float32)
    settings = JumpSettings(minimum_sigclip_groups=50, flag_4_neighbors=False)
    for threshold in (1.2, 2.0, 3.0, 4.0):
        flags = compare(gpu, scene, replace(settings, rejection_threshold=threshold))
    n_found = np.count_nonzero(flags[5, 2, 1] & JUMP_DET)
    assert 0 < n_found < 40


@pytest.mark.parametrize("n_ints", [2, 30])
def test_part_of_an_exposure(gpu: Any, n_ints: int) -> None:
    scene = Scene(6, (n_ints, 6, 9, 13))
    shape = scene.data.shape[:2]
    is_unusable, is_full = np.zeros(shape, bool), np.zeros(shape, bool)
    is_unusable[0, 3] = is_full[0, 3] = is_full[-1, 2] = True
    around = Surroundings(is_unusable, is_full, (1, 8))
    settings = replace(AFTER, minimum_sigclip_groups=25)
    compare(gpu, scene, settings, around)


@pytest.mark.parametrize("image", [(1, 1), (1, 7), (40, 60), (3, 2100)])
def test_full_groups(gpu: Any, image: tuple[int, int]) -> None:
    groupdq = np.full((2, 4, *image), DO_NOT_USE, np.uint8)
    groupdq[0, 1, -1, -1] = JUMP_DET
    groupdq[1, 0, -1, 0] = 0
    groupdq[1, 3] = SATURATED
    groupdq[1, 2] |= JUMP_DET
    for flags in (DO_NOT_USE, DO_NOT_USE | JUMP_DET):
        want = find_full_groups(groupdq, flags)
        mine = find_full_groups(gpu.send(groupdq), flags)
        assert isinstance(mine, np.ndarray)
        np.testing.assert_array_equal(mine, want)
    assert want[0, 1]
    assert not want[1, 3]


def test_nothing_usable(gpu: Any) -> None:
    for flag in (DO_NOT_USE, SATURATED, SATURATED | JUMP_DET):
        scene = Scene(1, (2, 7, 3, 5))
        scene.groupdq[:] = flag
        compare(gpu, scene, AFTER)
        compare(gpu, scene, replace(AFTER, minimum_sigclip_groups=2))


def take_blocks_of(block: int, n_values: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Launch blocks of another size; ``n_values`` are clipped together."""

    def launch(*arguments: Any, **keywords: Any) -> None:
        if arguments[1] not in ("check_planes", "list_sets"):  # the host counts their blocks
            keywords["block"] = block
        if arguments[1] == "find_jumps_in_many":
            keywords["shared_memory"] = 4 * 64 * block
        if arguments[1] == "clip_listed":
            keywords["shared_memory"] = 4 * n_values * block
        original(*arguments, **keywords)

    original = cuda.launch
    monkeypatch.setattr(cuda, "launch", launch)
    monkeypatch.setattr(cuda, "_BLOCK", block)


# As many integrations as the shared memory of a block has room for.
@pytest.mark.parametrize(("block", "most_ints"), [(32, 20), (96, 16)])
def test_any_size_of_blocks(
    gpu: Any, monkeypatch: pytest.MonkeyPatch, block: int, most_ints: int
) -> None:
    take_blocks_of(block, 8 * most_ints, monkeypatch)
    for n_ints in (1, most_ints):
        scene = Scene(8, (n_ints, 9, 7, 33))
        compare(gpu, scene, replace(AFTER, minimum_sigclip_groups=most_ints))
        compare(gpu, scene, replace(AFTER, minimum_sigclip_groups=most_ints, only_use_ints=False))


@pytest.mark.parametrize(
    ("settings", "n_syncs", "n_sent"),
    [
        (AFTER, 2, 0),  # which groups are of no use; how many jumps there are
        (replace(AFTER, minimum_sigclip_groups=2), 2, 0),
        (replace(AFTER, minimum_groups=100), 1, 0),
    ],
)
def test_waits_seldom(gpu: Any, settings: JumpSettings, n_syncs: int, n_sent: int) -> None:
    if not hasattr(gpu.xp, "counts"):
        pytest.skip("only the stand-in for CuPy counts")
    scene = Scene(9, (2, 6, 8, 9))
    arrays = (scene.data, scene.groupdq, scene.gain, scene.readnoise)
    sent = [gpu.send(array) for array in arrays]
    counts = gpu.xp.counts
    counts.reset()
    find_jumps(*sent, settings)
    assert (counts.syncs, counts.sent, counts.scalars) == (n_syncs, n_sent, 0)


@pytest.mark.races
def test_every_kernel(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    take_blocks_of(32, 2, monkeypatch)  # threads are costly under the race detector
    scene = Scene(3, (2, 3, 3, 12))
    for change in ({}, {"minimum_sigclip_groups": 2}, {"minimum_groups": 100}):
        compare(gpu, scene, replace(AFTER, **change))


@hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(2, 40), st.integers(1, 4), st.integers(1, 70)),
    seed=st.integers(0, 2**31),
    share=st.sampled_from([0.0, 0.3, 1.0]),
    flag=st.sampled_from([DO_NOT_USE, SATURATED, JUMP_DET, 0]),
)
def test_always(
    gpu: Any, shape: tuple[int, int, int, int], seed: int, share: float, flag: int
) -> None:
    scene = Scene(seed, shape)
    scene.groupdq[scene.some(share)] |= flag
    if flag == 0:
        scene.data[scene.some(share)] = np.nan
    compare(gpu, scene, random_settings(seed))
