"""Ramp fitting on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.backends.cpu import release_rows
from jwgpu.kernels.compiled import compiled, over_rows
from jwgpu.kernels.ramp_fit import Fit, Segments, Timing
from jwgpu.kernels.ramp_fit.block_cpu import Block, Exposure, gather, make_block
from jwgpu.kernels.ramp_fit.flags_cpu import prepare_block
from jwgpu.kernels.ramp_fit.lost_charge_cpu import count_lost_charge
from jwgpu.kernels.ramp_fit.one_ramp_cpu import combine, fit_one_ramp
from jwgpu.kernels.ramp_fit.parts_cpu import part
from jwgpu.kernels.ramp_fit.results import empty_fit, no_segments_yet
from jwgpu.kernels.ramp_fit.segment_cpu import Pixel
from jwgpu.kernels.ramp_fit.setup import Setup, setup_of
from jwgpu.kernels.ramp_fit.weights import Weights, optimal_weights
from jwgpu.models.flags import CHARGELOSS, DO_NOT_USE, JUMP_DET, PERSISTENCE, SATURATED


@part
def fit_block(
    y: int,
    left: int,
    width: int,
    setup: Setup,
    levers: Any,
    block: Block,
    sums: Any,
    rateints: Fit,
) -> None:
    """Fit all ramps of a block, and write the rates of the integrations.

    Parameters
    ----------
    y, left : int
        Row and first column of the block.
    sums : array, (6, x) float64
        Filled in: slopes, by_noise and by_photons as in `fit_integration`; integrations that are
        not usable, that are saturated from the start, that have a saturated group.
    """
    samples, flags, _, pixels, pixeldq, stock, _, _, _, median, bounds = block
    data, dq, err, var_poisson, var_rnoise = rateints
    for k in range(6):
        for x in range(width):
            sums[k, x] = 0.0
    for i in range(samples.shape[0]):
        for x in range(width):
            column = left + x
            pixel = Pixel(pixels[0, x], pixels[1, x], pixels[2, x])
            fit = fit_one_ramp(
                samples,
                flags,
                bounds,
                i,
                x,
                (stock[0, i, x], stock[1, i, x], stock[2, i, x], stock[3, i, x]),
                median[x],
                pixel,
                pixeldq[x] | stock[0, i, x] & (JUMP_DET | PERSISTENCE),
                setup,
                levers,
            )
            found = fit[1]
            sums[0, x] += fit[5]
            sums[1, x] += fit[6]
            sums[2, x] += fit[7]
            sums[3, x] += (found & DO_NOT_USE) != 0
            sums[4, x] += (found & SATURATED) != 0
            # A ramp that saturates on the way has a rate nevertheless.
            if stock[1, i, x] > 0:
                found |= SATURATED
                sums[5, x] += 1
            data[i, y, column] = fit[0]
            dq[i, y, column] = found
            err[i, y, column] = fit[2]
            var_poisson[i, y, column] = fit[3]
            var_rnoise[i, y, column] = fit[4]


@part
def combine_block(y: int, left: int, width: int, block: Block, sums: Any, rate: Fit) -> None:
    """Combine the integrations of all pixels of a block; see `fit_block` for the parameters."""
    stock = block.stock
    pixeldq = block.pixeldq
    ints = stock.shape[1]
    for x in range(width):
        seen = 0
        for i in range(ints):
            seen |= stock[0, i, x]
        found = combine(
            pixeldq[x] | seen & (JUMP_DET | PERSISTENCE),
            sums[3, x] == ints,
            sums[4, x] == ints,
            sums[0, x],
            sums[1, x],
            sums[2, x],
        )
        rate.data[y, left + x] = found[0]
        rate.dq[y, left + x] = found[1] | (SATURATED if sums[5, x] > 0 else 0)
        rate.err[y, left + x] = found[2]
        rate.var_poisson[y, left + x] = found[3]
        rate.var_rnoise[y, left + x] = found[4]


@compiled
def fit_rows(
    first: int,
    stop: int,
    groups: int,
    exposure: Exposure,
    setup: Setup,
    levers: Any,
    rate: Fit,
    rateints: Fit,
) -> None:
    """Fit the ramps of some rows."""
    ints, _, _, columns = exposure.data.shape
    block = make_block(ints, groups)
    stock = block.stock
    step = stock.shape[2]
    sums = np.empty((6, step), np.float64)
    for y in range(first, stop):
        for left in range(0, columns, step):
            width = min(step, columns - left)
            gather(y, left, width, exposure, setup, block)
            prepare_block(width, setup, block)
            fit_block(y, left, width, setup, levers, block, sums, rateints)
            combine_block(y, left, width, block, sums, rate)
            for x in range(width):
                seen = 0
                for i in range(ints):
                    seen |= stock[0, i, x]
                if seen & CHARGELOSS:
                    count_lost_charge(
                        y,
                        left,
                        x,
                        exposure.groupdq,
                        setup,
                        block,
                        rate.var_rnoise,
                        rateints.var_rnoise,
                    )


def fit_ramps(
    data: Any,
    groupdq: Any,
    pixeldq: Any,
    gain: Any,
    readnoise: Any,
    timing: Timing,
    *,
    groups: tuple[int, int],
    zeroframe: Any,
    average_dark_current: Any,
    suppress_one_group: bool,
    save_segments: bool,
    is_last_use: bool,
) -> tuple[Fit, Fit, Segments | None]:
    """See `jwgpu.kernels.ramp_fit.fit_ramps`."""
    ints, _, rows, columns = data.shape
    n_groups = int(groups[1] - groups[0])
    exposure = Exposure(
        data,
        groupdq,
        pixeldq,
        gain,
        readnoise,
        np.empty((0, 0, 0), np.float32) if zeroframe is None else zeroframe,
        np.empty((0, 0), np.float32) if average_dark_current is None else average_dark_current,
    )
    setup = setup_of(
        timing,
        groups[0],
        suppress_one_group=suppress_one_group,
        has_zeroframe=zeroframe is not None,
        has_dark=average_dark_current is not None,
    )
    weights = optimal_weights(n_groups)
    rate, rateints = empty_fit(np, (rows, columns)), empty_fit(np, (ints, rows, columns))
    fit = _fit_and_release if is_last_use and not save_segments else fit_rows
    over_rows(fit, rows, n_groups, exposure, setup, weights.levers, rate, rateints)
    if not save_segments:
        return rate, rateints, None
    return rate, rateints, _save(n_groups, exposure, setup, weights, rateints.data)


def _fit_and_release(first: int, stop: int, groups: int, exposure: Exposure, *rest: Any) -> None:
    fit_rows(first, stop, groups, exposure, *rest)
    release_rows(exposure.data, first, stop)
    release_rows(exposure.groupdq, first, stop)


def _save(
    n_groups: int, exposure: Exposure, setup: Setup, weights: Weights, rates: Any
) -> Segments:
    """Return the segments of all ramps, given the rates (ints, y, x) of the integrations."""
    from jwgpu.kernels.ramp_fit.save_cpu import count_rows, save_rows

    rows = rates.shape[1]
    most = np.zeros((rows, 2), np.int64)
    over_rows(count_rows, rows, n_groups, exposure, setup, most)
    segments = no_segments_yet(np, rates.shape, int(most[:, 0].max()), int(most[:, 1].max()))
    over_rows(save_rows, rows, n_groups, exposure, setup, weights, rates, segments)
    return segments
