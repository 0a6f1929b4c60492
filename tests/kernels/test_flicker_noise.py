"""Kernels of flicker noise against astropy, photutils and the official package."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jwst.clean_flicker_noise.background_level import background_level as official_level
from jwst.clean_flicker_noise.background_level import clip_to_background
from jwst.clean_flicker_noise.clean_flicker_noise import fft_clean_subarray, median_clean
from jwst.clean_flicker_noise.nsclean import NSClean

from jwgpu.kernels import flicker_noise as kernel
from jwgpu.kernels.compiled import set_threads
from jwgpu.kernels.flicker_noise import background, fourier


def image_of(seed, shape, level=20.0, sigma=3.0):
    """Return noise with sources, zeros and a gradient, and a mask."""
    random = np.random.default_rng(seed)
    image = random.normal(level, sigma, shape).astype(np.float32)
    image += (np.arange(shape[0]) / 40)[:, None].astype(np.float32)
    image[random.random(shape) < 0.05] += random.choice([20, 1e5])
    image[random.random(shape) < 0.02] = 0
    mask = random.random(shape) < random.choice([0.3, 0.95])
    return image, mask


def official_clip(image, mask, **parameters):
    mask = mask.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clip_to_background(image, mask, **parameters)
    return mask


def ours_clip(image, mask, **parameters):
    mask = mask.copy()
    kernel.mask_outside(image, mask, *kernel.background_limits(image, mask, **parameters))
    return mask


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    shape=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    level=st.sampled_from([0.0, 5.0, 1000.0, 3e5]),
    is_integer=st.booleans(),
    lower_half_only=st.booleans(),
)
def test_background_is_the_official_one(seed, shape, level, is_integer, lower_half_only):
    image, mask = image_of(seed, shape, level)
    image = np.round(image) if is_integer else image
    parameters = {"sigma_upper": 2.5, "lower_half_only": lower_half_only}
    np.testing.assert_array_equal(
        ours_clip(image, mask, **parameters), official_clip(image, mask, **parameters)
    )


@pytest.mark.parametrize("seed", range(3))
def test_fit_of_the_histogram(seed):
    image, mask = image_of(seed, (70, 80))
    np.testing.assert_array_equal(
        ours_clip(image, mask, fit_histogram=True), official_clip(image, mask, fit_histogram=True)
    )


@pytest.mark.parametrize(
    "image",
    [
        np.full((4, 5), 3.25, np.float32),
        np.array([[1, 2, np.inf, -np.inf]], np.float32),
        np.full((3, 3), np.inf, np.float32),
        np.zeros((1, 1), np.float32),
    ],
    ids=["constant", "infinite values", "nothing finite", "one pixel"],
)
def test_background_of_few_values(image):
    mask = np.ones(image.shape, bool)
    np.testing.assert_array_equal(ours_clip(image, mask), official_clip(image, mask))
    assert not ours_clip(image, ~mask).any()


def test_so_few_pixels_that_none_is_among_the_sample():
    image = np.random.default_rng(8).normal(5, 2, (300, 300)).astype(np.float32)
    mask = np.zeros(image.shape, bool)
    mask[1, [2, 30, 77, 200]] = True
    assert not mask.reshape(-1)[::21].any()
    assert kernel.masked_median(image, mask) == np.median(image[mask])
    np.testing.assert_array_equal(ours_clip(image, mask), official_clip(image, mask))


def test_values_that_subtraction_makes_equal():
    # 0.1 and 0.1 + 1e-8 are one value after 1000 is subtracted: the second clipping must still see
    # only what the first has left.
    image = np.random.default_rng(0).normal(0.1, 1e-6, (64, 64)).astype(np.float32)
    image[:, ::2] += 1000
    assert_same_background(image, np.ones(image.shape, bool))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), shape=st.tuples(st.integers(1, 70), st.integers(1, 70)))
def test_background_and_stripes_are_the_official_ones(seed, shape):
    image, mask = image_of(seed, shape)
    mask[:, shape[1] // 2] = False
    assert_same_background(image, mask)


def assert_same_background(image, mask):
    our_mask, our_image = mask.copy(), image.copy()
    found = kernel.subtract_background(our_image, our_mask, 2.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = official_level(image, mask)
        image = image - expected
        clip_to_background(image, mask, 2.0, 2.0, lower_half_only=True)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(our_image, image)
    np.testing.assert_array_equal(our_mask, mask)
    for axis in (0, 1):
        lines = kernel.Lines(axis)
        cleaned = np.empty_like(image)
        kernel.restore(cleaned, image, kernel.stripes(image, mask, lines), 0.0)
        np.testing.assert_array_equal(cleaned, median_clean(image, mask, axis + 1))


@pytest.mark.parametrize("axis", [0, 1])
def test_channels(axis):
    shape = (2048, 24) if axis == 0 else (24, 2048)
    image, mask = image_of(5, shape)
    cleaned = np.empty_like(image)
    kernel.restore(cleaned, image, kernel.stripes(image, mask, kernel.Lines(axis, 4)), 0.0)
    expected = median_clean(image, mask, axis + 1, fit_by_channel=True)
    np.testing.assert_array_equal(cleaned, expected)


@pytest.mark.parametrize("size", [None, (48, 30), (7, 5), (1, 1), (300, 300)])
@pytest.mark.parametrize("hole", [False, True])
def test_background_model_is_that_of_photutils(size, hole):
    image, mask = image_of(2, (96, 130))
    mask = np.random.default_rng(0).random(image.shape) < 0.999
    mask[20:60, 30:90] &= not hole
    ours = background.background_level(image, mask.copy(), "model", size)
    expected = official_level(image, mask.copy(), "model", size)
    np.testing.assert_array_equal(ours, expected)
    assert np.shape(ours) == np.shape(expected)


def test_background_model_of_too_few_pixels_is_their_median():
    image, mask = image_of(3, (64, 64))
    mask[:, ::2] = False
    expected = official_level(image, mask.copy(), "model")
    assert np.shape(expected) == ()
    assert background.background_level(image, mask, "model") == expected


@pytest.mark.parametrize("threads", [1, 3])
def test_any_number_of_threads_gives_the_same(threads):
    image, mask = image_of(4, (67, 80))
    expected = image.copy(), mask.copy()
    kernel.subtract_background(*expected, 2.0)
    set_threads(threads)
    try:
        kernel.subtract_background(image, mask, 2.0)
    finally:
        set_threads(0)
    np.testing.assert_array_equal(image, expected[0])
    np.testing.assert_array_equal(mask, expected[1])


def waves_of(seed, shape):
    """Return an image of NIRSpec with noise along its columns, and its mask."""
    random = np.random.default_rng(seed)
    image = random.normal(0, 5, shape).astype(np.float32)
    image += random.normal(0, 3, (1, shape[1])).astype(np.float32)
    image[random.random(shape) < 0.01] += 100
    return image, random.random(shape) < 0.7


@pytest.mark.parametrize("detector", ["NRS1", "NRS2"])
@pytest.mark.parametrize("hole", [False, True])
def test_full_frame_waves_are_the_official_ones(detector, hole):
    # The official fit of full frames, for less than a full frame.
    image, mask = waves_of(1, (256, 192))
    mask[30:120, 20:60] &= not hole
    expected = image - NSClean(detector, mask.copy()).clean(image.copy())
    is_flipped = detector == "NRS2"
    read = [fourier.to_readout(a, is_flipped) for a in (image, mask)]
    noise = fourier.from_readout(fourier.full_frame_noise(*read), is_flipped)
    assert np.abs(expected).max() > 1
    # The official fit is one of complex64.
    np.testing.assert_allclose(noise, expected, atol=2e-5)


@pytest.mark.parametrize("detector", ["NRS1", "NRS2"])
@pytest.mark.parametrize("band", [fourier.Band(), fourier.Band(150.0, 200.0)])
@pytest.mark.parametrize("shape", [(64, 400), (16, 300), (256, 32)])
def test_subarray_waves_are_the_official_ones(detector, band, shape):
    image, mask = waves_of(2, shape)
    mask[3:13, 4:30] = False
    expected = image - fft_clean_subarray(image.copy(), mask.copy(), detector, fc=tuple(band))
    is_flipped = detector == "NRS2"
    noise = fourier.subarray_noise(
        *(fourier.to_readout(a, is_flipped) for a in (image, mask)), band
    )
    noise = fourier.from_readout(noise, is_flipped)
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(noise, expected, atol=1e-3)


def test_waves_where_many_rows_have_no_unlit_pixel():
    # Here the official normal matrix, in complex64, has no inverse to speak of: its noise reaches
    # 1e7 and more. Ours leaves out what the data say nothing of.
    image, mask = waves_of(6, (64, 400))
    mask[:, 60:100] = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = image - fft_clean_subarray(image.copy(), mask.copy(), "NRS1")
    read = (fourier.to_readout(a, False) for a in (image, mask))
    noise = fourier.subarray_noise(*read, fourier.Band())
    assert np.abs(theirs).max() > 1e5
    assert np.abs(noise).max() < 1e3


def test_waves_in_the_row_after_one_without_unlit_pixels():
    # Officially, such a row is weighted with rounding noise.
    image, mask = waves_of(7, (192, 192))
    mask[:, 50] = False
    noise = fourier.full_frame_noise(*(fourier.to_readout(a, False) for a in (image, mask)))
    assert np.isfinite(noise).all()
    assert np.abs(noise).max() < 30


def test_slow_waves_are_removed():
    # Truth: a wave along the readout, in pixels half of which are lit.
    wave = (4 * np.sin(2 * np.pi * np.arange(512) / 512)).astype(np.float32)[:, None]
    image = np.broadcast_to(wave, (512, 512)).copy()
    mask = np.random.default_rng(0).random(image.shape) < 0.5
    image[~mask] += 1000
    noise = fourier.full_frame_noise(*(fourier.to_readout(a, False) for a in (image, mask))).T
    # The noise found is that of the pixel before: the official shift.
    expected = np.broadcast_to(wave[:-1, :488], (511, 488))
    # The waves have no negative frequencies, so that half of it is fitted to what is lit.
    np.testing.assert_allclose(noise[1:, 12:-12], expected, atol=0.3)


def test_nothing_unlit():
    image, mask = waves_of(8, (16, 64))
    assert fourier.subarray_noise(image.T, np.zeros_like(mask).T, fourier.Band()) is None
    noise = fourier.full_frame_noise(image.T, np.zeros_like(mask).T)
    np.testing.assert_array_equal(noise, 0)
