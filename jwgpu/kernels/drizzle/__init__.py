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


class Pixels(NamedTuple):
    """The pixels of an image that is added.

    Attributes
    ----------
    data : array, (y, x) float32
    weight : array, (y, x) float32
        Weight of each pixel; 0 leaves it out.
    pixel_map : array, (y, x, 2) float64, or Series
        Where the centre of each pixel falls: column and row of the output, from 0. NaN leaves
        it out.
    level : float
        Sky that is taken off the data.
    other : array, (y, x) float32, or None
        Another image that is averaged as the data are.
    variances : sequence of 3 arrays (y, x) float32, or None
        Independent parts of the variance of a pixel; the first is that by read noise. None among
        them is a part that is not known.
    flags : array, (y, x) uint32, or None
    time : float
        Weight of this image where variances are averaged; 0 for the inverse of its first variance
        on the output.
    """

    data: Any
    weight: Any
    pixel_map: Any
    level: float = 0.0
    other: Any = None
    variances: Any = None
    flags: Any = None
    time: float = 0.0


class Sums(NamedTuple):
    """What images add up to on the output; all begin with 0.

    Attributes
    ----------
    values : array, (1 or 2, Y, X) float32
        Sums of weight times value: of the data, and of the other image.
    weights : array, (Y, X) float32
        Sums of the weights.
    context : array, (Y, X) int32, or None
        Gets a bit in every pixel that the image adds to.
    flags : array, (Y, X) uint32, or None
        Gets all flags of the pixels that add to a pixel.
    variances, variance_weights : arrays, (3, Y, X) float32, or None
        Sums of the square of the weight of an image times the variance of its mean, and of
        these weights. Without the weights, `variances` are those of one image alone.
    """

    values: Any
    weights: Any
    context: Any = None
    flags: Any = None
    variances: Any = None
    variance_weights: Any = None


def drizzle(pixels: Pixels, drop: Drop, sums: Sums, bit: int = 0) -> None:
    """Add an image to sums, in place.

    Each output pixel gets the weight of an input pixel times the part of its drop that it catches:
    a share, of single precision. Shares, and their products with the values, are added in single
    precision, in the order of the rows and columns of the input, whoever adds them. So sums
    do not depend on how the work is shared out.

    The mean of the square roots of a variance, weighted alike but over this image alone, is the
    error of this image on the output. Its square is added to the variances, times the square of
    a weight of the image.

    Parameters
    ----------
    pixels : Pixels
    drop : Drop
    sums : Sums
        ``values`` of two planes need ``pixels.other``, ``flags`` need ``pixels.flags``, and
        ``variances`` need ``pixels.variances``.
    bit : int
        Of the context, 0 to 31.

    References
    ----------
    Fruchter & Hook 2002, PASP 114, 144.
    """
    arrays = [pixels.data, pixels.weight, sums.values, sums.weights]
    implementation(__name__, *arrays).drizzle(pixels, drop, sums, bit)


def finish(sums: Sums, fill: float, scaling: float = 1.0) -> Any:
    """Turn sums into means and variances, in place.

    Parameters
    ----------
    sums : Sums
        ``values`` become means, ``variances`` those of the mean.
    fill : float
        Value where nothing was added.
    scaling : float
        Factor for the variances.

    Returns
    -------
    array, (Y, X) float32, or None
        Square root of the sum of all variances that are known, NaN where none is; None if
        there are no variances.
    """
    return implementation(__name__, sums.values, sums.weights).finish(sums, fill, scaling)
