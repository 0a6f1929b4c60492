"""The refpix step against the official one: values, zero frames, statuses, refusals."""

from __future__ import annotations

import logging
import re

import numpy as np
import pytest
from jwst.refpix import RefPixStep as OfficialStep
from stdatamodels.jwst.datamodels import RampModel, SuperstripeRampModel

from jwgpu.errors import InputError
from jwgpu.models.flags import DO_NOT_USE, HOT, REFERENCE_PIXEL
from jwgpu.models.ramp import Ramp
from jwgpu.steps.base import SkipStep
from jwgpu.steps.refpix import RefPixStep

# The official package sums a thousand reference values of about 30 DN in float32 and rounds to
# float32 once more; ours are float64 sums, rounded once. atol is for pixels near 0 DN.
TOLERANCE = {"rtol": 1e-6, "atol": 1e-4}

# instrument, detector, FASTAXIS, SLOWAXIS
DETECTORS = {
    "NRCA1": ("NIRCAM", -1, 2),
    "NRCA2": ("NIRCAM", 1, -2),
    "NIS": ("NIRISS", -2, -1),
    "NRS1": ("NIRSPEC", 2, 1),
    "NRS2": ("NIRSPEC", -2, -1),
    "GUIDER1": ("FGS", -2, -1),
    "GUIDER2": ("FGS", 2, -1),
}


@pytest.fixture(autouse=True)
def _quiet():
    """Leave out the dozen lines that the official package logs for each exposure."""
    logging.getLogger("jwst").setLevel(logging.ERROR)


def exposure(detector="NRCA1", shape=(1, 2, 2048, 2048), start=(1, 1), name="FULL", outputs=4):
    """Return an exposure with row and column noise, flags, and stray values."""
    rng = np.random.default_rng(sum(shape) + len(detector))
    rows, columns = shape[-2:]
    model = RampModel()
    data = rng.normal(30, 12, shape).astype(np.float32)
    data += rng.normal(0, 8, (*shape[:3], 1)).astype(np.float32)
    data += rng.normal(0, 8, (*shape[:2], 1, columns)).astype(np.float32)
    data += 20 * (np.arange(columns) % 2).astype(np.float32)
    data[rng.random(shape) < 0.003] += 500
    model.data = data
    data[..., 4:-4, 4:-4] += 3000
    pixeldq = np.zeros((rows, columns), np.uint32)
    on_y = np.arange(rows) + start[1] - 1
    on_x = np.arange(columns) + start[0] - 1
    is_border = ((on_y < 4) | (on_y >= 2044))[:, None] | ((on_x < 4) | (on_x >= 2044))[None, :]
    pixeldq[is_border] |= REFERENCE_PIXEL
    pixeldq[rng.random(pixeldq.shape) < 0.1] |= DO_NOT_USE
    pixeldq[rng.random(pixeldq.shape) < 0.1] |= HOT
    model.pixeldq = pixeldq
    model.groupdq = rng.integers(0, 8, shape, dtype=np.uint8)
    model.meta.filename = "made_uncal.fits"
    instrument, fast, slow = DETECTORS.get(detector, ("MIRI", 1, 2))
    model.meta.instrument.name = instrument
    model.meta.instrument.detector = detector
    model.meta.exposure.type = {"MIRI": "MIR_IMAGE", "NIRCAM": "NRC_IMAGE"}.get(
        instrument, "NIS_IMAGE"
    )
    model.meta.exposure.readpatt = "RAPID"
    model.meta.exposure.nints, model.meta.exposure.ngroups = shape[:2]
    model.meta.exposure.noutputs = outputs
    model.meta.exposure.zero_frame = False
    subarray = model.meta.subarray
    subarray.name = name
    subarray.xstart, subarray.ystart = start
    subarray.xsize, subarray.ysize = columns, rows
    subarray.fastaxis, subarray.slowaxis = fast, slow
    return model


def official(model, **parameters):
    """Return the official result; the step works on a copy of its own."""
    step = OfficialStep()
    for name, value in parameters.items():
        setattr(step, name, value)
    return step.process(model.copy())


