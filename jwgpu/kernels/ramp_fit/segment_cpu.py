"""The fit of one segment of a ramp."""

from __future__ import annotations

from math import isfinite, isnan, nan, sqrt
from typing import Any, NamedTuple

import numpy as np

from jwgpu.kernels.ramp_fit.parts_cpu import inlined, part
from jwgpu.kernels.ramp_fit.setup import FIRST_READ, FRAME_ZERO, Setup
from jwgpu.kernels.ramp_fit.weights import LEAST_SNR

#: A variance this large means that nothing is known: the products then hold 0.
NO_VARIANCE = 1.0e6


class Pixel(NamedTuple):
    """One pixel: gain (electron/DN), noise of a group (electron), dark current (DN/s)."""

    gain: float
    noise: float
    dark: float


@part
def limited(variance: float) -> float:
    """Return the variance, or 0 for one that says that nothing is known."""
    return 0.0 if variance >= NO_VARIANCE else variance


@part
def segment_time(length: int, kind: int, setup: Setup) -> float:
    """Exposure time from group to group, or of a single group."""
    if length == 1 and kind == FIRST_READ:
        return setup.first_read_time
    if length == 1 and kind == FRAME_ZERO:
        return setup.frame_time
    return setup.group_time


@part
def read_variance(length: int, time: float, pixel: Pixel) -> float:
    """Variance of a segment's slope by read noise.

    Quirk: without gain it is 0 from three groups on, but infinite or NaN for fewer.
    """
    noise = pixel.noise / time
    if length < 3:
        return 2.0 * noise * noise / (pixel.gain * pixel.gain)
    if pixel.gain <= 0.0 or isnan(pixel.gain):
        return 0.0
    return 12.0 * noise * noise / ((length * length * length - length) * pixel.gain * pixel.gain)


@part
def choose_power(rise: float, pixel: Pixel) -> int:
    """Index of the power of the weights, by the signal to noise of a segment's rise; NaN: last."""
    signal = rise * pixel.gain
    variance = pixel.noise * pixel.noise + signal
    if variance <= 0.0 or pixel.gain == 0.0:
        return 0
    snr = signal / sqrt(variance)
    for index in range(len(LEAST_SNR)):
        if snr < LEAST_SNR[index]:
            return index
    return len(LEAST_SNR)


@inlined
def fit_slope(
    samples: Any, i: int, x: int, first: int, stop: int, pixel: Pixel, levers: Any
) -> float:
    """Slope of three samples or more, in DN a group.

    The weights are symmetric, so that the slope is a sum over pairs of samples at the same distance
    from the middle. A NaN sample counts as 0, as in the official package.
    """
    length = stop - first
    rise = np.float64(samples[i, stop - 1, x]) - np.float64(samples[i, first, x])
    power = choose_power(rise, pixel)
    slope = 0.0
    for k in range(length // 2):
        low: float = np.float64(samples[i, first + k, x])
        high: float = np.float64(samples[i, stop - 1 - k, x])
        low = 0.0 if isnan(low) else low
        high = 0.0 if isnan(high) else high
        slope += levers[length, power, k] * (high - low)
    # Infinite weights or an infinite sample leave no slope; the middle sample is not in the sum.
    square = pixel.noise * pixel.noise
    usable = square > 0.0 and isfinite(square) and isfinite(slope)
    if usable and not np.isinf(samples[i, first + length // 2, x]):
        return slope
    return nan


@part
def photon_variance(length: int, time: float, median: float, pixel: Pixel) -> float:
    """Variance of a segment's slope by photons, given the rate they are estimated from, in DN/s."""
    rate = median + pixel.dark if median > 0.0 else pixel.dark
    return rate / (time * pixel.gain * max(length - 1, 1))


@inlined
def fit_segment(
    samples: Any, i: int, x: int, first: int, stop: int, time: float, pixel: Pixel, levers: Any
) -> float:
    """Slope of the groups ``first:stop`` of a ramp, in DN/s.

    Parameters
    ----------
    samples : array, (ints, groups, x) float32
        Ramps, of which that at ``i, x`` is used.
    time : float
        See `segment_time`.
    levers : array, (lengths, powers, length // 2 + 1) float64
        See `Weights`.
    """
    length = stop - first
    if length == 1:
        slope: float = np.float64(samples[i, first, x])
    elif length == 2:
        slope = np.float64(samples[i, first + 1, x]) - np.float64(samples[i, first, x])
    else:
        slope = fit_slope(samples, i, x, first, stop, pixel, levers)
    return slope / time
