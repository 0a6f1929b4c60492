"""SIRS on a GPU: many images at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.kernels.lanes import LANES
from jwgpu.kernels.launching import launch
from jwgpu.kernels.reference_pixels.layout import BORDER, Placement
from jwgpu.kernels.sirs.cpu import SIGMA

#: Images at a time, which bounds the memory for their side pixels (0.3 MB each).
IMAGES_AT_A_TIME = 128


def subtract_template(images: Any, kernels: Any, placement: Placement, sigma_limit: float) -> None:
    """Contract in the package."""
    xp = namespace_of(images)
    on_device = xp.asarray(np.ascontiguousarray(kernels))
    for first in range(0, images.shape[0], IMAGES_AT_A_TIME):
        some = images[first : first + IMAGES_AT_A_TIME]
        template = _make_templates(some, on_device, placement, sigma_limit)
        n, n_y, n_x = some.shape
        numbers = map(np.int32, (n, n_y, n_x, template.shape[1]))
        mirrored = (np.bool_(placement.fast_axis < 0), np.bool_(placement.slow_axis < 0))
        launch(
            __file__,
            "subtract",
            (n_x, n_y, n),
            (some, template, *numbers, np.bool_(placement.fast_along_x), *mirrored),
            block=(64, 4),
        )


def _make_templates(images: Any, kernels: Any, placement: Placement, sigma_limit: float) -> Any:
    """Return what to subtract, (images, amplifiers, rows) float64."""
    xp = namespace_of(images)
    frames = images if placement.fast_along_x else images.transpose(0, 2, 1)
    slow, fast = (1 if axis > 0 else -1 for axis in (placement.slow_axis, placement.fast_axis))
    frames = frames[:, ::slow, ::fast]
    sides = xp.stack([frames[..., :BORDER], frames[..., -BORDER:]], axis=1)
    values = xp.ascontiguousarray(sides, dtype=xp.float64)
    n_sides, rows = 2 * images.shape[0], values.shape[2]
    middles, reaches = xp.empty(n_sides), xp.empty(n_sides)
    size, sigmas = np.int32(rows * BORDER), np.float64(sigma_limit * SIGMA)
    limits = (values, np.int32(n_sides), size, sigmas, middles, reaches)
    launch(__file__, "find_limits", n_sides * LANES, limits, block=128)
    signal, share = xp.empty((n_sides, rows)), xp.empty((n_sides, rows))
    sizes = map(np.int32, (n_sides, rows, BORDER))
    read = (values, middles, reaches, *sizes, signal, share)
    launch(__file__, "leave_out", (rows, n_sides), read)
    _, amplifiers, length = kernels.shape
    template = xp.empty((images.shape[0], amplifiers, rows))
    sizes = map(np.int32, (images.shape[0], amplifiers, rows, length))
    convolved = (signal, share, kernels, *sizes, template)
    launch(__file__, "make_template", (rows, amplifiers, images.shape[0]), convolved)
    return template
