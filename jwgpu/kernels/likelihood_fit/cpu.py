"""Likelihood fit on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows
from jwgpu.kernels.likelihood_fit.block_cpu import (
    ALL_UNUSABLE,
    CHI_SQUARE,
    DARK,
    DATA_ONES,
    DIFFERENCE,
    FITTED_RATE,
    GAIN,
    HAS_DROPS,
    JOINT,
    ONES_ONES,
    ORIGIN,
    PHOTON,
    RATE,
    READ,
    USED,
    Block,
    Numbers,
    make_block,
)
from jwgpu.kernels.likelihood_fit.combine_cpu import combine
from jwgpu.kernels.likelihood_fit.exposure import Exposure, Rates
from jwgpu.kernels.likelihood_fit.fit_cpu import (
    find_chi_square,
    find_variances,
    multiply_out,
    prepare_covariance,
    rescale_covariance,
    sum_heads,
    sum_tails,
)
from jwgpu.kernels.likelihood_fit.jumps_cpu import (
    drop_worst,
    find_largest_falls,
    invert_covariance,
    leave_out_one,
    leave_out_two,
    needs_pairs,
)
from jwgpu.kernels.likelihood_fit.readout import (
    TIME,
    Readout,
)
from jwgpu.kernels.ramp_fit.median_cpu import sort_columns
from jwgpu.kernels.ramp_fit.parts_cpu import (
    inlined,
    part,
)
from jwgpu.models.flags import DO_NOT_USE, JUMP_DET, SATURATED

_UNUSABLE = DO_NOT_USE | SATURATED
_READS_OF_FRAME_DIFFERENCE = np.sqrt(2)


@part
def gather(
    i: int, y: int, left: int, width: int, exposure: Exposure, readout: Readout, block: Block
) -> None:
    """Take the differences of the groups of one integration in `width` columns of a row."""
    data, groupdq, zeroframe = exposure.data, exposure.groupdq, exposure.zeroframe
    difference, used, seen = block.ramps.rows[DIFFERENCE], block.ramps.rows[USED], block.seen
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
        time = readout.factors[TIME, k]
        for x in range(width):
            # Samples are float32 and so is their difference, as in the official package.
            step = data[i, g + 1, y, left + x] - data[i, g, y, left + x]
            difference[k, x] = np.float64(step) / time
        for x in range(width):
            flags = groupdq[i, g, y, left + x] | groupdq[i, g + 1, y, left + x]
            used[k, x] = 1.0 if flags == 0 else 0.0
    if extra == 0:
        return
    n_frames = np.float32(readout.frames)
    one = np.float32(1.0)
    for x in range(width):
        zero = zeroframe[i, y, left + x]
        others = (data[i, 0, y, left + x] * n_frames - zero) / (n_frames - one)
        difference[0, x] = np.float64(others - zero) / readout.factors[TIME, 0]
        difference[1, x] = np.float64(data[i, 1, y, left + x] - others) / readout.factors[TIME, 1]
        used[0, x] = 1.0 if groupdq[i, 0, y, left + x] == 0 else 0.0


@part
def guess_rates(y: int, left: int, width: int, exposure: Exposure, block: Block) -> None:
    """Estimate the noise: that of photons from the median of all differences, used or not."""
    difference, lanes = block.ramps.rows[DIFFERENCE], block.ramps.lanes
    steps, unknown = block.steps, block.work.lanes[JOINT]
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
    photon, read, dark = lanes[PHOTON], lanes[READ], lanes[DARK]
    for x in range(width):
        middle = steps[half, x]
        if n & 1 == 0:
            middle = (steps[half - 1, x] + middle) / 2.0
        if unknown[x] > 0.0:
            middle = np.nan
        guess = middle * (1.0 if middle > 0.0 else 0.0)
        noise = np.float64(exposure.readnoise[y, left + x]) / _READS_OF_FRAME_DIFFERENCE
        lanes[GAIN, x] = np.float64(exposure.gain[y, left + x])
        photon[x] = guess / lanes[GAIN, x]
        read[x] = noise * noise
        dark[x] = 0.0
    if exposure.dark.size > 0:
        for x in range(width):
            dark[x] = np.float64(exposure.dark[y, left + x])


@part
def estimate_photons(ramps: Numbers, width: int) -> None:
    """Estimate the noise of photons from the rate that was found without the jumps."""
    rate, dark, gain, photon = (
        ramps.lanes[RATE],
        ramps.lanes[DARK],
        ramps.lanes[GAIN],
        ramps.lanes[PHOTON],
    )
    for x in range(width):
        found = rate[x]
        photon[x] = (found * (1.0 if found > 0.0 else 0.0) + dark[x]) / gain[x]


@part
def flag_jumps(
    i: int, y: int, left: int, width: int, groupdq: Any, readout: Readout, block: Block
) -> None:
    """Flag the sample after each difference that was dropped."""
    used, seen = block.ramps.rows[USED], block.seen
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


@part
def write_rates(
    i: int, y: int, left: int, width: int, pixeldq: Any, block: Block, rateints: Rates
) -> None:
    """Write the rates of one integration."""
    dq, seen, values, fitted = rateints.dq, block.seen, rateints.values, block.work.lanes
    for x in range(width):
        unusable = DO_NOT_USE if seen[x] & ALL_UNUSABLE else 0
        found = seen[x] & (SATURATED | JUMP_DET) | unusable
        dq[i, y, left + x] = pixeldq[y, left + x] | np.uint32(found)
    for kind in range(4):
        for x in range(width):
            values[kind, i, y, left + x] = fitted[FITTED_RATE + kind, x]


@inlined
def fit_block(
    width: int,
    readout: Readout,
    thresholds: tuple[float, float],
    has_chi_square: bool,
    block: Block,
) -> None:
    """Search the ramps of a block for jumps until none are found any more, then fit them.

    Every function is called from one place, because the compiler works through all that a function
    calls once more.
    """
    ramps, count, work = block.ramps, width, block.work
    n = ramps.rows.shape[1]
    for attempt in range(n + 1):
        is_last = attempt == n or count == 0
        if is_last:
            ramps, count = block.ramps, width
            estimate_photons(ramps, width)
        with_data = has_chi_square or not is_last
        prepare_covariance(ramps, count, readout, work)
        rescale_covariance(ramps, count, work)
        sum_heads(ramps, count, work, with_data)
        sum_tails(ramps, count, work, with_data)
        multiply_out(ramps, count, work)
        if with_data:
            find_chi_square(ramps, count, work)
        if is_last:
            break
        if attempt == 0:
            for x in range(width):
                found = work.lanes[DATA_ONES, x] * (1.0 / work.lanes[ONES_ONES, x])
                ramps.lanes[RATE, x] = found
                ramps.lanes[ORIGIN, x] = x
        invert_covariance(ramps, count, work)
        leave_out_one(ramps, count, work)
        with_pairs = needs_pairs(ramps, count, work, readout)
        if with_pairs:
            leave_out_two(ramps, count, work)
        find_largest_falls(ramps, count, work, readout, with_pairs)
        count = drop_worst(ramps, count, thresholds, block)
        ramps = block.again
    find_variances(ramps, width, readout, work)


@compiled
def fit_rows(
    first: int,
    stop: int,
    exposure: Exposure,
    readout: Readout,
    thresholds: tuple[float, float],
    rate: Rates,
    rateints: Rates,
    chi_square: Any,
) -> None:
    """Fit the ramps of some rows."""
    ints, _, _, columns = exposure.data.shape
    block = make_block(readout.factors.shape[1])
    step = block.seen.size
    scratch = np.empty((3, ints), np.float32)
    has_chi_square = chi_square.size > 0
    for y in range(first, stop):
        for left in range(0, columns, step):
            width = min(step, columns - left)
            for i in range(ints):
                gather(i, y, left, width, exposure, readout, block)
                guess_rates(y, left, width, exposure, block)
                fit_block(width, readout, thresholds, has_chi_square, block)
                flag_jumps(i, y, left, width, exposure.groupdq, readout, block)
                write_rates(i, y, left, width, exposure.pixeldq, block, rateints)
                if has_chi_square:
                    for x in range(width):
                        # Summed in float32, as in the official package.
                        found = np.float32(block.work.lanes[CHI_SQUARE, x])
                        total = np.float32(0.0) if i == 0 else chi_square[y, left + x]
                        chi_square[y, left + x] = total + found
            combine(y, left, left + width, rateints, rate, scratch)


def fit_ramps_by_likelihood(
    exposure: Exposure,
    readout: Readout,
    thresholds: tuple[float, float],
    rate: Rates,
    rateints: Rates,
    chi_square: Any,
) -> None:
    """Fill in the rates of an exposure, of its integrations, and chi-square unless it is None.

    See `jwgpu.kernels.likelihood_fit.fit_ramps_by_likelihood`.
    """
    absent = np.empty((0, 0), np.float32)
    given = exposure._replace(
        zeroframe=absent[None] if exposure.zeroframe is None else exposure.zeroframe,
        dark=absent if exposure.dark is None else exposure.dark,
    )
    found = absent if chi_square is None else chi_square
    rows = exposure.data.shape[2]
    over_rows(fit_rows, rows, given, readout, thresholds, rate, rateints, found)
