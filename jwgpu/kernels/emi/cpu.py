"""CPU bodies of the EMI kernels: one row of all groups at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows
from jwgpu.kernels.emi.clock import Clock
from jwgpu.kernels.emi.folded_cpu import fold_residuals, subtract_table

__all__ = [
    "evaluate_waveform",
    "fold_residuals",
    "scatter_along_ramps",
    "subtract_table",
    "subtract_waveform",
    "sum_by_phase",
]

#: Blocks of rows that are summed apart: fixed, so that the sums do not depend on the threads.
BLOCKS = 32


@compiled
def waveform_at(pieces: Any, phase: float) -> Any:
    """Return the waveform at a phase in turns."""
    place = (phase - np.floor(phase)) * (pieces.shape[0] - 1) + 0.5
    piece = int(place)
    t = place - piece
    return pieces[piece, 0] + t * (pieces[piece, 1] + t * (pieces[piece, 2] + t * pieces[piece, 3]))


@compiled
def scatter_rows(first: int, stop: int, data: Any, scatter: Any) -> None:
    """Fill the rows of `scatter` (ints, y, x) with standard deviations along the groups."""
    ints, groups, _, width = data.shape
    n = np.float32(groups)
    mean = np.empty(width, np.float32)
    for y in range(first, stop):
        for i in range(ints):
            squares = scatter[i, y]
            for x in range(width):
                mean[x] = data[i, 0, y, x]
            for group in range(1, groups):
                samples = data[i, group, y]
                for x in range(width):
                    mean[x] += samples[x]
            for x in range(width):
                mean[x] /= n
                squares[x] = np.float32(0.0)
            for group in range(groups):
                samples = data[i, group, y]
                for x in range(width):
                    difference = samples[x] - mean[x]
                    squares[x] += difference * difference
            for x in range(width):
                squares[x] = np.sqrt(squares[x] / n)


@compiled
def sum_blocks(
    first: int, stop: int, data: Any, pixeldq: Any, scatter: Any, limit: float, row_clocks: int,
    samples_a_pixel: int, period: float, sums: Any, counts: Any,
) -> None:  # fmt: skip
    """Fill the blocks of `sums` (blocks, ints, groups, bins) and `counts` (blocks, ints, bins)."""
    ints, groups, height, width = data.shape
    n_bins = counts.shape[2]
    quarter = width // 4
    bins = np.empty(quarter, np.int32)
    weight = np.empty(width, np.float32)
    for block in range(first, stop):
        for y in range(height * block // BLOCKS, height * (block + 1) // BLOCKS):
            for k in range(quarter):
                phase = (y * row_clocks + k * samples_a_pixel) / period
                bins[k] = int((phase - np.floor(phase)) * n_bins)
            for i in range(ints):
                for x in range(width):
                    is_good = scatter[i, y, x] < limit and pixeldq[y, x] == 0
                    weight[x] = np.float32(1.0 if is_good and x // 4 not in (1, 2) else 0.0)
                for k in range(quarter):
                    for x in range(4 * k, 4 * k + 4):
                        counts[block, i, bins[k]] += weight[x]
                for group in range(groups):
                    line = data[i, group, y]
                    total = sums[block, i, group]
                    for k in range(quarter):
                        value = 0.0
                        for x in range(4 * k, 4 * k + 4):
                            value += np.float64(line[x] * weight[x])
                        total[bins[k]] += value


@compiled
def evaluate_range(first: int, stop: int, pieces: Any, phases: Any, values: Any) -> None:
    """Fill ``values[first:stop]`` with the waveform at ``phases[first:stop]``."""
    for i in range(first, stop):
        values[i] = waveform_at(pieces, phases[i])


@compiled
def subtract_waveform_rows(
    first: int, stop: int, data: Any, row_clocks: int, samples_a_pixel: int, period: float,
    group_phase: float, pieces: Any, amplitudes: Any, phases: Any,
) -> None:  # fmt: skip
    """Subtract the waveform from rows of all groups."""
    ints, groups, _, width = data.shape
    quarter = width // 4
    own = np.empty(quarter, np.float64)
    for y in range(first, stop):
        for k in range(quarter):
            phase = (y * row_clocks + k * samples_a_pixel) / period
            own[k] = phase - np.floor(phase)
        for i in range(ints):
            amplitude = amplitudes[i]
            for group in range(groups):
                line = data[i, group, y]
                for k in range(quarter):
                    phase = own[k] + group_phase * group + phases[i]
                    wave = amplitude * waveform_at(pieces, phase)
                    for x in range(4 * k, 4 * k + 4):
                        line[x] = np.float32(line[x] - wave)


def scatter_along_ramps(data: Any) -> Any:
    """See :func:`jwgpu.kernels.emi.scatter_along_ramps`."""
    ints, _, height, width = data.shape
    scatter = np.empty((ints, height, width), np.float32)
    over_rows(scatter_rows, height, data, scatter)
    return scatter


def sum_by_phase(
    data: Any, pixeldq: Any, clock: Clock, period: float, n_bins: int, limit: float | None
) -> tuple[Any, Any]:
    """See :func:`jwgpu.kernels.emi.sum_by_phase`."""
    ints, groups, _, _ = data.shape
    scatter = scatter_along_ramps(data)
    if limit is None:
        limit = float(2 * np.median(scatter))
    sums = np.zeros((BLOCKS, ints, groups, n_bins))
    counts = np.zeros((BLOCKS, ints, n_bins))
    over_rows(
        sum_blocks, BLOCKS, data, pixeldq, scatter, limit, int(clock.row_clocks),
        int(clock.samples), period, sums, counts,
    )  # fmt: skip
    by_group = sums.sum(axis=0)
    return np.ascontiguousarray(np.swapaxes(by_group, 1, 2)), counts.sum(axis=0)


def evaluate_waveform(pieces: Any, phases: Any) -> Any:
    """See :func:`jwgpu.kernels.emi.evaluate_waveform`."""
    flat = np.ascontiguousarray(phases, dtype=np.float64).ravel()
    values = np.empty_like(flat)
    over_rows(evaluate_range, flat.size, pieces, flat, values)
    return values.reshape(phases.shape)


def subtract_waveform(
    data: Any, clock: Clock, period: float, pieces: Any, amplitudes: Any, phases: Any
) -> None:
    """See :func:`jwgpu.kernels.emi.subtract_waveform`."""
    over_rows(
        subtract_waveform_rows, data.shape[2], data, int(clock.row_clocks), int(clock.samples),
        period, float(clock.frame_clocks / period % 1), pieces, amplitudes, phases,
    )  # fmt: skip
