"""Speed of the moving median on a frame of the MIRI spectrometer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jwgpu.kernels.moving_median import moving_median


@pytest.mark.parametrize("size", [(15, 1), (15, 15)])
def test_moving_median(benchmark: Any, size: tuple[int, int]) -> None:
    # Smaller where it runs as a test.
    shape = (1024, 1032) if benchmark.enabled else (64, 72)
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    result = benchmark(moving_median, image, size)
    assert result.shape == shape
