"""The IRS2 kernel against the official functions, and against what must hold by itself."""

from __future__ import annotations

import numpy as np
import pytest
from irs2 import exposure, filters, half, layout_of
from jwst.refpix import irs2_subtract_reference as official
from jwst.saturation.saturation import irs2_flag_saturation
from stdatamodels.jwst.datamodels import SaturationModel, SuperBiasModel

from jwgpu.kernels.compiled import set_threads
from jwgpu.kernels.irs2 import flag_saturation, mean_image, pair_statistics, subtract_reference
from jwgpu.kernels.irs2.layout import IMAGE_TIME, LINE_TIME, LINES, ROWS
from jwgpu.models.flags import NO_SAT_CHECK

# Values of 20 DN through single-precision transforms of 1.5 million points.
ATOL = 3e-5


@pytest.fixture(params=["NRS1", "NRS2"])
def detector(request):
    return request.param


def test_layout_is_the_official_one(detector):
    layout = layout_of(detector)
    mask = official.make_irs2_mask(ROWS, LINES, 16, 4)
    if detector == "NRS2":
        mask = mask[::-1]
    np.testing.assert_array_equal(layout.science_rows, np.flatnonzero(mask))
    assert IMAGE_TIME == 712 * 2048
    assert LINE_TIME == 712
    for rows in layout.row_at:
        read = rows[rows >= 0]
        assert read.size == np.unique(read).size == 640
        # Pixels of the detector and reference pixels are told apart by time and by row alike.
        interleaved = layout.is_interleaved[read]
        np.testing.assert_array_equal(interleaved, ~layout.is_science_time[rows >= 0])


@pytest.fixture(scope="module")
def corrected():
    """The official correction of two groups, reference pixels kept, with what went into it."""
    images = exposure("NRS1").data[0]
    images[0, 100, 5] = images[1, 100, 5] = 0.0
    alpha, beta = filters()
    mask = official.make_irs2_mask(ROWS, LINES, 16, 4)
    turned = np.swapaxes(images, 1, 2).copy()
    result = official.subtract_reference(turned, alpha, beta, mask, 16, 4, 8, preserve_refpix=True)
    return images, half(alpha), half(beta), np.swapaxes(result, 1, 2)


def correct(images, alpha, beta, detector="NRS1", *, keep=False):
    result = images.copy()
    layout = layout_of(detector)
    subtract_reference(result, mean_image(images), alpha, beta, layout, keep_reference=keep)
    return result


def test_correction_is_the_official_one(corrected):
    images, alpha, beta, expected = corrected
    kept = correct(images, alpha, beta, keep=True)
    np.testing.assert_allclose(kept, expected, rtol=1e-6, atol=ATOL)
    science = layout_of("NRS1").science_rows
    stripped = correct(images, alpha, beta)
    np.testing.assert_array_equal(stripped[:, science], kept[:, science])
    np.testing.assert_array_equal(np.delete(stripped, science, 1), np.delete(images, science, 1))


def test_nrs2_is_nrs1_turned_round(corrected):
    images, alpha, beta, _ = corrected
    turned = np.ascontiguousarray(images[:, ::-1, ::-1])
    np.testing.assert_array_equal(
        correct(turned, alpha, beta, "NRS2")[:, ::-1, ::-1], correct(images, alpha, beta)
    )


def test_threads_do_not_matter(corrected):
    images, alpha, beta, _ = corrected
    try:
        set_threads(1)
        one = correct(images, alpha, beta)
        set_threads(2)
        np.testing.assert_array_equal(correct(images, alpha, beta), one)
    finally:
        set_threads(0)


def test_constant_images_stay(corrected):
    _, alpha, beta, _ = corrected
    images = np.full((1, ROWS, LINES), 7.0, np.float32)
    np.testing.assert_array_equal(correct(images, alpha, beta), images)


