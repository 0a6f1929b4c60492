"""The median of a stack of images, pixel by pixel, where NaN do not count."""

from __future__ import annotations

from typing import Any

from jwgpu.backends import implementation


def median_stack(images: Any, medians: Any) -> None:
    """Take the median of each pixel over a stack of images.

    Parameters
    ----------
    images : array, (images, y, x) float32
        NaN do not count.
    medians : array, (y, x) float32
        Gets the medians: of an even number of values the mean of the middle two; NaN where there
        is none.
    """
    implementation(__name__, images, medians).median_stack(images, medians)
