"""Flicker noise on a GPU: allocate and launch."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.kernels.flicker_noise import Lines
from jwgpu.kernels.flicker_noise.histogram import fit_gaussian
from jwgpu.kernels.flicker_noise.medians_cuda import box_medians, fill_outliers, line_medians
from jwgpu.kernels.flicker_noise.sorted_cuda import (
    find_limits,
    find_median,
    shift_kept,
    sort_values,
)
from jwgpu.kernels.launching import launch

__all__ = [
    "background_limits",
    "box_medians",
    "contiguous",
    "fill_outliers",
    "mask_outside",
    "masked_median",
    "restore",
    "stripes",
    "subtract_background",
    "take_difference",
]

_SIGMAS = (3.0, 3.0)


def background_limits(
    image: Any,
    mask: Any,
    sigma_lower: float,
    sigma_upper: float,
    fit_histogram: bool,
    lower_half_only: bool,
    clip: float,
) -> tuple[Any, Any]:
    """Contract in the package."""
    found = find_limits(
        sort_values(image, mask),
        (sigma_lower, sigma_upper),
        uses_mean=fit_histogram,
        lower_half_only=lower_half_only,
        clip=clip,
    )
    if not fit_histogram:
        return found[0], found[1]
    center, sigma = (float(found[2]), float(found[3]))
    if np.isfinite(center):
        center, sigma = fit_gaussian(image[mask], center, sigma)
    return center - sigma_lower * sigma, center + sigma_upper * sigma


def masked_median(image: Any, mask: Any) -> Any:
    """Contract in the package."""
    median, _ = find_median(sort_values(image, mask))
    return median[0]


def take_difference(
    image: Any,
    mask: Any,
    current: Any,
    previous: Any,
    scene: Any,
    groupdq: Any,
    unusable: int,
    flat: Any,
) -> None:
    """Contract in the package."""
    arguments = (image, mask, current, previous, scene, groupdq, np.int32(unusable), flat)
    launch(__file__, "take_difference", image.size, (*arguments, np.int64(image.size)))


def mask_outside(image: Any, mask: Any, low: Any, high: Any) -> None:
    """Contract in the package."""
    limits = [_placed(low, np.float64), _placed(high, np.float64)]
    places, numbers = zip(*limits, strict=True)
    launch(
        __file__, "mask_outside", image.size, (image, mask, np.int64(image.size), *places, *numbers)
    )


def subtract_background(image: Any, mask: Any, n_sigma: float) -> Any:
    """Contract in the package."""
    values = sort_values(image, mask)
    before = find_limits(values, _SIGMAS)
    median, places = find_median(values, before)
    after = None
    if n_sigma > 0:
        after = find_limits(shift_kept(values, places, median), (n_sigma, n_sigma))
    arguments = (image, mask, np.int64(image.size), median, before, after)
    launch(__file__, "subtract_offset", image.size, arguments)
    return median[0]


def stripes(image: Any, mask: Any, lines: Lines) -> Any:
    """Contract in the package."""
    xp = namespace_of(image, mask)
    if lines.axis == 1:
        return line_medians(image, mask, lines.channels)
    columns, unmasked = (xp.ascontiguousarray(array.T) for array in (image, mask))
    return xp.ascontiguousarray(line_medians(columns, unmasked, lines.channels).T)


def contiguous(view: Any) -> Any:
    """Contract in the package."""
    return namespace_of(view).ascontiguousarray(view)


def restore(target: Any, image: Any, noise: Any, background: Any, flat: Any, base: Any) -> None:
    """Contract in the package."""
    rows, columns = image.shape
    size = (1, 1)
    if noise is not None:
        size = (rows // noise.shape[0], columns // noise.shape[1])
    is_image = getattr(background, "ndim", 0) == 2
    level = (None, np.float32(0)) if is_image else _placed(background, np.float32)
    arguments = (
        target,
        image,
        *map(np.int32, (rows, columns)),
        noise,
        *map(np.int32, size),
        background if is_image else None,
        *level,
        flat,
        base,
    )
    launch(__file__, "restore", (columns, rows), arguments)


def _placed(value: Any, kind: Any) -> tuple[Any, Any]:
    """Return where a number stands on the device, or None; and the number, or 0."""
    if getattr(value, "dtype", None) is None or isinstance(value, np.generic):
        return None, kind(value)
    return value, kind(0)
