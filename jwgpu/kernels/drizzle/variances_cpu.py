"""Variances of a mean of images on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.compiled import compiled


@compiled
def add_rows(
    first: Any,
    stop: Any,
    errors: Any,
    hit: Any,
    time: Any,
    noise: Any,
    sums: Any,
    sum_weights: Any,
) -> None:
    """Add the rows ``first:stop``."""
    for y in range(first, stop):
        for x in range(hit.shape[1]):
            if hit[y, x] == 0:
                continue
            weight = time
            if time == 0:
                variance = errors[noise, y, x] * errors[noise, y, x]
                if not (variance > 0 and variance < np.inf):
                    continue
                weight = np.float64(np.float32(1) / variance)
            for plane in range(errors.shape[0]):
                variance = errors[plane, y, x] * errors[plane, y, x]
                if not (variance >= 0 and variance < np.inf):
                    continue
                share = np.float64(variance) * weight * weight
                before = np.float64(sums[plane, y, x])
                sums[plane, y, x] = share if np.isnan(before) else before + share
                sum_weights[plane, y, x] = np.float64(sum_weights[plane, y, x]) + weight
