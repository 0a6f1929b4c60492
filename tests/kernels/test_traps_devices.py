"""Charge traps on a GPU: array code, the same on every device."""

from __future__ import annotations

import numpy as np
import pytest

from jwgpu.kernels.traps import Timing, Traps, subtract_released
from jwgpu.models.flags import DO_NOT_USE, JUMP_DET, SATURATED

FAMILIES = ((180.0, -0.0004, 60.0, -0.005), (50.0, -0.01, 0.0, -0.02), (20.0, 0.0, 5.0, 0.0))
TIMING = Timing(frame=5.0, group=10.0, first_resets=1, later_resets=2)


@pytest.mark.parametrize("shape", [(2, 6, 9, 11), (1, 1, 3, 5), (3, 2, 1, 40)])
def test_as_on_the_cpu(gpu, shape):
    random = np.random.default_rng(sum(shape))
    image = shape[2:]
    data = np.cumsum(random.exponential(200, shape), axis=1).astype(np.float32)
    flags = random.choice([0, 0, 0, JUMP_DET, SATURATED], shape).astype(np.uint8)
    filled = random.uniform(0, 5000, (3, *image)).astype(np.float32)
    density = random.normal(1, 0.1, image).astype(np.float32)
    saturation = np.full(image, 900.0, np.float32)
    density[0, 1] = saturation[0, 2] = np.nan
    dq = random.choice([0, 0, 0, DO_NOT_USE], image).astype(np.uint32)

    def released(send):
        arrays = [send(array.copy()) for array in (data, flags, filled)]
        traps = Traps.of(np.array(FAMILIES), send(density), send(dq), send(saturation), send(dq))
        subtracted = send(np.zeros(shape, np.float32))
        most = subtract_released(*arrays, traps, TIMING, subtracted)
        return [*arrays, subtracted, most]

    want = released(lambda array: array)
    found = [gpu.fetch(array) for array in released(gpu.send)]
    for mine, theirs in zip(found, want, strict=True):
        assert mine.dtype == theirs.dtype
        # Exponentials differ in their last bits.
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)
    assert (want[0] < data).any()
