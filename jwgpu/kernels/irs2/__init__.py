"""NIRSpec's IRS2 readout: what its interleaved reference pixels and its reference output tell.

The layout of such images is in :mod:`jwgpu.kernels.irs2.layout`.
"""

from __future__ import annotations

from typing import Any

from jwgpu.backends import implementation
from jwgpu.kernels.irs2.layout import InterleavedLayout

__all__ = ["flag_saturation", "mean_image", "pair_statistics", "subtract_reference"]


def mean_image(images: Any) -> Any:
    """Return the mean (3200, 2048) float64 of images (n, 3200, 2048) float32, summed in order."""
    return implementation(__name__, images).mean_image(images)


def pair_statistics(images: Any, rows: Any) -> Any:
    """Describe pairs of readings of the same reference pixels.

    Parameters
    ----------
    images : array, (n, 3200, 2048) float32
        The groups of an integration, in DN.
    rows : array, (pairs,) int32
        First row of each pair; the other is the next one.

    Returns
    -------
    array, (pairs, 3) float64
        Mean of the absolute difference of the two rows, their mean, and their standard deviation.
    """
    return implementation(__name__, images, rows).pair_statistics(images, rows)


def subtract_reference(
    images: Any,
    offset: Any,
    alpha: Any,
    beta: Any,
    layout: InterleavedLayout,
    *,
    keep_reference: bool = False,
) -> None:
    """Subtract what the reference pixels and the reference output see, in place.

    Each image, less the `offset`, is laid out in time for each output, and a straight line through
    its first and last four lines of pixels is taken off. The reference output is made gapless:
    zeros are interpolated with a sine-shaped window of 31 pixels, then all that is not read along
    with pixels of the detector is replaced three times by a low-passed version. Of an amplifier
    only the reference pixels are kept, each pair stretched over four times. In Fourier space the
    former is multiplied by `alpha`, the latter by `beta`; the sum is what is subtracted.

    Parameters
    ----------
    images : array, (n, 3200, 2048) float32
        In DN, C-contiguous. The rows of the detector are corrected; the others stay, or see
        `keep_reference`.
    offset : array, (3200, 2048) float64
        In DN: the mean of the integration's groups.
    alpha, beta : array, (4, 712, 1025) complex64
        Filters of the amplifiers, only the part of them that keeps a real series real. Frequency
        ``i + 2048 * k`` (in turns an image) is at ``[k, i]``; those left out mirror the others.
    layout : InterleavedLayout
    keep_reference : bool
        Put into the rows of reference pixels what is left of them after the correction, without
        the offset, and into those of the reference output its gapless series, with it.

    Notes
    -----
    Rauscher et al. 2017, PASP 129, 105003, and release 3.0. Sums of the lines are float64, Fourier
    transforms single precision, as numpy makes them for the official package.
    """
    implementation(__name__, images, offset, alpha, beta).subtract_reference(
        images, offset, alpha, beta, layout, keep_reference
    )


def flag_saturation(
    data: Any,
    groupdq: Any,
    threshold: Any,
    bias: Any,
    science_rows: Any,
    *,
    grow: int = 1,
    frames_averaged: int = 0,
) -> tuple[int, int]:
    """Flag samples of the detector's own rows above saturation, and those at the floor.

    As :func:`jwgpu.kernels.saturation.flag_saturation`, with the differences that release 3.0
    makes for IRS2: neighbours are those on the detector, not in the interleaved image; flags that
    are there already do not grow; of the rules for averaged groups only that for the second group
    holds, and it sets SATURATED, in the neighbours too, whatever `frames_averaged` if not 0.

    Parameters
    ----------
    data : array, (ints, groups, 3200, 2048) float32
        Samples up the ramp, in DN. Not changed.
    groupdq : array, (ints, groups, 3200, 2048) uint8
        Flags of each sample, updated in place.
    threshold : array, (2048, 2048) float32
        Saturation threshold, in DN; finite.
    bias : array, (3200, 2048) float32, or None
        Superbias, in DN; zero without one.
    science_rows : array, (2048,) int32
        The detector's own rows.
    grow : int
        How many layers of neighbours to flag around a saturated pixel.
    frames_averaged : int
        Frames in a group; 0 leaves the second group alone.

    Returns
    -------
    tuple of int
        Pixels that are SATURATED, and pixels that are AD_FLOOR, in any sample.
    """
    result: tuple[int, int] = implementation(
        __name__, data, groupdq, threshold, science_rows
    ).flag_saturation(data, groupdq, threshold, bias, science_rows, grow, frames_averaged)
    return result
