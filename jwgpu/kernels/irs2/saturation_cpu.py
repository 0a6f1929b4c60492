"""Saturation of interleaved images on the CPU: the onset planes of the saturation kernel."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows
from jwgpu.kernels.saturation.cpu import NEVER, grow_onset, hides_saturation
from jwgpu.models.flags import AD_FLOOR, DO_NOT_USE, SATURATED


@compiled
def find_onsets(
    first: int, stop: int, data: Any, groupdq: Any, threshold: Any, rows: Any, onset: Any,
    seen: Any,
) -> None:  # fmt: skip
    """Find when each pixel of an integration saturates, and flag the converter's floor."""
    for y in range(first, stop):
        for x in range(onset.shape[1]):
            onset[y, x] = NEVER
        for group in range(data.shape[0]):
            number = np.uint16(group)
            sample = data[group, rows[y]]
            flags = groupdq[group, rows[y]]
            at_floor = 0
            for x in range(onset.shape[1]):
                candidate = number if sample[x] >= threshold[y, x] else NEVER
                onset[y, x] = min(onset[y, x], candidate)
                at_floor |= sample[x] <= np.float32(0.0)
            if at_floor:
                for x in range(onset.shape[1]):
                    if sample[x] <= np.float32(0.0):
                        flags[x] |= np.uint8(AD_FLOOR | DO_NOT_USE)
                        seen[y, x] |= np.uint8(AD_FLOOR)


@compiled
def find_hidden(
    first: int, stop: int, data: Any, threshold: Any, bias: Any, rows: Any, hidden: Any,
    frames: int,
) -> None:  # fmt: skip
    """Mark (0, else `NEVER`) pixels whose second group hides a saturated frame."""
    for y in range(first, stop):
        for x in range(hidden.shape[1]):
            hidden[y, x] = NEVER
            if data[2, rows[y], x] >= threshold[y, x]:
                pedestal = bias[rows[y], x] if bias.size > 0 else np.float32(0.0)
                value_1, value_2 = data[0, rows[y], x], data[1, rows[y], x]
                if hides_saturation(value_1, value_2, threshold[y, x], pedestal, frames):
                    hidden[y, x] = np.uint16(0)


@compiled
def flag_grown(
    first: int, stop: int, groupdq: Any, onset: Any, rows: Any, seen: Any, grow: int,
    first_group: Any, stop_group: int,
) -> None:  # fmt: skip
    """Flag groups ``first_group:stop_group`` of a pixel from the earliest onset nearby on."""
    column = np.empty(onset.shape[1] + 2 * grow, np.uint16)
    grown = np.empty(onset.shape[1], np.uint16)
    for y in range(first, stop):
        earliest = grow_onset(onset, y, grow, column, grown)
        for group in range(max(np.int64(earliest), first_group), stop_group):
            flags = groupdq[group, rows[y]]
            for x in range(grown.size):
                if grown[x] <= np.uint16(group):
                    flags[x] |= np.uint8(SATURATED)
                    seen[y, x] |= np.uint8(SATURATED)


def flag_saturation(
    data: Any,
    groupdq: Any,
    threshold: Any,
    bias: Any,
    science_rows: Any,
    grow: int,
    frames_averaged: int,
) -> tuple[int, int]:
    """Contract in the package."""
    n_groups, n_y = data.shape[1], threshold.shape[0]
    seen = np.zeros(threshold.shape, np.uint8)
    onset = np.empty(threshold.shape, np.uint16)
    if bias is None:
        bias = np.empty((0, 0), np.float32)
    for samples, flags in zip(data, groupdq, strict=True):
        over_rows(find_onsets, n_y, samples, flags, threshold, science_rows, onset, seen)
        over_rows(flag_grown, n_y, flags, onset, science_rows, seen, grow, 0, n_groups)
        if frames_averaged > 0 and n_groups > 2:
            over_rows(
                find_hidden, n_y, samples, threshold, bias, science_rows, onset, frames_averaged
            )
            over_rows(flag_grown, n_y, flags, onset, science_rows, seen, grow, 1, 2)
    return int(np.count_nonzero(seen & SATURATED)), int(np.count_nonzero(seen & AD_FLOOR))
