"""Count rates from ramps by maximum likelihood, with a search for jumps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jwgpu.backends import implementation, namespace_of
from jwgpu.kernels.likelihood_fit.exposure import Exposure, Rates
from jwgpu.kernels.likelihood_fit.readout import Readout, readout_of
from jwgpu.kernels.ramp_fit import Fit

__all__ = ["LEAST_GROUPS", "Fit", "Readout", "fit_ramps_by_likelihood", "readout_of"]

#: Groups that an exposure must have.
LEAST_GROUPS = 4


def fit_ramps_by_likelihood(
    data: Any,
    groupdq: Any,
    pixeldq: Any,
    gain: Any,
    readnoise: Any,
    read_times: Sequence[Sequence[float]],
    *,
    zeroframe: Any = None,
    average_dark_current: Any = None,
    thresholds: tuple[float, float] = (20.25, 23.8),
    save_chi_square: bool = False,
) -> tuple[Fit, Fit, Any]:
    """Find the most likely rate of each ramp, and its jumps.

    The differences of successive groups have a tridiagonal covariance matrix of photon and read
    noise. With it the rate that makes the differences most likely is found in a time proportional
    to the number of groups. Then differences are left out, one by one or in pairs, as long as
    chi-square falls by more than a threshold; the samples after them are jumps.

    Parameters
    ----------
    data : array, (ints, groups, y, x) float32
        Samples, in DN; 4 groups or more.
    groupdq : array, (ints, groups, y, x) uint8
        Flags of the samples: any flag makes a sample unusable. JUMP_DET is added, in place, to
        each sample after a difference that was found to be a jump.
    pixeldq : array, (y, x) uint32
        Flags of the pixels.
    gain : array, (y, x) float32
        In electron/DN. Quirk of the official package, which is followed: where the gain is not
        known there is no rate, but no flag says so.
    readnoise : array, (y, x) float32
        Noise of the difference of two frames, in DN.
    read_times : sequence of sequences of float
        When the frames of each group were read, in s.
    zeroframe : array, (ints, y, x) float32, optional
        First frame in DN. It is taken out of the first group and used as a group of its own, if
        there are two frames or more in the first group.
    average_dark_current : array, (y, x) float32, optional
        Adds to the photon noise, in DN/s as the rate does.
    thresholds : (float, float)
        By how much chi-square must fall for one difference to be left out, and for two.
    save_chi_square : bool
        Return the third result.

    Returns
    -------
    rate, rateints : Fit
        Of the whole exposure and of each integration.
    chi_square : array, (y, x) float32, or None
        Of the differences that were used, summed over the integrations.

    Raises
    ------
    ValueError
        If there are fewer than 4 groups, or not as many of `read_times`.

    Notes
    -----
    Fit: Brandt 2024, PASP 136, 045004 (arXiv:2309.08753). Jumps: Brandt 2024, PASP 136, 045005
    (arXiv:2404.01326).

    With three usable differences or fewer, what is left without one or two of them is no longer
    determined, and rounding decides whether a jump is found.
    """
    if data.shape[1] < LEAST_GROUPS or len(read_times) != data.shape[1]:
        raise ValueError(f"{data.shape[1]} groups, times of {len(read_times)}; at least 4 needed")
    if len(read_times[0]) < 2:
        zeroframe = None
    exposure = Exposure(data, groupdq, pixeldq, gain, readnoise, zeroframe, average_dark_current)
    body = implementation(__name__, *exposure)
    readout = readout_of(read_times, has_zeroframe=zeroframe is not None)
    xp = namespace_of(data)
    ints, _, *image = data.shape
    rate, rateints = _empty(xp, (*image,)), _empty(xp, (ints, *image))
    chi_square = xp.empty(tuple(image), np.float32) if save_chi_square else None
    limits = float(thresholds[0]), float(thresholds[1])
    body.fit_ramps_by_likelihood(exposure, readout, limits, rate, rateints, chi_square)
    return _fit(rate), _fit(rateints), chi_square


def _empty(xp: Any, shape: tuple[int, ...]) -> Rates:
    return Rates(xp.empty((4, *shape), np.float32), xp.empty(shape, np.uint32))


def _fit(rates: Rates) -> Fit:
    values = rates.values
    return Fit(values[0], rates.dq, values[1], values[2], values[3])
