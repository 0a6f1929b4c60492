"""Ramp fitting on the CPU."""

from __future__ import annotations

from math import nan, sqrt
from typing import Any

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows
from jwgpu.kernels.ramp_fit import Fit, Segments, Timing
from jwgpu.kernels.ramp_fit.block_cpu import Exposure, gather, make_block, take_pixel
from jwgpu.kernels.ramp_fit.flags_cpu import find_segments, prepare_ramp
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


@compiled
def fit_integration(
    samples: Any,
    x: int,
    i: int,
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
            samples, x, i, bounds[s, 0], bounds[s, 1], kind, median, pixel, setup, levers
        )
        slopes += slope / noise
        by_noise += 1.0 / noise
        if photons > 0.0:
            by_photons += 1.0 / photons
        by_both += 1.0 / (photons + noise)
    return slopes, by_noise, by_photons, by_both


@compiled
def fit_one_ramp(
    samples: Any,
    flags: Any,
    zeroframe: Any,
    x: int,
    pixel: Pixel,
    setup: Setup,
    levers: Any,
    tally: Any,
    ordered: Any,
    bounds: Any,
    rates: Any,
    rates_dq: Any,
) -> tuple[float, int, float, float, float, int]:
    """Fit all integrations of one pixel.

    Parameters
    ----------
    samples, flags, zeroframe, tally, ordered, bounds : array
        See `Block`; the ramps at `x` are used, and changed.
    rates : array, (4, ints, x) float32
        Filled in for each integration: rate, error, variance by photons and by read noise.
    rates_dq : array, (ints, x) uint32
        Filled in: flags of each integration.

    Returns
    -------
    rate, flags, error, variance by photons, variance by read noise, flags of any group
    """
    ints, groups = flags.shape[1:]
    median = prepare_ramp(samples, flags, zeroframe, x, setup, tally, ordered)
    slopes = 0.0
    by_noise = 0.0
    by_photons = 0.0
    seen = 0
    lost = 0
    saturated = 0
    some_saturated = 0
    for i in range(ints):
        seen |= tally[i, 0]
        dq = pixel.dq | tally[i, 0] & (JUMP_DET | PERSISTENCE)
        count = 0
        if flags[x, i, 0] & SATURATED:
            dq |= DO_NOT_USE | SATURATED
        elif tally[i, 2] != groups:
            count, _ = find_segments(flags, x, i, bounds)
        if tally[i, 2] == groups:
            dq |= DO_NOT_USE
            if tally[i, 1] == groups:
                dq |= SATURATED
        rate = 0.0
        err = 0.0
        var_poisson = 0.0
        var_rnoise = 0.0
        if count > 0:
            sums = fit_integration(
                samples, x, i, bounds, count, tally[i, 3], median, pixel, setup, levers
            )
            slopes += sums[0]
            by_noise += sums[1]
            by_photons += sums[2]
            if not dq & _UNUSABLE:
                var_rnoise = limited(1.0 / sums[1])
                rate = sums[0] * var_rnoise
                if sums[2] > 0.0:
                    var_poisson = limited(1.0 / sums[2])
                err = 1.0 / sums[3]
                err = 0.0 if err > NO_VARIANCE else sqrt(err)
        if dq & _UNUSABLE:
            rate = nan
            lost += (dq & DO_NOT_USE) != 0
            saturated += (dq & SATURATED) != 0
        # A ramp that saturates on the way has a rate nevertheless.
        if tally[i, 1] > 0:
            dq |= SATURATED
            some_saturated = SATURATED
        rates[0, i, x] = rate
        rates[1, i, x] = err
        rates[2, i, x] = var_poisson
        rates[3, i, x] = var_rnoise
        rates_dq[i, x] = dq
    dq = pixel.dq | seen & (JUMP_DET | PERSISTENCE)
    if lost == ints:
        dq |= DO_NOT_USE
    if saturated == ints:
        dq |= SATURATED
    if dq & _UNUSABLE:
        return nan, dq | some_saturated, 0.0, 0.0, 0.0, seen
    var_poisson = limited(1.0 / by_photons) if by_photons > 0.0 else 0.0
    var_rnoise = limited(1.0 / by_noise) if by_noise > 0.0 else by_noise
    # Quirk: not the error that a single integration gets, where the reciprocals of both variances
    # together are summed over the segments.
    err = sqrt(var_poisson + var_rnoise)
    return slopes * var_rnoise, dq | some_saturated, err, var_poisson, var_rnoise, seen


