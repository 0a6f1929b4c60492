"""Moments with the rounding errors that the official package's have.

It sums them with matrix products over the image of a region, which NumPy leaves to a library whose
order of sums is its own: so this is done on the host, for the few regions that are drawn. Where
the centroid is a binary fraction, nothing is rounded and there is nothing to do.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from jwgpu.kernels.regions import Regions
from jwgpu.kernels.regions.moments import inertia_of

#: Powers that the official package sums: more than are needed, but the sums may depend on it.
_POWERS = np.arange(4.0)


def rounded_inertia(runs: Any) -> Any:
    """Return the moments (3,) of a region."""
    runs = runs.astype(np.int64)
    rows, first, last = runs[:, 0] - runs[0, 0], runs[:, 1], runs[:, 2]
    corner = first.min()
    first, last = first - corner, last - corner
    lengths = last - first + 1
    n = int(lengths.sum())
    sum_y, sum_x = int((rows * lengths).sum()), int(((first + last) * lengths).sum()) // 2
    image = np.zeros((rows[-1] + 1, last.max() + 1))
    for row, left, right in zip(rows.tolist(), first.tolist(), last.tolist(), strict=True):
        image[row, left : right + 1] = 1.0
    for axis, center in enumerate((sum_y / n, sum_x / n)):
        offsets = np.arange(float(image.shape[axis])) - center
        powers = offsets[:, None] ** _POWERS
        contraction = "yx,yp->px" if axis == 0 else "px,xq->pq"
        image = np.einsum(contraction, image, powers, optimize="greedy")
    return inertia_of(image[0, 2], image[2, 0], image[1, 1], image[0, 0])


def round_officially(found: Sequence[Regions]) -> list[Regions]:
    """Return regions with the rounding errors of the official package's moments.

    See `Regions.as_rounded_officially`. The pixels that are needed of regions that were found
    together are fetched together.

    Parameters
    ----------
    found : sequence of Regions
    """
    result = list(found)
    sources = {id(regions.runs): regions.runs for regions in found}
    for runs in sources.values():
        places = [k for k, regions in enumerate(found) if regions.runs is runs]
        inexact = [np.flatnonzero(~found[k].is_exact) for k in places]
        numbers = [found[k].number[own] for k, own in zip(places, inexact, strict=True)]
        if not any(len(own) for own in numbers):
            continue
        pixels = iter(runs.of(np.concatenate(numbers)))
        for k, own in zip(places, inexact, strict=True):
            inertia = found[k].inertia.copy()
            for region in own.tolist():
                inertia[region] = rounded_inertia(next(pixels))
            result[k] = dataclasses.replace(found[k], inertia=inertia)
    return result
