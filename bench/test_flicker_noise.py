"""Time of cleaning one image of flicker noise, beside a copy of it; small unless benchmarked."""

from __future__ import annotations

import numpy as np
import pytest

from jwgpu.kernels import flicker_noise as kernel
from jwgpu.kernels.flicker_noise import background, fourier


def image_of(benchmark):
    """Return an image with background, sources and stripes, and the mask of its background."""
    size = 64 if benchmark.disabled else 2048
    random = np.random.default_rng(1)
    image = 20 + 6 * random.standard_normal((size, size), np.float32)
    image += 3 * random.standard_normal((size, 1), np.float32)
    image += 300 * (random.random((size, size), np.float32) < 0.03)
    return image, image < 40


def test_background(benchmark):
    image, mask = image_of(benchmark)
    benchmark(lambda: kernel.subtract_background(image.copy(), mask.copy(), 2.0))


def test_background_model(benchmark):
    image, mask = image_of(benchmark)
    benchmark(lambda: background.background_level(image, mask.copy(), "model"))


@pytest.mark.parametrize("axis", [0, 1])
def test_stripes(benchmark, axis):
    image, mask = image_of(benchmark)
    benchmark(kernel.stripes, image, mask, kernel.Lines(axis))


def test_full_frame_waves(benchmark):
    image, mask = image_of(benchmark)
    benchmark(fourier.full_frame_noise, image, mask)


def test_subarray_waves(benchmark):
    image, mask = (array[:, :64] for array in image_of(benchmark))
    benchmark(fourier.subarray_noise, image, mask, fourier.Band())


def test_copy(benchmark):
    image, mask = image_of(benchmark)
    benchmark(lambda: (image.copy(), mask.copy()))
