"""Saturation flags on the CPU.

Everything about a pixel's saturation fits in one number, its *onset*: the first group that is
saturated, `NEVER` if none is. Growing a flag to the neighbours in every group is then one minimum
filter of the onset plane, and only a few groups of few pixels have to be touched at all. A pass
that looks at neighbours starts only when all rows of the pass before it are done, so that the
result does not depend on how rows are shared out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows
from jwgpu.models.flags import AD_FLOOR, DO_NOT_USE, NO_SAT_CHECK, SATURATED

NEVER = np.uint16(65535)
UNREACHABLE = np.float32(65536.0)  # DN: one more than the 16-bit converter can give
NO_GROUP = -1
PIXELS_AT_A_TIME = 1 << 22  # size of an onset plane: as many integrations as fit


@compiled
def is_checked(threshold: Any, threshold_dq: Any) -> Any:
    """Tell whether a pixel has a threshold to be held against."""
    return threshold_dq & NO_SAT_CHECK == 0 and not np.isnan(threshold)


@compiled
def fill_thresholds(row: Any, threshold: Any, threshold_dq: Any, y: Any) -> None:
    """Write the thresholds in use of image row `y` to `row`."""
    for x in range(row.size):
        if is_checked(threshold[y, x], threshold_dq[y, x]):
            row[x] = threshold[y, x]
        else:
            row[x] = UNREACHABLE


@compiled
def find_onset_rows(
    first: Any,
    stop: Any,
    data: Any,
    groupdq: Any,
    threshold: Any,
    threshold_dq: Any,
    onset: Any,
    seen: Any,
    flagged_before: Any,
) -> None:
    """Find each pixel's onset, and flag the converter's floor."""
    n_groups, n_x = data.shape[1], data.shape[3]
    limit = np.empty(n_x, np.float32)
    for y in range(first, stop):
        fill_thresholds(limit, threshold, threshold_dq, y)
        flagged_before[y] = 0
        for k in range(groupdq.shape[0]):
            for x in range(n_x):
                onset[k, y, x] = NEVER
            for group in range(n_groups):
                number = np.uint16(group)
                sample = data[k, group, y]
                flags = groupdq[k, group, y]
                at_floor = 0
                for x in range(n_x):
                    candidate = number if sample[x] >= limit[x] else NEVER
                    onset[k, y, x] = min(onset[k, y, x], candidate)
                    at_floor |= sample[x] <= np.float32(0.0)
                before = np.uint8(0)
                for x in range(n_x):
                    seen[y, x] |= flags[x]
                    before |= flags[x]
                flagged_before[y] |= before & np.uint8(SATURATED)
                if at_floor:
                    for x in range(n_x):
                        if sample[x] <= np.float32(0.0):
                            flags[x] |= np.uint8(AD_FLOOR | DO_NOT_USE)
                            seen[y, x] |= np.uint8(AD_FLOOR)


@compiled
def take_flagged_rows(first: Any, stop: Any, groupdq: Any, onset: Any, group: Any) -> None:
    """Make an onset plane of the SATURATED flags that one group has already."""
    for k in range(groupdq.shape[0]):
        for y in range(first, stop):
            for x in range(onset.shape[2]):
                is_saturated = groupdq[k, group, y, x] & SATURATED
                onset[k, y, x] = np.uint16(0) if is_saturated else NEVER


@compiled
def grow_onset(onset: Any, y: Any, grow: Any, column: Any, grown: Any) -> Any:
    """Write the earliest onset within `grow` pixels of each pixel of row `y`; return the row's."""
    n_y, n_x = onset.shape
    for x in range(column.size):  # padded by `grow` on either side
        column[x] = NEVER
    for near in range(max(y - grow, 0), min(y + grow + 1, n_y)):
        for x in range(n_x):
            column[grow + x] = min(column[grow + x], onset[near, x])
    earliest = NEVER
    for x in range(n_x):
        earliest = min(earliest, column[grow + x])
        grown[x] = NEVER
    if earliest != NEVER:
        for shift in range(2 * grow + 1):
            for x in range(n_x):
                grown[x] = min(grown[x], column[x + shift])
    return earliest