def ours(model, **parameters):
    """Return our result and the status."""
    ramp = Ramp(
        data=model.data.copy(),
        groupdq=model.groupdq.copy(),
        pixeldq=model.pixeldq.copy(),
        model=model,
        zeroframe=model.zeroframe.copy() if model.meta.exposure.zero_frame else None,
    )
    step = RefPixStep()
    for name, value in parameters.items():
        setattr(step, name, value)
    try:
        step.correct(ramp)
    except SkipStep:
        return ramp, "SKIPPED"
    return ramp, "COMPLETE"


def assert_same(model, *, changes=True, **parameters):
    """Assert that both packages give the same, and that something was (not) corrected."""
    expected = official(model, **parameters)
    result, status = ours(model, **parameters)
    assert status == expected.meta.cal_step.refpix
    np.testing.assert_allclose(result.data, expected.data, **TOLERANCE)
    np.testing.assert_array_equal(result.pixeldq, expected.pixeldq)
    np.testing.assert_array_equal(result.groupdq, expected.groupdq)
    if model.meta.exposure.zero_frame:
        np.testing.assert_allclose(result.zeroframe, expected.zeroframe, **TOLERANCE)
    assert (not np.array_equal(result.data, model.data)) == changes
    return result


def test_full_frame():
    assert_same(exposure("NRS2"))


@pytest.mark.parametrize(
    ("detector", "first_line"), list(zip(DETECTORS, [1, 1985, 1, 1985, 1, 1985, 1], strict=True))
)
def test_orientation_of_each_detector(detector, first_line):
    # A stripe of four amplifiers at one end of the slow axis.
    if abs(DETECTORS[detector][1]) == 2:
        model = exposure(detector, (1, 2, 2048, 64), (first_line, 1), "SUBGRISM64")
    else:
        model = exposure(detector, (1, 2, 64, 2048), (1, first_line), "SUBGRISM64")
    assert_same(model)


@pytest.mark.parametrize(
    "parameters",
    [
        {"odd_even_columns": False},
        {"use_side_ref_pixels": False},
        {"odd_even_columns": False, "use_side_ref_pixels": False, "siglimit": 1.5},
        {"side_smoothing_length": 10},
        {"side_smoothing_length": 101, "side_gain": 0.6},
    ],
    ids=str,
)
@pytest.mark.parametrize("detector", ["NRCA2", "NIS"])
def test_parameters_of_the_near_infrared(detector, parameters):
    # A stripe at the detector's edge: all the paths of the full frame, on an eighth of the pixels.
    if detector == "NIS":
        model = exposure(detector, (1, 2, 2048, 256), (1793, 1), "SUBGRISM256")
    else:
        model = exposure(detector, (1, 2, 256, 2048), (1, 1), "SUBGRISM256")
    assert_same(model, **parameters)


def test_four_amplifiers_with_sides_alone():
    assert_same(exposure("NRCA1", (2, 2, 64, 2048), (1, 700), "SUBGRISM64"))


def test_four_amplifiers_without_sides():
    # It begins on an odd coordinate of the detector's fast axis.
    assert_same(exposure("NRCA2", (1, 2, 64, 1000), (102, 1985), "SUB64P"))


@pytest.mark.parametrize("odd_even_columns", [True, False])
@pytest.mark.parametrize(
    ("detector", "shape", "start", "name"),
    [
        ("NRCA1", (2, 2, 64, 64), (1, 1), "SUB64P"),
        ("NRCA2", (1, 2, 64, 81), (1968, 1985), "SUB64P"),
        ("NIS", (1, 2, 256, 2048), (1, 1793), "SUBSTRIP256"),
        ("GUIDER1", (1, 2, 90, 64), (3, 1), "SUB128LL"),
        ("NRS1", (1, 2, 512, 512), (1000, 700), "SUB512"),
        ("NRS2", (1, 2, 32, 32), (1001, 701), "SUB32"),
    ],
)
def test_single_amplifier(detector, shape, start, name, odd_even_columns):
    model = exposure(detector, shape, start, name, outputs=1)
    assert_same(model, odd_even_columns=odd_even_columns)


