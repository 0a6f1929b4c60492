"""IRS2 on a GPU: allocate and launch; the correction is in `correction_cuda`."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.kernels.irs2.correction_cuda import subtract_reference
from jwgpu.kernels.irs2.saturation_cuda import flag_saturation
from jwgpu.kernels.lanes import LANES
from jwgpu.kernels.launching import launch

__all__ = ["flag_saturation", "mean_image", "pair_statistics", "subtract_reference"]


def mean_image(images: Any) -> Any:
    """Contract in the package."""
    xp = namespace_of(images)
    mean = xp.empty(images.shape[1:], xp.float64)
    arguments = (images, np.int32(images.shape[0]), np.int64(mean.size), mean)
    launch(__file__, "mean_image", mean.size, arguments)
    return mean


def pair_statistics(images: Any, rows: Any) -> Any:
    """Contract in the package."""
    xp = namespace_of(images)
    result = xp.empty((rows.size, 3), xp.float64)
    numbers = map(np.int32, (rows.size, *images.shape))
    launch(
        __file__, "describe_pairs", rows.size * LANES, (images, rows, *numbers, result), block=128
    )
    return result
