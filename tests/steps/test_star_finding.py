"""Backgrounds of images and peaks of stars: against photutils, and against plain definitions."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photutils.detection import find_peaks

from jwgpu.steps.image_background import background_of
from jwgpu.steps.peak_finding import _cutouts, _peaks

pytest_plugins = ("official",)


def official_background(data, box, mask):
    from jwst.tweakreg.tweakreg_catalog import JWSTBackground

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = JWSTBackground(data.copy(), box, mask.copy())
        return found.background, found.background_rms


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(st.integers(5, 90), st.integers(5, 90)),
    box=st.integers(3, 100),
    bad=st.sampled_from([0.0, 0.01, 0.2]),
    noise=st.sampled_from(["normal", "standard_cauchy"]),
    seed=st.integers(0, 1000),
)
def test_the_background_is_the_official_one_to_the_bit(shape, box, bad, noise, seed):
    rng = np.random.default_rng(seed)
    data = 5 + 0.3 * getattr(rng, noise)(size=shape).astype(np.float32)
    data += np.linspace(0, 2, shape[1], dtype=np.float32)
    data[rng.random(shape) < 0.02] += 50  # stars
    data[rng.random(shape) < bad] = np.nan
    mask = rng.random(shape) < bad
    mask[: shape[0] // 3, : shape[1] // 4] = bad > 0  # whole boxes
    level, scatter = official_background(data, box, mask)
    background = background_of(data, box, mask)
    np.testing.assert_array_equal(background.level(), level)
    np.testing.assert_array_equal(background.scatter(), scatter)


def test_one_good_pixel_is_a_background():
    data = np.full((30, 40), np.nan, np.float32)
    data[3, 4] = 7
    background = background_of(data, 10, np.zeros(data.shape, bool))
    np.testing.assert_array_equal(background.level(), np.float32(7))
    np.testing.assert_array_equal(background.scatter(), np.float32(0))


@pytest.mark.parametrize("masked", [True, False])
def test_without_good_pixels_there_is_no_background(masked):
    data = np.full((30, 40), 1.0 if masked else np.nan, np.float32)
    assert background_of(data, 10, np.full(data.shape, masked)) is None


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(3, 40), st.integers(3, 40)),
    radius=st.integers(2, 6),
    levels=st.sampled_from([5, 1000]),
    seed=st.integers(0, 1000),
)
def test_peaks_are_the_official_ones(shape, radius, levels, seed):
    rng = np.random.default_rng(seed)
    data = (rng.integers(-levels, levels, shape) / levels).astype(np.float32)  # with ties
    data[rng.random(shape) < 0.05] = np.nan
    mask = rng.random(shape) < 0.1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peaks = find_peaks(data, 0.3, mask=mask, min_separation=radius)
    found = _peaks(data, mask, np.ones((1, 1)), 0.3, radius)
    if peaks is None:
        assert not len(found)
    else:
        np.testing.assert_array_equal(found[:, 0], peaks["x_peak"])
        np.testing.assert_array_equal(found[:, 1], peaks["y_peak"])


def test_a_constant_image_has_no_peaks():
    assert not len(
        _peaks(np.ones((9, 9), np.float32), np.zeros((9, 9), bool), np.ones((1, 1)), 0, 2)
    )


def test_cutouts_hold_what_is_around_and_zeros_beyond_the_image():
    data = np.arange(30, dtype=np.float32).reshape(5, 6) + 1
    sheet, height, middles = _cutouts(data, np.array([[0, 0], [3, 2]]), (3, 3))
    assert (sheet.shape, height) == ((10, 5), 5)
    np.testing.assert_array_equal(sheet[:2], 0)
    np.testing.assert_array_equal(sheet[2:5, 2:], data[:3, :3])
    np.testing.assert_array_equal(sheet[5:], data[:, 1:6])
    np.testing.assert_array_equal(middles, [[2, 2], [2, 7]])
