"""Smoothing an image with a ring, gaps left out."""

from __future__ import annotations

import math
from typing import Any

from jwgpu.backends import implementation
from jwgpu.errors import ParameterError


def ring_offsets(inner: float, outer: float) -> list[tuple[int, int]]:
    """Return the offsets (y, x) of the pixels whose centres lie on a ring, its edges included.

    Parameters
    ----------
    inner, outer : float
        Radii in pixels.

    Raises
    ------
    ParameterError
        If no pixel's centre is on the ring.
    """
    reach = math.ceil(2 * outer) // 2
    offsets = [
        (y, x)
        for y in range(-reach, reach + 1)
        for x in range(-reach, reach + 1)
        if inner**2 <= x * x + y * y <= outer**2
    ]
    if inner < 0 or not offsets:
        raise ParameterError(
            f"no pixel lies on the smoothing ring from radius {inner:g} to {outer:g}: "
            "raise extend_outer_radius"
        )
    return offsets


def mark_bright(
    values: Any, is_good: Any, offsets: list[tuple[int, int]], threshold: float, is_bright: Any
) -> None:
    """Mark the pixels around which the mean over the ring is above a threshold.

    The mean is over the good pixels. Bad pixels are not marked, nor those around which there is
    none good. Arrays with margins are wider than the image, on each side, by the largest offset.

    Parameters
    ----------
    values : array, (y + margins, x + margins) float64
        The image; zero where it is bad.
    is_good : array, (y + margins, x + margins) uint8
        1 or 0. Margins that are 1 count as good pixels of the value 0.
    offsets : list of (int, int)
        See `ring_offsets`.
    threshold : float
        In units of the image.
    is_bright : array, (y, x) uint8
        Gets 1 or 0.
    """
    body = implementation(__name__, values, is_good, is_bright)
    body.mark_bright(values, is_good, offsets, threshold, is_bright)


def margin_of(offsets: list[tuple[int, int]]) -> int:
    """Return the largest offset."""
    return max(max(abs(y), abs(x)) for y, x in offsets)
