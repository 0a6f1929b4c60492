"""Small exposures, and both packages' answers for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from stdatamodels.jwst import datamodels

from jwgpu.models.ramp import Ramp
from jwgpu.models.reading import ramp_of
from jwgpu.steps.base import SkipStep

#: (ints, groups, y, x)
SHAPE = (2, 6, 12, 20)


def exposure(shape: tuple[int, ...] = SHAPE, detector: str = "NRCA1", **facts: Any) -> Any:
    """Return an official ramp model of random samples and flags.

    ``facts`` are of ``meta.exposure``.
    """
    random = np.random.default_rng(sum(shape))
    model = datamodels.RampModel(
        data=random.normal(1000.0, 300.0, shape).astype(np.float32),
        groupdq=random.choice(np.array([0, 0, 0, 4, 16], np.uint8), shape),
        pixeldq=random.choice(np.array([0, 0, 1, 2, 1024], np.uint32), shape[-2:]),
    )
    instruments = {"NRC": "NIRCAM", "MIR": "MIRI", "NRS": "NIRSPEC", "NIS": "NIRISS"}
    model.meta.instrument.name = instruments[detector[:3]]
    model.meta.instrument.detector = detector
    model.meta.subarray.name = "SUB64"
    model.meta.subarray.xstart, model.meta.subarray.ystart = 1, 1
    model.meta.subarray.xsize, model.meta.subarray.ysize = shape[3], shape[2]
    defaults = {
        "nints": shape[0],
        "ngroups": shape[1],
        "nframes": 1,
        "groupgap": 0,
        "readpatt": "FAST" if detector.startswith("MIR") else "RAPID",
        "type": "NRC_IMAGE",
    }
    for name, value in {**defaults, **facts}.items():
        setattr(model.meta.exposure, name, value)
    return model


def saved_reference(model: Any, like: Any, path: Path) -> str:
    """Save a reference model made for the exposure `like`, and return its path."""
    model.meta.instrument.name = like.meta.instrument.name
    model.meta.instrument.detector = like.meta.instrument.detector
    model.meta.description = "made for a test"
    model.meta.author = "a test"
    model.meta.pedigree = "DUMMY"
    model.meta.useafter = "2020-01-01T00:00:00"
    model.meta.reftype = "DARK"
    if hasattr(model.meta, "subarray"):
        for name in ("name", "xstart", "ystart", "xsize", "ysize"):
            setattr(model.meta.subarray, name, getattr(like.meta.subarray, name))
    model.save(path)
    model.close()
    return str(path)


def official(step_class: Any, model: Any, references: Any = (), **parameters: Any) -> Any:
    """Return what the official step makes of a copy of `model`; `references` are (type, path)."""
    step = step_class()
    for name, value in parameters.items():
        setattr(step, name, value)
    for kind, path in dict(references).items():
        setattr(step, f"override_{kind}", path)
    return step.process(model)


def ours(step_class: Any, model: Any, *references: Any, **parameters: Any) -> tuple[Ramp, str]:
    """Return what our step makes of a copy of `model`, and its status."""
    step = step_class()
    for name, value in parameters.items():
        setattr(step, name, value)
    ramp = ramp_of(model.copy())
    try:
        step.applies_to(ramp)
        step.correct(ramp, *references)
    except SkipStep:
        return ramp, "SKIPPED"
    return ramp, "COMPLETE"


def assert_same(ramp: Ramp, model: Any, rtol: float = 1e-5) -> None:
    """Assert that `ramp` has the arrays of `model`: flags exactly, floats within `rtol`."""
    np.testing.assert_array_equal(ramp.groupdq, model.groupdq)
    np.testing.assert_array_equal(ramp.pixeldq, model.pixeldq)
    assert ramp.groupdq.dtype == np.uint8
    assert ramp.pixeldq.dtype == np.uint32
    assert ramp.data.dtype == np.float32
    np.testing.assert_allclose(ramp.data, model.data, rtol=rtol)
    for name in ("zeroframe", "average_dark_current"):
        mine, theirs = getattr(ramp, name), getattr(model, name)
        assert (mine is None) == (theirs is None), name
        if mine is not None:
            assert mine.dtype == np.float32
            np.testing.assert_allclose(mine, theirs, rtol=rtol)
