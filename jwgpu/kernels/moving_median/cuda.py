"""The moving median on a GPU: allocate and launch."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.kernels.launching import launch


def moving_median(image: Any, size: tuple[int, int]) -> Any:
    """Contract in the package."""
    xp = namespace_of(image)
    image = xp.ascontiguousarray(image)
    result = xp.empty_like(image)
    rows, columns = image.shape
    arguments = (image, *map(np.int32, (rows, columns, *size)), result)
    launch(__file__, "moving_median", (columns, rows), arguments, block=128)
    return result
