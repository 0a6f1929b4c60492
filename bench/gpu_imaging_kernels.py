"""Inputs of the kernels of imaging that bench/gpu.py measures, and how they are called."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.kernels.blot import blot
from jwgpu.kernels.drizzle import Drop, Pixels, Sums, drizzle
from jwgpu.kernels.median_stack import median_stack
from jwgpu.kernels.outliers import Limits as OutlierLimits
from jwgpu.kernels.outliers import flag_blotted
from jwgpu.kernels.pixel_map import evaluate
from jwgpu.kernels.sky_statistics import Limits, clipped_moments

TERMS = 12  # of the series of a distortion


def image(shape: tuple[int, ...]) -> dict[str, Any]:
    """Return the sky with its noise, and variances."""
    random = np.random.default_rng(1)
    return {
        "data": 5 + random.standard_normal(shape[2:], np.float32),
        "weight": random.uniform(0.5, 2, shape[2:]).astype(np.float32),
        **{f"variance{k}": random.random(shape[2:], np.float32) for k in range(3)},
    }


def turned_map(shape: tuple[int, ...]) -> Any:
    """Return where pixels fall that are turned by five degrees."""
    y, x = np.indices(shape[2:], dtype=np.float64)
    turned = [0.9962 * x - 0.0872 * y + 60, 0.0872 * x + 0.9962 * y - 60]
    return np.ascontiguousarray(np.stack(turned, axis=-1))


def mapped_image(shape: tuple[int, ...]) -> dict[str, Any]:
    return {**image(shape), "pixel_map": turned_map(shape)}


def sums_of(data: Any) -> Sums:
    """Return sums with variances and the context, all 0."""
    xp, shape = namespace_of(data), data.shape
    planes = [xp.zeros((n, *shape), xp.float32) for n in (1, 3, 3)]
    context = xp.zeros(shape, xp.int32)
    return Sums(planes[0], xp.zeros(shape, xp.float32), context, None, planes[1], planes[2])


def run_drizzle(data: Any, weight: Any, pixel_map: Any, kernel: str, **variances: Any) -> Any:
    sums = sums_of(data)
    pixels = Pixels(data, weight, pixel_map, variances=list(variances.values()))
    window = (0, data.shape[1] - 1, 0, data.shape[0] - 1)
    drizzle(pixels, Drop(kernel, 1.0, 1.0, window), sums)
    return tuple(array for array in sums if array is not None)


def run_square(**given: Any) -> Any:
    return run_drizzle(**given, kernel="square")


def run_gaussian(**given: Any) -> Any:
    return run_drizzle(**given, kernel="gaussian")


def series(shape: tuple[int, ...]) -> dict[str, Any]:
    """Return a series for each pixel of an image."""
    random = np.random.default_rng(1)
    return {
        "coefficients": random.normal(0, 1, (2, TERMS, TERMS)),
        "along_y": random.uniform(-1, 1, (shape[2], TERMS)),
        "along_x": random.uniform(-1, 1, (TERMS, shape[3])),
    }


def run_evaluate(coefficients: Any, along_y: Any, along_x: Any) -> Any:
    made = namespace_of(along_y).empty((len(along_y), along_x.shape[1], 2))
    evaluate(coefficients, along_y, along_x, made)
    return made


def seen_image(shape: tuple[int, ...]) -> dict[str, Any]:
    return {"data": image(shape)["data"], "pixel_map": turned_map(shape)}


def run_blot(data: Any, pixel_map: Any) -> Any:
    made = namespace_of(data).empty_like(data)
    blot(data, pixel_map, made)
    return made


def stack(shape: tuple[int, ...]) -> dict[str, Any]:
    """Return eight images of one grid."""
    random = np.random.default_rng(1)
    return {"images": random.standard_normal((8, *shape[2:]), np.float32)}


def run_median_stack(images: Any) -> Any:
    made = namespace_of(images).empty(images.shape[1:], np.float32)
    median_stack(images, made)
    return made


def blotted_image(shape: tuple[int, ...]) -> dict[str, Any]:
    """Return an image, its errors, what the others see, and flags."""
    random = np.random.default_rng(1)
    seen = 5 + random.standard_normal(shape[2:], np.float32)
    noise = random.standard_normal(shape[2:], np.float32)
    ones = np.ones(shape[2:], np.float32)
    return {"data": seen + noise, "err": ones, "seen": seen, "dq": np.zeros(ones.shape, np.uint32)}


def run_outliers(data: Any, err: Any, seen: Any, dq: Any) -> None:
    counts = namespace_of(data).zeros(len(data), np.int32)
    flag_blotted(data, err, seen, 0.0, OutlierLimits((5.0, 4.0), (1.2, 0.7)), dq, counts)


def sky(shape: tuple[int, ...]) -> dict[str, Any]:
    """Return an image that is a region as a whole."""
    spans = np.zeros((1, shape[2], 1, 2), np.int32)
    spans[..., 1] = shape[3]
    return {"values": image(shape)["data"], "spans": spans}


def run_sky(values: Any, spans: Any) -> Any:
    return clipped_moments(values, spans, Limits())
