"""Likelihood fit on a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.kernels.launching import launch
from jwgpu.kernels.likelihood_fit.exposure import Exposure, Rates
from jwgpu.kernels.likelihood_fit.readout import HAS_PAIRS, Readout

#: Rows of the workspace, as `Row` in ``ramp.cuh``.
_N_ROWS = 5
#: Blocks that a multiprocessor runs at a time, as the launch bounds say.
_BLOCKS_AT_A_TIME = 3
#: Bytes that the workspace of long ramps may take.
_WORKSPACE = 1 << 30
_BLOCK = 128


def fit_ramps_by_likelihood(
    exposure: Exposure,
    readout: Readout,
    thresholds: tuple[float, float],
    rate: Rates,
    rateints: Rates,
    chi_square: Any,
) -> None:
    """See `jwgpu.kernels.likelihood_fit.cpu.fit_ramps_by_likelihood`."""
    xp = namespace_of(exposure.data)
    ints, groups, rows, columns = exposure.data.shape
    n_ramps, n_pixels = ints * rows * columns, rows * columns
    n = readout.factors.shape[1]
    bytes_of_lane = 8 * _N_ROWS * (n + 1) + n
    lanes = min(n_ramps, _lanes_at_a_time(exposure.data), max(_WORKSPACE // bytes_of_lane, 1))
    lanes = -(-lanes // _BLOCK) * _BLOCK
    rounds = -(-n_ramps // max(lanes, 1))
    chi_squares = None if chi_square is None else xp.empty((ints, rows, columns), np.float32)
    arguments = (
        *exposure,
        xp.asarray(readout.factors),
        np.float64(readout.frames),
        np.bool_(readout.factors[HAS_PAIRS].any()),
        *(np.float64(limit) for limit in thresholds),
        np.int32(groups),
        np.int64(n_pixels),
        np.int64(n_ramps),
        *rateints,
        chi_squares,
        xp.empty((_N_ROWS, n + 1, lanes), np.float64),
        xp.empty((n, lanes), np.uint8),
        xp.empty((rounds, lanes), np.uint32),
        np.int64(lanes),
        np.int64(rounds),
    )
    launch(__file__, "fit_ramps", lanes, arguments, block=_BLOCK)
    launch(
        Path(__file__).with_name("combine.cu"),
        "combine",
        n_pixels,
        (*rateints, chi_squares, np.int32(ints), np.int64(n_pixels), *rate, chi_square),
    )


def _lanes_at_a_time(array: Any) -> int:
    """Return the threads that the array's device runs at a time: more would wait for these."""
    processors: int = array.device.attributes["MultiProcessorCount"]
    return processors * _BLOCKS_AT_A_TIME * _BLOCK
