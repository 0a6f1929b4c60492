"""Flicker noise on a GPU: what the CPU computes."""

from __future__ import annotations

import numpy as np
import pytest
from devices import open_device
from hypothesis import given, settings
from hypothesis import strategies as st

from jwgpu.kernels import flicker_noise as kernel
from jwgpu.kernels.flicker_noise import Lines, background, fourier, sorted_cuda

#: Sums of float64 run in another order: up to 1e5 values here.
ORDER = {"rtol": 1e-11, "atol": 1e-11}


def image_of(seed=0, shape=(60, 70), level=20.0, sigma=3.0, is_integer=False):
    """Return noise with sources, zeros, infinities and gaps, and a mask."""
    random = np.random.default_rng(seed)
    image = random.normal(level, sigma, shape)
    image += (np.arange(shape[0]) / 40)[:, None]
    image[random.random(shape) < 0.05] += random.choice([20, 1e5])
    image = np.rint(image) if is_integer else image
    image[random.random(shape) < 0.02] = 0
    return image.astype(np.float32), random.random(shape) < random.choice([0.3, 0.95])


def sent(gpu, *arrays):
    return [gpu.send(array.copy()) for array in arrays]


def check_limits(gpu, image, mask, **options):
    want = kernel.background_limits(image, mask, **options)
    found = kernel.background_limits(*sent(gpu, image, mask), **options)
    # A fit of a histogram ends where a step is less than 1e-8.
    tolerance = {"rtol": 1e-7} if options.get("fit_histogram") else ORDER
    np.testing.assert_allclose([float(limit) for limit in found], want, **tolerance)
    masks = mask.copy(), gpu.send(mask.copy())
    kernel.mask_outside(image, masks[0], *want)
    kernel.mask_outside(gpu.send(image), masks[1], *found)
    np.testing.assert_array_equal(gpu.fetch(masks[1]), masks[0])
    return want


@pytest.mark.parametrize("lower_half_only", [False, True])
@pytest.mark.parametrize("fit_histogram", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_limits(gpu, seed, fit_histogram, lower_half_only):
    image, mask = image_of(seed)
    options = {"fit_histogram": fit_histogram, "lower_half_only": lower_half_only}
    want = check_limits(gpu, image, mask, **options)
    assert want[0] < 20 < want[1]


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    shape=st.tuples(st.integers(1, 80), st.integers(1, 80)),
    level=st.sampled_from([0.0, 5.0, 1000.0, 3e5]),
    is_integer=st.booleans(),
    clip=st.sampled_from([1.0, 3.0, 5.0]),
)
def test_limits_of_any_image(seed, shape, level, is_integer, clip):
    image, mask = image_of(seed, shape, level, is_integer=is_integer)
    check_limits(open_device("emulated"), image, mask, clip=clip, lower_half_only=seed % 2 == 0)


HARD = {
    "none": (np.ones((4, 5)), np.zeros((4, 5), bool)),
    "one": (np.full((1, 1), 7.0), np.ones((1, 1), bool)),
    "equal": (np.full((40, 50), 7.0), np.ones((40, 50), bool)),
    "two values": (np.tile([1.0, 2.0], (40, 25)), np.ones((40, 50), bool)),
    "no numbers": (np.full((4, 5), np.nan), np.ones((4, 5), bool)),
    "infinite": (np.tile([np.inf, -np.inf, 3.0, np.nan, 5.0], (4, 9)), np.ones((4, 45), bool)),
}


@pytest.mark.parametrize("name", HARD)
def test_limits_of_few_or_equal_values(gpu, name):
    image, mask = HARD[name][0].astype(np.float32), HARD[name][1]
    for lower_half_only in (False, True):
        check_limits(gpu, image, mask, lower_half_only=lower_half_only)
    median = kernel.masked_median(*sent(gpu, image, mask))
    np.testing.assert_array_equal(float(median), float(kernel.masked_median(image, mask)))


