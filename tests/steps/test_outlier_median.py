"""Medians of images on a common grid, and the weights that count there."""

from __future__ import annotations

import os
import tempfile
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stcal.outlier_detection.utils import compute_weight_threshold

from jwgpu.backends import get_device
from jwgpu.errors import ProductError
from jwgpu.steps import outlier_median
from jwgpu.steps.outlier_median import Stack, Window, least_weight

CPU = get_device("cpu")


def filled_stack(rng, shape, number, in_memory):
    """A stack of parts of a grid, and the whole images."""
    stack, whole = Stack(shape, in_memory), []
    for _ in range(number):
        bottom, left = (int(rng.integers(0, size)) for size in shape)
        top, right = (
            int(rng.integers(low + 1, size + 1))
            for low, size in zip((bottom, left), shape, strict=True)
        )
        window = Window(bottom, top, left, right)
        part = rng.normal(size=window.shape).astype(np.float32)
        part[rng.random(window.shape) < 0.2] = np.nan
        stack.add(part, window)
        image = np.full(shape, np.nan, np.float32)
        image[bottom:top, left:right] = part
        whole.append(image)
    return stack, np.array(whole)


@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**31),
    shape=st.tuples(st.integers(1, 12), st.integers(1, 30)),
    number=st.integers(1, 6),
    in_memory=st.booleans(),
    together=st.sampled_from([1, 100, 1 << 20]),
)
def test_median_of_parts(seed, shape, number, in_memory, together):
    stack, whole = filled_stack(np.random.default_rng(seed), shape, number, in_memory)
    before, outlier_median._TOGETHER = outlier_median._TOGETHER, together
    try:
        found = stack.median(CPU)
    finally:
        outlier_median._TOGETHER = before
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(found, np.nanmedian(whole, axis=0))


def test_nothing_was_added():
    assert np.isnan(Stack((3, 4), True).median(CPU)).all()


def test_many_images_are_in_one_file():
    before = len(os.listdir("/proc/self/fd"))
    stack = Stack((2, 3), in_memory=False)
    for value in range(100):
        stack.add(np.full((2, 3), value, np.float32))
    assert len(os.listdir("/proc/self/fd")) <= before + 1
    np.testing.assert_array_equal(stack.median(CPU), np.full((2, 3), 49.5, np.float32))


def test_a_full_disk(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with pytest.raises(ProductError, match=r"images cannot be kept there .*free.*set TMPDIR"):
        Stack((10, 10), False).add(np.zeros((10, 10), np.float32))


WEIGHTS = [
    [1, 1, 1, 2, 0],
    [5],
    [0, 0],
    [1, 1000, *[1] * 11],
    [-1, 2, 3, np.inf, np.nan, 0],
    [0, np.inf, 2, 3, 3, -5, -5],
]


@pytest.mark.parametrize("weight", WEIGHTS, ids=str)
def test_weights(device, weight):
    weight = np.array(weight, np.float32)
    with np.errstate(invalid="ignore"):
        expected = compute_weight_threshold(weight, 0.7)
    assert least_weight(device.send(weight), 0.7) == pytest.approx(expected, nan_ok=True)


def test_a_gpu_is_seldom_waited_for(cuda):
    if not hasattr(cuda.xp, "counts"):
        pytest.skip("counted by what stands in for a GPU")
    weight = np.linspace(0.9, 1.1, 1000, dtype=np.float32)
    weight[:2] = 2
    sent = cuda.send(weight)
    cuda.xp.counts.reset()
    # The first round clips both, the second nothing.
    assert least_weight(sent, 0.5) == pytest.approx(0.5 * weight[2:].mean(dtype=float))
    # Where the values begin and end, the first sums, the mean; of a round its limits, and the sums
    # of what it clips.
    assert cuda.xp.counts.syncs == 3 + 2 + 1


def test_limits_are_compared_as_officially():
    rng = np.random.default_rng(4)
    for number in range(50):
        weight = rng.uniform(0.5, 1.5, 20).astype(np.float32)
        limit = compute_weight_threshold(weight.copy(), 0.7)
        # The numbers of single precision around it.
        near = np.float32(limit) + np.arange(-3, 4) * np.spacing(np.float32(limit))
        near = near.astype(np.float32)
        np.testing.assert_array_equal(near < least_weight(weight, 0.7), near < limit, str(number))


@settings(max_examples=50)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 4000), spread=st.sampled_from([0.0, 1e-6, 1.0]))
def test_any_weights(seed, n, spread):
    rng = np.random.default_rng(seed)
    weight = (1 + spread * rng.standard_cauchy(n)).astype(np.float32)
    weight[rng.random(n) < 0.1] = 0
    expected = compute_weight_threshold(weight, 0.7)
    # Officially deviations are computed in single precision.
    assert least_weight(weight, 0.7) == pytest.approx(expected, rel=1e-6, nan_ok=True)


def test_weights_of_many_pixels(monkeypatch):
    monkeypatch.setattr(outlier_median, "_CHUNK", 100)
    weight = np.random.default_rng(1).standard_cauchy(5000).astype(np.float32)
    assert least_weight(weight, 0.7) == pytest.approx(compute_weight_threshold(weight, 0.7))
