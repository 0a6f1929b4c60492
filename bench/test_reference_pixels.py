"""Time of the reference-pixel kernel, beside a copy of the same bytes; small unless benchmarked."""

from __future__ import annotations

import numpy as np
import pytest

from jwgpu.kernels.reference_pixels import subtract_drift, subtract_drift_from_differences
from jwgpu.kernels.reference_pixels.layout import (
    Placement,
    four_amplifier_layout,
    mid_infrared_sections,
)

# images, rows, columns: a full frame of 10 groups; SUBGRISM256 with 50 integrations of 8 groups
NEAR_INFRARED = {"full": (10, 2048, 2048), "subgrism256": (400, 256, 2048)}
MIRI = (2, 40, 1024, 1032)


def images_of(shape, benchmark):
    """Return images of this shape; only a few of them where nothing is timed."""
    if benchmark.disabled:
        shape = (2, *shape[1:]) if len(shape) == 3 else (1, 3, *shape[2:])
    one = np.random.default_rng(1).normal(100, 10, shape[-2:]).astype(np.float32)
    return np.ascontiguousarray(np.broadcast_to(one, shape))


@pytest.mark.parametrize("fast_axis", [1, -2])
@pytest.mark.parametrize("mode", NEAR_INFRARED)
def test_near_infrared(benchmark, mode, fast_axis):
    images = images_of(NEAR_INFRARED[mode], benchmark)
    if fast_axis == -2:
        images = images.reshape(images.shape[0], images.shape[2], images.shape[1])
    rows, columns = images.shape[1:]
    place = Placement(rows, columns, 0, 0, fast_axis, 2 if fast_axis == 1 else 1)
    usable = np.ones((rows, columns), bool)
    layout = four_amplifier_layout(usable, place, odd_even=True, use_sides=True)
    benchmark(subtract_drift, images, layout, 3.0, 11, 1.0)


def test_miri(benchmark):
    data = images_of(MIRI, benchmark)
    sections = mid_infrared_sections(np.ones(data.shape[2:], bool), odd_even=True)
    benchmark(subtract_drift_from_differences, data, sections, 3.0)


@pytest.mark.parametrize("shape", [*NEAR_INFRARED.values(), MIRI], ids=str)
def test_copy(benchmark, shape):
    images = images_of(shape, benchmark)
    target = np.empty_like(images)
    benchmark(np.copyto, target, images)
