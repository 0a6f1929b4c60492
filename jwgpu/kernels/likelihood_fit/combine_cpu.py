"""Combining the integrations of a pixel, in float32 as the official package does it."""

from __future__ import annotations

from math import isfinite, isnan, sqrt
from typing import Any

import numpy as np

from jwgpu.kernels.compiled import compiled
from jwgpu.kernels.likelihood_fit import Fit
from jwgpu.models.flags import DO_NOT_USE

_ZERO, _ONE, _TWO = np.float32(0.0), np.float32(1.0), np.float32(2.0)
_NAN = np.float32(np.nan)
_ROUNDS = 2


@compiled
def median_of_known(values: Any, y: int, x: int, ordered: Any) -> float:
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


@compiled
def combine_one_pixel(y: int, x: int, rateints: Fit, rate: Fit, scratch: Any) -> None:
    """Combine the rates of one pixel, weighted by their variances.

    The variance by photons goes with the mean rate, so that a rate that happens to be low does
    not count for more.

    Parameters
    ----------
    y, x : int
    rateints : Fit
        Of the integrations.
    rate : Fit
        Filled in at the pixel.
    scratch : array, (3, ints) float32
    """
    ints = rateints.data.shape[0]
    some, every = np.uint32(0), np.uint32(0xFFFFFFFF)
    for i in range(ints):
        some |= rateints.dq[i, y, x]
        every &= rateints.dq[i, y, x]
    rate.dq[y, x] = some & np.uint32(~np.uint32(DO_NOT_USE)) | every & np.uint32(DO_NOT_USE)
    if ints == 1:
        rate.data[y, x] = rateints.data[0, y, x]
        rate.err[y, x] = rateints.err[0, y, x]
        rate.var_poisson[y, x] = rateints.var_poisson[0, y, x]
        rate.var_rnoise[y, x] = rateints.var_rnoise[0, y, x]
        return
    ordered, photons, weights = scratch[0], scratch[1], scratch[2]
    slope = np.float32(median_of_known(rateints.data, y, x, ordered))
    for _ in range(_ROUNDS):
        total = _ZERO
        for i in range(ints):
            factor = slope / rateints.data[i, y, x]
            if not isfinite(factor) or factor < _ZERO:
                factor = _ZERO
            photons[i] = rateints.var_poisson[i, y, x] * factor
            weights[i] = _ONE / (photons[i] + rateints.var_rnoise[i, y, x])
            total += _ZERO if isnan(weights[i]) else weights[i]
        slope, n = _ZERO, 0
        for i in range(ints):
            weights[i] = weights[i] / total
            part = rateints.data[i, y, x] * weights[i]
            if not isnan(part):
                slope += part
                n += 1
        if n == 0:
            slope = _NAN
    by_photons, by_read = _ZERO, _ZERO
    n_photons, n_read = 0, 0
    for i in range(ints):
        square = weights[i] * weights[i]
        part = photons[i] * square
        if not isnan(part):
            by_photons += part
            n_photons += 1
        part = rateints.var_rnoise[i, y, x] * square
        if not isnan(part):
            by_read += part
            n_read += 1
    rate.data[y, x] = slope
    rate.var_poisson[y, x] = by_photons if n_photons > 0 else _NAN
    rate.var_rnoise[y, x] = by_read if n_read > 0 else _NAN
    rate.err[y, x] = np.float32(sqrt(rate.var_poisson[y, x] + rate.var_rnoise[y, x]))
