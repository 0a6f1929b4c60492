"""Time of the removal of MIRI's interference: 40 groups and 2 integrations of a full frame."""

from __future__ import annotations

import numpy as np

from jwgpu.kernels import emi
from jwgpu.kernels.emi import folded, joint

FULL = (2, 40, 1024, 1032)


def exposure_for(benchmark):
    """Return samples, flags, clock and waveform; a few of them where nothing is timed."""
    shape = (2, 12, 64, 72) if benchmark.disabled else FULL
    random = np.random.default_rng(0)
    _, groups, rows, columns = shape
    bias = random.normal(1e4, 300, (rows, columns)).astype(np.float32)
    slope = random.exponential(10, (rows, columns)).astype(np.float32)
    data = np.empty(shape, np.float32)
    for i, group in np.ndindex(shape[:2]):
        noise = random.normal(0, 5, (rows, columns)).astype(np.float32)
        data[i, group] = bias + slope * np.float32(group) + noise
    clocks = emi.MIRI_CLOCKS["FULL_FAST" if rows == 1024 else "SUB64"]
    clock = emi.Clock(clocks[0], 1, clocks[1], rows, groups)
    turn = 2 * np.pi * (np.arange(500) + 0.5) / 500
    return data, np.zeros((rows, columns), np.uint32), clock, np.sin(turn)


def test_joint(benchmark):
    data, pixeldq, clock, wave = exposure_for(benchmark)
    period = emi.period_of(10.039216)

    def run():
        pieces = joint.waveform_pieces(wave)
        sums, counts = emi.sum_by_phase(data, pixeldq, clock, period, wave.size)
        fitted = joint.fit_waveform(sums, counts, pieces, clock, period, False)
        emi.subtract_waveform(data, clock, period, pieces, *fitted)

    benchmark(run)


def test_folding(benchmark):
    data, _, clock, wave = exposure_for(benchmark)
    period = emi.period_of(390.625)

    def run():
        found = emi.fold_residuals(data[:1], clock, period, 128, False)
        table = folded.table_of(found, period, wave)
        emi.subtract_table(data, clock, period, table, False)

    benchmark(run)
