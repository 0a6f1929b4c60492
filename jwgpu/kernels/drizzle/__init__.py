"""Drizzle: putting images on another grid of pixels, as a weighted mean of what falls on each."""

from __future__ import annotations

from typing import Any, NamedTuple

from jwgpu.backends import implementation

KERNELS = ("square", "point", "turbo", "gaussian", "lanczos2", "lanczos3")
"""How the light of an input pixel is spread, in the order of their numbers in the bodies."""


class Drop(NamedTuple):
    """How the light of an input pixel falls on the output.

    Attributes
    ----------
    kernel : str
        One of `KERNELS`: the quadrangle of the shrunken pixel, a point, a square along the
        output's axes, a Gaussian, or a sinc windowed by a sinc.
    pixfrac : float
        Side of the shrunken pixel, in input pixels.
    scale_ratio : float
        Side of an output pixel in input pixels, for all kernels but square and point.
    window : (int, int, int, int)
        First and last column, first and last row of the input pixels to use.
    """

    kernel: str
    pixfrac: float
    scale_ratio: float
    window: tuple[int, int, int, int]


def drizzle(
    planes: Any,
    weight: Any,
    pixel_map: Any,
    drop: Drop,
    means: Any,
    weights: Any,
    context: Any = None,
    bit: int = 0,
) -> None:
    """Add an image, or several that share their geometry and weights, to running means.

    Each output pixel holds the mean of the input pixels that fell on it, weighted by their weight
    times the part of their drop that it caught. Input pixels come in the order of their rows
    for every output pixel, so that results do not depend on how the work is shared out.

    Parameters
    ----------
    planes : array, (planes, y, x) float32
        Images that are averaged alike.
    weight : array, (y, x) float32
        Weight of each input pixel; 0 leaves it out.
    pixel_map : array, (y, x, 2) float64
        Where the centre of each input pixel falls: column and row of the output, from 0. NaN
        leaves it out.
    drop : Drop
    means : array, (planes, Y, X) float32
        Running means, changed in place.
    weights : array, (Y, X) float32
        Sum of the weights behind the means, changed in place; where it is 0, means are not used.
    context : array, (Y, X) int32, optional
        Gets the `bit` in every pixel that the image adds to.
    bit : int
        0 to 31.

    References
    ----------
    Fruchter & Hook 2002, PASP 114, 144.
    """
    arrays = [planes, weight, pixel_map, means, weights]
    if context is not None:
        arrays.append(context)
    implementation(__name__, *arrays).drizzle(
        planes, weight, pixel_map, drop, means, weights, context, bit
    )


def add_variances(
    errors: Any, hit: Any, time: float, noise: int, sums: Any, sum_weights: Any
) -> None:
    """Add the variances of a resampled image to those of a mean of images.

    Parameters
    ----------
    errors : array, (planes, Y, X) float32
        Resampled errors; used up.
    hit : array, (Y, X) float32
        Weight behind them, 0 where there are none.
    time : float
        Weight of the image in the mean; 0 for the inverse of a variance.
    noise : int
        Plane of that variance.
    sums : array, (planes, Y, X) float32
        Variances times the square of their weight, NaN where there was none so far; changed in
        place.
    sum_weights : array, (planes, Y, X) float32
        Sums of the weights, changed in place.
    """
    arrays = (errors, hit, sums, sum_weights)
    implementation(__name__, *arrays).add_variances(errors, hit, time, noise, sums, sum_weights)
