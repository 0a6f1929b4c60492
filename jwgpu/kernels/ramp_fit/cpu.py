"""Ramp fitting on the CPU."""

from __future__ import annotations

from math import nan, sqrt
from typing import Any

import numpy as np

from jwgpu.backends.cpu import release_rows
from jwgpu.kernels.compiled import compiled, over_rows
from jwgpu.kernels.ramp_fit import Fit, Segments, Timing
from jwgpu.kernels.ramp_fit.block_cpu import Block, Exposure, gather, make_block
from jwgpu.kernels.ramp_fit.flags_cpu import find_segments, prepare_block
from jwgpu.kernels.ramp_fit.parts_cpu import inlined, part
from jwgpu.kernels.ramp_fit.segment_cpu import (
    NO_VARIANCE,
    Pixel,
    Setup,
    fit_segment,
    limited,
    read_variance,
    segment_time,
)
from jwgpu.kernels.ramp_fit.weights import optimal_weights
from jwgpu.models.flags import CHARGELOSS, DO_NOT_USE, JUMP_DET, PERSISTENCE, SATURATED

_UNUSABLE = DO_NOT_USE | SATURATED


@inlined
def fit_integration(
    samples: Any,
    i: int,
    x: int,
    bounds: Any,
    count: int,
    kind: int,
    median: float,
    pixel: Pixel,
    setup: Setup,
    levers: Any,
) -> tuple[float, float, float, float]:
    """Sum over the segments of one ramp; see `fit_segment` for the parameters.

    Returns
    -------
    slope over, and reciprocal of, variance by read noise; reciprocal of that by photons; of both
    """
    slopes = 0.0
    by_noise = 0.0
    by_photons = 0.0
    by_both = 0.0
    for s in range(count):
        slope, photons, noise = fit_segment(
            samples, i, x, bounds[s, 0], bounds[s, 1], kind, median, pixel, setup, levers
        )
        weight = 1.0 / noise
        slopes += slope * weight
        by_noise += weight
        if photons > 0.0:
            by_photons += 1.0 / photons
        by_both += 1.0 / (photons + noise)
    return slopes, by_noise, by_photons, by_both


@inlined
def fit_one_ramp(
    samples: Any,
    flags: Any,
    bounds: Any,
    i: int,
    x: int,
    stock: tuple[int, int, int, int],
    median: float,
    pixel: Pixel,
    dq: int,
    setup: Setup,
    levers: Any,
) -> tuple[float, int, float, float, float, float, float, float]:
    """Fit one ramp.

    Parameters
    ----------
    samples, flags, bounds : array
        See `Block`; the ramp at ``i, x`` is used.
    stock : (int, int, int, int)
        Flags of any group, saturated groups, unusable groups, and when a single group was exposed.
    median : float
        Rate that the photon noise is estimated from, in DN/s.
    dq : int
        Flags of the pixel, and those that its groups give it.

    Returns
    -------
    rate, flags, error, variance by photons, variance by read noise
        Of the ramp.
    slopes, by_noise, by_photons
        What it adds to the sums of the pixel, see `fit_integration`.
    """
    groups = flags.shape[1]
    seen, saturated, unusable, kind = stock
    count = 0
    if flags[i, 0, x] & SATURATED:
        dq |= DO_NOT_USE | SATURATED
    elif seen == 0:
        count = 1
        bounds[0, 0] = 0
        bounds[0, 1] = groups
    elif unusable != groups:
        count, _ = find_segments(flags, i, x, bounds)
    if unusable == groups:
        dq |= DO_NOT_USE
        if saturated == groups:
            dq |= SATURATED
    rate = nan if dq & _UNUSABLE else 0.0
    if count == 0:
        return rate, dq, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    slopes, by_noise, by_photons, by_both = fit_integration(
        samples, i, x, bounds, count, kind, median, pixel, setup, levers
    )
    if dq & _UNUSABLE:
        return rate, dq, 0.0, 0.0, 0.0, slopes, by_noise, by_photons
    var_rnoise = limited(1.0 / by_noise)
    var_poisson = limited(1.0 / by_photons) if by_photons > 0.0 else 0.0
    variance = 1.0 / by_both
    err = 0.0 if variance > NO_VARIANCE else sqrt(variance)
    return slopes * var_rnoise, dq, err, var_poisson, var_rnoise, slopes, by_noise, by_photons


@part
def combine(
    dq: int, lost: bool, saturated: bool, slopes: float, by_noise: float, by_photons: float
) -> tuple[float, int, float, float, float]:
    """Combine the integrations of one pixel.

    Parameters
    ----------
    dq : int
        Flags of the pixel, and those that its groups give it, but for saturation.
    lost, saturated : bool
        Whether all integrations are unusable, are saturated from the start.
    slopes, by_noise, by_photons : float
        Sums over the segments of all integrations, see `fit_integration`.

    Returns
    -------
    rate, flags, error, variance by photons, variance by read noise
    """
    if lost:
        dq |= DO_NOT_USE
    if saturated:
        dq |= SATURATED
    if dq & _UNUSABLE:
        return nan, dq, 0.0, 0.0, 0.0
    var_poisson = limited(1.0 / by_photons) if by_photons > 0.0 else 0.0
    var_rnoise = limited(1.0 / by_noise) if by_noise > 0.0 else by_noise
    # Quirk: not the error that a single integration gets, where the reciprocals of both variances
    # together are summed over the segments.
    err = sqrt(var_poisson + var_rnoise)
    return slopes * var_rnoise, dq, err, var_poisson, var_rnoise


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


