"""An image smoothed by a small kernel, with holes left out."""

from __future__ import annotations

from typing import Any

from jwgpu.backends import implementation


def smooth(image: Any, is_hole: Any, weights: Any) -> Any:
    """Replace each pixel by the weighted mean of those around it.

    Outside the image lie zeros, which count; holes do not. Sums are in double precision, in the
    order of the weights, so that the result is `astropy.convolution.convolve`'s to the bit.

    Parameters
    ----------
    image : array, (y, x) float32
        NaN is a hole too.
    is_hole : array, (y, x) bool
    weights : ndarray, (odd, odd) float64
        Not lopsided: they are not mirrored.

    Returns
    -------
    array, (y, x) float32
        NaN where there are only holes.
    """
    return implementation(__name__, image, is_hole).smooth(image, is_hole, weights)
