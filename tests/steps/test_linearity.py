from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from array_steps import SHAPE, assert_same, exposure, official, ours, saved_reference
from jwst.linearity import LinearityStep as Official
from stdatamodels.jwst import datamodels

from jwgpu.errors import InputError, ReferenceFileError
from jwgpu.models.flags import DO_NOT_USE, NO_LIN_CORR, SATURATED
from jwgpu.references.types import LinearityReference
from jwgpu.steps.linearity import LinearityStep


def ramps(shape: tuple[int, ...] = SHAPE, **facts: Any) -> Any:
    random = np.random.default_rng(3)
    model = exposure(shape, **facts)
    time = np.arange(1, shape[1] + 1)[None, :, None, None]
    data = random.uniform(0, 8000, (shape[0], 1, *shape[2:])) * time
    model.data = data.astype(np.float32)
    model.groupdq = model.groupdq | np.where(data > 4e4, SATURATED, 0).astype(np.uint8)
    return model


def reference(model: Any, has_inverse: bool) -> LinearityReference:
    random = np.random.default_rng(4)
    shape = model.data.shape[-2:]

    def polynomials(sign: float) -> Any:
        terms = np.zeros((4, *shape), np.float32)
        terms[0] = random.normal(0, 1, shape)
        terms[1] = 1
        terms[2] = sign * random.normal(1e-6, 1e-7, shape)
        terms[:, random.random(shape) < 0.02] = 0
        terms[2, random.random(shape) < 0.02] = np.nan
        return terms

    flags = random.choice(np.array([0, 0, 0, NO_LIN_CORR, DO_NOT_USE], np.uint32), shape)
    return LinearityReference(polynomials(1), flags, polynomials(-1) if has_inverse else None)


def both(model: Any, tmp_path: Path, has_inverse: bool = False) -> Any:
    linearity = reference(model, has_inverse)
    before = linearity.coefficients.copy(), linearity.dq.copy()
    theirs = datamodels.LinearityModel(coeffs=before[0].copy(), dq=before[1].copy())
    if has_inverse:
        theirs.inv_coeffs = linearity.inverse_coefficients.copy()
    path = saved_reference(theirs, model, tmp_path / "linearity.fits")
    expected = official(Official, model, {"linearity": path})
    ramp, status = ours(LinearityStep, model, linearity)
    assert status == expected.meta.cal_step.linearity == "COMPLETE"
    np.testing.assert_array_equal(linearity.coefficients, before[0])
    np.testing.assert_array_equal(linearity.dq, before[1])
    assert_same(ramp, expected)
    assert np.any(ramp.data != model.data)
    return ramp


@pytest.mark.parametrize("shape", [SHAPE, (1, 1, 5, 7), (3, 2, 7, 9)])
def test_equals_official(shape: tuple[int, ...], tmp_path: Path) -> None:
    ramp = both(ramps(shape), tmp_path)
    assert np.any(ramp.pixeldq & NO_LIN_CORR)


def test_averaged_groups_equal_official(tmp_path: Path) -> None:
    """With the inverse polynomial, and several frames in a group: frame by frame."""
    model = ramps(nframes=4)
    with_inverse = both(model, tmp_path, has_inverse=True)
    assert np.any(with_inverse.data != both(model, tmp_path, has_inverse=False).data)


@pytest.mark.parametrize(
    "facts",
    [{"nframes": 1}, {"nframes": 4, "read_times": [[1.0], [2.0]]}],
    ids=["one frame", "read times known"],
)
def test_inverse_is_unused_elsewhere(facts: dict[str, Any], tmp_path: Path) -> None:
    model = ramps(nframes=facts["nframes"])
    if "read_times" in facts:
        model.meta.exposure.read_times = facts["read_times"]
    with_inverse = both(model, tmp_path, has_inverse=True)
    np.testing.assert_array_equal(with_inverse.data, both(model, tmp_path).data)


def test_one_averaged_group_is_corrected_as_a_whole() -> None:
    """Release 3.0 ends with an index error here."""
    model = ramps((1, 1, 5, 7), nframes=4)
    ramp, status = ours(LinearityStep, model, reference(model, has_inverse=True))
    assert status == "COMPLETE"
    expected, _ = ours(LinearityStep, model, reference(model, has_inverse=False))
    np.testing.assert_array_equal(ramp.data, expected.data)


@pytest.mark.parametrize("has_zero_frame", [True, False])
def test_zero_frames_equal_official(has_zero_frame: bool, tmp_path: Path) -> None:
    """The keyword ZEROFRAM decides, not the extension; exact zeros stay zero."""
    model = ramps(zero_frame=has_zero_frame)
    model.zeroframe = model.data[:, 0].copy()
    model.zeroframe[:, 4, :9] = 0.0
    ramp = both(model, tmp_path)
    assert np.all(ramp.zeroframe[:, 4, :9] == 0.0)
    assert np.any(ramp.zeroframe != model.zeroframe) == has_zero_frame


def test_miri_equals_official(tmp_path: Path) -> None:
    both(ramps(detector="MIRIMAGE"), tmp_path)


def test_polynomial_without_linear_term_is_refused() -> None:
    model = ramps()
    shape = model.data.shape[-2:]
    constant = LinearityReference(np.ones((1, *shape), np.float32), np.zeros(shape, np.uint32))
    with pytest.raises(ReferenceFileError, match="linear term"):
        ours(LinearityStep, model, constant)


def test_special_readouts_are_refused() -> None:
    long = exposure((1, 1, 3200, 4), detector="NRS1")
    with pytest.raises(InputError, match="interleaved reference pixels"):
        ours(LinearityStep, long, reference(long, has_inverse=False))


def test_references_are_the_official_ones() -> None:
    assert LinearityStep.reference_file_types == Official.reference_file_types
