"""Small exposures to fit, and both packages' answers for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from array_steps import exposure, official, saved_reference
from astropy.io import fits
from jwst.ramp_fitting import RampFitStep as OfficialRampFit
from stdatamodels.jwst import datamodels

from jwgpu.models.flags import DO_NOT_USE, JUMP_DET, SATURATED
from jwgpu.steps.ramp_fit import RampFitStep

SHAPE = (2, 6, 12, 20)
TIMING = {"group_time": 21.47, "frame_time": 10.74, "nframes": 1, "groupgap": 1}
#: A sum of samples that cancel keeps a rounding error of the samples.
ATOL = 1e-9


def ramps(shape: tuple[int, ...] = SHAPE, detector: str = "NRCA1", **facts: Any) -> Any:
    """Return ramps with jumps, saturation and bad pixels, at random."""
    model = exposure(shape, detector, **{**TIMING, **facts})
    random = np.random.default_rng(2)
    time = 21.47 * np.arange(1, shape[1] + 1)[None, :, None, None]
    rate = 10 ** random.uniform(-1, 2, (shape[0], 1, *shape[2:]))
    model.data = (rate * time + random.normal(500, 12, shape)).astype(np.float32)
    flags = random.choice([0, 0, 0, 0, JUMP_DET, DO_NOT_USE], shape)
    start = random.integers(0, 2 * shape[1], (shape[0], 1, *shape[2:]))
    flags |= np.where(np.arange(shape[1])[:, None, None] >= start, SATURATED, 0)
    model.groupdq = flags.astype(np.uint8)
    model.meta.filename = "jw00001001001_01101_00001_nrca1_jump.fits"
    return model


def saved(kind: str, reference: Any, like: Any, folder: Path) -> str:
    """Save a reference model for the exposure `like`, and return its path."""
    path = saved_reference(reference, like, folder / f"{kind}.fits")
    fits.setval(path, "REFTYPE", value=kind.upper())
    return path


#: Reference files by the exposure that they were made for.
_saved: dict[Any, dict[str, str]] = {}


def references(model: Any, folder: Path, gain_factor: float | None = None) -> dict[str, str]:
    """Save a gain with a bad pixel of each kind, and a read noise, unless they exist already."""
    shape = model.data.shape[-2:]
    key = (shape, model.meta.instrument.detector, gain_factor)
    files = _saved.get(key, {})
    if not files or not all(Path(path).exists() for path in files.values()):
        random = np.random.default_rng(3)
        gain = random.uniform(1, 3, shape).astype(np.float32)
        gain[0, :3] = (np.nan, 0.0, -1.0)
        gain_model = datamodels.GainModel(data=gain)
        gain_model.meta.exposure.gain_factor = gain_factor
        noise = datamodels.ReadnoiseModel(data=random.uniform(5, 20, shape).astype(np.float32))
        _saved[key] = {
            "gain": saved("gain", gain_model, model, folder),
            "readnoise": saved("readnoise", noise, model, folder),
        }
    return _saved[key]


def ours(model: Any, files: dict[str, str], **parameters: Any) -> Any:
    """Return what our step makes of a copy of `model`, as official models."""
    step = RampFitStep()
    for name, value in parameters.items():
        setattr(step, name, value)
    for kind, path in files.items():
        setattr(step, f"override_{kind}", path)
    return step.process(model.copy())


def assert_same(mine: Any, theirs: Any, names: tuple[str, ...]) -> None:
    assert type(mine) is type(theirs)
    for name in names:
        found, expected = mine[name], theirs[name]
        assert found.dtype == expected.dtype, name
        if expected.dtype.kind == "u":
            np.testing.assert_array_equal(found, expected, err_msg=name)
        else:
            np.testing.assert_allclose(found, expected, 1e-5, ATOL, err_msg=name)


RATES = ("data", "dq", "err", "var_poisson", "var_rnoise")


def assert_equals_official(model: Any, folder: Path, **parameters: Any) -> Any:
    """Compare rate and rateints of both packages, and return ours."""
    files = references(model, folder)
    theirs = official(OfficialRampFit, model, files, **parameters)
    mine = ours(model, files, **parameters)
    for found, expected in zip(mine, theirs, strict=True):
        assert_same(found, expected, RATES)
        assert found.meta.cal_step.ramp_fit == expected.meta.cal_step.ramp_fit == "COMPLETE"
        assert found.meta.bunit_data == expected.meta.bunit_data
    return mine
