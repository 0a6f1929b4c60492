"""Steps that are array code give the same on a device whose arrays are not NumPy's."""

from __future__ import annotations

from typing import Any

import array_api_strict as strict
import numpy as np
import pytest
from array_steps import exposure

from jwgpu.models.flags import SATURATED
from jwgpu.models.ramp import Ramp
from jwgpu.models.reading import ramp_of
from jwgpu.references.types import (
    MaskReference,
    ResetReference,
    RscdReference,
    SuperBiasReference,
)
from jwgpu.steps.dq_init import DQInitStep
from jwgpu.steps.firstframe import FirstFrameStep
from jwgpu.steps.group_scale import GroupScaleStep
from jwgpu.steps.lastframe import LastFrameStep
from jwgpu.steps.reset import ResetStep
from jwgpu.steps.rscd import RscdStep
from jwgpu.steps.superbias import SuperBiasStep

#: Its arrays raise when they are mixed with NumPy's, or read by NumPy.
ELSEWHERE = strict.Device("device1")
ARRAYS = ("data", "groupdq", "pixeldq", "zeroframe")
SHAPE = (2, 7, 8, 10)


def send(array: np.ndarray) -> Any:
    return strict.asarray(array, device=ELSEWHERE, copy=True)


def fetch(array: Any) -> np.ndarray:
    return np.asarray(array.to_device(strict.Device("CPU_DEVICE")))


def ramp_on(place: Any) -> Ramp:
    model = exposure(SHAPE, "MIRIMAGE", nframes=3, frame_divisor=4, zero_frame=True)
    model.zeroframe = model.data[:, 0] - 2.0
    model.groupdq[:, 3:, 2:4] |= SATURATED
    ramp = ramp_of(model)
    for name in ARRAYS:
        setattr(ramp, name, place(getattr(ramp, name)))
    return ramp


def references(place: Any) -> dict[type, tuple[Any, ...]]:
    random = np.random.default_rng(0)
    image = random.normal(10.0, 3.0, SHAPE[-2:]).astype(np.float32)
    image[1, 1] = np.nan
    dq = random.integers(0, 4, SHAPE[-2:]).astype(np.uint32)
    reset = np.broadcast_to(image, (2, 3, *image.shape)).copy()
    columns = [("subarray", "U9"), ("readpatt", "U9"), ("group_skip1", int), ("group_skip", int)]
    rscd = np.array([("SUB64", "FAST", 2, 4)], dtype=columns)
    return {
        GroupScaleStep: (),
        DQInitStep: (MaskReference(place(dq)),),
        SuperBiasStep: (SuperBiasReference(place(image), place(dq)),),
        ResetStep: (ResetReference(place(reset), place(dq)),),
        RscdStep: (RscdReference(rscd),),
        FirstFrameStep: (),
        LastFrameStep: (),
    }


@pytest.mark.parametrize("step_class", list(references(np.copy)))
def test_gives_the_same_elsewhere(step_class: Any) -> None:
    here, there = ramp_on(np.copy), ramp_on(send)
    before = ramp_on(np.copy)
    step_class().correct(here, *references(np.copy)[step_class])
    step_class().correct(there, *references(send)[step_class])
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(here, name), fetch(getattr(there, name)))
        assert getattr(there, name).dtype == getattr(strict, str(getattr(here, name).dtype))
    assert any(not np.array_equal(getattr(here, name), getattr(before, name)) for name in ARRAYS)
