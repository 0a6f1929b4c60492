"""Parameters of clean_flicker_noise chosen by the image: autoparam."""

from __future__ import annotations

import logging
import warnings
from fractions import Fraction
from typing import Any, NamedTuple

from jwgpu.backends import namespace_of
from jwgpu.kernels.flicker_noise import (
    Lines,
    background_limits,
    mask_outside,
    restore,
    stripes,
    subtract_background,
)
from jwgpu.kernels.flicker_noise.background import background_level

log = logging.getLogger(__name__)

_CHANNEL = 512
_FULL = 2048


class Chosen(NamedTuple):
    """Parameters that the image decides.

    Attributes
    ----------
    background_method : str
        ``median`` or ``model``.
    fit_by_channel : bool
    """

    background_method: str
    fit_by_channel: bool


class Limits(NamedTuple):
    """From which values on something is large.

    Attributes
    ----------
    masked : float
        Share of the image that is not background.
    offset : float
        Difference of neighbouring channels.
    slope, slope_at_offset : float
        Slope of the background: if the channels hardly differ, and if they do.
    ratio : float
        Ratio of the slopes along both axes.
    scatter : float
        Standard deviation of the mean column from a line.
    """

    masked: float
    offset: float
    slope: float
    slope_at_offset: float
    ratio: float
    scatter: float


_LIMITS = {
    "NIS_IMAGE": Limits(0.07, 0.07, 1e-5, 1e-4, 5.0, 0.02),
    "NRC_IMAGE": Limits(0.1, 0.07, 1e-5, 1e-5, 3.0, 0.02),
}
AUTOMATIC_TYPES = tuple(_LIMITS)


class Measured(NamedTuple):
    """What an image is like; the fields are those of `Limits`, with one slope."""

    masked: float
    offset: float
    slope: float
    ratio: float
    scatter: float


def mean_of_integrations(rates: Any) -> Any:
    """Return the mean over integrations, (y, x) float32; NaN do not count.

    Parameters
    ----------
    rates : array, (ints, y, x) float32
    """
    xp = namespace_of(rates)
    total = xp.zeros_like(rates[0])
    count = xp.zeros(total.shape, xp.float64)
    for image in rates:  # in this order on every device
        is_number = ~xp.isnan(image)
        total += xp.where(is_number, image, xp.float32(0))
        count += is_number
    return (total / xp.where(count > 0, count, xp.nan)).astype(xp.float32)


def choose_parameters(kind: str, rate: Any, slow_axis: int, device: Any) -> Chosen:
    """Choose how to clean an image.

    Parameters
    ----------
    kind : str
        Exposure type, one of `AUTOMATIC_TYPES`.
    rate : array, (y, x) float32
        Count rate, divided by the flat field. Changed in place.
    slow_axis : int
        Axis of the image, 0 or 1, along which the noise is constant.
    device : Device
        Where the image is.
    """
    measured = _measure(kind, rate, slow_axis, device)
    log.debug("%s: %s", kind, measured)
    return _decide(measured, _LIMITS[kind])


def _measure(kind: str, image: Any, slow_axis: int, device: Any) -> Measured:
    mask = _clean_quickly(image, slow_axis)
    # Sources are replaced by the background around them.
    smooth = background_level(image, mask, "model")
    xp = namespace_of(image)
    image = xp.where(mask, image, smooth)
    rows, columns = (
        device.fetch(_average(xp, image, axis, Fraction(3, 8), Fraction(5, 8))) for axis in range(2)
    )
    row_slope, row_scatter = _line(rows)
    column_slope, _ = _line(columns)
    slopes = sorted(abs(slope) for slope in (row_slope, column_slope))
    if kind == "NRC_IMAGE":
        offset, scatter = _largest_offset(rows), row_scatter
    else:
        # The first channel of NIRISS, near the upper edge, may differ from the others.
        edge = device.fetch(_average(xp, image, 0, Fraction(10, 12), Fraction(11, 12)))
        offset, scatter = _largest_offset(columns), _line(edge)[1]
    ratio = slopes[1] / slopes[0] if slopes[0] else float("inf" if slopes[1] else "nan")
    return Measured(float((~mask).mean()), offset, slopes[1], ratio, scatter)


def _decide(measured: Measured, limits: Limits) -> Chosen:
    is_crowded = measured.masked >= limits.masked
    is_stepped = measured.offset >= limits.offset
    limit = limits.slope_at_offset if is_stepped else limits.slope
    if is_crowded:
        return Chosen("model" if measured.slope >= limit else "median", False)
    if is_stepped:
        return Chosen("median", True)
    is_steep = measured.slope >= limits.slope_at_offset
    is_sloped = measured.slope >= limits.slope and not measured.ratio >= limits.ratio
    by_channel = measured.offset > 0 and measured.scatter >= limits.scatter
    return Chosen("model" if is_steep or is_sloped else "median", by_channel)


def _clean_quickly(image: Any, slow_axis: int) -> Any:
    """Clean an image with default parameters, in place; return where its background is."""
    xp = namespace_of(image)
    mask = xp.ones(image.shape, bool)
    mask_outside(image, mask, *background_limits(image, mask))
    mask &= ~xp.isnan(image)
    background = subtract_background(image, mask, 0.0)
    mask_outside(image, mask, *background_limits(image, mask, lower_half_only=True))
    noise = stripes(image, mask, Lines(slow_axis))
    restore(image, image, noise, background)
    return mask


def _average(xp: Any, image: Any, axis: int, first: Fraction, stop: Fraction) -> Any:
    """Return the mean along an axis of a part of an image, NaN left out.

    The order of its sums is the library's. What that decides is far from any limit that matters.
    """
    length = image.shape[axis]
    part = [slice(None), slice(None)]
    part[axis] = slice(round(first * length), round(stop * length))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return xp.nanmean(image[tuple(part)], axis=axis)


def _line(values: Any) -> tuple[float, float]:
    """Fit a line; return its slope, and how much the values scatter around it."""
    import numpy as np
    from astropy.stats import sigma_clipped_stats

    is_good = np.isfinite(values)
    x = np.arange(values.size)[is_good]
    line = np.polynomial.Polynomial.fit(x, values[is_good], deg=1)
    coefficients = line.convert().coef
    _, _, scatter = sigma_clipped_stats(values[is_good] - line(x), sigma=10.0)
    return float(coefficients[1]) if len(coefficients) > 1 else 0.0, float(scatter)


def _largest_offset(values: Any) -> float:
    """Return the largest difference of the means of neighbouring channels; 0 for subarrays."""
    import numpy as np
    from astropy.stats import sigma_clipped_stats

    if values.size != _FULL:
        return 0.0
    means = [sigma_clipped_stats(part, sigma=3.0)[0] for part in values.reshape(-1, _CHANNEL)]
    return float(np.abs(np.diff(means)).max())
