"""Where the results of a fit go."""

from __future__ import annotations

from typing import Any

from jwgpu.kernels.ramp_fit import Fit, Segments


def empty_fit(xp: Any, shape: tuple[int, ...]) -> Fit:
    """Allocate rates of a shape (..., y, x)."""
    data, err, var_poisson, var_rnoise = (xp.empty(shape, xp.float32) for _ in range(4))
    return Fit(data, xp.empty(shape, xp.uint32), err, var_poisson, var_rnoise)


def no_segments_yet(xp: Any, shape: tuple[int, int, int], segments: int, jumps: int) -> Segments:
    """Allocate segments of ramps (ints, y, x), as many as the most of a ramp, all 0."""
    ints, rows, columns = shape
    by_segment = [xp.zeros((ints, segments, rows, columns), xp.float32) for _ in range(7)]
    pedestal = xp.zeros(shape, xp.float32)
    crmag = xp.zeros((ints, jumps, rows, columns), xp.float32)
    return Segments._make([*by_segment, pedestal, crmag])
