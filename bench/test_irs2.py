"""Time of the IRS2 kernels, beside a copy of the same bytes; two groups unless benchmarked."""

from __future__ import annotations

import numpy as np
import pytest

from jwgpu.kernels.irs2 import flag_saturation, mean_image, subtract_reference
from jwgpu.kernels.irs2.layout import LINES, ROWS, interleaved_layout

GROUPS = 10


@pytest.fixture
def images(benchmark):
    groups = 2 if benchmark.disabled else GROUPS
    random = np.random.default_rng(1)
    return random.standard_normal((groups, ROWS, LINES), dtype=np.float32) * 9 + 100


@pytest.mark.parametrize("detector", ["NRS1", "NRS2"])
def test_subtract_reference(benchmark, images, detector):
    layout = interleaved_layout(np, detector == "NRS2")
    offset = mean_image(images)
    alpha = np.full((4, 712, 1025), 0.1, np.complex64)
    benchmark.pedantic(subtract_reference, (images, offset, alpha, alpha, layout), rounds=2)


def test_saturation(benchmark, images):
    layout = interleaved_layout(np, False)
    threshold = np.full((LINES, LINES), 60000, np.float32)
    groupdq = np.zeros((1, *images.shape), np.uint8)
    benchmark.pedantic(
        flag_saturation,
        (images[None], groupdq, threshold, None, layout.science_rows),
        {"grow": 1, "frames_averaged": 1},
        rounds=2,
    )


def test_copy(benchmark, images):
    target = np.empty_like(images)
    benchmark.pedantic(np.copyto, (target, images), rounds=2)
