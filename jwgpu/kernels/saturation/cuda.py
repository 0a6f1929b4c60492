"""Saturation flags on a GPU: allocate and launch."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.kernels.launching import launch
from jwgpu.models.flags import AD_FLOOR, SATURATED

NO_GROUP = -1
#: Size of an onset plane, 2 bytes each: as many integrations as fit, at most a grid's blocks.
PIXELS_AT_A_TIME = 1 << 26
_MOST_BLOCKS = 65535


def flag_saturation(
    data: Any,
    groupdq: Any,
    threshold: Any,
    threshold_dq: Any,
    bias: Any,
    grow: int,
    frames_averaged: int,
) -> tuple[int, int]:
    """Flag saturation; see :func:`jwgpu.kernels.saturation.flag_saturation`."""
    xp = namespace_of(data)
    n_ints, n_groups = data.shape[:2]
    seen = xp.zeros(threshold.shape, xp.uint32)
    at_a_time = min(max(1, PIXELS_AT_A_TIME // max(1, threshold.size)), _MOST_BLOCKS)
    for begin in range(0, n_ints, at_a_time):
        samples, flags = data[begin : begin + at_a_time], groupdq[begin : begin + at_a_time]
        reference = (threshold, threshold_dq)
        if frames_averaged > 1:
            _flag_averages(samples, flags, reference, seen, grow, frames_averaged)
        else:
            _flag_block(samples, flags, reference, seen, None, grow)
        if frames_averaged > 0 and n_groups > 2:
            arrays = (samples, flags, *reference, bias)
            _launch("check_second_group", flags, arrays, frames_averaged, n_groups, threshold.size)
    counts = [xp.count_nonzero(seen & flag) for flag in (SATURATED, AD_FLOOR)]
    n_saturated, n_floor = xp.stack(counts).tolist()
    return n_saturated, n_floor


def clear_saturated_zeroframe(zeroframe: Any, threshold: Any, threshold_dq: Any, grow: int) -> None:
    """Clear frame zero; see :func:`jwgpu.kernels.saturation.clear_saturated_zeroframe`."""
    xp = namespace_of(zeroframe)
    seen = xp.zeros(threshold.shape, xp.uint32)
    for begin in range(0, zeroframe.shape[0], _MOST_BLOCKS):
        # As ramps of one group, whose flags are needed only here.
        frames = zeroframe[begin : begin + _MOST_BLOCKS, None]
        flags = xp.zeros(frames.shape, xp.uint8)
        _flag_block(frames, flags, (threshold, threshold_dq), seen, None, grow)
        frames[...] = xp.where(flags != 0, xp.float32(0.0), frames)


def _flag_block(
    data: Any, groupdq: Any, reference: tuple[Any, Any], seen: Any, grown_onset: Any, grow: int
) -> bool:
    """Flag some integrations; tell whether any was SATURATED already when it came."""
    xp = namespace_of(data)
    n_ints, n_groups, n_y, n_x = data.shape
    onset = xp.empty((n_ints, n_y, n_x), xp.uint16)
    flagged_before = xp.zeros(1, xp.uint32)
    found = (onset, seen, flagged_before)
    _launch("find_onset", groupdq, (data, groupdq, *reference, *found), n_groups, n_y * n_x)
    had_flags = bool(flagged_before[0])
    if had_flags:
        taken = xp.empty_like(onset)
        for group in range(n_groups):
            _launch("take_flagged", groupdq, (groupdq, taken), group, n_groups, n_y * n_x)
            window = (grow, group, group + 1)
            planes = (groupdq, taken, None, seen)
            _launch("flag_onset", groupdq, planes, *window, n_groups, n_y, n_x)
    planes = (groupdq, onset, grown_onset, seen)
    _launch("flag_onset", groupdq, planes, grow, 0, n_groups, n_groups, n_y, n_x)
    return had_flags


def _flag_averages(
    data: Any, groupdq: Any, reference: tuple[Any, Any], seen: Any, grow: int, frames: int
) -> None:
    """Flag some integrations, and the groups that are partly saturated."""
    n_ints, n_groups, n_y, n_x = data.shape
    partial = namespace_of(data).empty((n_ints, n_y, n_x), np.uint16)
    had_flags = _flag_block(data, groupdq, reference, seen, partial, grow)
    # Flags that were there before need not go on to the last group: then a pixel may have several
    # partly saturated groups, and they are taken one by one.
    for group in range(n_groups - 1) if had_flags else (NO_GROUP,):
        arrays = (data, groupdq, *reference, partial)
        _launch("find_partial", groupdq, arrays, frames, group, n_groups, n_y * n_x)
        _launch("flag_partial", groupdq, (groupdq, partial), grow, n_groups, n_y, n_x)


def _launch(function: str, groupdq: Any, arrays: tuple[Any, ...], *numbers: int) -> None:
    """Launch a kernel with a thread for each ramp of `groupdq`."""
    n_threads = (prod(groupdq.shape[2:]), groupdq.shape[0])
    launch(__file__, function, n_threads, (*arrays, *(np.int32(number) for number in numbers)))
