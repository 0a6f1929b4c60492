from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from array_steps import SHAPE, assert_same, exposure, official, ours, saved_reference
from astropy.io import fits
from jwst.dq_init import DQInitStep as Official
from stdatamodels.jwst import datamodels

from jwgpu.errors import InputError, ParameterError
from jwgpu.models.flags import DEAD, DO_NOT_USE, HOT
from jwgpu.references.types import MaskReference
from jwgpu.steps.dq_init import DQInitStep


def mask_of(model: Any) -> MaskReference:
    random = np.random.default_rng(3)
    flags = np.array([0, DO_NOT_USE, DO_NOT_USE | DEAD, HOT, 1 << 31], np.uint32)
    return MaskReference(random.choice(flags, model.data.shape[-2:]))


def both(model: Any, tmp_path: Path, **parameters: Any) -> Any:
    mask = mask_of(model)
    before = mask.dq.copy()
    official_mask = datamodels.MaskModel(dq=mask.dq.copy())
    path = saved_reference(official_mask, model, tmp_path / "mask.fits")
    theirs = official(Official, model, {"mask": path}, **parameters)
    ramp, status = ours(DQInitStep, model, mask, **parameters)
    assert status == theirs.meta.cal_step.dq_init == "COMPLETE"
    np.testing.assert_array_equal(mask.dq, before)
    assert_same(ramp, theirs, rtol=0)
    return ramp


@pytest.mark.parametrize("shape", [SHAPE, (1, 1, 1, 5), (3, 2, 7, 1)])
def test_equals_official(shape: tuple[int, ...], tmp_path: Path) -> None:
    both(exposure(shape), tmp_path)


def test_unusable_pixels_are_so_in_every_group(tmp_path: Path) -> None:
    model = exposure()
    model.groupdq[...] = 0
    ramp = both(model, tmp_path)
    is_bad = (mask_of(model).dq & DO_NOT_USE) != 0
    assert np.all((ramp.groupdq == DO_NOT_USE) == is_bad)


@pytest.mark.parametrize("dtype", [np.uint32, np.int32, np.int16, np.uint8])
def test_user_flags_equal_official(dtype: Any, tmp_path: Path) -> None:
    path = tmp_path / "user.fits"
    flags = np.random.default_rng(5).integers(0, 100, SHAPE[-2:]).astype(dtype)
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(flags)]).writeto(path)
    ramp = both(exposure(), tmp_path, user_supplied_dq=str(path))
    assert np.all((ramp.pixeldq & flags.astype(np.uint32)) == flags)


def test_user_flags_of_another_shape_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "user.fits"
    fits.PrimaryHDU(np.zeros((3, 4), np.int32)).writeto(path)
    model = exposure()
    with pytest.raises(ParameterError, match=r"user\.fits has the shape \(3, 4\)"):
        ours(DQInitStep, model, mask_of(model), user_supplied_dq=str(path))


@pytest.mark.parametrize("content", [b"no FITS", None])
def test_user_flags_that_cannot_be_read_are_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "user.fits"
    if content:
        path.write_bytes(content)
    else:
        fits.PrimaryHDU().writeto(path)
    model = exposure()
    with pytest.raises(InputError, match=r"user\.fits"):
        ours(DQInitStep, model, mask_of(model), user_supplied_dq=str(path))
