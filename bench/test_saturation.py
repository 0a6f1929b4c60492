"""Time of the saturation kernel, beside a copy of the same bytes; small unless benchmarked."""

from __future__ import annotations

import numpy as np
import pytest

from jwgpu.kernels.saturation import flag_saturation

FULL = (1, 10, 2048, 2048)


def exposure_for(benchmark):
    """Return samples, flags and threshold of ramps of which six in a hundred saturate."""
    shape = (1, 4, 64, 64) if benchmark.disabled else FULL
    rate = np.random.default_rng(1).exponential(1800, shape[2:]).astype(np.float32)
    time = np.arange(1, shape[1] + 1, dtype=np.float32)[:, None, None]
    data = (10000 + rate * time)[None]
    threshold = np.full(shape[2:], 60000, np.float32)
    return data, np.zeros(shape, np.uint8), threshold, np.zeros(shape[2:], np.uint32)


@pytest.mark.parametrize("frames", [1, 4])
def test_saturation(benchmark, frames):
    data, groupdq, threshold, dq = exposure_for(benchmark)

    def setup():
        groupdq[:] = 0  # flags that are there before take another way

    def run():
        flag_saturation(data, groupdq, threshold, dq, frames_averaged=frames)

    benchmark.pedantic(run, setup=setup, rounds=1 if benchmark.disabled else 10, warmup_rounds=1)
    assert groupdq.any()


def test_copy(benchmark):
    data, groupdq, *_ = exposure_for(benchmark)
    targets = np.empty_like(data), np.empty_like(groupdq)

    def copy():
        np.copyto(targets[0], data)
        np.copyto(targets[1], groupdq)

    benchmark(copy)
