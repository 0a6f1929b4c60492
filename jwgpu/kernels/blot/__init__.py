"""Blot: reading an image on another grid of pixels, as the pixels of that grid see it."""

from __future__ import annotations

from typing import Any

from jwgpu.backends import implementation


def blot(image: Any, pixel_map: Any, blotted: Any) -> None:
    """Interpolate an image linearly in both directions.

    The arithmetic is single precision, and so are the places; beyond the centres of the last
    column and row the image goes on unchanged, up to where the next pixel would begin.

    Parameters
    ----------
    image : array, (Y, X) float32
        NaN in one of the four pixels around a place gives NaN.
    pixel_map : array, (y, x, 2) float64
        Column and row of the image, from 0, that each pixel of the result sees.
    blotted : array, (y, x) float32
        Gets the values; NaN where the place is NaN, or lies outside of the image.
    """
    implementation(__name__, image, pixel_map, blotted).blot(image, pixel_map, blotted)