@pytest.mark.parametrize("n_sigma", [0.0, 2.0])
@pytest.mark.parametrize("seed", range(3))
def test_background_is_subtracted(gpu, seed, n_sigma):
    image, mask = image_of(seed, (90, 50), 1000.0)
    image[3, 4], mask[3, 4] = np.nan, False
    want, found = (image.copy(), mask.copy()), sent(gpu, image, mask)
    level = kernel.subtract_background(*want, n_sigma)
    other = kernel.subtract_background(*found, n_sigma)
    assert float(other) == level
    for mine, theirs in zip(found, want, strict=True):
        np.testing.assert_array_equal(gpu.fetch(mine), theirs)
    assert want[1].sum() < mask.sum()


def test_background_of_nothing(gpu):
    image, mask = image_of()[0], np.zeros((60, 70), bool)
    want, found = (image.copy(), mask.copy()), sent(gpu, image, mask)
    for n_sigma in (0.0, 2.0):
        kernel.subtract_background(*want, n_sigma)
        kernel.subtract_background(*found, n_sigma)
        np.testing.assert_array_equal(gpu.fetch(found[0]), want[0])


def test_image_of_many_chunks(gpu):
    """Ends of an interval of values within, and at the edge of, a chunk."""
    assert sorted_cuda.CHUNK == 1024
    random = np.random.default_rng(5)
    image = random.normal(0, 1, (5, 1024)).astype(np.float32)
    image[random.random(image.shape) < 0.3] *= 30
    check_limits(gpu, image, np.ones(image.shape, bool))
    check_limits(gpu, image, np.ones(image.shape, bool), lower_half_only=True, clip=1.5)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("shape", [(40, 16), (4, 130), (9, 10)])
def test_stripes(gpu, axis, channels, shape):
    image, mask = image_of(3, shape)
    mask[2, :] = mask[:, 3] = False
    mask[0, :3] = [True, True, False]
    want = kernel.stripes(image, mask, Lines(axis, channels))
    found = gpu.fetch(kernel.stripes(*sent(gpu, image, mask), Lines(axis, channels)))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize("has_flat", [False, True])
@pytest.mark.parametrize("has_base", [False, True])
def test_differences_and_back(gpu, has_flat, has_base):
    random = np.random.default_rng(1)
    shape = (33, 40)
    current, before, flat = (random.normal(10, 2, shape).astype(np.float32) for _ in range(3))
    current[3, 3], flat[5, 5], flat[6, 6] = np.nan, 0, np.nan
    scene, flags = random.random(shape) < 0.8, random.choice([0, 1, 4, 2], shape).astype(np.uint8)

    def taken(send):
        image, mask = send(np.empty(shape, np.float32)), send(np.empty(shape, bool))
        options = {"groupdq": send(flags), "unusable": 5} if has_base else {}
        options |= {"flat": send(flat)} if has_flat else {}
        previous = send(before) if has_base else None
        kernel.take_difference(image, mask, send(current), previous, scene=send(scene), **options)
        results = [image, mask]
        for level in (3.5, send(before), send(np.array(2.5, np.float32))):
            for noise in (None, random_noise[0], random_noise[1], random_noise[2]):
                target = send(np.zeros(shape, np.float32))
                kernel.restore(
                    target, image, None if noise is None else send(noise), level,
                    options.get("flat"), previous,
                )  # fmt: skip
                results.append(target)
        return results

    random_noise = [random.normal(0, 1, s).astype(np.float32) for s in ((33, 4), (3, 40), shape)]
    with np.errstate(all="ignore"):
        want = taken(lambda array: array)
        found = taken(lambda array: gpu.send(np.array(array)))
    for mine, theirs in zip(found, want, strict=True):
        np.testing.assert_array_equal(gpu.fetch(mine), theirs)


@pytest.mark.parametrize("box", [(16, 16), (7, 9), (60, 70)])
def test_boxes(gpu, box):
    image, mask = image_of(4)
    mask[:16, :16] = False
    image[20, 20] = np.nan
    want = kernel.box_medians(image, mask, box)
    found = kernel.box_medians(*sent(gpu, image, mask), box)
    for mine, theirs in zip(found, want, strict=True):
        np.testing.assert_array_equal(gpu.fetch(mine), theirs)


