"""Likelihood fit on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows
from jwgpu.kernels.likelihood_fit import Fit
from jwgpu.kernels.likelihood_fit.block_cpu import (
    ALL_UNUSABLE,
    HAS_DROPS,
    Block,
    Exposure,
    make_block,
)
from jwgpu.kernels.likelihood_fit.combine_cpu import combine_one_pixel
from jwgpu.kernels.likelihood_fit.fit_cpu import fit_ramps_of_block, variances
from jwgpu.kernels.likelihood_fit.jumps_cpu import mask_jumps
from jwgpu.kernels.likelihood_fit.readout import Readout
from jwgpu.kernels.ramp_fit.median_cpu import sort_columns
from jwgpu.models.flags import DO_NOT_USE, JUMP_DET, SATURATED

_UNUSABLE = DO_NOT_USE | SATURATED
_READS_OF_FRAME_DIFFERENCE = np.sqrt(2)


@compiled
def gather(
    i: int, y: int, left: int, width: int, exposure: Exposure, readout: Readout, block: Block
) -> None:
    """Take the differences of the groups of one integration in `width` columns of a row."""
    data, groupdq, zeroframe = exposure.data, exposure.groupdq, exposure.zeroframe
    difference, used, seen = block.ramps.difference, block.ramps.used, block.seen
    # The zero frame is a group before the first, with the flags of that.
    extra = 1 if readout.frames > 0.0 else 0
    n_groups = data.shape[1]
    for x in range(width):
        seen[x] = ALL_UNUSABLE
    for g in range(n_groups):
        for x in range(width):
            flags = np.int64(groupdq[i, g, y, left + x])
            is_unusable = ALL_UNUSABLE if flags & _UNUSABLE else 0
            seen[x] = (seen[x] | flags) & (~ALL_UNUSABLE | is_unusable)
    for g in range(n_groups - 1):
        k = g + extra
        time = readout.time[k]
        for x in range(width):
            # Samples are float32 and so is their difference, as in the official package.
            step = data[i, g + 1, y, left + x] - data[i, g, y, left + x]
            difference[k, x] = np.float64(step) / time
            flags = groupdq[i, g, y, left + x] | groupdq[i, g + 1, y, left + x]
            used[k, x] = 1.0 if flags == 0 else 0.0
    if extra == 0:
        return
    n_frames = np.float32(readout.frames)
    one = np.float32(1.0)
    for x in range(width):
        zero = zeroframe[i, y, left + x]
        others = (data[i, 0, y, left + x] * n_frames - zero) / (n_frames - one)
        difference[0, x] = np.float64(others - zero) / readout.time[0]
        difference[1, x] = np.float64(data[i, 1, y, left + x] - others) / readout.time[1]
        used[0, x] = 1.0 if groupdq[i, 0, y, left + x] == 0 else 0.0


@compiled
def guess_rates(
    y: int, left: int, width: int, exposure: Exposure, block: Block
) -> None:
    """Estimate the noise: that of photons from the median of all differences, used or not."""
    difference, photon, read = block.ramps.difference, block.ramps.photon, block.ramps.read
    steps, unknown = block.steps, block.work.joint
    n = difference.shape[0]
    for x in range(width):
        unknown[x] = 0.0
    for k in range(n):
        for x in range(width):
            value = difference[k, x]
            steps[k, x] = value
            unknown[x] += 1.0 if value != value else 0.0
    sort_columns(steps, n, width)
    half = n // 2
    for x in range(width):
        middle = steps[half, x]
        if n & 1 == 0:
            middle = (steps[half - 1, x] + middle) / 2.0
        if unknown[x] > 0.0:
            middle = np.nan
        guess = middle * (1.0 if middle > 0.0 else 0.0)
        noise = np.float64(exposure.readnoise[y, left + x]) / _READS_OF_FRAME_DIFFERENCE
        photon[x] = guess / np.float64(exposure.gain[y, left + x])
        read[x] = noise * noise
        dark = 0.0
        if exposure.dark.size > 0:
            dark = np.float64(exposure.dark[y, left + x])
        block.dark[x] = dark


@compiled
def flag_jumps(
    i: int, y: int, left: int, width: int, groupdq: Any, readout: Readout, block: Block
) -> None:
    """Flag the sample after each difference that was dropped."""
    used, seen = block.ramps.used, block.seen
    extra = 1 if readout.frames > 0.0 else 0
    for x in range(width):
        if not seen[x] & HAS_DROPS:
            continue
        # From the end, so that flags set here do not make a difference look unusable.
        for k in range(used.shape[0] - 1, -1, -1):
            after = k + 1 - extra
            before = after - 1 if after > 0 else 0
            flags = groupdq[i, before, y, left + x] | groupdq[i, after, y, left + x]
            if used[k, x] == 0.0 and flags == 0:
                groupdq[i, after, y, left + x] |= np.uint8(JUMP_DET)
                seen[x] |= JUMP_DET


@compiled
def write_rates(
    i: int,
    y: int,
    left: int,
    width: int,
    exposure: Exposure,
    readout: Readout,
    block: Block,
    rateints: Fit,
) -> None:
    """Write the rates of one integration."""
    ramps, work = block.ramps, block.work
    for x in range(width):
        column = left + x
        rate, err, by_photons, by_read = variances(x, ramps, readout, work)
        dq = np.int64(exposure.pixeldq[y, column]) | block.seen[x] & (SATURATED | JUMP_DET)
        if block.seen[x] & ALL_UNUSABLE:
            dq |= DO_NOT_USE
        rateints.data[i, y, column] = rate
        rateints.dq[i, y, column] = dq
        rateints.err[i, y, column] = err
        rateints.var_poisson[i, y, column] = by_photons
        rateints.var_rnoise[i, y, column] = by_read


@compiled
def fit_rows(
    first: int,
    stop: int,
    exposure: Exposure,
    readout: Readout,
    thresholds: tuple[float, float],
    rate: Fit,
    rateints: Fit,
    chi_square: Any,
) -> None:
    """Fit the ramps of some rows."""
    ints, _, _, columns = exposure.data.shape
    block = make_block(readout.time.size)
    ramps, work = block.ramps, block.work
    step = block.dark.size
    scratch = np.empty((3, ints), np.float32)
    has_chi_square = chi_square.size > 0
    for y in range(first, stop):
        for left in range(0, columns, step):
            width = min(step, columns - left)
            for i in range(ints):
                gather(i, y, left, width, exposure, readout, block)
                guess_rates(y, left, width, exposure, block)
                mask_jumps(block, width, readout, thresholds)
                flag_jumps(i, y, left, width, exposure.groupdq, readout, block)
                for x in range(width):
                    found = ramps.rate[x]
                    guess = found * (1.0 if found > 0.0 else 0.0) + block.dark[x]
                    ramps.photon[x] = guess / np.float64(exposure.gain[y, left + x])
                fit_ramps_of_block(ramps, width, readout, work, has_chi_square)
                write_rates(i, y, left, width, exposure, readout, block, rateints)
                if has_chi_square:
                    for x in range(width):
                        # Summed in float32, as in the official package.
                        found = work.chi_square[x]
                        total = np.float32(0.0) if i == 0 else chi_square[y, left + x]
                        chi_square[y, left + x] = total + np.float32(found)
            for x in range(left, left + width):
                combine_one_pixel(y, x, rateints, rate, scratch)


def fit_ramps_by_likelihood(
    data: Any,
    groupdq: Any,
    pixeldq: Any,
    gain: Any,
    readnoise: Any,
    readout: Readout,
    *,
    zeroframe: Any,
    average_dark_current: Any,
    thresholds: tuple[float, float],
    save_chi_square: bool,
) -> tuple[Fit, Fit, Any]:
    """See `jwgpu.kernels.likelihood_fit.fit_ramps_by_likelihood`."""
    ints, _, rows, columns = data.shape
    exposure = Exposure(
        data,
        groupdq,
        pixeldq,
        gain,
        readnoise,
        np.empty((0, 0, 0), np.float32) if zeroframe is None else zeroframe,
        np.empty((0, 0), np.float32) if average_dark_current is None else average_dark_current,
    )
    rate = _empty_fit((rows, columns))
    rateints = _empty_fit((ints, rows, columns))
    chi_square = np.empty((rows, columns) if save_chi_square else (0, 0), np.float32)
    limits = float(thresholds[0]), float(thresholds[1])
    over_rows(fit_rows, rows, exposure, readout, limits, rate, rateints, chi_square)
    return rate, rateints, chi_square if save_chi_square else None


def _empty_fit(shape: tuple[int, ...]) -> Fit:
    data, err, var_poisson, var_rnoise = (np.empty(shape, np.float32) for _ in range(4))
    return Fit(data, np.empty(shape, np.uint32), err, var_poisson, var_rnoise)
