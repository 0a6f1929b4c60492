"""Combining the integrations of a pixel, in float32 as the official package does it."""

from __future__ import annotations

from math import isfinite, isnan, sqrt
from typing import Any

import numpy as np

from jwgpu.kernels.likelihood_fit.exposure import Rates
from jwgpu.kernels.ramp_fit.parts_cpu import part
from jwgpu.models.flags import DO_NOT_USE

_ZERO, _ONE, _TWO = np.float32(0.0), np.float32(1.0), np.float32(2.0)
_NAN = np.float32(np.nan)
_DO_NOT_USE = np.uint32(DO_NOT_USE)
_ROUNDS = 2


@part
def median_of_known(values: Any, y: int, x: int, ordered: Any) -> Any:
    """Return the median of ``values[:, y, x]`` without NaN."""
    n = 0
    for i in range(values.shape[0]):
        value = values[i, y, x]
        if isnan(value):
            continue
        k = n
        while k > 0 and ordered[k - 1] > value:
            ordered[k] = ordered[k - 1]
            k -= 1
        ordered[k] = value
        n += 1
    if n == 0:
        return _NAN
    if n & 1:
        return ordered[n // 2]
    return (ordered[n // 2 - 1] + ordered[n // 2]) / _TWO


@part
def combine_one_pixel(y: int, x: int, rateints: Any, scratch: Any) -> tuple[Any, Any, Any]:
    """Combine the rates of one pixel, weighted by their variances.

    The variance by photons goes with the mean rate, so that a rate that happens to be low does
    not count for more.

    Parameters
    ----------
    y, x : int
    rateints : array, (4, ints, y, x) float32
        Rates, errors, variances by photons and by read noise.
    scratch : array, (3, ints) float32

    Returns
    -------
    float32
        Rate, and its variances by photons and by read noise.
    """
    rates, by_photons, by_read = rateints[0], rateints[2], rateints[3]
    ordered, photons, weights = scratch[0], scratch[1], scratch[2]
    ints = weights.size
    slope = median_of_known(rates, y, x, ordered)
    for _ in range(_ROUNDS):
        total: Any = _ZERO
        for i in range(ints):
            factor = slope / rates[i, y, x]
            if not isfinite(factor) or factor < _ZERO:
                factor = _ZERO
            photons[i] = by_photons[i, y, x] * factor
            weights[i] = _ONE / (photons[i] + by_read[i, y, x])
            total += _ZERO if isnan(weights[i]) else weights[i]
        slope = _ZERO
        n = 0
        for i in range(ints):
            weights[i] = weights[i] / total
            part_of_slope = rates[i, y, x] * weights[i]
            if not isnan(part_of_slope):
                slope += part_of_slope
                n += 1
        if n == 0:
            slope = _NAN
    sums = (_ZERO, _ZERO)
    counts = (0, 0)
    for i in range(ints):
        square = weights[i] * weights[i]
        photon, read = photons[i] * square, by_read[i, y, x] * square
        is_photon, is_read = not isnan(photon), not isnan(read)
        sums = (
            sums[0] + (photon if is_photon else _ZERO),
            sums[1] + (read if is_read else _ZERO),
        )
        counts = (counts[0] + is_photon, counts[1] + is_read)
    return slope, sums[0] if counts[0] > 0 else _NAN, sums[1] if counts[1] > 0 else _NAN


@part
def combine(y: int, first: int, stop: int, rateints: Rates, rate: Rates, scratch: Any) -> None:
    """Combine the integrations of some pixels of a row.

    Parameters
    ----------
    y, first, stop : int
        Row, first column and the one after the last.
    rateints, rate : Rates
        Of the integrations; filled in.
    scratch : array, (3, ints) float32
    """
    values, dq, result = rateints.values, rateints.dq, rate.values
    ints = dq.shape[0]
    for x in range(first, stop):
        some, every = dq[0, y, x], dq[0, y, x]
        for i in range(1, ints):
            some |= dq[i, y, x]
            every &= dq[i, y, x]
        # Unusable only where all integrations are.
        rate.dq[y, x] = some & ~_DO_NOT_USE | every & _DO_NOT_USE
    if ints == 1:
        for kind in range(4):
            for x in range(first, stop):
                result[kind, y, x] = values[kind, 0, y, x]
        return
    for x in range(first, stop):
        slope, by_photons, by_read = combine_one_pixel(y, x, values, scratch)
        result[0, y, x] = slope
        result[1, y, x] = sqrt(by_photons + by_read)
        result[2, y, x] = by_photons
        result[3, y, x] = by_read
