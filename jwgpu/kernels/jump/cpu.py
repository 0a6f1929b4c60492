"""Finding jumps: compiled loops over rows.

Two passes over the rows. The first finds the jumps of each pixel and notes, one bit a difference,
those whose neighbours are to be flagged; the second flags the neighbours and the groups after
large jumps. So rows may be shared out to threads in any way.

Samples and differences are float32, medians, noise and ratios float64, and the distance from the
median is rounded to float32 in the iterative method, as is the median itself from the second
iteration on: this is what the official package computes, and it decides ties and close calls.
"""

from __future__ import annotations

import logging
import math
from typing import Any, Final, NamedTuple

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows
from jwgpu.kernels.jump import JumpCount, JumpSettings
from jwgpu.kernels.jump.one_ramp_cpu import (
    ITERATIVE,
    MARK_ONLY,
    SIGMA_CLIP_ALL,
    SIGMA_CLIP_INTS,
    SINGLE_PASS,
    Limits,
    deviation,
    find_jumps_in_one_ramp,
    median,
    pack_usable,
)
from jwgpu.models.flags import DO_NOT_USE, JUMP_DET, SATURATED

log = logging.getLogger(__name__)

_UNUSABLE: Final = np.uint8(DO_NOT_USE | SATURATED)
_JUMP: Final = np.uint8(JUMP_DET)
_NAN: Final = np.float32(np.nan)
_INF: Final = np.float32(np.inf)

#: Differences in a block of pixels: they stay in the processor's second-level cache.
_BLOCK: Final = 32768
#: Least pixels in a block: a cache line of samples.
_LEAST_WIDTH: Final = 16
#: Allowance for rounding in the quick test, far larger than that of any order of float32 sums.
_CAREFUL: Final = np.float32(1.0 - 1e-5)


class AfterJump(NamedTuple):
    """Sizes, in electrons, of jumps after which so many groups are flagged."""

    electrons_1: float
    groups_1: int
    electrons_2: float
    groups_2: int


@compiled
def take_differences(
    data: Any, groupdq: Any, gain: Any, previous: Any, differences: Any, is_flagged: Any
) -> int:
    """Take the differences of a block of pixels in one row, in electrons.

    Parameters
    ----------
    data, groupdq : array, (ints, groups, width)
    gain : array, (width,) float32
    previous : array, (width,) float32
        Overwritten.
    differences : array, (ints * (groups - 1), width) float32
        Result; NaN where a sample is unusable.
    is_flagged : array, (width,) uint8
        Result: not 0 where a sample of the pixel is JUMP_DET already.

    Returns
    -------
    int
        How many samples are JUMP_DET already.
    """
    n_ints, n_groups, width = data.shape
    n_flagged = 0
    is_flagged[:width] = np.uint8(0)
    for integration in range(n_ints):
        for group in range(n_groups):
            samples, flags = data[integration, group], groupdq[integration, group]
            k = integration * (n_groups - 1) + max(group, 1) - 1
            for x in range(width):
                sample = samples[x] * gain[x]
                if flags[x] & _UNUSABLE:
                    sample = _NAN
                differences[k, x] = sample - previous[x]
                previous[x] = sample
            for x in range(width):
                is_flagged[x] |= flags[x] & _JUMP
            for x in range(width):
                n_flagged += (flags[x] & _JUMP) != 0
    return n_flagged


@compiled
def find_candidates(
    differences: Any, read_variance: Any, threshold: float, is_absolute: bool, work: Any
) -> None:
    """Leave, in ``work[0]``, a positive number for pixels that may have a jump.

    No difference is farther from any median than the spread of all of them, and no noise is less
    than that of the smallest: most pixels need no sorting at all.
    """
    low, high = work[0], work[1]
    least = work[2]
    width = read_variance.size
    for x in range(width):
        low[x] = _INF
        high[x] = -_INF
        least[x] = _INF
    for k in range(differences.shape[0]):
        row = differences[k]
        for x in range(width):
            size = abs(row[x])
            value = size if is_absolute else row[x]
            low[x] = value if value < low[x] else low[x]
            high[x] = value if value > high[x] else high[x]
            least[x] = size if size < least[x] else least[x]
    limit = np.float32(threshold) * _CAREFUL
    for x in range(width):
        smallest = least[x]
        if low[x] < np.float32(0.0) and high[x] > np.float32(0.0):
            smallest = np.float32(0.0)
        noise = np.float32(math.sqrt(smallest + np.float32(read_variance[x])))
        low[x] = np.float32(1.0) if high[x] - low[x] > limit * noise else np.float32(0.0)


