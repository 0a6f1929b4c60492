"""Moments with the rounding errors that the official package's have.

It sums them with matrix products over the image of a region, which NumPy leaves to a library whose
order of sums is its own. Where the centroid is a binary fraction, nothing is rounded and there is
nothing to do.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from jwgpu.kernels.regions import Regions

#: Powers that the official package sums: more than are needed, but the sums may depend on it.
_POWERS = np.arange(4.0)


def axes_of(inertia: Any) -> Any:
    """Return minor and major axes less one pixel, (n, 2), of (n, 3) moments."""
    tensors = inertia[:, [0, 2, 2, 1]].reshape(-1, 2, 2)
    return 4 * np.sqrt(np.linalg.eigvalsh(tensors).clip(0.0, None)) - 1


def inertia_of(moment_x: Any, moment_y: Any, mixed: Any, n: Any) -> Any:
    """Return moments as a tensor of inertia, (..., 3).

    Each from the sum of both, as the official package has it: it decides the last bit.
    """
    total = moment_x + moment_y
    return np.stack([(total - moment_y) / n, (total - moment_x) / n, -mixed / n], axis=-1)


def rounded_inertia(runs: Any) -> Any:
    """Return the moments (3,) of a region, or None if there are no rounding errors."""
    runs = runs.astype(np.int64)
    rows, first, last = runs[:, 0] - runs[0, 0], runs[:, 1], runs[:, 2]
    corner = first.min()
    first, last = first - corner, last - corner
    lengths = last - first + 1
    n = int(lengths.sum())
    sum_y, sum_x = int((rows * lengths).sum()), int(((first + last) * lengths).sum()) // 2
    if all((n // math.gcd(n, total)).bit_count() == 1 for total in (sum_y, sum_x)):
        return None
    image = np.zeros((rows[-1] + 1, last.max() + 1))
    for row, left, right in zip(rows.tolist(), first.tolist(), last.tolist(), strict=True):
        image[row, left : right + 1] = 1.0
    for axis, center in enumerate((sum_y / n, sum_x / n)):
        offsets = np.arange(float(image.shape[axis])) - center
        powers = offsets[:, None] ** _POWERS
        contraction = "yx,yp->px" if axis == 0 else "px,xq->pq"
        image = np.einsum(contraction, image, powers, optimize="greedy")
    return inertia_of(image[0, 2], image[2, 0], image[1, 1], image[0, 0])


def rounded(regions: Regions) -> Regions:
    """See `Regions.as_rounded_officially`."""
    inertia = regions.inertia.copy()
    for k, number in enumerate(regions.number.tolist()):
        exact = rounded_inertia(regions.runs.of(number))
        if exact is not None:
            inertia[k] = exact
    axes = axes_of(inertia)
    return dataclasses.replace(regions, minor=axes[:, 0], major=axes[:, 1], inertia=inertia)