def test_without_reference_pixels_nothing_changes_and_it_is_complete():
    # As jwst 3.0 does; its documents say SKIPPED.
    for outputs in (1, 4):
        assert_same(
            exposure(shape=(1, 2, 64, 64), start=(900, 900), outputs=outputs), changes=False
        )


def test_amplifier_without_good_odd_columns_gets_no_offset():
    model = exposure(shape=(1, 2, 64, 2048))
    model.pixeldq[:4, 0:512:2] |= DO_NOT_USE
    result = assert_same(model, use_side_ref_pixels=False)
    np.testing.assert_array_equal(result.data[..., :512], model.data[..., :512])


def test_single_amplifier_without_good_odd_columns_is_left_alone():
    # The official package ends with an IndexError here.
    model = exposure(shape=(1, 2, 64, 64), outputs=1)
    model.pixeldq[:, ::2] |= DO_NOT_USE
    result, status = ours(model)
    assert status == "COMPLETE"
    np.testing.assert_array_equal(result.data, model.data)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the official package
def test_nan_reference_pixel():
    model = exposure(shape=(1, 2, 64, 2048))
    model.pixeldq[...] &= REFERENCE_PIXEL
    model.data[0, 1, 2, 600] = np.nan  # an offset
    model.data[0, 1, 40, 1] = np.nan  # a side
    result = assert_same(model)
    assert np.isnan(result.data[0, 1]).sum() == 64 * 256 + 1


def test_zero_frame():
    model = exposure(shape=(2, 2, 64, 2048))
    zeroframe = model.data[:, 0].copy() - 100
    zeroframe[np.random.default_rng(3).random(zeroframe.shape) < 0.2] = 0.0
    model.zeroframe = zeroframe
    model.meta.exposure.zero_frame = True
    result = assert_same(model)
    np.testing.assert_array_equal(result.zeroframe == 0, zeroframe == 0)


@pytest.mark.parametrize("odd_even_rows", [True, False])
def test_miri_full_frame(odd_even_rows):
    model = exposure("MIRIMAGE", (2, 3, 1024, 1032))
    model.data[1, 0, 100, 100] = np.nan
    result = assert_same(model, odd_even_rows=odd_even_rows)
    np.testing.assert_array_equal(result.data[:, 0], model.data[:, 0])
    assert np.isnan(result.data[1, :, 100, 100]).all()


def test_miri_without_good_reference_pixels_in_one_column():
    model = exposure("MIRIMAGE", (1, 2, 1024, 1032))
    model.pixeldq[1::2, 1029] |= DO_NOT_USE
    assert_same(model, changes=False)


def test_miri_subarray_is_skipped():
    assert_same(exposure("MIRIMAGE", (1, 2, 64, 80), name="SUB64"), changes=False)


def test_subarray_beyond_the_detector_is_skipped():
    assert_same(exposure(shape=(1, 2, 64, 64), start=(2000, 1)), changes=False)


