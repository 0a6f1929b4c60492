"""Medians of lines and boxes on a GPU: allocate and launch."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.kernels.lanes import LANES
from jwgpu.kernels.launching import launch

BLOCK = 128


def line_medians(image: Any, mask: Any, channels: int) -> Any:
    """Return the medians of the pieces of each row: (y, channels) float32; 0 for an empty one."""
    xp = namespace_of(image, mask)
    rows, columns = image.shape
    medians = xp.empty((rows, channels), xp.float32)
    keys = xp.empty(image.shape, xp.uint32)
    sizes = map(np.int32, (rows, columns, channels))
    arguments = (image, mask, *sizes, keys, medians)
    launch(__file__, "line_medians", rows * channels * LANES, arguments, block=BLOCK)
    return medians


def fill_outliers(image: Any, mask: Any, threshold: float) -> Any:
    """Contract in the package."""
    xp = namespace_of(image, mask)
    mask = xp.ascontiguousarray(mask)
    result, keys = xp.empty(image.shape, xp.float32), xp.empty(image.shape, xp.uint32)
    sizes = map(np.int32, image.shape)
    arguments = (image, mask, *sizes, np.float32(threshold), keys, result)
    launch(__file__, "fill_outliers", image.shape[0] * LANES, arguments, block=BLOCK)
    return result


def box_medians(image: Any, mask: Any, box: tuple[int, int]) -> tuple[Any, Any]:
    """Contract in the package."""
    xp = namespace_of(image, mask)
    boxes = tuple(-(-n // m) for n, m in zip(image.shape, box, strict=True))
    medians, counts = xp.empty(boxes, xp.float32), xp.empty(boxes, xp.int64)
    keys = xp.empty((medians.size, box[0] * box[1]), xp.uint32)
    sizes = map(np.int32, (*image.shape, *box, boxes[1], medians.size))
    arguments = (image, mask, *sizes, keys, medians, counts)
    launch(__file__, "box_medians", medians.size * LANES, arguments, block=BLOCK)
    return medians, counts
