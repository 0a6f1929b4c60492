"""The fit of one ramp, and the combination of several."""

from __future__ import annotations

from math import nan, sqrt
from typing import Any

from jwgpu.kernels.ramp_fit.flags_cpu import find_segments
from jwgpu.kernels.ramp_fit.parts_cpu import inlined, part
from jwgpu.kernels.ramp_fit.segment_cpu import (
    NO_VARIANCE,
    Pixel,
    fit_segment,
    limited,
    photon_variance,
    read_variance,
    segment_time,
)
from jwgpu.kernels.ramp_fit.setup import Setup
from jwgpu.models.flags import DO_NOT_USE, SATURATED

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
    """Sum over the segments of one ramp; see `fit_segment` and `fit_one_ramp`.

    Returns
    -------
    slope over, and reciprocal of, variance by read noise; reciprocal of that by photons; of both
    """
    slopes = 0.0
    by_noise = 0.0
    by_photons = 0.0
    by_both = 0.0
    for s in range(count):
        first = bounds[s, 0]
        stop = bounds[s, 1]
        time = segment_time(stop - first, kind, setup)
        slope = fit_segment(samples, i, x, first, stop, time, pixel, levers)
        photons = photon_variance(stop - first, time, median, pixel)
        noise = read_variance(stop - first, time, pixel)
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
        dq |= DO_NOT_USE | (SATURATED if saturated == groups else 0)
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
