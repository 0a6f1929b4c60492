"""The steps around linearity, saturation and the fit give the same on every device."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pytest
from array_steps import exposure

from jwgpu.errors import InputError
from jwgpu.models.flags import DO_NOT_USE, JUMP_DET, NO_SAT_CHECK, SATURATED
from jwgpu.models.reading import ramp_of
from jwgpu.references import types
from jwgpu.references.decode import arrays_of
from jwgpu.runner import transfer
from jwgpu.steps.linearity import LinearityStep
from jwgpu.steps.ramp_fit import RampFitStep
from jwgpu.steps.saturation import SaturationStep

SHAPE = (3, 7, 9, 20)
INTERLEAVED = (1, 3, 3200, 2048)
TIMING = {"group_time": 10.7, "frame_time": 10.7}
MIRI = {"detector": "MIRIMAGE", **TIMING}


def ramp(detector: str = "NRCA1", shape: tuple[int, ...] = SHAPE, **facts: Any) -> Any:
    """Return ramps of all brightnesses, with flags and frame zero."""
    random = np.random.default_rng(5)
    model = exposure(shape, detector, **facts)
    flux = random.lognormal(6, 2, shape[2:])
    time = np.arange(1, shape[1] + 1, dtype=np.float32)[:, None, None]
    model.data = (flux * time + random.normal(100, 7, shape)).clip(-5, 65535).astype(np.float32)
    model.groupdq[:] = random.choice(np.array([0] * 20 + [1, 4, 32], np.uint8), shape)
    if detector == "MIRIMAGE":
        model.groupdq[:, [0, -1]] |= DO_NOT_USE
    result = ramp_of(model)
    if facts.get("zero_frame"):
        result.zeroframe = result.data[:, 0] * np.float32(0.3)
        result.zeroframe[:, 2] = 0.0
    return result


def flagged(*arguments: Any, **facts: Any) -> Any:
    """Return ramps with saturation and jumps, as they come to the fit."""
    result = ramp(*arguments, **facts)
    result.groupdq[np.logical_or.accumulate(result.data > 40000, axis=1)] |= SATURATED
    result.groupdq[:, 3:4, 4] |= JUMP_DET
    result.average_dark_current = np.full(result.pixeldq.shape, 0.5, np.float32)
    return result


def image(low: float, high: float, shape: tuple[int, ...] = SHAPE[2:]) -> Any:
    values = np.random.default_rng(6).uniform(low, high, shape).astype(np.float32)
    values[1, 2:4] = np.nan
    return values


def polynomials(averaged: bool = False) -> dict[str, Any]:
    coefficients = np.zeros((5, *SHAPE[2:]), np.float32)
    coefficients[:] = np.array([1.0, 1.01, 1e-6, 1e-12, 1e-18], np.float32)[:, None, None]
    coefficients[1, 3, 3] = 0.0
    dq = np.where(image(0, 1) < 0.1, DO_NOT_USE, 0).astype(np.uint32)
    inverse = coefficients[:3] * np.float32(0.99) if averaged else None
    reference = types.LinearityReference(coefficients, dq, inverse_coefficients=inverse)
    return {"linearity": reference}


def thresholds(shape: tuple[int, ...] = SHAPE[2:], rows: int | None = None) -> dict[str, Any]:
    dq = np.where(image(0, 1, shape) < 0.1, NO_SAT_CHECK, 0).astype(np.uint32)
    superbias = types.SuperBiasReference(
        image(0, 100, (rows or shape[0], shape[1])),
        np.zeros((rows or shape[0], shape[1]), np.uint32),
    )
    return {
        "saturation": types.SaturationReference(image(20000, 50000, shape), dq),
        "superbias": superbias,
    }


def noise() -> dict[str, Any]:
    return {
        "readnoise": types.ReadNoiseReference(image(5, 20)),
        "gain": types.GainReference(image(1, 3)),
    }


AVERAGED = {"nframes": 4, "zero_frame": True}
#: Step, exposure, references, parameters, and how often the host waits for the device, at most:
#: whether flags came along, and two counts; whether the first group is saturated; MIRI's groups
#: that are of no use; the most segments and jumps.
CASES: dict[str, tuple[Any, ...]] = {
    "linearity": (LinearityStep, lambda: ramp(zero_frame=True), polynomials, {}, 0),
    "linearity-reads": (LinearityStep, lambda: ramp(**AVERAGED), lambda: polynomials(True), {}, 0),
    "saturation": (SaturationStep, lambda: ramp(zero_frame=True), thresholds, {}, 3),
    "saturation-averaged": (
        SaturationStep,
        lambda: flagged(**AVERAGED),
        thresholds,
        {"n_pix_grow_sat": 2},
        3,
    ),
    "saturation-plain": (SaturationStep, ramp, thresholds, {"use_readpatt": False}, 3),
    "ramp_fit": (RampFitStep, lambda: flagged(**TIMING), noise, {}, 1),
    "ramp_fit-some": (
        RampFitStep,
        lambda: flagged(**TIMING, zero_frame=True),
        noise,
        {"suppress_one_group": False, "firstgroup": 1, "lastgroup": 5},
        1,
    ),
    "ramp_fit-miri": (RampFitStep, lambda: flagged(**MIRI), noise, {}, 5),
    "ramp_fit-one-group": (
        RampFitStep,
        lambda: flagged(shape=(1, 1, 9, 20), **TIMING),
        noise,
        {},
        1,
    ),
}


def sent(device: Any, reference: Any) -> Any:
    """Return a reference with its images on the device, as the references room gives them."""
    arrays = {name: device.send(array) for name, array in arrays_of(reference).items()}
    return type(reference)(**{**vars(reference), **arrays})


def run(
    step_class: Any, exposure: Any, references: dict[str, Any], parameters: Any, device: Any = None
) -> Any:
    step = step_class()
    if device is not None:
        step.session.device = device
    for name, value in parameters.items():
        setattr(step, name, value)
    step.applies_to(exposure)
    result = step.correct_all(exposure, references)
    return exposure if result is None else result


def assert_same(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, tuple):
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other)
        return
    assert is_dataclass(theirs)
    for name in (field.name for field in fields(theirs)):
        wanted = getattr(theirs, name)
        if isinstance(wanted, np.ndarray):
            assert getattr(ours, name).dtype == wanted.dtype, name
            np.testing.assert_array_equal(getattr(ours, name), wanted, err_msg=name)


@pytest.mark.parametrize("name", CASES)
def test_gives_the_same(gpu: Any, name: str) -> None:
    step, make, references, parameters, n_syncs = CASES[name]
    here = run(step, make(), references(), parameters)
    exposure = transfer.send(make(), gpu)
    there = {key: sent(gpu, value) for key, value in references().items()}
    run(step, exposure, there, parameters)  # what the kernels keep for all exposures is sent once
    exposure = transfer.send(make(), gpu)
    counts = getattr(gpu.xp, "counts", None)
    if counts is not None:
        counts.reset()
    result = run(step, exposure, there, parameters)
    if counts is not None:
        assert counts.syncs <= n_syncs, counts
        assert counts.sent == 0, counts
    assert_same(transfer.fetch(result, gpu), here)


def test_saturation_between_reference_pixels(gpu: Any) -> None:
    """The rows of the detector itself are found on the device."""
    facts = {"nrs_normal": 16, "nrs_reference": 4, "readpatt": "NRSIRS2RAPID"}
    references = thresholds((2048, 2048), 3200)
    make = lambda: ramp("NRS1", INTERLEAVED, zero_frame=True, **facts)  # noqa: E731
    here = run(SaturationStep, make(), references, {})
    there = {key: sent(gpu, value) for key, value in references.items()}
    result = run(SaturationStep, transfer.send(make(), gpu), there, {})
    assert_same(transfer.fetch(result, gpu), here)
    assert np.any(here.groupdq & SATURATED)


def test_segments_are_saved(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `save_opt` asks for reaches the product as host arrays."""
    saved: list[Any] = []
    monkeypatch.setattr(
        RampFitStep, "save_model", lambda self, model, *_, **__: saved.append(model)
    )
    here = run(RampFitStep, flagged(**TIMING), noise(), {"save_opt": True})
    there = {key: sent(gpu, value) for key, value in noise().items()}
    exposure = transfer.send(flagged(**TIMING), gpu)
    result = run(RampFitStep, exposure, there, {"save_opt": True}, gpu)
    assert_same(transfer.fetch(result, gpu), here)
    for name in ("slope", "sigslope", "var_poisson", "var_rnoise", "pedestal", "crmag", "weights"):
        np.testing.assert_array_equal(getattr(saved[1], name), getattr(saved[0], name), name)


def test_nothing_but_saturation_is_refused(gpu: Any) -> None:
    exposure = flagged(**TIMING)
    exposure.groupdq[:, 0] = SATURATED
    references = {key: sent(gpu, value) for key, value in noise().items()}
    with pytest.raises(InputError, match="saturated in the first group"):
        run(RampFitStep, transfer.send(exposure, gpu), references, {})
