"""Blot on a GPU: launch."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.launching import launch


def blot(image: Any, pixel_map: Any, blotted: Any) -> None:
    """Interpolate an image; see :func:`jwgpu.kernels.blot.blot`."""
    rows, columns = blotted.shape
    numbers = (np.int32(number) for number in (*image.shape, rows, columns))
    launch(__file__, "blot", (columns, rows), (image, pixel_map, blotted, *numbers))
