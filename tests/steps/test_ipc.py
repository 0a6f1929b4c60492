from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from array_steps import assert_same, exposure, official, ours, saved_reference
from jwst.ipc import IPCStep as Official
from jwst.ipc.ipc_corr import get_num_ref_pixels
from stdatamodels.jwst import datamodels

from jwgpu.errors import InputError, ReferenceFileError
from jwgpu.references.types import IpcReference
from jwgpu.steps.ipc import IPCStep, reference_borders

SHAPE = (2, 3, 12, 20)


def windowed(window: tuple[int, int], detector: str = "NRCA1") -> Any:
    """Return an exposure of a subarray that starts at column and row `window`, counted from 1."""
    model = exposure(SHAPE, detector=detector)
    model.meta.subarray.xstart, model.meta.subarray.ystart = window
    return model


def kernel_of(*image: int) -> Any:
    kernel = np.random.default_rng(2).uniform(-0.02, 0, (3, 3, *image)).astype(np.float32)
    kernel[1, 1] += 1 - kernel.sum((0, 1))
    return kernel


@pytest.mark.parametrize("window", [(1, 1), (3, 2), (101, 301), (2029, 2037), (2029, 1)])
@pytest.mark.parametrize("detector", ["NRCA1", "NRS2"])
def test_near_infrared_equals_official(
    window: tuple[int, int], detector: str, tmp_path: Path
) -> None:
    both(windowed(window, detector), tmp_path)


@pytest.mark.parametrize("window", [(1, 1), (5, 1005), (1013, 7)])
def test_miri_equals_official(window: tuple[int, int], tmp_path: Path) -> None:
    """MIRI has reference columns, and no reference rows."""
    both(windowed(window, "MIRIMAGE"), tmp_path)


def both(model: Any, tmp_path: Path) -> None:
    kernel = kernel_of()
    path = saved_reference(datamodels.IPCModel(data=kernel), model, tmp_path / "ipc.fits")
    theirs = official(Official, model, {"ipc": path})
    ramp, status = ours(IPCStep, model, IpcReference(kernel))
    assert status == theirs.meta.cal_step.ipc == "COMPLETE"
    assert_same(ramp, theirs, rtol=0)
    assert np.any(ramp.data != model.data)
    rows = ramp.data.shape[2]
    bottom, top, left, right = reference_borders(ramp.meta)
    columns = ramp.data.shape[3]
    changed = np.any(ramp.data != model.data, (0, 1))
    expected = np.zeros_like(changed)
    expected[bottom : rows - top, left : columns - right] = True
    np.testing.assert_array_equal(changed, expected)


def test_kernel_for_each_pixel_equals_official(tmp_path: Path) -> None:
    """The official step cuts the kernel itself; ours is given one that is cut."""
    model = windowed((1, 3))
    kernel = kernel_of(40, 30)
    path = saved_reference(datamodels.IPCModel(data=kernel), model, tmp_path / "ipc.fits")
    theirs = official(Official, model, {"ipc": path})
    cut = np.ascontiguousarray(kernel[:, :, 2:14, 0:20])
    ramp, _ = ours(IPCStep, model, IpcReference(cut))
    assert_same(ramp, theirs, rtol=0)


@pytest.mark.parametrize("detector", ["NRCA1", "MIRIMAGE", "GUIDER1"])
@pytest.mark.parametrize("window", [(1, 1, 2048, 2048), (1, 1, 1032, 1024), (1025, 3, 4, 4)])
def test_borders_equal_official(detector: str, window: tuple[int, int, int, int]) -> None:
    model = datamodels.RampModel()
    model.meta.instrument.name = {"N": "NIRCAM", "M": "MIRI", "G": "FGS"}[detector[0]]
    names = ("xstart", "ystart", "xsize", "ysize")
    for name, value in zip(names, window, strict=True):
        setattr(model.meta.subarray, name, value)
    assert reference_borders(model.meta) == tuple(get_num_ref_pixels(model))


@pytest.mark.parametrize("shape", [(3, 3, 3), (3, 3, 5, 5)])
def test_kernel_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    model = windowed((1, 1))
    with pytest.raises(ReferenceFileError, match="does not fit"):
        ours(IPCStep, model, IpcReference(np.ones(shape, np.float32)))


def test_special_readouts_are_refused() -> None:
    long = exposure((1, 1, 3200, 4), detector="NRS1")
    with pytest.raises(InputError, match="neither IRS2"):
        ours(IPCStep, long, IpcReference(kernel_of()))


def test_references_are_the_official_ones() -> None:
    assert IPCStep.reference_file_types == Official.reference_file_types
