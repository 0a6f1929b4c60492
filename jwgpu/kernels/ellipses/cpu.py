"""Flagging the pixels inside ellipses: compiled loops over their boxes."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.compiled import compiled
from jwgpu.kernels.ellipses import Ellipses


@compiled
def is_inside(x: int, y: int, shape: Any) -> bool:
    """Say whether a pixel's centre is inside an ellipse, the outline excluded.

    Each operation as in the official package: of the pixels that lie exactly on the outline,
    rounding decides.
    """
    column, row = x - shape[0], y - shape[1]
    across, along, sine, cosine = shape[2], shape[3], shape[4], shape[5]
    u = (row * cosine + column * sine) / along
    v = (row * sine - column * cosine) / across
    return bool(u * u + v * v < 1.0)


@compiled
def flag_boxes(
    planes: Any, boxes: Any, shapes: Any, flag: Any, unless: Any, is_replacing: bool
) -> None:
    """Add a flag inside each ellipse, or replace the flags there."""
    for k in range(boxes.shape[0]):
        for y in range(boxes[k, 0], boxes[k, 1]):
            for x in range(boxes[k, 2], boxes[k, 3]):
                if not is_inside(x, y, shapes[k]):
                    continue
                for plane in range(planes.shape[0]):
                    flags = planes[plane, y, x]
                    if flags & unless:
                        break
                    planes[plane, y, x] = flag if is_replacing else flags | flag


@compiled
def mark_boxes(
    marks: Any, planes: Any, first: int, stop: int, boxes: Any, shapes: Any, unless: Any
) -> None:
    """Note the pixels inside each ellipse, one bit a group."""
    for k in range(boxes.shape[0]):
        for y in range(boxes[k, 0], boxes[k, 1]):
            for x in range(boxes[k, 2], boxes[k, 3]):
                if not is_inside(x, y, shapes[k]):
                    continue
                for group in range(first, stop):
                    if planes[group, y, x] & unless:
                        break
                    marks[group // 8, y, x] |= np.uint8(1 << (group % 8))


def flag_ellipses(planes: Any, ellipses: Ellipses, flag: int, unless: int) -> None:
    """See the package."""
    flag_boxes(planes, ellipses.boxes, ellipses.shapes, np.uint8(flag), np.uint8(unless), False)


def replace_flags(planes: Any, ellipses: Ellipses, flag: int) -> None:
    """See the package."""
    flag_boxes(planes, ellipses.boxes, ellipses.shapes, np.uint8(flag), np.uint8(0), True)


def mark_ellipses(
    marks: Any, planes: Any, first: int, stop: int, ellipses: Ellipses, unless: int
) -> None:
    """See the package."""
    boxes, shapes = ellipses.boxes, ellipses.shapes
    mark_boxes(marks, planes, int(first), int(stop), boxes, shapes, np.uint8(unless))