def test_drift_is_removed():
    # Truth: a flat image plus what the amplifiers and rows add, without noise. In the last rows the
    # window of the running median is cut off, which moves it by up to 2.5 rows: 0.06 DN.
    model = exposure(shape=(1, 2, 64, 2048))
    x = np.arange(2048)
    drift = 7.0 * (x // 512) + 3.0 * (x % 2) + 0.5 * np.sin(np.arange(64) / 20)[:, None]
    is_science = (model.pixeldq & REFERENCE_PIXEL) == 0
    model.data = np.broadcast_to(100.0 * is_science + drift, model.data.shape).astype(np.float32)
    result, _ = ours(model, siglimit=10.0)
    np.testing.assert_allclose(result.data[..., is_science], 100.0, atol=0.1)


@pytest.mark.parametrize(
    ("detector", "shape", "start"),
    [
        ("NRCA1", (1, 2, 42, 2048), (1, 1)),
        ("NRCA2", (2, 2, 42, 700), (801, 2048)),
        ("NIS", (1, 2, 600, 42), (2048, 1001)),
        ("NRCA1", (1, 2, 42, 100), (1948, 1)),
    ],
)
@pytest.mark.parametrize("odd_even", [True, False])
def test_stripes(detector, shape, start, odd_even):
    model = exposure(detector, shape, start)
    model.meta.subarray.multistripe_reads1 = 2
    model.meta.subarray.num_superstripe = 0
    # Reference pixels are where the flags say; one amplifier has them in its odd columns only.
    along = -1 if abs(model.meta.subarray.fastaxis) == 1 else -2
    pixeldq = np.moveaxis(model.pixeldq, along, -1)
    pixeldq &= ~np.uint32(REFERENCE_PIXEL)
    pixeldq[:2] |= REFERENCE_PIXEL
    pixeldq[:, 512:600:2] |= DO_NOT_USE
    model.meta.exposure.zero_frame = True
    model.zeroframe = model.data[:, 0].copy()
    model.zeroframe[:, 5:9] = 0.0
    assert_same(model, odd_even_columns=odd_even)


def superstripes():
    """Return an exposure of three superstripes, the reference pixels of each flagged otherwise."""
    plain = exposure("NRCA1", (6, 2, 20, 96), (1, 1))
    model = SuperstripeRampModel(data=plain.data)
    model.update(plain)
    keywords = {"reads1": 4, "skips1": 0, "reads2": 16, "skips2": 0}
    for name, value in keywords.items():
        setattr(model.meta.subarray, f"multistripe_{name}", value)
    model.meta.subarray.repeat_stripe, model.meta.subarray.interleave_reads1 = 1, 0
    model.meta.subarray.superstripe_step, model.meta.subarray.num_superstripe = 16, 3
    model.pixeldq = np.zeros((3, 20, 96), np.uint32)
    model.pixeldq[:, :4] |= REFERENCE_PIXEL
    model.pixeldq[0, :2] |= DO_NOT_USE
    model.pixeldq[1:, 2:4] |= DO_NOT_USE
    model.meta.exposure.nints = 6
    model.data[:, :, 2:4] += 100.0
    return model


def test_superstripes_take_the_reference_pixels_of_the_first():
    # Parity: the official step means to take each stripe's own, but its number of the stripe is
    # always 0. So rows that are flagged, and 100 DN too high, count in the second stripe.
    model = superstripes()
    expected = official(model)
    ramp, _ = ours(model)
    np.testing.assert_allclose(ramp.data, expected.data, **TOLERANCE)
    subtracted = model.data[1, 0, 4:] - ramp.data[0, 0, 16:32]
    assert subtracted.mean() - model.data[1, 0, :2].mean() > 50.0


def test_sirs_on_a_subarray_takes_the_running_median():
    assert_same(exposure(shape=(1, 2, 64, 2048), name="SUBGRISM64"), refpix_algorithm="sirs")


@pytest.mark.parametrize(
    ("keyword", "value"), [("fastaxis", None), ("xstart", None), ("xsize", 63)]
)
def test_bad_keywords(keyword, value):
    model = exposure(shape=(1, 2, 64, 64))
    setattr(model.meta.subarray, keyword, value)
    with pytest.raises(InputError, match=r"made_uncal\.fits"):
        ours(model)


def test_parameters_are_the_official_ones():
    def names_types_and_defaults(step):
        lines = [line.partition("#")[0] for line in step.spec.splitlines() if "=" in line]
        plain = [line.replace(" ", "").replace('"', "'") for line in lines]
        return [re.sub(r",(min|max)=\d+", "", line) for line in plain]

    assert names_types_and_defaults(RefPixStep) == names_types_and_defaults(OfficialStep)
    assert RefPixStep.reference_file_types == OfficialStep.reference_file_types


def test_whole_step_leaves_its_input_and_sets_the_status():
    model = exposure(shape=(1, 2, 64, 2048))
    before = model.data.copy()
    result = RefPixStep().process(model)
    np.testing.assert_allclose(result.data, official(model).data, **TOLERANCE)
    np.testing.assert_array_equal(model.data, before)
    assert result.meta.cal_step.refpix == "COMPLETE"
    miri = RefPixStep().process(exposure("MIRIMAGE", (1, 2, 64, 80), name="SUB64"))
    assert miri.meta.cal_step.refpix == "SKIPPED"