@part
def count_lost_charge(
    y: int,
    left: int,
    x: int,
    groupdq: Any,
    setup: Setup,
    block: Block,
    rate_variance: Any,
    rateints_variance: Any,
) -> None:
    """Work out a pixel's variance by read noise as if groups flagged CHARGELOSS had been used.

    Resampling weights by it, and bright pixels shall not count for less. Quirk: it is given even
    where there is no rate. Everything else of the fit stays as it is.

    Parameters
    ----------
    groupdq : array, (ints, groups, y, x) uint8
        The flags of the exposure; those in `block` were changed by the fit.
    rate_variance, rateints_variance : array, (y, x), (ints, y, x) float32
        Changed at the pixel.
    """
    flags = block.flags
    bounds = block.bounds
    ints, groups, _ = flags.shape
    pixel = Pixel(block.pixels[0, x], block.pixels[1, x], block.pixels[2, x])
    by_noise_all = 0.0
    for i in range(ints):
        by_noise = 0.0
        if block.stock[0, i, x] & CHARGELOSS:
            for g in range(groups):
                flag = groupdq[i, setup.first_group + g, y, left + x]
                if flag & CHARGELOSS:
                    flag ^= np.uint8(CHARGELOSS | DO_NOT_USE)
                flags[i, g, x] = flag
            count, _ = find_segments(flags, i, x, bounds)
            for s in range(count):
                length = bounds[s, 1] - bounds[s, 0]
                time = segment_time(length, block.stock[3, i, x], setup)
                variance = read_variance(length, time, pixel)
                if variance > 0.0:
                    by_noise += 1.0 / variance
            rateints_variance[i, y, left + x] = limited(1.0 / by_noise)
        elif rateints_variance[i, y, left + x] > 0.0:
            by_noise = 1.0 / np.float64(rateints_variance[i, y, left + x])
        by_noise_all += by_noise
    if by_noise_all > 0.0:
        rate_variance[y, left + x] = limited(1.0 / by_noise_all)


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
    # Times are float32 in the official package.
    frame_time = float(np.float32(timing.frame_time))
    reads_before = (timing.nframes + 1) / 2.0 + timing.drop_frames
    setup = Setup(
        first_group=int(groups[0]),
        group_time=float(np.float32(timing.group_time)),
        frame_time=frame_time,
        first_read_time=(timing.nframes + 1.0) * frame_time / 2.0,
        noise_scale=float(np.sqrt(2.0 * timing.nframes)),
        reads_before=float(reads_before / (timing.nframes + timing.groupgap)),
        suppress_one_group=bool(suppress_one_group),
        has_zeroframe=zeroframe is not None,
        has_dark=average_dark_current is not None,
    )
    weights = optimal_weights(n_groups)
    rate = _empty_fit((rows, columns))
    rateints = _empty_fit((ints, rows, columns))
    fit = _fit_and_release if is_last_use and not save_segments else fit_rows
    over_rows(fit, rows, n_groups, exposure, setup, weights.levers, rate, rateints)
    if not save_segments:
        return rate, rateints, None

    from jwgpu.kernels.ramp_fit.save_cpu import count_rows, save_rows

    most = np.zeros((rows, 2), np.int64)
    over_rows(count_rows, rows, n_groups, exposure, setup, most)
    segments = _no_segments_yet((ints, rows, columns), int(most[:, 0].max()), int(most[:, 1].max()))
    over_rows(save_rows, rows, n_groups, exposure, setup, weights, rateints.data, segments)
    return rate, rateints, segments


def _fit_and_release(first: int, stop: int, groups: int, exposure: Exposure, *rest: Any) -> None:
    fit_rows(first, stop, groups, exposure, *rest)
    release_rows(exposure.data, first, stop)
    release_rows(exposure.groupdq, first, stop)


def _empty_fit(shape: tuple[int, ...]) -> Fit:
    data, err, var_poisson, var_rnoise = (np.empty(shape, np.float32) for _ in range(4))
    return Fit(data, np.empty(shape, np.uint32), err, var_poisson, var_rnoise)


def _no_segments_yet(shape: tuple[int, int, int], segments: int, jumps: int) -> Segments:
    ints, rows, columns = shape
    by_segment = [np.zeros((ints, segments, rows, columns), np.float32) for _ in range(7)]
    pedestal = np.zeros(shape, np.float32)
    crmag = np.zeros((ints, jumps, rows, columns), np.float32)
    return Segments._make([*by_segment, pedestal, crmag])
