"""Outliers: pixels that differ from what other images see there by more than their noise allows."""

from __future__ import annotations

from typing import Any, NamedTuple

from jwgpu.backends import implementation


class Limits(NamedTuple):
    """How far a pixel may lie from what the other images see.

    Attributes
    ----------
    snr : (float, float)
        In errors: of an outlier, and of the pixels around it.
    scale : (float, float)
        In differences between neighbouring pixels; added to the former.
    """

    snr: tuple[float, float]
    scale: tuple[float, float]


def flag_blotted(
    data: Any, err: Any, blotted: Any, sky: float, limits: Limits, dq: Any, counts: Any
) -> None:
    """Flag the outliers of an image, given what the others see, interpolated.

    A pixel is an outlier if it is beyond the second limits, and if it or one of its eight
    neighbours is beyond the first. Where the image has a slope, interpolation is uncertain: so the
    largest difference to one of the four neighbours in `blotted` widens the limits. Arithmetic is
    single precision.

    Parameters
    ----------
    data, err : array, (y, x) float32
        The image with its errors; an error that is NaN counts as 0.
    blotted : array, (y, x) float32
        What the other images see; no outliers are found where this is NaN.
    sky : float
        What `data` have above `blotted` everywhere.
    limits : Limits
    dq : array, (y, x) uint32
        Outliers get OUTLIER and DO_NOT_USE.
    counts : array, (y,) int32
        Gets the number of outliers of each row; zero before.
    """
    arrays = (data, err, blotted, dq, counts)
    implementation(__name__, *arrays).flag_blotted(data, err, blotted, sky, limits, dq, counts)


def flag_stacked(data: Any, err: Any, medians: Any, snr: float, dq: Any, counts: Any) -> None:
    """Flag the outliers of images of the same pixels.

    Parameters
    ----------
    data, err : array, (images, y, x) float32
        An error that is NaN counts as 0.
    medians : array, (y, x) float32
        No outliers are found where this is NaN.
    snr : float
        Difference, in errors, beyond which a pixel is an outlier.
    dq : array, (images, y, x) uint32
        Outliers get OUTLIER and DO_NOT_USE.
    counts : array, (y,) int32
        Gets the number of outliers of each row; zero before.
    """
    arrays = (data, err, medians, dq, counts)
    implementation(__name__, *arrays).flag_stacked(data, err, medians, snr, dq, counts)


def flag_rolling(
    data: Any,
    err: Any,
    is_usable: Any,
    width: int,
    snr: float,
    dq: Any,
    counts: Any,
    medians: Any = None,
) -> None:
    """Flag the outliers of a time series, given the medians of those near in time.

    An image is compared with the median of the `width` images around it, at the ends of the series
    with that of the first or the last `width`. If one of them is NaN or not usable, so is the
    median, and no outlier is found.

    Parameters
    ----------
    data, err : array, (images, y, x) float32
        An error that is NaN counts as 0.
    is_usable : array, (images, y, x) bool
    width : int
        From 2 to the number of images.
    snr : float
        Difference, in errors, beyond which a pixel is an outlier.
    dq : array, (images, y, x) uint32
        Outliers get OUTLIER and DO_NOT_USE.
    counts : array, (y,) int32
        Gets the number of outliers of each row; zero before.
    medians : array, (images, y, x) float32, optional
        Gets the medians.
    """
    arrays = [data, err, is_usable, dq, counts]
    if medians is not None:
        arrays.append(medians)
    implementation(__name__, *arrays).flag_rolling(
        data, err, is_usable, width, snr, dq, counts, medians
    )
