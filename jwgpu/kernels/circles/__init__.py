"""Photometry in circles and rings."""

from __future__ import annotations

from typing import Any

from jwgpu.backends import implementation


def sum_circles(image: Any, variance: Any, places: Any, radii: Any) -> tuple[Any, Any]:
    """Add up what is in circles, each pixel by the share of it that is within.

    Parameters
    ----------
    image, variance : array, (y, x) float32
    places : array, (sources, 2) float64
        Column and row of the centres.
    radii : ndarray, (circles,) float64
        Of the circles around each centre, in pixels.

    Returns
    -------
    sums, errors : array, (circles, sources) float64
        Errors are the root of the sum of variances. NaN where a circle misses the image.
    """
    module = implementation(__name__, image, variance, places)
    sums, errors = module.sum_circles(image, variance, places, radii)
    return sums, errors


def clip_rings(image: Any, places: Any, inner: float, outer: float) -> tuple[Any, Any, Any]:
    """Find the median of pixels with their centres in rings, without what is 3 sigma off.

    Values that are off the median by more than three standard deviations are left out, five times
    at most.

    Parameters
    ----------
    image : array, (y, x) float32
        Values that are not finite are left out.
    places : array, (sources, 2) float64
        Column and row of the centres.
    inner, outer : float
        Radii, in pixels.

    Returns
    -------
    median, spread : array, (sources,) float64
        NaN where nothing is left.
    count : array, (sources,) int64
        Values that are left.
    """
    module = implementation(__name__, image, places)
    median, spread, count = module.clip_rings(image, places, inner, outer)
    return median, spread, count