@compiled
def flag_onset_rows(
    first: Any,
    stop: Any,
    groupdq: Any,
    onset: Any,
    grown_onset: Any,
    seen: Any,
    grow: Any,
    first_group: Any,
    stop_group: Any,
) -> None:
    """Flag groups from the grown onset on, between two groups; keep the onset if there is room."""
    n_x = groupdq.shape[3]
    column = np.empty(n_x + 2 * grow, np.uint16)
    grown = np.empty(n_x, np.uint16)
    for k in range(groupdq.shape[0]):
        for y in range(first, stop):
            earliest = grow_onset(onset[k], y, grow, column, grown)
            if grown_onset.size > 0:
                for x in range(n_x):
                    grown_onset[k, y, x] = grown[x]
            for group in range(max(np.int64(earliest), first_group), stop_group):
                number = np.uint16(group)
                flags = groupdq[k, group, y]
                for x in range(n_x):
                    flag = np.uint8(SATURATED) if grown[x] <= number else np.uint8(0)
                    flags[x] |= flag
                    seen[y, x] |= flag


@compiled
def is_partly_saturated(value: Any, threshold: Any, flags: Any, next_flags: Any, ratio: Any) -> Any:
    """Tell whether the last frames of an averaged group may have been saturated already."""
    return (
        next_flags & SATURATED != 0
        and flags & (SATURATED | DO_NOT_USE) == 0
        and np.float64(value) >= np.float64(threshold) * ratio
    )


@compiled
def find_partial_rows(
    first: Any,
    stop: Any,
    data: Any,
    groupdq: Any,
    threshold: Any,
    threshold_dq: Any,
    partial: Any,
    frames: Any,
    only_group: Any,
) -> None:
    """Turn the grown onset in `partial` into the group before it that is partly saturated.

    With `only_group` the onset is not needed: that group is tested in every pixel.
    """
    n_groups, n_x = data.shape[1], data.shape[3]
    for k in range(groupdq.shape[0]):
        for y in range(first, stop):
            for x in range(n_x):
                group = np.int64(partial[k, y, x]) - 1 if only_group == NO_GROUP else only_group
                partial[k, y, x] = NEVER
                if group < 0 or group >= n_groups - 1:
                    continue
                if is_checked(threshold[y, x], threshold_dq[y, x]):
                    limit = threshold[y, x]
                    ratio = (group * frames + (frames + 1) / 2) / ((group + 1) * frames)
                else:
                    limit = UNREACHABLE
                    ratio = 1.0
                flags = groupdq[k, group, y, x]
                next_flags = groupdq[k, group + 1, y, x]
                value = data[k, group, y, x]
                if is_partly_saturated(value, limit, flags, next_flags, ratio):
                    partial[k, y, x] = np.uint16(group)


@compiled
def flag_partial_rows(first: Any, stop: Any, groupdq: Any, partial: Any, grow: Any) -> None:
    """Flag the partly saturated group of each pixel, in the pixel and its neighbours."""
    n_y, n_x = groupdq.shape[2:]
    for k in range(groupdq.shape[0]):
        for y in range(first, stop):
            for near in range(max(y - grow, 0), min(y + grow + 1, n_y)):
                for centre in range(n_x):
                    group = partial[k, near, centre]
                    if group != NEVER:
                        for x in range(max(centre - grow, 0), min(centre + grow + 1, n_x)):
                            groupdq[k, group, y, x] |= np.uint8(DO_NOT_USE)


@compiled
def hides_saturation(value_1: Any, value_2: Any, threshold: Any, bias: Any, frames: Any) -> Any:
    """Tell whether the second group, before a saturated third one, may hide a saturated frame.

    Double and single precision are as in release 3.0, so that ties fall the same way.
    """
    foretold = np.float64(value_1 - bias) / ((frames + 1) / 2) * (3 * frames) + np.float64(bias)
    step = value_2 - value_1
    room = (threshold - value_1) / np.float32(frames)
    return foretold < np.float64(threshold) and step > room