@compiled
def mark_one_ramp(
    differences: Any, work: Any, read_variance: float, limits: Limits, groupdq: Any, marks: Any
) -> None:
    """Note the jumps of one pixel whose neighbours are to be flagged.

    Parameters
    ----------
    differences, work, read_variance
        As for `find_jumps_in_one_ramp`.
    limits : Limits
    groupdq : array, (ints, groups) uint8
    marks : array, (ints, ceil((groups - 1) / 8)) uint8
        Result: a bit for each difference, the lowest for the first.
    """
    n_ints, n_groups = groupdq.shape
    center = median(work, pack_usable(differences, work))
    sigma = deviation(center, read_variance)
    for integration in range(n_ints):
        for k in range(n_groups - 1):
            if groupdq[integration, k + 1] & _JUMP:
                difference = differences[integration * (n_groups - 1) + k]
                ratio = abs(np.float64(difference) - center) / sigma
                if ratio < limits.neighbors_below and ratio > limits.neighbors_above:
                    marks[integration, k // 8] |= np.uint8(1 << (k % 8))


@compiled
def find_jumps_in_block(
    data: Any,
    groupdq: Any,
    gain: Any,
    readnoise: Any,
    limits: Limits,
    marks: Any,
    scratch: Any,
) -> int:
    """Find the jumps of a block of pixels in one row; return how many samples are JUMP_DET."""
    n_ints, n_groups, width = data.shape
    differences, rows, is_flagged, read_variance, ramp, work, is_jump = scratch
    n_jumps = take_differences(data, groupdq, gain, rows[0], differences, is_flagged)
    for x in range(width):
        noise = readnoise[x] * gain[x]
        read_variance[x] = np.float64(noise * noise) / limits.frames_averaged
    is_modelled = limits.method == ITERATIVE or limits.method == SINGLE_PASS
    if is_modelled:
        threshold = limits.rejection
        if limits.method == ITERATIVE:
            threshold = min(threshold, limits.two_differences, limits.three_differences)
        find_candidates(
            differences, read_variance[:width], threshold, limits.method == ITERATIVE, rows
        )
    for x in range(width):
        is_searched = not is_modelled or rows[0, x] != np.float32(0.0)
        is_searched = is_searched and limits.method != MARK_ONLY
        if not (is_searched or (is_flagged[x] and limits.flag_neighbors)):
            continue
        ramp[:] = differences[:, x]
        if is_searched and find_jumps_in_one_ramp(
            ramp, work, read_variance[x], limits, n_ints, is_jump
        ):
            is_flagged[x] = _JUMP
            for k in range(ramp.size):
                if is_jump[k]:
                    integration, group = k // (n_groups - 1), k % (n_groups - 1) + 1
                    n_jumps += (groupdq[integration, group, x] & _JUMP) == 0
                    groupdq[integration, group, x] |= _JUMP
        if is_flagged[x] and limits.flag_neighbors:
            mark_one_ramp(ramp, work, read_variance[x], limits, groupdq[:, :, x], marks[:, :, x])
    return n_jumps


@compiled
def find_jumps_in_rows(
    first: int,
    stop: int,
    data: Any,
    groupdq: Any,
    gain: Any,
    readnoise: Any,
    limits: Limits,
    marks: Any,
    n_jumps: Any,
) -> None:
    """Find the jumps of rows ``first`` to ``stop - 1``, a block of pixels at a time."""
    n_ints, n_groups, _, n_columns = data.shape
    n = n_ints * (n_groups - 1)
    width = min(max(_BLOCK // n, _LEAST_WIDTH), n_columns)
    scratch = (
        np.empty((n, width), np.float32),
        np.empty((3, width), np.float32),
        np.empty(width, np.uint8),
        np.empty(width, np.float64),
        np.empty(n, np.float32),
        np.empty(n, np.float32),
        np.empty(n, np.bool_),
    )
    for y in range(first, stop):
        n_jumps[y] = 0
        for left in range(0, n_columns, width):
            right = min(left + width, n_columns)
            n_jumps[y] += find_jumps_in_block(
                data[:, :, y, left:right],
                groupdq[:, :, y, left:right],
                gain[y, left:right],
                readnoise[y, left:right],
                limits,
                marks[y, :, :, left:right],
                scratch,
            )


@compiled
def flag_after_jumps(
    data: Any, groupdq: Any, gain: float, after: AfterJump, ramp: Any, work: Any
) -> None:
    """Flag the groups of one pixel that follow a large jump; ``data`` is (ints, groups)."""
    n_ints, n_groups = data.shape
    for integration in range(n_ints):
        previous = _NAN
        for group in range(n_groups):
            sample = data[integration, group] * gain
            if groupdq[integration, group] & _UNUSABLE:
                sample = _NAN
            if group:
                ramp[integration * (n_groups - 1) + group - 1] = sample - previous
            previous = sample
    center = median(work, pack_usable(ramp, work))
    for integration in range(n_ints):
        last = 0
        for group in range(1, n_groups):
            if groupdq[integration, group] & _JUMP:
                k = integration * (n_groups - 1) + group - 1
                size = np.float64(ramp[k]) - center
                if size >= after.electrons_1:
                    last = max(last, group + after.groups_1)
                if size >= after.electrons_2:
                    last = max(last, group + after.groups_2)
            if group <= last and not groupdq[integration, group] & _UNUSABLE:
                groupdq[integration, group] |= _JUMP


@compiled
def flag_neighbors(marks: Any, y: int, groupdq: Any) -> None:
    """Flag, in one row (ints, groups, x), what is beside a noted jump or the jump itself."""
    n_rows, n_ints, n_words, n_columns = marks.shape
    for integration in range(n_ints):
        for word in range(n_words):
            row = marks[y, integration, word]
            above = marks[min(y + 1, n_rows - 1), integration, word]
            below = marks[max(y - 1, 0), integration, word]
            for x in range(n_columns):
                bits = row[x] | above[x] | below[x]
                bits |= row[max(x - 1, 0)] | row[min(x + 1, n_columns - 1)]
                group = word * 8 + 1
                while bits:
                    if bits & 1 and not groupdq[integration, group, x] & _UNUSABLE:
                        groupdq[integration, group, x] |= _JUMP
                    bits >>= 1
                    group += 1


@compiled
def spread_jumps_in_rows(
    first: int,
    stop: int,
    data: Any,
    groupdq: Any,
    gain: Any,
    marks: Any,
    after: AfterJump,
) -> None:
    """Flag neighbours and following groups, and take JUMP_DET off unusable samples."""
    n_ints, n_groups, _, n_columns = groupdq.shape
    ramp = np.empty(n_ints * (n_groups - 1), np.float32)
    work = np.empty(ramp.size, np.float32)
    seen = np.empty(n_columns, np.uint8)
    for y in range(first, stop):
        if marks.size:
            flag_neighbors(marks, y, groupdq[:, :, y])
        seen[:] = np.uint8(0)
        for integration in range(n_ints):
            for group in range(n_groups):
                flags = groupdq[integration, group, y]
                for x in range(n_columns):
                    if flags[x] & _UNUSABLE:
                        flags[x] &= ~_JUMP
                    seen[x] |= flags[x] & _JUMP
        if after.groups_1 <= 0 and after.groups_2 <= 0:
            continue
        for x in range(n_columns):
            if seen[x]:
                flag_after_jumps(
                    data[:, :, y, x], groupdq[:, :, y, x], gain[y, x], after, ramp, work
                )


@compiled
def check_planes(first: int, stop: int, groupdq: Any, flags: int, is_full: Any) -> None:
    """Say of planes ``first`` to ``stop - 1`` whether every pixel has one of ``flags``."""
    for plane in range(first, stop):
        is_full[plane] = True
        for sample in groupdq[plane].flat:
            if not sample & flags:
                is_full[plane] = False
                break


def find_full_groups(groupdq: Any, flags: int) -> Any:
    """Return, (ints, groups) bool, the groups of which every pixel has one of ``flags``."""
    n_ints, n_groups, n_rows, n_columns = groupdq.shape
    is_full = np.empty(n_ints * n_groups, np.bool_)
    planes = groupdq.reshape(n_ints * n_groups, n_rows, n_columns)
    over_rows(check_planes, is_full.size, planes, int(flags), is_full)
    return is_full.reshape(n_ints, n_groups)


def choose_method(is_unusable: Any, settings: JumpSettings) -> int | None:
    """Return the method for these unusable groups, (ints, groups) bool; None if too few are left."""
    n_ints, n_groups = is_unusable.shape
    n_usable = is_unusable.size - int(is_unusable.sum())
    least_usable = n_groups - int(is_unusable.sum(axis=1).max())
    if settings.only_use_ints and n_ints >= settings.minimum_sigclip_groups:
        return SIGMA_CLIP_INTS
    if not settings.only_use_ints and n_usable >= settings.minimum_sigclip_groups:
        return SIGMA_CLIP_ALL
    if least_usable < settings.minimum_groups:
        return None
    return SINGLE_PASS if least_usable - 1 >= settings.min_diffs_single_pass else ITERATIVE


def find_jumps(
    data: Any, groupdq: Any, gain: Any, readnoise: Any, settings: JumpSettings
) -> JumpCount:
    """See the package."""
    n_ints, n_groups, n_rows, n_columns = data.shape
    is_unusable = find_full_groups(groupdq, DO_NOT_USE)
    method = choose_method(is_unusable, settings)
    n_words = (n_groups + 6) // 8 if settings.flag_4_neighbors and method is not None else 0
    marks = np.zeros((n_rows, n_ints, n_words, n_columns), np.uint8)
    after = AfterJump(0.0, 0, 0.0, 0)
    n_found = None
    if method is not None:
        electrons, groups = settings.after_jump_electrons, settings.after_jump_groups
        after = AfterJump(float(electrons[0]), int(groups[0]), float(electrons[1]), int(groups[1]))
        limits = Limits(
            method=method,
            frames_averaged=float(settings.frames_averaged),
            rejection=float(settings.rejection_threshold),
            three_differences=float(settings.four_group_threshold),
            two_differences=float(settings.three_group_threshold),
            flag_neighbors=bool(settings.flag_4_neighbors),
            neighbors_above=float(settings.min_jump_to_flag_neighbors),
            neighbors_below=float(settings.max_jump_to_flag_neighbors),
        )
        n_jumps = np.empty(n_rows, np.int64)
        arrays = (data, groupdq, gain, readnoise)
        if method in (SIGMA_CLIP_INTS, SIGMA_CLIP_ALL):
            clip = limits._replace(flag_neighbors=False)
            over_rows(find_jumps_in_rows, n_rows, *arrays, clip, marks, n_jumps)
            clear_full_groups(groupdq)
            limits = limits._replace(method=MARK_ONLY)
        over_rows(find_jumps_in_rows, n_rows, *arrays, limits, marks, n_jumps)
        n_found = int(n_jumps.sum())
    over_rows(spread_jumps_in_rows, n_rows, data, groupdq, gain, marks, after)
    return JumpCount(jumps=n_found, unusable_groups=int(is_unusable.sum()))


def clear_full_groups(groupdq: Any) -> None:
    """Take JUMP_DET, if alone, off groups in which each sample is JUMP_DET or DO_NOT_USE."""
    full = find_full_groups(groupdq, JUMP_DET | DO_NOT_USE)
    for integration, group in zip(*np.nonzero(full), strict=True):
        flags = groupdq[integration, group]
        flags[flags == JUMP_DET] = 0
