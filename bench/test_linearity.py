"""Time of the linearity kernels, beside a copy of the same bytes; small unless benchmarked."""

from __future__ import annotations

import numpy as np
import pytest

from jwgpu.kernels.linearity import straighten, straighten_reads

FULL = (1, 10, 2048, 2048)
TERMS = 6


def exposure_for(benchmark):
    """Return samples, flags, and polynomials of degree five with their inverse."""
    shape = (1, 4, 64, 64) if benchmark.disabled else FULL
    one = np.random.default_rng(1).uniform(100, 30000, shape[2:]).astype(np.float32)
    data = np.ascontiguousarray(np.broadcast_to(one, shape))
    forward = np.zeros((TERMS, *shape[2:]), np.float32)
    forward[1] = 1
    inverse = forward.copy()
    forward[2], inverse[2] = 1e-9, -1e-9  # so little that many rounds do no harm
    return data, np.zeros(shape, np.uint8), forward, inverse, np.zeros(shape[2:], np.uint32)


def test_linearity(benchmark):
    data, groupdq, forward, _, dq = exposure_for(benchmark)
    benchmark(straighten, data, groupdq, dq.copy(), forward, dq)
    assert np.isfinite(data).all()


@pytest.mark.parametrize("frames", [4])
def test_reads(benchmark, frames):
    data, groupdq, forward, inverse, dq = exposure_for(benchmark)
    benchmark(straighten_reads, data, groupdq, dq.copy(), forward, inverse, dq, frames)
    assert np.isfinite(data).all()


def test_copy(benchmark):
    data, groupdq, forward, *_ = exposure_for(benchmark)
    sources = (data, groupdq, forward)
    targets = [np.empty_like(source) for source in sources]

    def copy():
        for target, source in zip(targets, sources, strict=True):
            np.copyto(target, source)

    benchmark(copy)
