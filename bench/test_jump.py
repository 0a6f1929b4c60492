"""Time of jump detection, beside a copy of the same bytes; small unless benchmarked."""

from __future__ import annotations

import numpy as np
import pytest

from jwgpu.kernels.jump import JumpSettings, find_jumps

# ints, groups, rows, columns
SHAPES = {
    "nircam": (1, 10, 2048, 2048),
    "miri": (2, 40, 1024, 1032),
    "grism_time_series": (50, 8, 256, 2048),
}
AFTER_JUMPS = JumpSettings(after_jump_electrons=(20.0, 2000.0), after_jump_groups=(1, 3))
CLIPPING = JumpSettings(minimum_sigclip_groups=2)


def ramps_of(shape, benchmark):
    """Return data, flags, gain and read noise: faint ramps, a hit in 1 sample of 1000."""
    if benchmark.disabled:
        shape = (*shape[:2], 16, 64)
    random = np.random.default_rng(1)
    image = shape[2:]
    data = np.empty(shape, np.float32)
    for ramp in data:
        signal = np.zeros(image, np.float32)
        for group in ramp:
            signal += 20 + 5 * random.standard_normal(image, np.float32)
            signal += 500 * (random.random(image, np.float32) < 1e-3)
            group[:] = signal + 7 * random.standard_normal(image, np.float32)
    gain = np.full(image, 1.8, np.float32)
    readnoise = np.full(image, 10.0, np.float32)
    return data, np.zeros(shape, np.uint8), gain, readnoise


@pytest.mark.parametrize("mode", SHAPES)
@pytest.mark.parametrize("settings", [JumpSettings(), AFTER_JUMPS], ids=["plain", "after_jumps"])
def test_two_point_difference(benchmark, mode, settings):
    data, groupdq, gain, readnoise = ramps_of(SHAPES[mode], benchmark)
    flags = groupdq.copy()

    def restore():
        flags[:] = groupdq

    def run():
        find_jumps(data, flags, gain, readnoise, settings)

    benchmark.pedantic(run, setup=restore, rounds=3)


def test_sigma_clipping(benchmark):
    arrays = ramps_of((120, 6, 64, 2048), benchmark)
    benchmark(find_jumps, *arrays, CLIPPING)


@pytest.mark.parametrize("mode", SHAPES)
def test_copy(benchmark, mode):
    data, groupdq, _, _ = ramps_of(SHAPES[mode], benchmark)
    targets = np.empty_like(data), np.empty_like(groupdq)

    def copy():
        np.copyto(targets[0], data)
        np.copyto(targets[1], groupdq)

    benchmark(copy)
