"""Time of the ramp fit, beside a copy of the same bytes; small unless benchmarked."""

from __future__ import annotations

import numpy as np
import pytest

from jwgpu.kernels.ramp_fit import Timing, fit_ramps
from jwgpu.models.flags import JUMP_DET

SHAPES = {
    "near-IR": (1, 10, 2048, 2048),
    "time series": (50, 8, 256, 2048),
    "MIRI": (2, 40, 1024, 1032),
}


def exposure_for(benchmark, name):
    """Return noisy ramps of many rates; one sample in a hundred is a jump."""
    shape = SHAPES[name]
    if benchmark.disabled:
        shape = (2, shape[1], 16, 64)
    random = np.random.default_rng(1)
    image = shape[2:]
    rate = random.uniform(0, 50, image).astype(np.float32)
    data = np.empty(shape, np.float32)
    for integration in data:
        for k, group in enumerate(integration, start=1):
            group[...] = rate * (10 * k) + 12 * random.standard_normal(image, np.float32)
    groupdq = np.zeros(shape, np.uint8)
    for group in groupdq.reshape(-1, *image):
        group[random.random(image, np.float32) < 0.01] = JUMP_DET
    return data, groupdq


@pytest.mark.parametrize(
    ("name", "save_segments"),
    [*((name, False) for name in SHAPES), ("near-IR", True)],
    ids=[*SHAPES, "near-IR with segments"],
)
def test_ramp_fit(benchmark, name, save_segments):
    data, groupdq = exposure_for(benchmark, name)
    image = data.shape[2:]
    references = np.full(image, 1.8, np.float32), np.full(image, 12, np.float32)
    arguments = (data, groupdq, np.zeros(image, np.uint32), *references, Timing(10, 10, 1, 0))
    rate, _, _ = benchmark(fit_ramps, *arguments, save_segments=save_segments)
    assert np.isfinite(rate.data).all()


@pytest.mark.parametrize("name", SHAPES)
def test_copy(benchmark, name):
    arrays = exposure_for(benchmark, name)
    targets = [np.empty_like(array) for array in arrays]

    def copy():
        for target, array in zip(targets, arrays, strict=True):
            np.copyto(target, array)

    benchmark(copy)
