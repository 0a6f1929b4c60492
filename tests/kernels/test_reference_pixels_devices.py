"""Reference pixels on a GPU: bit for bit what the CPU computes."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jwgpu.kernels.reference_pixels import (
    cuda,
    layout,
    subtract_drift,
    subtract_drift_from_differences,
)
from jwgpu.kernels.reference_pixels.layout import NearInfraredLayout, Placement, Sections

ORIENTATIONS = [(1, 2), (-1, -2), (2, 1), (-2, 1)]


def sent(gpu: Any, sections: Any) -> Any:
    """Return the same sections with their arrays on the device."""
    values = vars(sections)
    arrays = {k: gpu.send(v) for k, v in values.items() if isinstance(v, np.ndarray)}
    return dataclasses.replace(sections, **arrays)


def check(gpu, images, sections, *numbers):
    call = subtract_drift if isinstance(sections, NearInfraredLayout) else None
    call = call or subtract_drift_from_differences
    want, result = images.copy(), gpu.send(images)
    call(want, sections, *numbers)
    call(result, sent(gpu, sections), *numbers)
    np.testing.assert_array_equal(gpu.fetch(result), want)
    return want


def stripe(orientation, n=2, seed=0, rows=24):
    """Return images of a stripe of the detector with stray values, and its layout."""
    random = np.random.default_rng(seed)
    # At either end of the detector: its last rows where the slow axis is mirrored.
    fast_along_x = abs(orientation[0]) == 1
    shape = (rows, 2048) if fast_along_x else (2048, rows)
    place = Placement(*shape, 0, 0, *orientation)
    images = random.normal(20, 5, (n, *shape)).astype(np.float32)
    images[random.random(images.shape) < 0.01] += 500
    usable = random.random(shape) < 0.9
    return images, layout.four_amplifier_layout(usable, place, odd_even=True, use_sides=True)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("length", [11, 4, 1])
def test_as_on_the_cpu(gpu, orientation, length):
    images, sections = stripe(orientation)
    assert not np.array_equal(check(gpu, images, sections, 3.0, length, 0.9), images)


def test_what_is_not_finite(gpu):
    images, sections = stripe((1, 2), n=3)
    images[0, 7, 2:600] = np.nan  # side pixels
    images[1, 2, 700] = np.nan  # a section
    images[1, 9, 1] = np.inf
    images[2, 12, 2046] = -np.inf
    want = check(gpu, images, sections, 3.0, 5, 1.0)
    assert np.isnan(want[1]).any()
    assert not np.isnan(want[1]).all()


def test_no_usable_side_pixels(gpu):
    images, sections = stripe((1, 2))
    sections.side_pixels[0] = -1
    check(gpu, images, sections, 3.0, 11, 1.0)
    sections.side_pixels[1] = -1
    check(gpu, images, sections, 3.0, 11, 1.0)


@pytest.mark.parametrize("limit", [0.0, 0.5, 1.0, np.inf])
def test_any_limit(gpu, limit):
    images, sections = stripe((1, 2), n=1)
    check(gpu, images, sections, limit, 3, 1.0)


def test_what_was_clipped_stays_out(gpu):
    # The third interval reaches down to 0.9, and so to the 1 that the second one left out.
    images = np.array([[[1, 2, 2, 10], [30, 30, 30, 100]]], np.float32)
    place = Placement(2, 4, 100, 100, 1, 2)
    sections = layout.single_amplifier_layout(images[0] > 0, place, odd_even=False)
    want = check(gpu, images, sections, 1.0, 1, 0.0)
    np.testing.assert_array_equal(images - want, 2.0)


def test_images_at_a_time(gpu, monkeypatch):
    images, sections = stripe((1, 2), n=5, rows=6)
    monkeypatch.setattr(cuda, "IMAGES_AT_A_TIME", 2)
    check(gpu, images, sections, 3.0, 3, 1.0)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 20), st.integers(2, 70)),
    share=st.sampled_from([0.0, 0.05, 0.3, 1.0]),
    distinct=st.sampled_from([1, 3, 10**6]),
    odd_even=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_one_amplifier(gpu, shape, share, distinct, odd_even, seed):
    random = np.random.default_rng(seed)
    images = (random.integers(0, distinct, shape) / 7).astype(np.float32)
    usable = random.random(shape[1:]) < share
    place = Placement(*shape[1:], 100, 101, -2, 1)
    sections = layout.single_amplifier_layout(usable, place, odd_even=odd_even)
    if sections.pixels.size:
        check(gpu, images, sections, 2.5, 1, 0.0)


@pytest.mark.parametrize("orientation", [(1, 2), (1, -2)])
def test_window_as_long_as_can_be(gpu, orientation):
    images, sections = stripe(orientation, n=1, rows=2)
    check(gpu, images, sections, 3.0, 4095, 1.0)


@pytest.mark.parametrize("odd_even", [True, False])
@pytest.mark.parametrize("groups", [1, 3])
def test_mid_infrared(gpu, groups, odd_even):
    random = np.random.default_rng(groups)
    data = random.normal(5000, 9, (2, groups, 11, 1032)).astype(np.float32)
    data[random.random(data.shape) < 0.01] += 3000
    data[0, 0, 5, 77] = np.nan
    usable = random.random(data.shape[2:]) < 0.9
    sections = layout.mid_infrared_sections(usable, odd_even=odd_even)
    assert isinstance(sections, Sections)
    check(gpu, data, sections, 3.0)


def test_layouts_are_made_on_the_device(gpu):
    usable = np.random.default_rng(1).random((40, 2048)) < 0.9
    place = Placement(40, 2048, 0, 0, -1, 2)
    on_device = gpu.send(usable)
    for make in (
        lambda good: layout.four_amplifier_layout(good, place, odd_even=True, use_sides=True),
        lambda good: layout.four_amplifier_layout(good & False, place, odd_even=0, use_sides=False),
        lambda good: layout.single_amplifier_layout(good, place, odd_even=True),
        lambda good: layout.striped_layout(good, place, 0, odd_even=True),
        lambda good: layout.mid_infrared_sections(good, odd_even=True),
    ):
        want, found = vars(make(usable)), vars(make(on_device))
        for name, value in want.items():
            if isinstance(value, np.ndarray):
                assert found[name].dtype == value.dtype
                np.testing.assert_array_equal(gpu.fetch(found[name]), value)
            else:
                assert found[name] == value


@pytest.mark.races
def test_a_detector_of_a_few_pixels(gpu):
    # No real one: all that a layout says, in small.
    random = np.random.default_rng(5)
    images = random.normal(20, 5, (3, 12, 16)).astype(np.float32)
    index = np.arange(12 * 16, dtype=np.int32).reshape(12, 16)
    pixels = np.concatenate(
        [index[edge, half].ravel() for edge in (0, 11) for half in (slice(8), slice(8, 16))]
    )
    stops = np.arange(8, 40, 8).reshape(2, 2)
    bounds = np.stack([stops - 8, stops], axis=-1).astype(np.int32)
    sides = np.stack([index[:, :4], index[:, -4:]])
    near_infrared = NearInfraredLayout(
        pixels, bounds, np.repeat(np.int32([0, 1]), 8), index[0, :12], sides, True
    )
    check(gpu, images, near_infrared, 2.0, 5, 1.0)
    mid_infrared = Sections(np.tile(pixels, 2), np.concatenate([bounds, bounds], axis=1))
    check(gpu, images[None], mid_infrared, 2.0)