def test_a_common_signal_goes():
    # Truth: all outputs and reference pixels see the same slow wave; beta takes off slow signals.
    line, time = np.indices((LINES, LINE_TIME), dtype=np.float32)
    wave = 9.0 * np.sin(2 * np.pi * 300 * (line * LINE_TIME + time) / IMAGE_TIME).astype("f4")
    layout = layout_of("NRS2")
    image = np.zeros((ROWS, LINES), np.float32)
    for rows in layout.row_at:
        image[rows[rows >= 0]] = wave[:, rows >= 0].T[:, ::-1]
    images = np.stack([image, -image])
    frequency = np.abs(np.fft.fftfreq(IMAGE_TIME, 1 / IMAGE_TIME))
    beta = half(np.tile((frequency < 5000) * np.complex64(LINE_TIME / 256), (4, 1)))
    result = correct(images, np.zeros_like(beta), beta, "NRS2")[:, layout.science_rows]
    # What remains comes from the pauses at the ends of the lines, which no reference pixel fills.
    assert result.std() < 0.03 * wave.std()


def test_statistics_of_pairs():
    images = np.random.default_rng(3).normal(1000, 8, (3, ROWS, 12)).astype(np.float32)
    rows = np.array([8, 10, 3188], np.int32)
    result = pair_statistics(images, rows)
    for row, (difference, mean, deviation) in zip(rows, result, strict=True):
        pair = images[:, row : row + 2].astype(np.float64)
        # The difference itself is single precision.
        assert difference == pytest.approx(np.abs(pair[:, 1] - pair[:, 0]).mean(), rel=1e-5)
        assert mean == pytest.approx(pair.mean(), rel=1e-12)
        assert deviation == pytest.approx(pair.std(), rel=1e-9)


@pytest.mark.parametrize(
    ("grow", "frames", "has_bias"), [(1, 5, True), (2, 1, False), (0, 0, True), (0, 4, True)]
)
def test_saturation_is_the_official_one(detector, grow, frames, has_bias):
    random = np.random.default_rng(frames)
    science = layout_of(detector).science_rows
    narrow = 40  # columns: nothing depends on their number
    model = exposure(detector, ints=2, groups=1)
    ramp = random.uniform(0, 9000, (2, 1, ROWS, narrow)) * np.arange(1, 6)[:, None, None]
    ramp[random.random(ramp.shape) < 0.01] -= 60000
    model.data = (ramp + random.normal(0, 2000, ramp.shape)).astype(np.float32)
    model.groupdq = random.choice(np.array([0, 0, 0, 4], np.uint8), ramp.shape)
    model.pixeldq = np.zeros((ROWS, narrow), np.uint32)
    model.meta.exposure.nframes, model.meta.exposure.zero_frame = frames, False
    model.meta.subarray.xsize = narrow
    threshold = random.uniform(30000, 60000, (2048, narrow)).astype(np.float32)
    threshold[random.random(threshold.shape) < 0.02] = np.nan
    flags = random.choice(np.array([0, 0, 0, NO_SAT_CHECK], np.uint32), threshold.shape)
    bias = random.uniform(0, 3000, (ROWS, narrow)).astype(np.float32) if has_bias else None
    reference = SaturationModel(data=threshold.copy(), dq=flags.copy())
    for name in ("xstart", "ystart", "xsize", "ysize"):
        setattr(reference.meta.subarray, name, getattr(model.meta.subarray, name))
    expected = irs2_flag_saturation(
        model.copy(), reference, grow, frames > 0, SuperBiasModel(data=bias) if has_bias else None
    )
    unchecked = np.isnan(threshold) | (flags != 0)
    limit = np.where(unchecked, np.float32(65536), threshold)
    groupdq = model.groupdq.copy()
    counts = flag_saturation(
        model.data, groupdq, limit, bias, science, grow=grow, frames_averaged=frames
    )
    np.testing.assert_array_equal(groupdq, expected.groupdq)
    assert min(counts) > 0
