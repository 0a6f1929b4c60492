"""The reference-pixel kernel: its parts against plain definitions, its layouts, its invariances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import sigmaclip

from jwgpu.kernels.compiled import set_threads
from jwgpu.kernels.lanes import LANES
from jwgpu.kernels.reference_pixels import subtract_drift, subtract_drift_from_differences
from jwgpu.kernels.reference_pixels.cpu import clipped_mean, find_side_signal
from jwgpu.kernels.reference_pixels.layout import (
    Placement,
    four_amplifier_layout,
    mid_infrared_sections,
    single_amplifier_layout,
)

ORIENTATIONS = [(1, 2), (-1, 2), (1, -2), (-1, -2), (2, 1), (-2, 1), (2, -1), (-2, -1)]

finite = st.floats(-1e4, 1e4, width=32)


@given(values=st.lists(finite, min_size=1, max_size=60), limit=st.sampled_from([1.0, 2.5, 3.0]))
@settings(deadline=None, max_examples=200)
def test_clipped_mean_is_that_of_scipy(values, limit):
    array = np.array(values, dtype=np.float64)
    # The official package clips nothing where all values are the same.
    expected = array.mean() if array.std() == 0 else sigmaclip(array, limit, limit)[0].mean()
    found = clipped_mean(array, array.size, limit, np.zeros(LANES))
    if array.std() > 1e-6 * np.abs(array).max():  # else rounding decides what is clipped
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_clipped_mean_leaves_out_stray_values():
    values = np.r_[np.full(50, 10.0), np.full(50, 12.0), 500.0]
    assert clipped_mean(values, values.size, 3.0, np.zeros(LANES)) == 11.0


@pytest.mark.parametrize("values", [[np.nan, 1.0], [np.inf, 1.0]])
def test_clipped_mean_of_what_is_not_finite_is_nan(values):
    assert np.isnan(clipped_mean(np.array(values), 2, 3.0, np.zeros(LANES)))


def plain_running_median(values, length):
    """Return the running median by its definition; NaN are missing here."""
    before = length // 2
    mirrored = np.pad(values, ((before, before), (0, 0)), mode="reflect")
    windows = [mirrored[row : row + length] for row in range(len(values))]
    return np.array([np.median(one[~np.isnan(one)]) if (~np.isnan(one)).any() else np.nan
                     for one in windows])  # fmt: skip


@given(
    rows=st.integers(12, 40),
    length=st.integers(1, 22),
    missing=st.floats(0, 1),
    distinct=st.sampled_from([3, 10**6]),  # with many equal values, too
    seed=st.integers(0, 10**6),
)
@settings(deadline=None, max_examples=100)
def test_running_median_is_that_of_its_definition(rows, length, missing, distinct, seed):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, distinct, (rows, 4)) / 7.0
    values[rng.random(values.shape) < missing] = np.nan
    signal = np.full(rows, -1.0)
    window = np.empty(4 * (length + 1))
    first, stop = rows // 4, rows - rows // 3
    find_side_signal(
        np.where(np.isnan(values), np.inf, values), first, stop, length, window, signal
    )
    expected = plain_running_median(values, length)
    np.testing.assert_array_equal(signal[first:stop], expected[first:stop])
    assert (signal[:first] == -1).all()
    assert (signal[stop:] == -1).all()


def test_running_median_with_nan_is_nan_while_the_window_has_it():
    values = np.ones((30, 4))
    values[10, 2] = np.nan
    signal = np.empty(30)
    find_side_signal(values, 0, 30, 5, np.empty(24), signal)
    np.testing.assert_array_equal(np.isnan(signal), np.abs(np.arange(30) - 10) <= 2)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize(("row_start", "column_start"), [(0, 0), (1984, 1968), (100, 0)])
def test_placement_counts_pixels_as_the_view_does(orientation, row_start, column_start):
    place = Placement(6, 9, row_start, column_start, *orientation)
    index = np.arange(6 * 9).reshape(6, 9)
    slow, fast = np.indices((place.n_slow, place.n_fast))
    np.testing.assert_array_equal(place.in_detector_frame(index), place.flat_index(slow, fast))
    # The detector's own frame, made the long way round.
    whole = np.full((2048, 2048), -1)
    whole[row_start : row_start + 6, column_start : column_start + 9] = index
    turned = Placement(2048, 2048, 0, 0, *orientation).in_detector_frame(whole)
    first = np.argwhere(turned >= 0).min(axis=0)
    assert (place.slow_start, place.fast_start) == tuple(first)


def test_layout_of_a_full_frame():
    usable = np.ones((2048, 2048), bool)
    layout = four_amplifier_layout(
        usable, Placement(2048, 2048, 0, 0, 1, 2), odd_even=True, use_sides=True
    )
    assert (np.diff(layout.bounds) == 4 * 256).all()
    top = layout.pixels[slice(*layout.bounds[0, 5])]  # amplifier C, odd coordinates
    assert set(top // 2048) == {2044, 2045, 2046, 2047}
    np.testing.assert_array_equal(np.unique(top % 2048), np.arange(1025, 1536, 2))
    np.testing.assert_array_equal(layout.side_pixels[1, 7], 7 * 2048 + np.arange(2044, 2048))
    np.testing.assert_array_equal(layout.section_of_line[[0, 1, 512, 2047]], [0, 1, 2, 7])
    assert all(getattr(layout, name).dtype == np.int32 for name in ("pixels", "side_pixels"))


def stripe(orientation, seed=0, n=3):
    """Return the same images of a stripe in this orientation, their layout and placement."""
    rng = np.random.default_rng(seed)
    slow_start = 0 if orientation[1] > 0 else 2048 - 40
    fast_along_x = abs(orientation[0]) == 1
    rows, columns = (40, 2048) if fast_along_x else (2048, 40)
    starts = (slow_start, 0) if fast_along_x else (0, slow_start)
    place = Placement(rows, columns, *starts, *orientation)
    frames = rng.normal(20, 5, (n, 40, 2048)).astype(np.float32)
    usable = rng.random((40, 2048)) < 0.9
    images = np.empty((n, rows, columns), np.float32)
    stored_usable = np.empty((rows, columns), bool)
    place.in_detector_frame(stored_usable)[...] = usable
    for image, frame in zip(images, frames, strict=True):
        place.in_detector_frame(image)[...] = frame
    layout = four_amplifier_layout(stored_usable, place, odd_even=True, use_sides=True)
    return images, layout, place


@pytest.mark.parametrize("orientation", ORIENTATIONS[1:])
def test_result_does_not_depend_on_the_stored_orientation(orientation):
    plain, plain_layout, _ = stripe((1, 2))
    subtract_drift(plain, plain_layout, 3.0, 10, 0.8)
    images, layout, place = stripe(orientation)
    subtract_drift(images, layout, 3.0, 10, 0.8)
    for image, expected in zip(images, plain, strict=True):
        np.testing.assert_array_equal(place.in_detector_frame(image), expected)


@pytest.mark.parametrize("threads", [2, 3, 7])
def test_result_does_not_depend_on_the_number_of_threads(threads):
    results = []
    for number in (1, threads):
        images, layout, _ = stripe((-2, 1), n=7)
        set_threads(number)
        try:
            subtract_drift(images, layout, 3.0, 11, 1.0)
        finally:
            set_threads(0)
        results.append(images)
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("odd_even", [True, False])
def test_single_amplifier_subtracts_the_clipped_mean(odd_even):
    rng = np.random.default_rng(4)
    images = rng.normal(50, 3, (2, 30, 21)).astype(np.float32)
    usable = rng.random((30, 21)) < 0.2
    expected = images.astype(np.float64)
    place = Placement(30, 21, 100, 101, 1, 2)  # the first column is odd on the detector
    for image in expected:
        for parity in range(2) if odd_even else [0]:
            part = (slice(None), slice(parity, None, 2 if odd_even else 1))
            image[part] -= sigmaclip(image[part][usable[part]], 2.5, 2.5)[0].mean()
    layout = single_amplifier_layout(usable, place, odd_even=odd_even)
    subtract_drift(images, layout, 2.5, 11, 1.0)
    np.testing.assert_allclose(images, expected, rtol=1e-6, atol=1e-6)


def test_nothing_usable_changes_nothing():
    images, _, place = stripe((1, 2))
    before = images.copy()
    usable = np.zeros(images.shape[1:], bool)
    for layout in (
        four_amplifier_layout(usable, place, odd_even=True, use_sides=True),
        single_amplifier_layout(usable, place, odd_even=True),
    ):
        subtract_drift(images, layout, 3.0, 11, 1.0)
        np.testing.assert_array_equal(images, before)


def miri(groups):
    """Return a small MIRI ramp: any number of rows will do for the kernel."""
    rng = np.random.default_rng(groups)
    return rng.normal(5000, 9, (2, groups, 12, 1032)).astype(np.float32)


@pytest.mark.parametrize("odd_even", [True, False])
def test_miri_drift_is_that_of_the_differences(odd_even):
    data = miri(3)
    usable = np.random.default_rng(8).random(data.shape[2:]) < 0.9
    expected = data.astype(np.float64)
    rows = [slice(0, None, 2), slice(1, None, 2)] if odd_even else [slice(None)]
    for ramp in expected:
        first = ramp[0].copy()
        for group in ramp[1:]:
            for amplifier in range(4):
                for part in rows:
                    means = []
                    for column in (amplifier, 1028 + amplifier):
                        here = (group - first)[part, column][usable[part, column]]
                        means.append(sigmaclip(here, 3.0, 3.0)[0].mean())
                    group[part, amplifier::4] -= np.mean(means)
    sections = mid_infrared_sections(usable, odd_even=odd_even)
    subtract_drift_from_differences(data, sections, 3.0)
    np.testing.assert_allclose(data, expected, rtol=1e-6)


def test_miri_of_one_group_stays():
    data = miri(1)
    before = data.copy()
    sections = mid_infrared_sections(np.ones(data.shape[2:], bool), odd_even=True)
    subtract_drift_from_differences(data, sections, 3.0)
    np.testing.assert_array_equal(data, before)


def test_miri_layout_needs_every_section():
    usable = np.ones((12, 1032), bool)
    usable[::2, 1030] = False
    assert mid_infrared_sections(usable, odd_even=True) is None
    assert mid_infrared_sections(usable, odd_even=False) is not None
