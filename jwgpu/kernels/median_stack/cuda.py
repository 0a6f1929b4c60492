"""The median of a stack on a GPU: launch."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from jwgpu.kernels.launching import launch


def median_stack(images: Any, medians: Any) -> None:
    """Take medians; see :func:`jwgpu.kernels.median_stack.median_stack`."""
    n_pixels = prod(medians.shape)
    numbers = (np.int32(images.shape[0]), np.int32(n_pixels))
    launch(__file__, "median_stack", n_pixels, (images, medians, *numbers))
