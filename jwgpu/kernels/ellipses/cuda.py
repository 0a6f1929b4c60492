"""Flagging the pixels inside ellipses on a GPU: send the ellipses, and launch."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.kernels.ellipses import Ellipses
from jwgpu.kernels.launching import launch

_BLOCK = (32, 8)


def flag_ellipses(planes: Any, ellipses: Ellipses, flag: int, unless: int) -> None:
    """See the package."""
    _flag(planes, ellipses, flag, unless, False)


def replace_flags(planes: Any, ellipses: Ellipses, flag: int) -> None:
    """See the package."""
    _flag(planes, ellipses, flag, 0, True)


def mark_ellipses(
    marks: Any, planes: Any, first: int, stop: int, ellipses: Ellipses, unless: int
) -> None:
    """See the package."""
    n_threads, box = _surroundings(ellipses)
    sizes = (len(ellipses), *planes.shape[1:], *box, first, stop)
    numbers = (*(np.int32(size) for size in sizes), np.uint8(unless))
    arguments = (marks, planes, _sent(planes, ellipses), *numbers)
    launch(__file__, "mark_ellipses", n_threads, arguments, block=_BLOCK)


def _flag(planes: Any, ellipses: Ellipses, flag: int, unless: int, is_replacing: bool) -> None:
    n_threads, box = _surroundings(ellipses)
    sizes = (len(ellipses), *planes.shape, *box)
    flags = (np.uint8(flag), np.uint8(unless), np.uint8(is_replacing))
    arguments = (planes, _sent(planes, ellipses), *(np.int32(size) for size in sizes), *flags)
    launch(__file__, "flag_ellipses", n_threads, arguments, block=_BLOCK)


def _sent(planes: Any, ellipses: Ellipses) -> Any:
    """Send boxes and shapes as one array of numbers."""
    return namespace_of(planes).asarray(np.hstack([ellipses.boxes, ellipses.shapes]))


def _surroundings(ellipses: Ellipses) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
    """Return the size (x, y) of the box around all ellipses, and its first and last sides."""
    boxes = ellipses.boxes
    boxes = boxes[(boxes[:, 0] < boxes[:, 1]) & (boxes[:, 2] < boxes[:, 3])]
    if not len(boxes):
        return (0, 0), (0, 0, 0, 0)
    top, left = boxes[:, [0, 2]].min(axis=0).tolist()
    bottom, right = boxes[:, [1, 3]].max(axis=0).tolist()
    return (right - left, bottom - top), (top, bottom, left, right)
