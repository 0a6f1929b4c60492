"""Sums in an order that a GPU can follow: dealt out to 32 lanes, which are then added in pairs.

A warp of a GPU does so with one lane a thread (``cuda/lanes.cuh``), the CPU with a small array.
Results are the same to the last bit.
"""

from __future__ import annotations

from typing import Any

from jwgpu.kernels.compiled import compiled

LANES = 32


@compiled
def sum_of_lanes(lanes: Any) -> Any:
    """Return the sum of an array of `LANES` float64, and set them to zero."""
    step = 16
    while step > 0:
        for lane in range(step):
            lanes[lane] += lanes[lane + step]
        step //= 2
    total = lanes[0]
    for lane in range(lanes.size):
        lanes[lane] = 0.0
    return total