@compiled
def variance_with_lost_charge(
    groupdq: Any,
    y: int,
    column: int,
    before: float,
    x: int,
    flags: Any,
    tally: Any,
    bounds: Any,
    pixel: Pixel,
    setup: Setup,
    variances: Any,
) -> float:
    """Work out the variance by read noise as if groups flagged CHARGELOSS had been used.

    Resampling weights by it, and bright pixels shall not count for less. Quirk: it is given even
    where there is no rate. Everything else of the fit stays as it is.

    Parameters
    ----------
    groupdq : array, (ints, groups, y, x) uint8
        The flags of the exposure; those in `flags` were changed by the fit.
    before : float
        Variance of the exposure, returned where the others say nothing.
    flags, tally, bounds : array
        See `Block`.
    variances : array, (ints, x) float32
        Of the integrations, changed at `x`.
    """
    ints, groups = flags.shape[1:]
    by_noise_all = 0.0
    for i in range(ints):
        by_noise = 0.0
        if tally[i, 0] & CHARGELOSS:
            for g in range(groups):
                flag = groupdq[i, setup.first_group + g, y, column]
                if flag & CHARGELOSS:
                    flag ^= np.uint8(CHARGELOSS | DO_NOT_USE)
                flags[x, i, g] = flag
            count, _ = find_segments(flags, x, i, bounds)
            for s in range(count):
                length = bounds[s, 1] - bounds[s, 0]
                time = segment_time(length, tally[i, 3], setup)
                variance = read_variance(length, time, pixel)
                if variance > 0.0:
                    by_noise += 1.0 / variance
            variances[i, x] = limited(1.0 / by_noise)
        elif variances[i, x] > 0.0:
            by_noise = 1.0 / np.float64(variances[i, x])
        by_noise_all += by_noise
    return limited(1.0 / by_noise_all) if by_noise_all > 0.0 else before


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
    samples, flags, zeroframe, tally, ordered, bounds = block
    _, groupdq, pixeldq, gain, readnoise, _, dark = exposure
    data, dq, err, var_poisson, var_rnoise = rate
    width = samples.shape[0]
    rates = np.empty((4, ints, width), np.float32)
    rates_dq = np.empty((ints, width), np.uint32)
    for y in range(first, stop):
        for left in range(0, columns, width):
            right = min(left + width, columns)
            gather(y, left, right, exposure, setup, block)
            for x in range(right - left):
                column = left + x
                pixel = take_pixel(y, column, gain, readnoise, dark, pixeldq, setup)
                fit = fit_one_ramp(
                    samples,
                    flags,
                    zeroframe,
                    x,
                    pixel,
                    setup,
                    levers,
                    tally,
                    ordered,
                    bounds,
                    rates,
                    rates_dq,
                )
                data[y, column] = fit[0]
                dq[y, column] = fit[1]
                err[y, column] = fit[2]
                var_poisson[y, column] = fit[3]
                var_rnoise[y, column] = fit[4]
                if fit[5] & CHARGELOSS:
                    var_rnoise[y, column] = variance_with_lost_charge(
                        groupdq,
                        y,
                        column,
                        fit[4],
                        x,
                        flags,
                        tally,
                        bounds,
                        pixel,
                        setup,
                        rates[3],
                    )
            scatter(y, left, right, rates, rates_dq, rateints)


@compiled
def scatter(y: int, first: int, stop: int, rates: Any, rates_dq: Any, rateints: Fit) -> None:
    """Copy the rates of the integrations of columns ``first:stop`` of one row to the product."""
    for i in range(rates_dq.shape[0]):
        for x in range(stop - first):
            rateints.data[i, y, first + x] = rates[0, i, x]
            rateints.err[i, y, first + x] = rates[1, i, x]
            rateints.var_poisson[i, y, first + x] = rates[2, i, x]
            rateints.var_rnoise[i, y, first + x] = rates[3, i, x]
            rateints.dq[i, y, first + x] = rates_dq[i, x]


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
    over_rows(fit_rows, rows, n_groups, exposure, setup, weights.levers, rate, rateints)
    if not save_segments:
        return rate, rateints, None

    from jwgpu.kernels.ramp_fit.save_cpu import count_rows, save_rows

    most = np.zeros((rows, 2), np.int64)
    over_rows(count_rows, rows, n_groups, exposure, setup, most)
    segments = _no_segments_yet((ints, rows, columns), int(most[:, 0].max()), int(most[:, 1].max()))
    over_rows(save_rows, rows, n_groups, exposure, setup, weights, rateints.data, segments)
    return rate, rateints, segments


def _empty_fit(shape: tuple[int, ...]) -> Fit:
    data, err, var_poisson, var_rnoise = (np.empty(shape, np.float32) for _ in range(4))
    return Fit(data, np.empty(shape, np.uint32), err, var_poisson, var_rnoise)


def _no_segments_yet(shape: tuple[int, int, int], segments: int, jumps: int) -> Segments:
    ints, rows, columns = shape
    return Segments(
        *(np.zeros((ints, segments, rows, columns), np.float32) for _ in range(7)),
        pedestal=np.zeros(shape, np.float32),
        crmag=np.zeros((ints, jumps, rows, columns), np.float32),
    )
