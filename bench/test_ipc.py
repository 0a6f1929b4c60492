"""Time of the interpixel-capacitance kernel, beside a copy of the same bytes."""

from __future__ import annotations

import numpy as np
import pytest

from jwgpu.kernels.ipc import deconvolve

FULL = (1, 10, 2048, 2048)
BORDERS = (4, 4, 4, 4)


def data_for(benchmark):
    """Return samples; only a few of them where nothing is timed."""
    shape = (1, 3, 64, 64) if benchmark.disabled else FULL
    one = np.random.default_rng(1).normal(1000, 10, shape[2:]).astype(np.float32)
    return np.ascontiguousarray(np.broadcast_to(one, shape))


@pytest.mark.parametrize("varies", [False, True], ids=["one kernel", "one a pixel"])
@pytest.mark.parametrize("side", [3, 5])
def test_ipc(benchmark, side, varies):
    data = data_for(benchmark)
    kernel = np.full((side, side), -0.001, np.float32)
    kernel[side // 2, side // 2] += 1 - kernel.sum()
    if varies:
        kernel = np.broadcast_to(kernel[:, :, None, None], (side, side, *data.shape[2:]))
        kernel = np.ascontiguousarray(kernel)
    benchmark(deconvolve, data, kernel, BORDERS)
    assert np.isfinite(data).all()


def test_copy(benchmark):
    data = data_for(benchmark)
    target = np.empty_like(data)
    benchmark(np.copyto, target, data)