@compiled
def check_second_group_rows(
    first: Any,
    stop: Any,
    data: Any,
    groupdq: Any,
    threshold: Any,
    threshold_dq: Any,
    bias: Any,
    frames: Any,
) -> None:
    """Flag second groups that hide a saturated frame."""
    n_x = data.shape[3]
    limit = np.empty(n_x, np.float32)
    for y in range(first, stop):
        fill_thresholds(limit, threshold, threshold_dq, y)
        for i in range(data.shape[0]):
            for x in range(n_x):
                if groupdq[i, 2, y, x] & SATURATED and not groupdq[i, 1, y, x] & SATURATED:
                    pedestal = bias[y, x] if bias.size > 0 else np.float32(0.0)
                    value_1, value_2 = data[i, 0, y, x], data[i, 1, y, x]
                    if hides_saturation(value_1, value_2, limit[x], pedestal, frames):
                        groupdq[i, 1, y, x] |= np.uint8(DO_NOT_USE)


def _flag_block(
    data: Any,
    groupdq: Any,
    reference: tuple[Any, Any],
    seen: Any,
    planes: tuple[Any, Any],
    grow: int,
) -> bool:
    """Flag some integrations; tell whether any was SATURATED already when it came.

    `planes` are scratch: the onset, and the grown onset (of size zero if it is not needed).
    """
    n_groups, n_y = data.shape[1:3]
    onset, grown_onset = planes
    flagged_before = np.empty(n_y, np.uint8)
    over_rows(find_onset_rows, n_y, data, groupdq, *reference, onset, seen, flagged_before)
    had_flags = bool(flagged_before.any())
    if had_flags:
        taken, nowhere = np.empty_like(onset), np.empty((0, 0, 0), np.uint16)
        for group in range(n_groups):
            over_rows(take_flagged_rows, n_y, groupdq, taken, group)
            window = (grow, group, group + 1)
            over_rows(flag_onset_rows, n_y, groupdq, taken, nowhere, seen, *window)
    window = (grow, 0, n_groups)
    over_rows(flag_onset_rows, n_y, groupdq, onset, grown_onset, seen, *window)
    return had_flags


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
    n_ints, n_groups, n_y, n_x = data.shape
    reference = (threshold, threshold_dq)
    is_averaged = frames_averaged > 1
    at_a_time = min(max(1, PIXELS_AT_A_TIME // (n_y * n_x)), n_ints)
    onset_plane = np.empty((at_a_time, n_y, n_x), np.uint16)
    partial_plane = np.empty((at_a_time if is_averaged else 0, n_y, n_x), np.uint16)
    seen = np.zeros((n_y, n_x), np.uint8)
    for begin in range(0, n_ints, at_a_time):
        samples, flags = data[begin : begin + at_a_time], groupdq[begin : begin + at_a_time]
        onset, partial = onset_plane[: len(samples)], partial_plane[: len(samples)]
        had_flags = _flag_block(samples, flags, reference, seen, (onset, partial), grow)
        if not is_averaged:
            continue
        # Flags that were there before need not go on to the last group: then a pixel may have
        # several partly saturated groups, and they are taken one by one.
        for group in range(n_groups - 1) if had_flags else (NO_GROUP,):
            rule = (frames_averaged, group)
            over_rows(find_partial_rows, n_y, samples, flags, *reference, partial, *rule)
            over_rows(flag_partial_rows, n_y, flags, partial, grow)
    if frames_averaged > 0 and n_groups > 2:
        if bias is None:
            bias = np.empty((0, 0), np.float32)
        over_rows(check_second_group_rows, n_y, data, groupdq, *reference, bias, frames_averaged)
    return int(np.count_nonzero(seen & SATURATED)), int(np.count_nonzero(seen & AD_FLOOR))


def clear_saturated_zeroframe(zeroframe: Any, threshold: Any, threshold_dq: Any, grow: int) -> None:
    """Clear frame zero; see :func:`jwgpu.kernels.saturation.clear_saturated_zeroframe`."""
    n_ints, n_y, n_x = zeroframe.shape
    seen = np.zeros((n_y, n_x), np.uint8)
    planes = (np.empty((1, n_y, n_x), np.uint16), np.empty((0, 0, 0), np.uint16))
    for i in range(n_ints):  # as a ramp of one group, whose flags are needed only here
        frame = zeroframe[i : i + 1, None]
        flags = np.zeros(frame.shape, np.uint8)
        _flag_block(frame, flags, (threshold, threshold_dq), seen, planes, grow)
        frame[flags != 0] = 0.0
