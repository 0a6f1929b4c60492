"""IRS2 exposures in the steps that know of them, against the official steps."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from irs2 import exposure, layout_of, ramp_of, write_reference
from jwst.refpix import irs2_subtract_reference as official
from jwst.refpix.reference_pixels import correct_model
from offline import official_step
from stdatamodels.jwst.datamodels import IPCModel, RampModel

from jwgpu.errors import InputError, ReferenceFileError
from jwgpu.kernels.irs2.layout import LINES, ROWS
from jwgpu.kernels.reference_pixels import subtract_drift
from jwgpu.models.flags import BAD_REF_PIXEL, DO_NOT_USE
from jwgpu.references.types import IpcReference, RefPixReference
from jwgpu.steps import irs2
from jwgpu.steps.ipc import IPCStep
from jwgpu.steps.linearity import LinearityStep
from jwgpu.steps.readout import layout_of as layout_of_ramp
from jwgpu.steps.refpix import RefPixStep

# As in the test of the kernel: rounding of the transforms.
TOLERANCE = {"rtol": 1e-6, "atol": 3e-5}

#: Amplifier, pair, bits; the third amplifier has no good visit at all.
LISTED = [
    *((1, 1, 0b1011), (1, 2, 0b11), (2, 1, 1 << 31), (4, 1, 0b100), (4, 2, 0)),
    *((3, 1, 0xFFFFFFFF), (3, 2, 0xFFFFFFFF)),
]


@pytest.fixture(autouse=True)
def _quiet():
    for name in ("jwst", "stpipe"):
        logging.getLogger(name).setLevel(logging.ERROR)


def narrow(detector="NRS1", seed=0, ints=2, columns=16):
    """Return an exposure of few columns: for what looks at whole rows only."""
    model = RampModel()
    model.meta.filename = "made_uncal.fits"
    model.meta.instrument.name, model.meta.instrument.detector = "NIRSPEC", detector
    model.meta.exposure.nrs_normal, model.meta.exposure.nrs_reference = 16, 4
    model.meta.exposure.zero_frame = False
    random = np.random.default_rng(seed)
    shape = (ints, 3, ROWS, columns)
    data = random.normal(50, 5, shape) + random.normal(0, 2, (ints, 1, ROWS, 1))
    for row in random.integers(0, ROWS, 60):
        data[random.integers(ints), :, row] += random.choice([-60, 20, 40, 80])
    for row in random.integers(0, ROWS, 60):
        data[random.integers(ints), :, row] *= random.choice([1.5, 3])
    model.data = data.astype(np.float32)
    model.groupdq = np.zeros(shape, np.uint8)
    pixeldq = np.zeros((ROWS, columns), np.uint32)
    rows = np.flatnonzero(layout_of(detector).is_interleaved)
    pixeldq[random.choice(rows, 30), random.integers(0, columns, 30)] |= BAD_REF_PIXEL
    model.pixeldq = pixeldq
    return model


# The example: a limit of the last round lets in again what an earlier round has clipped.
@settings(max_examples=6, deadline=None)
@example(seed=11106, sigma=1.0, turned=False)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 1.0, 2.0, 3.0, 5.0]), st.booleans())
def test_bad_rows_are_the_official_ones(seed, sigma, turned):
    detector = "NRS2" if turned else "NRS1"
    model = narrow(detector, seed)
    ramp, layout = ramp_of(model), layout_of(detector)
    irs2.flag_bad_rows(ramp, irs2.find_bad_rows(ramp, layout, sigma))
    official.flag_bad_refpix(model, n_sigma=sigma, flag_only=True)
    np.testing.assert_array_equal(ramp.pixeldq, model.pixeldq)
    irs2.replace_bad_rows(ramp, layout)
    official.flag_bad_refpix(model, replace_only=True)
    np.testing.assert_array_equal(ramp.data, model.data)


def test_a_bad_pixel_of_the_detector_costs_its_row(caplog):
    # A quirk of release 3.0, whose documents say that samples of the detector are not modified.
    model = narrow()
    row = int(layout_of("NRS1").science_rows[100])
    model.pixeldq[row, 3] |= BAD_REF_PIXEL
    ramp = ramp_of(model)
    irs2.flag_bad_rows(ramp, irs2.find_bad_rows(ramp, layout_of("NRS1"), 3.0))
    irs2.replace_bad_rows(ramp, layout_of("NRS1"))
    official.flag_bad_refpix(model, n_sigma=3.0)
    np.testing.assert_array_equal(ramp.pixeldq, model.pixeldq)
    np.testing.assert_array_equal(ramp.data[:, :, row], model.data[:, :, row])
    assert (ramp.pixeldq[row] & DO_NOT_USE).all()
    assert "all their pixels are given up" in caplog.text


@settings(max_examples=8, deadline=None)
@given(
    st.integers(0, 10**6),
    st.lists(
        st.tuples(st.integers(1, 4), st.integers(1, 2), st.integers(0, 2**32 - 1)), max_size=8
    ),
    st.booleans(),
)
def test_listed_rows_are_replaced_as_officially(seed, listed, turned):
    detector = "NRS2" if turned else "NRS1"
    model = narrow(detector, seed, ints=1)
    ramp, layout = ramp_of(model), layout_of(detector)
    table = np.array(listed, np.int64).reshape(-1, 3)
    reference = RefPixReference(None, None, table)
    irs2.replace_listed_rows(ramp, layout, reference)
    step = -1 if turned else 1
    data = np.swapaxes(model.data, 2, 3)[:, :, ::step, ::step]
    flags = (model.pixeldq & BAD_REF_PIXEL).any(axis=1)[::step].copy()
    output, odd_even, mask = (table[:, 0], table[:, 1], table[:, 2].astype(np.uint32))
    is_reference = layout.is_interleaved.copy()
    official.clobber_ref(data, output, odd_even, mask, flags, is_reference)
    np.testing.assert_array_equal(ramp.data, model.data)


def test_an_output_that_there_is_not():
    reference = RefPixReference(None, None, np.array([[7, 1, 1]]), path="refpix.fits")
    with pytest.raises(ReferenceFileError, match=r"refpix\.fits.*output 7"):
        irs2.replace_listed_rows(ramp_of(narrow()), layout_of("NRS1"), reference)


@pytest.mark.parametrize("odd_even", [True, False])
@pytest.mark.parametrize("detector", ["NRS1", "NRS2"])
def test_mean_subtraction_is_the_official_one(detector, odd_even):
    model = exposure(detector, 1, 1)
    # One amplifier without good pixels at one end; another without any even ones.
    model.pixeldq[700:900, :4] |= DO_NOT_USE
    for edge in (slice(0, 4), slice(-4, None)):
        model.pixeldq[1280:1920, edge] |= DO_NOT_USE
    ramp = ramp_of(model)
    layout = irs2.mean_layout(ramp, layout_of(detector), odd_even=odd_even)
    subtract_drift(ramp.data[0], layout, 3.0, 1, 0.0)
    kernels = {"refpix_algorithm": "median", "sirs_kernel_model": None}
    kernels |= {"sigreject": 4.0, "gaussmooth": 1.0, "halfwidth": 30}
    before = model.data.copy()
    correct_model(model, odd_even, False, 11, 1.0, True, kernels, 3.0)
    np.testing.assert_allclose(ramp.data, model.data, rtol=1e-6, atol=1e-4)
    assert not np.array_equal(before, model.data)


@pytest.mark.parametrize(
    ("detector", "parameters"),
    [
        ("NRS1", {}),
        ("NRS2", {"irs2_mean_subtraction": True, "preserve_irs2_refpix": True}),
    ],
)
def test_the_step_is_the_official_one(tmp_path, detector, parameters):
    path = write_reference(tmp_path / "refpix.fits", detector, LISTED)
    model = exposure(detector)
    model.data[:, :, 1308:1310] += 200
    model.data[:, 0, 28] += 40
    expected = official_step("refpix", model, {"refpix": path}, **parameters)
    step = RefPixStep()
    step.override_refpix = path
    for name, value in parameters.items():
        setattr(step, name, value)
    before = model.data.copy()
    result = step.process(model)
    np.testing.assert_array_equal(model.data, before)
    assert result.meta.cal_step.refpix == expected.meta.cal_step.refpix == "COMPLETE"
    assert result.data.shape[2] == (ROWS if parameters else 2048)
    np.testing.assert_array_equal(result.groupdq, expected.groupdq)
    np.testing.assert_array_equal(result.pixeldq, expected.pixeldq)
    np.testing.assert_allclose(result.data, expected.data, **TOLERANCE)


def test_without_reference_the_step_is_skipped():
    model = exposure("NRS1", groups=1)
    model.data[:, :, 1308:1310] += 200
    expected = official_step("refpix", model, {})
    step = RefPixStep()
    step.override_refpix = "N/A"
    result = step.process(model)
    assert result.meta.cal_step.refpix == expected.meta.cal_step.refpix == "SKIPPED"
    np.testing.assert_array_equal(result.pixeldq, expected.pixeldq)
    np.testing.assert_array_equal(result.data, expected.data)


def test_zero_frame_is_corrected_as_a_group(tmp_path):
    # The official step leaves it as it is, and linearity fails on its 3200 rows.
    model = exposure("NRS1", zero_frame=True)
    model.zeroframe[0, 700, 5:9] = 0.0
    step = RefPixStep()
    step.override_refpix = write_reference(tmp_path / "refpix.fits", "NRS1")
    result = step.process(model)
    assert result.zeroframe.shape == (1, 2048, LINES)
    expected = np.where(model.zeroframe == 0, 0, model.data[:, 0])[
        :, layout_of("NRS1").science_rows
    ]
    differs = ~np.isclose(result.zeroframe, result.data[:, 0], **TOLERANCE)
    np.testing.assert_array_equal(result.zeroframe[expected == 0], 0.0)
    assert not differs[expected != 0].any()


def test_memory_is_given_up_in_place():
    ramp = ramp_of(narrow())
    data = ramp.data
    before = data.copy()
    rows = layout_of("NRS1").science_rows
    irs2.strip_references(ramp, layout_of("NRS1"))
    np.testing.assert_array_equal(ramp.data, before[:, :, rows])
    assert np.shares_memory(ramp.data, data)
    assert ramp.data.flags.c_contiguous
    assert ramp.groupdq.shape == ramp.data.shape
    assert ramp.pixeldq.shape == ramp.data.shape[-2:]


@pytest.mark.parametrize("per_pixel", [False, True])
def test_ipc_is_the_official_one(tmp_path, per_pixel):
    model = exposure("NRS2", groups=1)
    kernel = np.array([[0.0, -0.01, 0], [-0.02, 1.06, -0.01], [0, -0.02, 0]], np.float32)
    if per_pixel:
        kernel = kernel[:, :, None, None] + np.zeros((2048, LINES), np.float32)
    reference = IPCModel(data=kernel)
    reference.save(tmp_path / "ipc.fits")
    expected = official_step("ipc", model, {"ipc": tmp_path / "ipc.fits"})
    ramp = ramp_of(model)
    IPCStep().correct(ramp, IpcReference(kernel))
    np.testing.assert_allclose(ramp.data, expected.data, rtol=1e-6, atol=1e-5)
    assert not np.array_equal(ramp.data, model.data)


def test_linearity_needs_stripped_images():
    with pytest.raises(InputError, match="run refpix before"):
        LinearityStep().applies_to(ramp_of(narrow()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model: setattr(model.meta.exposure, "nrs_normal", 8), "NRS_NORM is 8"),
        (lambda model: setattr(model.meta.exposure, "nrs_reference", 2), "NRS_REF is 2"),
        (lambda model: setattr(model.meta.instrument, "detector", "NRCA1"), "NRCA1"),
    ],
)
def test_other_rhythms_and_detectors_are_refused(change, message):
    model = exposure("NRS1", groups=1)
    change(model)
    with pytest.raises(InputError, match=message):
        layout_of_ramp(ramp_of(model))
