"""Saturation flags: against the official function, the documents, and any thread count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stcal.saturation.saturation import flag_saturated_pixels

from jwgpu.kernels.compiled import set_threads, threads
from jwgpu.kernels.saturation import clear_saturated_zeroframe, flag_saturation
from jwgpu.models.flags import AD_FLOOR, DO_NOT_USE, NO_SAT_CHECK, PIXEL, SATURATED


def make_exposure(
    shape: tuple[int, int, int, int], seed: int, flagged: bool = False
) -> dict[str, Any]:
    """Return ramps of all brightnesses, with NaN, floor, steps, and every kind of threshold."""
    rng = np.random.default_rng(seed)
    _, groups, ny, nx = shape
    rate = rng.exponential(1500, (shape[0], 1, ny, nx)) * (rng.random((shape[0], 1, ny, nx)) < 0.3)
    time = np.arange(1, groups + 1)[None, :, None, None]
    data = 9000 + rate * time + rng.normal(0, 300, shape)
    hit = rng.integers(1, groups + 1, (shape[0], 1, ny, nx))  # the group of a cosmic ray, if any,
    share = np.where(time > hit, 1, (time == hit) * rng.random(hit.shape))  # which averages it in
    data += np.where(rng.random(hit.shape) < 0.1, 3e4 * share, 0)
    data = np.clip(data, 0, 65535).astype(np.float32)
    data[rng.random(shape) < 0.01] = 0
    data[rng.random(shape) < 0.005] = np.nan
    threshold = rng.uniform(12000, 40000, (ny, nx)).astype(np.float32)
    threshold[rng.random((ny, nx)) < 0.02] = np.nan
    dq = np.where(rng.random((ny, nx)) < 0.05, NO_SAT_CHECK, 0).astype(np.uint32)
    dq |= np.where(rng.random((ny, nx)) < 0.05, DO_NOT_USE, 0).astype(np.uint32)
    groupdq = np.zeros(shape, np.uint8)
    groupdq[rng.random(shape) < 0.01] = DO_NOT_USE
    if flagged:
        groupdq[rng.random(shape) < 0.01] |= SATURATED
    bias = rng.normal(8000, 500, (ny, nx)).astype(np.float32)
    return {
        "data": data, "groupdq": groupdq, "threshold": threshold, "dq": dq, "bias": bias
    }  # fmt: skip


def official(exposure: dict[str, Any], grow: int, frames: int, has_bias: bool) -> Any:
    groups = exposure["data"].shape[1]
    pattern = [[g * frames + r + 1 for r in range(frames)] for g in range(groups)]
    groupdq, _, _ = flag_saturated_pixels(
        exposure["data"].copy(),
        exposure["groupdq"].copy(),
        np.zeros(exposure["dq"].shape, np.uint32),
        exposure["threshold"].copy(),
        exposure["dq"].copy(),
        65535.0,
        PIXEL,
        n_pix_grow_sat=grow,
        read_pattern=pattern if frames else None,
        bias=exposure["bias"].copy() if has_bias else None,
    )
    return groupdq


def ours(device: Any, exposure: dict[str, Any], grow: int, frames: int, has_bias: bool) -> Any:
    groupdq = device.send(exposure["groupdq"].copy())
    counts = flag_saturation(
        device.send(exposure["data"]),
        groupdq,
        device.send(exposure["threshold"]),
        device.send(exposure["dq"]),
        device.send(exposure["bias"]) if has_bias else None,
        grow=grow,
        frames_averaged=frames,
    )
    return device.fetch(groupdq), counts


@pytest.mark.parametrize("frames", [0, 1, 2, 4, 8])
@pytest.mark.parametrize("grow", [0, 1, 3])
@pytest.mark.parametrize("flagged", [False, True])
def test_equals_official(device: Any, frames: int, grow: int, flagged: bool) -> None:
    exposure = make_exposure((2, 7, 40, 53), seed=frames, flagged=flagged)
    expected = official(exposure, grow, frames, has_bias=True)
    result, (n_saturated, n_floor) = ours(device, exposure, grow, frames, has_bias=True)
    np.testing.assert_array_equal(result, expected)
    assert n_saturated == np.count_nonzero(((expected & SATURATED) != 0).any((0, 1)))
    assert n_floor == np.count_nonzero(((expected & AD_FLOOR) != 0).any((0, 1)))


def test_equals_official_without_bias(device: Any) -> None:
    exposure = make_exposure((1, 5, 64, 64), seed=3)
    expected = official(exposure, 1, 4, has_bias=False)
    np.testing.assert_array_equal(ours(device, exposure, 1, 4, False)[0], expected)
    assert np.any(expected != official(exposure, 1, 4, has_bias=True))  # the bias does matter


def test_each_rule_for_averaged_groups_flags_something() -> None:
    """The parity tests above reach both rules."""
    exposure = make_exposure((2, 7, 40, 53), seed=4)
    exposure["groupdq"][:] = 0

    def unusable(frames: int) -> Any:
        flags = official(exposure, 0, frames, True) & (AD_FLOOR | DO_NOT_USE)
        return flags == DO_NOT_USE

    assert not unusable(0).any()
    ratio = (1 * 4 + 2.5) / (2 * 4)  # of mean and last frame of the second group of four frames
    diluted = exposure["data"] >= ratio * exposure["threshold"]
    assert np.any(unusable(4)[:, 2:])  # the first rule
    assert np.any(unusable(4)[:, 1] & ~diluted[:, 1])  # the second rule


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, n) for n in (3, 5, 9, 9)]),
    grow=st.integers(0, 3),
    frames=st.integers(0, 4),
    flagged=st.booleans(),
)
def test_onset_is_kept_and_grown_for_any_shape(
    shape: tuple[int, int, int, int], grow: int, frames: int, flagged: bool
) -> None:
    """Also where the official function cannot go: images smaller than the box that it grows."""
    exposure = make_exposure(shape, seed=sum(shape), flagged=flagged)
    groupdq = exposure["groupdq"].copy()
    flag_saturation(
        exposure["data"], groupdq, exposure["threshold"], exposure["dq"],
        exposure["bias"], grow=grow, frames_averaged=frames,
    )  # fmt: skip
    unchecked = np.isnan(exposure["threshold"]) | (exposure["dq"] & NO_SAT_CHECK != 0)
    limit = np.where(unchecked, 65536, exposure["threshold"])
    over = np.logical_or.accumulate(exposure["data"] >= limit, axis=1)
    over |= exposure["groupdq"] & SATURATED != 0
    expected = np.zeros_like(over)
    for y, x in np.ndindex(shape[2:]):
        box = over[:, :, max(y - grow, 0) : y + grow + 1, max(x - grow, 0) : x + grow + 1]
        expected[:, :, y, x] = box.any((2, 3))
    np.testing.assert_array_equal(groupdq & SATURATED != 0, expected)


def test_neighbours_and_floor(device: Any) -> None:
    """A saturated pixel takes its eight neighbours along, from its group to the last one."""
    data = np.full((1, 4, 9, 9), 100, np.float32)
    data[0, 2, 4, 4] = 50000  # group 4 is below the threshold again, and stays flagged
    data[0, 1, 0, 8] = 0
    groupdq = device.send(np.zeros(data.shape, np.uint8))
    threshold = device.send(np.full((9, 9), 50000, np.float32))
    dq = device.send(np.zeros((9, 9), np.uint32))
    assert flag_saturation(device.send(data), groupdq, threshold, dq) == (9, 1)
    expected = np.zeros(data.shape, np.uint8)
    expected[0, 2:, 3:6, 3:6] = SATURATED
    expected[0, 1, 0, 8] = AD_FLOOR | DO_NOT_USE
    np.testing.assert_array_equal(device.fetch(groupdq), expected)


def test_unchecked_pixels_saturate_beyond_the_converter(device: Any) -> None:
    """NaN and NO_SAT_CHECK compare with 65536, not with 65535, and not never."""
    data = np.zeros((1, 1, 2, 3), np.float32)
    data[0, 0] = [[65535, 65536, np.inf], [65535, 65536, 70000]]
    groupdq = device.send(np.zeros(data.shape, np.uint8))
    threshold = device.send(np.array([[np.nan] * 3, [10] * 3], np.float32))
    dq = device.send(np.array([[0] * 3, [NO_SAT_CHECK] * 3], np.uint32))
    flag_saturation(device.send(data), groupdq, threshold, dq, grow=0)
    np.testing.assert_array_equal(
        device.fetch(groupdq)[0, 0], [[0, SATURATED, SATURATED], [0, SATURATED, SATURATED]]
    )


@pytest.mark.parametrize("grow", [0, 1, 2])
def test_zeroframe_equals_official(device: Any, grow: int) -> None:
    exposure = make_exposure((3, 2, 40, 53), seed=9)
    zeroframe = exposure["data"][:, 1].copy()
    _, _, expected = flag_saturated_pixels(
        exposure["data"].copy(),
        exposure["groupdq"].copy(),
        np.zeros(exposure["dq"].shape, np.uint32),
        exposure["threshold"].copy(),
        exposure["dq"].copy(),
        65535.0,
        PIXEL,
        n_pix_grow_sat=grow,
        zframe=zeroframe.copy(),
    )
    result = device.send(zeroframe.copy())
    threshold, dq = device.send(exposure["threshold"]), device.send(exposure["dq"])
    clear_saturated_zeroframe(result, threshold, dq, grow=grow)
    np.testing.assert_array_equal(device.fetch(result), expected)
    assert np.any(expected != zeroframe)


@pytest.mark.parametrize("flagged", [False, True])
def test_same_for_any_number_of_threads(device: Any, flagged: bool) -> None:
    exposure = make_exposure((1, 6, 61, 30), seed=5, flagged=flagged)
    before, results = threads(), []
    try:
        for number in (1, 2, 5, 16):
            set_threads(number)
            results.append(ours(device, exposure, 2, 4, True)[0])
    finally:
        set_threads(before)
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_many_integrations_are_taken_in_blocks(
    device: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jwgpu.kernels.saturation.cpu.PIXELS_AT_A_TIME", 2 * 20 * 21)
    exposure = make_exposure((5, 4, 20, 21), seed=6)
    expected = official(exposure, 1, 4, True)
    np.testing.assert_array_equal(ours(device, exposure, 1, 4, True)[0], expected)


def test_all_nan_and_all_saturated(device: Any) -> None:
    threshold = device.send(np.full((5, 6), 100, np.float32))
    dq = device.send(np.zeros((5, 6), np.uint32))
    for value, flag in ((np.nan, 0), (1e5, SATURATED), (-1, AD_FLOOR | DO_NOT_USE)):
        data = device.send(np.full((1, 3, 5, 6), value, np.float32))
        groupdq = device.send(np.zeros((1, 3, 5, 6), np.uint8))
        flag_saturation(data, groupdq, threshold, dq, frames_averaged=4)
        assert np.all(device.fetch(groupdq) == flag)
