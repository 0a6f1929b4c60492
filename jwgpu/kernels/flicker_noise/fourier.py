"""Flicker noise as a sum of slow waves along the readout, fitted to the unlit pixels (NSClean).

The method is that of Rauscher 2024 (PASP 136, 015001; arXiv:2306.03250): weighted least squares in
a few frequencies, weights being the reciprocal of the local density of unlit pixels. The normal
matrix of such a fit has equal elements along each diagonal, which are the Fourier transform of the
squared weights; so neither the matrix of waves nor its inverse is ever built.

All of it is in the coordinates of the detector's readout: (slow axis, fast axis).
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any, NamedTuple

from jwgpu.backends import namespace_of
from jwgpu.kernels.flicker_noise import contiguous, fill_outliers, masked_median

log = logging.getLogger(__name__)

#: Full frame: half power of the filter and its width (per pixel), outliers (sigma), widths of the
#: window of the density and of the final smoothing (pixels), and border of reference pixels.
_HALF_POWER = 1 / 256
_ROLL_OFF = _HALF_POWER / 4
_OUTLIERS = 3.0
_DENSITY_WIDTH = 32.0
_SMOOTHING = 1.5
_BORDER = 4

#: Subarrays: outliers (sigma); usable pixels of a section, and least share of them; pixel times of
#: the gap after each row; seconds of a pixel time.
_SUBARRAY_OUTLIERS = 4.0
_SECTION_PIXELS = 512
_LEAST_SHARE = 0.05
_GAP = 12
_PIXEL_TIME = 1.0e-5

#: Densities of unlit pixels below this are rounding noise of float32: no such pixel is near.
_NO_DENSITY = 1e-6
#: Rows that are transformed together.
_ROWS = 128
#: Eigenvalues below this share of the largest are taken as zero: single precision, in which the
#: official fit is made, cannot tell them from zero.
_SINGULAR = 1e-6


class Band(NamedTuple):
    """Which frequencies are noise, in Hz.

    Up to `low` and from `high`; `low_end` and `high_start` are where the filter falls to zero.
    """

    low: float = 1061.0
    low_end: float = 1211.0
    high_start: float = 49943.0
    high: float = 49957.0


def to_readout(image: Any, is_flipped: bool) -> Any:
    """Return a copy of an image whose rows are what NIRSpec reads one after the other."""
    return contiguous(image.T[::-1] if is_flipped else image.T)


def from_readout(image: Any, is_flipped: bool) -> Any:
    """Return a copy of what `to_readout` turned as it was before."""
    return contiguous((image[::-1] if is_flipped else image).T)


def full_frame_noise(image: Any, mask: Any) -> Any:
    """Fit the noise of a full frame row by row.

    Parameters
    ----------
    image : array, (y, x) float32
        Along the readout, as `to_readout` returns it, without background.
    mask : array, (y, x) bool
        The unlit pixels.

    Returns
    -------
    array, (y, x) float32
        The noise.

    Notes
    -----
    Quirks of jwst 3.0 that are matched: the density that a pixel is weighted with is that of the
    row before, one column before; the smoothed noise is moved by one row and one column, likewise.

    Where the row before has no unlit pixel at all, officially rounding noise is what weights a row;
    here, its pixels have equal weights.
    """
    xp = namespace_of(image, mask)
    rows, columns = image.shape
    gains = _low_pass(columns)
    number = len(gains)
    waves = _waves(xp, columns, number)
    weights = _squared_weights(xp, mask)
    diagonals = _transformed(xp, weights, waves)
    weights *= fill_outliers(image, mask, _OUTLIERS)
    sums = _transformed(xp, weights, waves)
    del weights
    k = xp.arange(number)
    lag = k[:, None] - k[None, :]
    matrices = xp.where(lag >= 0, diagonals[:, abs(lag)], diagonals[:, abs(lag)].conj())
    amplitudes = _solve(xp, matrices, sums) * xp.asarray(gains)
    amplitudes[:_BORDER] = 0
    amplitudes[rows - _BORDER :] = 0
    # Smoothing along the slow axis may as well be that of the amplitudes.
    window = xp.fft.fft(xp.asarray(_gaussian(rows, columns // 2 + 1, rows // 2, _SMOOTHING)))
    amplitudes = xp.fft.ifft(xp.fft.fft(amplitudes, axis=0) * window[:, None], axis=0)
    # What real numbers have at negative frequencies; the column that the noise is moved by.
    amplitudes[:, 1:] *= 2
    amplitudes *= waves[1, :]
    parts = xp.concatenate([amplitudes.real, amplitudes.imag], axis=1).astype(xp.float32)
    noise = parts @ xp.concatenate([waves.real, waves.imag], axis=1).astype(xp.float32).T
    return noise


def subarray_noise(image: Any, mask: Any, band: Band) -> Any:
    """Fit the noise of a subarray, in overlapping sections of rows.

    Parameters
    ----------
    image : array, (y, x) float32
        Along the readout, as `to_readout` returns it, without background.
    mask : array, (y, x) bool
        The unlit pixels.
    band : Band

    Returns
    -------
    array, (y, x) float64, or None
        The noise; None if there is no unlit pixel.
    """
    xp = namespace_of(image, mask)
    mask = _without_outliers(xp, image, mask)
    per_row = mask.sum(axis=1).tolist()
    if not any(per_row):
        return None
    noise = xp.zeros(image.shape)
    weight = xp.zeros((image.shape[0], 1))
    for first, stop in _sections(per_row):
        here = slice(first, stop)
        share = sum(per_row[here]) / mask[here].size
        if share > _LEAST_SHARE:
            model = _section_noise(xp, image[here], mask[here], band)
        else:
            log.warning("too few unlit pixels near row %d: no noise is fitted there", first)
            model = xp.zeros(image[here].shape)
        # The middle of a section counts most.
        importance = 1.001 - abs(xp.linspace(-1, 1, stop - first))[:, None]
        noise[here] += importance * model
        weight[here] += importance
    return noise / xp.where(weight > 0, weight, 1.0)


def _low_pass(columns: int) -> Any:
    """Return the gains of the frequencies that the filter of a full frame lets through."""
    import numpy as np

    frequency = np.fft.rfftfreq(columns)
    phase = np.pi * (frequency - _HALF_POWER) / _ROLL_OFF + np.pi / 2
    gains = np.where(frequency <= _HALF_POWER - _ROLL_OFF / 2, 1.0, (1 + np.cos(phase)) / 2)
    gains = np.where(frequency <= _HALF_POWER + _ROLL_OFF / 2, gains, 0.0)
    return gains[: int((gains > 0).sum())]


def _transformed(xp: Any, values: Any, waves: Any) -> Any:
    """Return the Fourier transform of float32 rows, in a few frequencies: (y, number) complex."""
    number = waves.shape[1]
    real = xp.concatenate([waves.real, waves.imag], axis=1)
    sums = xp.empty((values.shape[0], 2 * number))
    # Float64 of a part of the rows at a time.
    for first in range(0, values.shape[0], _ROWS):
        rows = slice(first, first + _ROWS)
        sums[rows] = values[rows].astype(xp.float64) @ real
    return sums[:, :number] + 1j * sums[:, number:]


def _waves(xp: Any, n: int, number: int) -> Any:
    """Return the first waves of a Fourier transform: (n, number) complex."""
    phase = (xp.arange(n)[:, None] * xp.arange(number)[None, :]) % n
    return xp.exp(-2j * xp.pi * phase / n)


def _gaussian(n: int, center: int, origin: int, sigma: float) -> Any:
    """Return a Gaussian around `center`, in an order in which `origin` comes first: (n,)."""
    import numpy as np

    window = np.exp(-(((np.arange(n) - center) / sigma) ** 2) / 2) / sigma / np.sqrt(2 * np.pi)
    return np.roll(window, -origin)


def _squared_weights(xp: Any, mask: Any) -> Any:
    """Return one over the squared density of unlit pixels in the row before: (y, x) float32."""
    rows, columns = mask.shape
    window = xp.asarray(_gaussian(columns, columns // 2 + 1, columns // 2, _DENSITY_WIDTH))
    window = xp.fft.rfft(window).astype(xp.complex64)
    weights = xp.empty(mask.shape, xp.float32)
    for first in range(0, rows, _ROWS):
        here = mask[first : first + _ROWS]
        before = mask[xp.arange(first - 1, first - 1 + here.shape[0])]
        spectrum = xp.fft.rfft(before.astype(xp.float32), axis=1)
        spectrum *= window
        density = xp.fft.irfft(spectrum, columns, axis=1)
        density[~before.any(axis=1)] = 1.0
        is_used = here & (density > _NO_DENSITY)
        xp.maximum(density, xp.float32(_NO_DENSITY), out=density)
        density *= density
        xp.divide(is_used, density, out=weights[first : first + _ROWS])
    return weights


def _solve(xp: Any, matrices: Any, sums: Any) -> Any:
    """Solve Hermitian systems, without the directions that the data say nothing of.

    One matrix is not made a stack: a GPU has another method for many small ones.
    """
    values, vectors = xp.linalg.eigh(matrices)
    largest = values[..., -1:]
    inverse = xp.where(values > _SINGULAR * largest, 1.0 / xp.where(values == 0, 1.0, values), 0.0)
    along = xp.einsum("...ij,...i->...j", vectors.conj(), sums)
    return xp.einsum("...ij,...j->...i", vectors, inverse * along)


def _without_outliers(xp: Any, image: Any, mask: Any) -> Any:
    """Return the mask without outliers and their four neighbours."""
    distance = abs(image - masked_median(image, mask))
    sigma = xp.float32(1.4825) * masked_median(distance, mask)
    outlier = mask & (distance > xp.float32(_SUBARRAY_OUTLIERS) * sigma)
    mask = mask & ~outlier
    mask[1:] &= ~outlier[:-1]
    mask[:-1] &= ~outlier[1:]
    mask[:, 1:] &= ~outlier[:, :-1]
    mask[:, :-1] &= ~outlier[:, 1:]
    return mask


def _sections(per_row: list[int]) -> list[tuple[int, int]]:
    """Return first row and end of the sections to fit, each overlapping half of the one before."""
    has_pixels = [y for y, n in enumerate(per_row) if n]
    first, end = has_pixels[0], has_pixels[-1] + 1
    left = sum(per_row[first:])
    sections = []
    while first < end:
        stop, n = first, 0
        while stop < end:
            n += per_row[stop]
            stop += 1
            if n > _SECTION_PIXELS and left > 1.5 * _SECTION_PIXELS:
                break
        sections.append((first, stop))
        if stop == end:
            break
        # Half of an odd number is rounded to the even one.
        step = max(round((stop - first) / 2), 1)
        left -= sum(per_row[first : first + step])
        first += step
    return sections


@lru_cache(maxsize=32)
def _tick_filter(n: int, band: Band) -> tuple[Any, Any, Any]:
    """Return for `n` pixel times: frequencies that are noise, their gains, the density's window."""
    import numpy as np

    frequency = np.fft.rfftfreq(n, _PIXEL_TIME).astype(np.float32)
    low, low_end, high_start, high = (np.float32(value) for value in band)
    falling = 0.5 * (np.cos(np.pi / (low_end - low) * (frequency - low)) + 1)
    rising = 0.5 * (np.cos(np.pi / (high - high_start) * (frequency - high_start) + np.pi) + 1)
    gains = np.select(
        [frequency < low, frequency < low_end, frequency < high_start, frequency < high],
        [1.0, falling, 0.0, rising],
        1.0,
    )
    width = 1 / ((band.low + band.low_end) / 2) / _PIXEL_TIME / 8
    window = np.fft.rfft(_gaussian(n, n // 2 + 1, n // 2, width))
    used = np.nonzero(gains > 0)[0]
    return used, gains[used], window


def _section_noise(xp: Any, image: Any, mask: Any, band: Band) -> Any:
    """Fit the noise of a section in the frequencies of its whole readout, gaps included."""
    rows, columns = image.shape
    n = rows * (columns + _GAP)
    used, gains, window = (xp.asarray(array) for array in _tick_filter(n, band))
    ticks = xp.zeros((2, rows, columns + _GAP))
    ticks[0, :, :columns] = mask
    ticks[1, :, :columns] = xp.where(mask, image, xp.float32(0))
    is_used, values = ticks[0].reshape(n), ticks[1].reshape(n)
    # Quirk: the density is that of one pixel time earlier.
    density = xp.fft.irfft(xp.fft.rfft(is_used) * window, n)
    density = xp.maximum(density, _NO_DENSITY)
    weights = is_used / (density * density)
    transform = xp.fft.fft(weights)
    sums = xp.fft.rfft(weights * values)
    matrix = transform[(used[:, None] - used[None, :]) % n]
    spectrum = xp.zeros(n // 2 + 1, complex)
    spectrum[used] = n * _solve(xp, matrix, sums[used]) * gains
    return xp.fft.irfft(spectrum, n).reshape(rows, -1)[:, :columns]