def test_boxes_of_a_few_pixels(gpu):
    image, mask = image_of(9, (13, 14))
    for box in ((1, 1), (3, 2)):
        want = kernel.box_medians(image, mask, box)
        found = kernel.box_medians(*sent(gpu, image, mask), box)
        np.testing.assert_array_equal(gpu.fetch(found[0]), want[0])


@pytest.mark.parametrize("seed", range(3))
def test_outliers_of_rows(gpu, seed):
    image, mask = image_of(seed, (30, 90))
    mask[4] = False
    mask[5, 1:] = False
    want = kernel.fill_outliers(image, mask, 3.0)
    found = kernel.fill_outliers(*sent(gpu, image, mask), 3.0)
    np.testing.assert_array_equal(gpu.fetch(found), want)
    # Along the readout an image is turned: its mask is not in one piece.
    turned = kernel.fill_outliers(gpu.send(image), gpu.send(mask.T.copy()).T, 3.0)
    np.testing.assert_array_equal(gpu.fetch(turned), want)


@pytest.mark.parametrize("method", ["median", "model", None])
def test_background_level(gpu, method):
    image, mask = image_of(6, (64, 96))
    masks = mask.copy(), gpu.send(mask.copy())
    want = background.background_level(image, masks[0], method)
    found = background.background_level(gpu.send(image), masks[1], method)
    found = found if isinstance(found, float) else gpu.fetch(found)
    # The spline is a product of matrices, in another order.
    np.testing.assert_allclose(found, want, rtol=1e-6)
    np.testing.assert_array_equal(gpu.fetch(masks[1]), masks[0])


@pytest.mark.parametrize("is_flipped", [False, True])
def test_waves(gpu, is_flipped):
    image, mask = image_of(7, (32, 128), 0.0)
    image[~np.isfinite(image)] = 0

    def fitted(send):
        turned = [fourier.to_readout(send(array), is_flipped) for array in (image, mask)]
        return fourier.subarray_noise(*turned, fourier.Band())

    want, found = fitted(lambda array: array), gpu.fetch(fitted(gpu.send))
    assert np.abs(want).max() > 0.1
    # Transforms and solutions of another library.
    np.testing.assert_allclose(found, want, rtol=1e-6, atol=1e-6 * np.abs(want).max())


def test_waves_of_full_frames(gpu):
    image, mask = image_of(8, (160, 320))
    want = fourier.full_frame_noise(image, mask)
    found = gpu.fetch(fourier.full_frame_noise(*sent(gpu, image, mask)))
    assert np.abs(want).max() > 0.1
    np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-5 * np.abs(want).max())


def test_nothing_is_read_back(gpu):
    """Limits and levels stay on the device: cleaning a group is not waited for."""
    counts = getattr(gpu.xp, "counts", None)
    if counts is None:
        pytest.skip("a GPU does not count")
    image, mask = sent(gpu, *image_of())
    before = counts.syncs
    limits = kernel.background_limits(image, mask)
    kernel.mask_outside(image, mask, *limits)
    level = kernel.subtract_background(image, mask, 2.0)
    noise = kernel.stripes(image, mask, Lines(1))
    kernel.restore(image, image, noise, level)
    assert counts.syncs == before


@pytest.mark.races
def test_each_kernel_once(gpu):
    image, mask = image_of(1, (9, 40))
    check_limits(gpu, image, mask)
    found = sent(gpu, image, mask)
    level = kernel.subtract_background(*found, 2.0)
    noise = kernel.stripes(*found, Lines(1))
    kernel.restore(found[0], found[0], noise, level)
    kernel.take_difference(*found, gpu.send(image), scene=gpu.send(mask))
    kernel.box_medians(*found, (4, 4))
    result = gpu.fetch(kernel.fill_outliers(*found, 3.0))
    assert np.isfinite(result).all()
