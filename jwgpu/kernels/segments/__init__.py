"""Segments of an image: which of them fall into parts at higher levels."""

from __future__ import annotations

from typing import Any

from jwgpu.backends import implementation


def find_extremes(image: Any, segments: Any, boxes: Any) -> Any:
    """Return the least and the largest value of segments, (2, segments) float32.

    Parameters
    ----------
    image : array, (y, x) float32
        NaN does not count.
    segments, boxes : array
        See `find_divisible`.
    """
    return implementation(__name__, image, segments).find_extremes(image, segments, boxes)


def find_divisible(
    image: Any, segments: Any, boxes: Any, levels: Any, least: int, *, corners: bool
) -> Any:
    """Tell which segments have two parts above one of their levels.

    Parameters
    ----------
    image : array, (y, x) float32
    segments : array, (y, x) int32
        Number of the segment that each pixel belongs to, from 1; 0 for none.
    boxes : ndarray, (segments, 5) int64
        Of each segment to look at: its number, first row, row after the last, and columns alike.
    levels : ndarray, (segments, levels) float64
        Rising.
    least : int
        Pixels that a part must have, each above the level.
    corners : bool
        Whether pixels that touch with their corners are connected.

    Returns
    -------
    ndarray, (segments,) bool
    """
    module = implementation(__name__, image, segments)
    return module.find_divisible(image, segments, boxes, levels, least, corners=corners)
