"""IRS2 on a GPU: what the CPU computes, bit for bit but for the Fourier transforms."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from irs2 import exposure, filters, half, layout_of

from jwgpu.kernels import irs2
from jwgpu.kernels.irs2 import correction_cuda, cpu, saturation_cuda, tables
from jwgpu.kernels.irs2.layout import (
    LINE_TIME,
    LINES,
    OUTPUTS,
    InterleavedLayout,
    interleaved_layout,
)

# As of the official package in test_irs2: transforms in another order, in single precision.
TOLERANCE = {"rtol": 1e-6, "atol": 3e-5}


@pytest.fixture(params=["NRS1", "NRS2"])
def detector(request):
    return request.param


@pytest.fixture(scope="module")
def images():
    """Two groups, with values that are not read, and one that is not finite."""
    made = exposure("NRS1").data[0]
    made[1, 100, 2] = np.nan
    return made


def layout_on(gpu, detector):
    return interleaved_layout(gpu.xp, detector == "NRS2")


def test_layout_is_the_same(gpu, detector):
    found, want = layout_on(gpu, detector), layout_of(detector)
    assert found.is_reversed == want.is_reversed
    for field in dataclasses.fields(want)[1:]:
        here = gpu.fetch(getattr(found, field.name))
        np.testing.assert_array_equal(here, getattr(want, field.name))
        assert here.dtype == getattr(want, field.name).dtype


SHAPES = [(1, 4, 1), pytest.param((3, 9, 33), marks=pytest.mark.races), (5, 40, 64)]


@pytest.mark.parametrize("shape", SHAPES)
def test_mean_and_pairs(gpu, shape):
    made = np.random.default_rng(1).normal(1000, 30, shape).astype(np.float32)
    rows = np.arange(0, shape[1] - 1, 3, dtype=np.int32)
    np.testing.assert_array_equal(gpu.fetch(irs2.mean_image(gpu.send(made))), irs2.mean_image(made))
    found = irs2.pair_statistics(gpu.send(made), gpu.send(rows))
    np.testing.assert_array_equal(gpu.fetch(found), irs2.pair_statistics(made, rows))


def test_drift(gpu, detector, images):
    # Single precision, so that a sample can be equal to it.
    offset = (irs2.mean_image(images) * 0.9).astype(np.float32).astype(np.float64)
    layout = layout_of(detector)
    made = np.concatenate([images, images])
    border = np.r_[0:4, LINES - 4 : LINES]
    # Two images with all there is, and two of whose outputs a few samples only are read.
    few = np.array([[0, 1, 8, 9, 11], [12, 13, 14, 129, 1000]])
    for (i, output), n in np.ndenumerate(few):
        rows = layout.row_at[output][layout.row_at[output] >= 0]
        kept = np.random.default_rng(n).permutation(rows.size * border.size)[:n]
        place = rows[kept // border.size], border[kept % border.size]
        values = made[i][place]
        made[i, rows] = offset[rows]
        made[i][place] = values
    found = correction_cuda.fit_drift(gpu.send(made), gpu.send(offset), layout_on(gpu, detector))
    want = [
        [cpu.fit_drift(image, offset, row_at, layout.is_reversed) for row_at in layout.row_at]
        for image in made
    ]
    np.testing.assert_array_equal(gpu.fetch(found), np.array(want, np.float32))


def test_series(gpu, detector, images):
    offset = irs2.mean_image(images)
    layout, on_device = layout_of(detector), layout_on(gpu, detector)
    drift = np.random.default_rng(1).normal(0, 1e-7, (2, OUTPUTS, 2)).astype(np.float32)
    arguments = (gpu.send(images), gpu.send(offset), gpu.send(drift), on_device)
    times = np.arange(LINE_TIME)
    for first, n in ((0, 1), (1, 4)):
        every = gpu.send(times.astype(np.int32))
        found = gpu.fetch(correction_cuda.lay_out_in_time(*arguments, every, first))
        for i, output in np.ndindex(2, n):
            want = np.empty((LINE_TIME, LINES), np.float32)
            row_at = layout.row_at[first + output]
            line = drift[i, first + output]
            place = (images[i], offset, row_at, layout.is_reversed)
            cpu.lay_out_in_time(want, times, *place, *line)
            np.testing.assert_array_equal(found[i, output].reshape(LINES, LINE_TIME), want.T)


def test_interpolation(gpu, images):
    # What precedes the transforms, of an image of fewer lines.
    lines = 40
    series = np.random.default_rng(3).normal(0, 1, (LINE_TIME, lines)).astype(np.float32)
    series[np.random.default_rng(4).random(series.shape) < 0.5] = 0
    series[30:100, 7] = 0
    series[200, 20] = np.nan
    want = np.empty_like(series)
    cpu.interpolate_zeros(series, np.zeros(LINE_TIME, np.int64), tables.window(), want)
    found = correction_cuda.interpolate_zeros(
        gpu.send(np.ascontiguousarray(series.T).reshape(1, 1, -1)), gpu.send(tables.window())
    )
    np.testing.assert_array_equal(gpu.fetch(found).reshape(lines, LINE_TIME), want.T)


@pytest.mark.races
def test_small_series(gpu):
    # No detector's: five outputs of 6 rows, 9 lines of 8 times, on tiles that they do not fill.
    row_at = np.arange(30).reshape(5, 6)[:, [0, 1, -1, 2, 3, -1, 4, 5]].astype(np.int32)
    row_at[:, [2, 5]] = -1
    is_science = np.array([True, True, False, True, False, False, True, True])
    layout = InterleavedLayout(False, None, None, gpu.send(row_at), gpu.send(is_science))
    random = np.random.default_rng(1)
    images = random.normal(10, 1, (2, 30, 9)).astype(np.float32)
    offset = images.mean(0, dtype=np.float64)
    filters = [random.normal(0, 1, (2, 4, 8, 5)).astype(np.float32) for _ in range(2)]
    alpha, beta = (gpu.send(one[0] + np.complex64(1j) * one[1]) for one in filters)
    known = correction_cuda.Known(
        every_time=gpu.send(np.arange(8, dtype=np.int32)),
        source_time=gpu.send(np.array([-1, -1, 4, 4, 4, -1, -1, -1], np.int32)),
        window=gpu.send(tables.window()),
        transmission=gpu.send(np.linspace(1, 0, 37).astype(np.float32)),
    )
    results = []
    for at_a_time in (1, 2):
        result = gpu.send(images)
        for first in range(0, 2, at_a_time):
            some = result[first : first + at_a_time]
            correction_cuda.correct(some, gpu.send(offset), alpha, beta, layout, True, known)
        results.append(gpu.fetch(result))
    np.testing.assert_array_equal(*results)
    assert np.isfinite(results[0]).all()
    assert not np.isclose(results[0], images).any()


@pytest.mark.parametrize(("name", "keep"), [("NRS1", True), ("NRS2", False)])
def test_correction(gpu, monkeypatch, name, keep):
    monkeypatch.setattr(correction_cuda, "IMAGES_AT_A_TIME", 1)
    made = exposure(name, groups=2 if keep else 1).data[0]
    offset = irs2.mean_image(made) * 0.9
    alpha, beta = (half(one) for one in filters())
    want = made.copy()
    irs2.subtract_reference(want, offset, alpha, beta, layout_of(name), keep_reference=keep)
    result = gpu.send(made)
    on_device = (gpu.send(array) for array in (offset, alpha, beta))
    irs2.subtract_reference(result, *on_device, layout_on(gpu, name), keep_reference=keep)
    np.testing.assert_allclose(gpu.fetch(result), want, **TOLERANCE)
    assert not np.allclose(want, made, **TOLERANCE)


@pytest.mark.parametrize(
    ("grow", "frames", "has_bias"),
    [pytest.param(1, 5, True, marks=pytest.mark.races), (2, 1, False), (0, 0, True)],
)
def test_saturation(gpu, monkeypatch, grow, frames, has_bias):
    monkeypatch.setattr(saturation_cuda, "INTS_AT_A_TIME", 2)
    random = np.random.default_rng(frames)
    shape, rows = (3, 5, 12, 21), np.sort(random.permutation(12)[:8]).astype(np.int32)
    data = random.uniform(0, 9000, shape) * np.arange(1, 6)[:, None, None]
    data = (data + random.normal(0, 2000, shape)).astype(np.float32)
    data[random.random(shape) < 0.02] = -1
    data[random.random(shape) < 0.02] = np.nan
    threshold = random.uniform(30000, 60000, (8, 21)).astype(np.float32)
    bias = random.uniform(0, 3000, shape[2:]).astype(np.float32) if has_bias else None
    groupdq = random.choice(np.array([0, 0, 4], np.uint8), shape)
    want, result = groupdq.copy(), gpu.send(groupdq)
    options = {"grow": grow, "frames_averaged": frames}
    counts = irs2.flag_saturation(data, want, threshold, bias, rows, **options)
    sent = [None if one is None else gpu.send(one) for one in (threshold, bias, rows)]
    found = irs2.flag_saturation(gpu.send(data), result, *sent, **options)
    assert found == counts
    assert min(counts) > 0
    np.testing.assert_array_equal(gpu.fetch(result), want)
