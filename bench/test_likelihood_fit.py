"""Time of the likelihood fit; small unless benchmarked. Beside it: `test_copy` of the ramp fit."""

from __future__ import annotations

import numpy as np
import pytest

from jwgpu.kernels.likelihood_fit import fit_ramps_by_likelihood

#: Shape, and frames averaged in a group.
CASES = {
    "near-IR": ((1, 10, 2048, 2048), 1),
    "near-IR, averages": ((1, 10, 2048, 2048), 4),
    "MIRI": ((2, 40, 1024, 1032), 1),
}


@pytest.mark.parametrize("name", CASES)
def test_likelihood_fit(benchmark, name):
    """Ramps of many rates; in one of twenty there is a jump."""
    shape, frames = CASES[name]
    if benchmark.disabled:
        shape = (2, shape[1], 16, 64)
    random = np.random.default_rng(1)
    image = shape[2:]
    rate = random.uniform(0, 50, image).astype(np.float32)
    data = np.empty(shape, np.float32)
    for integration in data:
        hit = (random.random(image, np.float32) < 0.05) * np.float32(500)
        group_hit = random.integers(1, shape[1], image)
        for k, group in enumerate(integration):
            noise = 12 * random.standard_normal(image, np.float32)
            group[...] = rate * (10 * frames * k) + noise + hit * (group_hit <= k)
    times = [[10.0 * (k * frames + f) for f in range(frames)] for k in range(shape[1])]
    references = np.full(image, 1.8, np.float32), np.full(image, 12 * 1.41, np.float32)
    pixeldq = np.zeros(image, np.uint32)

    def fresh():
        # The jumps that are found are flagged in place.
        return (data, np.zeros(shape, np.uint8), pixeldq, *references, times), {}

    rounds = 1 if benchmark.disabled else 5
    rates, _, _ = benchmark.pedantic(fit_ramps_by_likelihood, setup=fresh, rounds=rounds)
    assert np.isfinite(rates.data).all()
