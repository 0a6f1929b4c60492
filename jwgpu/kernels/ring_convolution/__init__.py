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
    """Mark the pixels of images around which the mean over the ring is above a threshold.

    The mean is over the good pixels. Bad pixels are not marked, nor those around which there is
    none good. Arrays with margins are wider than the image, on each side, by the largest offset.

    Parameters
    ----------
    values : array, (images, y + margins, x + margins) float32
        The images; zero where they are bad.
    is_good : array, (images, y + margins, x + margins) uint8
        1 or 0. Margins that are 1 count as good pixels of the value 0.
    offsets : list of (int, int)
        See `ring_offsets`; as many above as below, and on the left as on the right.
    threshold : float
        In units of the image.
    is_bright : array, (images, y, x) uint8
        Gets 1 or 0.
    """
    body = implementation(__name__, values, is_good, is_bright)
    body.mark_bright(values, is_good, offsets, threshold, is_bright)


def margin_of(offsets: list[tuple[int, int]]) -> int:
    """Return the largest offset."""
    return max(max(abs(y), abs(x)) for y, x in offsets)


def quadrant(offsets: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the offsets below and on the right, as (x, y), in order of x: the others mirror them.

    This is the order in which values are summed, so that all devices have the same sums.
    """
    return sorted((x, y) for y, x in offsets if x >= 0 and y >= 0)
