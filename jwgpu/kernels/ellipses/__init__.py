"""Flagging the pixels inside ellipses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jwgpu.backends import implementation


@dataclass(frozen=True)
class Ellipses:
    """Filled ellipses on the pixel grid; NumPy arrays on the host.

    Parameters
    ----------
    boxes : ndarray, (n, 4) int64
        First row, row after the last, first column, column after the last: what lies outside is
        not drawn.
    shapes : ndarray, (n, 6) float64
        Centre x and y, both half axes, sine and cosine of the angle.
    """

    boxes: Any
    shapes: Any

    def __len__(self) -> int:
        return len(self.boxes)


def draw_ellipses(
    x: Any, y: Any, minor: Any, major: Any, degrees: Any, shape: tuple[int, ...]
) -> Ellipses:
    """Put ellipses on the pixel grid, as the official package does.

    Centres and half axes are rounded to whole pixels, halves to even ones. An ellipse that is
    flat after rounding has no pixels. Axes may be negative (a region one pixel wide has one of
    -1): the box is then too small for the ellipse, and cuts it.

    Parameters
    ----------
    x, y : ndarray, (n,) float64
        Centres.
    minor, major : ndarray, (n,) float64
        Full axes.
    degrees : ndarray, (n,) float64
        Angles of the major axes with the columns.
    shape : tuple of int
        Rows and columns of the image, the last two of the tuple.
    """
    import numpy as np

    center = np.stack([np.rint(y), np.rint(x)], axis=1)
    across, along = np.rint(minor / 2), np.rint(major / 2)
    angle = np.radians(degrees) % np.pi
    sine, cosine = np.sin(angle), np.cos(angle)
    half = np.stack(
        [abs(along * cosine) + across * sine, along * sine + abs(across * cosine)], axis=1
    )
    # The official package draws into a cutout of the image, and rounds in its coordinates.
    margin = np.maximum(across, along)[:, None] + 2
    corner = np.maximum(center - margin, 0)
    end = np.minimum(center + margin + 1, np.array(shape[-2:], float))
    first = np.maximum(np.ceil(center - corner - half), 0) + corner
    last = np.minimum(np.floor(center - corner + half) + corner, end - 1)
    last[(across == 0) | (along == 0)] = -1
    boxes = np.stack([first[:, 0], last[:, 0] + 1, first[:, 1], last[:, 1] + 1], axis=1)
    shapes = np.stack([center[:, 1], center[:, 0], across, along, sine, cosine], axis=1)
    return Ellipses(boxes.astype(np.int64), shapes)


def joined(parts: Sequence[Ellipses]) -> Ellipses:
    """Return all ellipses of several lists, which must not be empty."""
    import numpy as np

    boxes = np.concatenate([part.boxes for part in parts])
    return Ellipses(boxes, np.concatenate([part.shapes for part in parts]))


def flag_ellipses(planes: Any, ellipses: Ellipses, flag: int, unless: int = 0) -> None:
    """Flag the pixels inside ellipses on every plane, in place.

    Parameters
    ----------
    planes : array, (groups, y, x) uint8
        Flags.
    ellipses : Ellipses
    flag : int
        What to add.
    unless : int
        At a pixel with one of these flags it ends, for that plane and those after it.
    """
    if len(ellipses):
        implementation(__name__, planes).flag_ellipses(planes, ellipses, flag, unless)


def replace_flags(planes: Any, ellipses: Ellipses, flag: int) -> None:
    """Give the pixels inside ellipses this flag, and no other, on every plane, in place."""
    if len(ellipses):
        implementation(__name__, planes).replace_flags(planes, ellipses, flag)


def mark_ellipses(
    marks: Any, planes: Any, first: int, stop: int, ellipses: Ellipses, unless: int
) -> None:
    """Note the pixels inside ellipses without flagging them yet.

    Parameters
    ----------
    marks : array, (ceil(groups / 8), y, x) uint8
        One bit for each group, the lowest for the first; bits are added.
    planes : array, (groups, y, x) uint8
        Flags. Not changed.
    first, stop : int
        The groups to mark.
    ellipses : Ellipses
    unless : int
        At a pixel with one of these flags it ends, for that group and those after it.
    """
    if len(ellipses):
        body = implementation(__name__, marks, planes)
        body.mark_ellipses(marks, planes, first, stop, ellipses, unless)
