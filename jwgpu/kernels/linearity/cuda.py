"""Polynomials on a GPU: launch."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from jwgpu.errors import DeviceError
from jwgpu.kernels.launching import launch

_READS = Path(__file__).with_name("reads.cu")

#: Terms for which the kernels are compiled; the coefficients of a pixel are held in registers.
_TERMS = (8, 16, 32)
#: Samples that keep a GPU busy: a pixel is shared out over threads only up to these.
_PLENTY = 1 << 21
#: Blocks that a grid may have along y.
_MOST_BLOCKS = 65535


def straighten(
    data: Any, groupdq: Any, pixeldq: Any, coefficients: Any, coefficients_dq: Any
) -> None:
    """Straighten ramps; see :func:`jwgpu.kernels.linearity.straighten`."""
    n_terms = coefficients.shape[0]
    n_planes, n_pixels = prod(data.shape[:-2]), prod(data.shape[-2:])
    each, n_parts = _shared_out(n_planes, n_pixels)
    numbers = (np.int32(number) for number in (n_terms, n_planes, n_pixels, each))
    launch(
        __file__,
        "straighten",
        (n_pixels, n_parts),
        (data, groupdq, pixeldq, coefficients, coefficients_dq, *numbers),
        defines={"TERMS": _room_for(n_terms)},
    )


def straighten_reads(
    data: Any,
    groupdq: Any,
    pixeldq: Any,
    coefficients: Any,
    inverse_coefficients: Any,
    coefficients_dq: Any,
    frames: int,
) -> None:
    """Straighten frames; see :func:`jwgpu.kernels.linearity.straighten_reads`."""
    n_terms = (coefficients.shape[0], inverse_coefficients.shape[0])
    n_ints, n_groups = data.shape[:2]
    n_pixels = prod(data.shape[2:])
    each, n_parts = _shared_out(n_ints, n_pixels)
    numbers = (*n_terms, frames, n_ints, n_groups, n_pixels, each)
    arrays = (data, groupdq, pixeldq, coefficients, inverse_coefficients, coefficients_dq)
    launch(
        _READS,
        "straighten_reads",
        (n_pixels, n_parts),
        (*arrays, *(np.int32(number) for number in numbers)),
        defines={"TERMS": _room_for(max(n_terms))},
    )


def straighten_zeroframe(zeroframe: Any, coefficients: Any, coefficients_dq: Any) -> None:
    """Straighten frame zero; see :func:`jwgpu.kernels.linearity.straighten_zeroframe`."""
    straighten(zeroframe, None, None, coefficients, coefficients_dq)


def _room_for(n_terms: int) -> int:
    """Return how many terms to compile for."""
    for room in _TERMS:
        if n_terms <= room:
            return room
    raise DeviceError(
        f"linearity: a polynomial of {n_terms} terms; a GPU takes {_TERMS[-1]}: use --device cpu"
    )


def _shared_out(n_planes: int, n_pixels: int) -> tuple[int, int]:
    """Return how many planes a thread takes, and how many threads share a pixel."""
    each = max(n_planes * n_pixels // _PLENTY, -(-n_planes // _MOST_BLOCKS), 1)
    each = min(each, max(n_planes, 1))
    return each, -(-n_planes // each)
