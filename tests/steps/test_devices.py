"""Steps of stage 1 that are array code, or nearly so, give the same on every device.

Not here: steps whose kernels have tests of their own on devices, but for jump and dark_current,
which bring the step around the kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from array_steps import exposure
from stdatamodels.jwst import datamodels

from jwgpu.models.flags import DO_NOT_USE, JUMP_DET, SATURATED
from jwgpu.models.guider import GuiderRates, GuiderRaw
from jwgpu.models.images import Image
from jwgpu.models.rates import Rates
from jwgpu.models.reading import ramp_of, read_ramp
from jwgpu.models.superstripes import collate
from jwgpu.references import types
from jwgpu.references.decode import arrays_of
from jwgpu.runner import transfer
from jwgpu.simulate import make_dataset
from jwgpu.steps.badpix_selfcal import BadpixSelfcalStep, Selfcal
from jwgpu.steps.base import SkipStep
from jwgpu.steps.charge_migration import ChargeMigrationStep
from jwgpu.steps.dark_current import DarkCurrentStep
from jwgpu.steps.dq_init import DQInitStep
from jwgpu.steps.firstframe import FirstFrameStep
from jwgpu.steps.flat_field import FlatFieldStep
from jwgpu.steps.gain_scale import GainScaleStep
from jwgpu.steps.group_scale import GroupScaleStep
from jwgpu.steps.guider_cds import GuiderCdsStep
from jwgpu.steps.jump import JumpStep
from jwgpu.steps.lastframe import LastFrameStep
from jwgpu.steps.photom import PhotomStep
from jwgpu.steps.reset import ResetStep
from jwgpu.steps.rscd import RscdStep
from jwgpu.steps.superbias import SuperBiasStep

SHAPE = (3, 7, 12, 20)


@dataclass
class Case:
    """A step, and what it takes.

    Attributes
    ----------
    step : class
    make : callable
        Makes the exposure, in host memory; anew each time.
    references : dict
        By the names that `correct` gives them; in host memory.
    parameters : dict
    n_syncs : int
        How often the host waits for the device, at most.
    why : str
        For what.
    """

    step: Any
    make: Callable[[], Any]
    references: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    n_syncs: int = 0
    why: str = ""


def ramp(detector: str = "NRCA1", shape: tuple[int, ...] = SHAPE, **facts: Any) -> Any:
    """Return ramps with jumps, saturated and unusable samples, and frame zero."""
    random = np.random.default_rng(3)
    model = exposure(shape, detector, group_time=2.0, **facts)
    flux = random.lognormal(3, 2, shape[2:]) + (random.random(shape) < 0.03) * 3000.0
    data = flux.cumsum(1) + random.normal(0, 7, shape)
    model.data = data.astype(np.float32)
    model.groupdq[:] = np.where(np.logical_or.accumulate(data > 9000, axis=1), SATURATED, 0)
    model.groupdq[0, 0] |= DO_NOT_USE
    model.groupdq[random.random(shape) < 0.02] |= JUMP_DET
    model.data[-1, 1, 2, 3] = np.nan
    result = ramp_of(model)
    if facts.get("zero_frame"):
        result.zeroframe = result.data[:, 0] * np.float32(0.3)
        result.zeroframe[:, 2] = 0.0
    return result


def images(*shape: int) -> tuple[np.ndarray, np.ndarray]:
    """Return values with some that are NaN, and flags."""
    random = np.random.default_rng(4)
    values = random.normal(10.0, 3.0, shape).astype(np.float32)
    values[random.random(shape) < 0.02] = np.nan
    return values, random.choice(np.array([0, 0, 1, 1024], np.uint32), shape[-2:])


def jump_references() -> dict[str, Any]:
    gain, readnoise = images(*SHAPE[2:])[0] * np.float32(0.18), images(*SHAPE[2:])[0]
    gain[5, 5], gain[6, 6] = -1, 0
    return {"gain": types.GainReference(gain), "readnoise": types.ReadNoiseReference(readnoise)}


def dark(n_groups: int, *n_ints: int, **facts: Any) -> dict[str, Any]:
    data, dq = images(*n_ints, n_groups, *SHAPE[2:])
    return {"dark": types.DarkReference(data, dq, **{"nframes": 1, "groupgap": 0, **facts})}


def rates() -> Rates:
    values = [images(*SHAPE[:1], *SHAPE[2:])[0] + number for number in range(4)]
    flags = images(*SHAPE[:1], *SHAPE[2:])[1]
    model = datamodels.CubeModel()
    return Rates(
        data=values[0],
        dq=np.broadcast_to(flags, values[0].shape).copy(),
        err=values[1],
        var_poisson=values[2],
        var_rnoise=values[3],
        model=model,
    )


def image() -> Image:
    values = [np.abs(images(9, 11)[0]) + number for number in range(5)]
    model = datamodels.ImageModel()
    model.meta.exposure.type = "NRC_IMAGE"
    model.meta.exposure.mid_time = 60000.0
    model.meta.instrument.name = "NIRCAM"
    model.meta.instrument.filter, model.meta.instrument.pupil = "F200W", "CLEAR"
    flags = images(9, 11)[1]
    return Image(values[0], flags, *values[1:], model=model)


def guider_raw(kind: str, n_ints: int, n_groups: int) -> GuiderRaw:
    data, dq = images(n_ints, n_groups, 9, 11)
    model = datamodels.GuiderRawModel()
    model.meta.exposure.type = kind
    model.meta.exposure.group_time = 0.35
    return GuiderRaw(data, dq, model)


def guider_rates() -> GuiderRates:
    data, dq = images(3, 9, 11)
    model = datamodels.GuiderCalModel()
    model.meta.exposure.type = "FGS_TRACK"
    return GuiderRates(data, np.abs(data), dq, model)


def guider_references() -> dict[str, Any]:
    gain, readnoise = np.abs(images(9, 11)[0]), images(9, 11)[0]
    return {"gain": types.GainReference(gain), "readnoise": types.ReadNoiseReference(readnoise)}


def flat() -> dict[str, Any]:
    data, dq = images(9, 11)
    data[2, 3] = 0.0
    return {"flat": types.FlatReference(data, dq, np.abs(data) / 10)}


def photom_references() -> dict[str, Any]:
    rows = {"filter": np.array(["F090W", "F200W"]), "pupil": np.array(["CLEAR", "CLEAR"])}
    changes = {"linear": {"t0": np.full(2, 59700.0), "lossperyear": np.full(2, 0.01)}}
    table = {**rows, "photmjsr": np.array([2.0, 3.3], np.float32)}
    return {
        "photom": types.PhotomReference(table, changes, 1e-13, 0.004),
        "area": types.AreaReference(np.abs(images(9, 11)[0]), 1e-13, 0.004),
    }


@cache
def striped_file(folder: Path) -> Path:
    return make_dataset(
        folder,
        seed=3,
        instrument="NIRCAM",
        detector="NRCB1",
        subarray="SUB64P_SUPSTP008",
        window=(1851, 2046, 64, 18),
        stripes=(1, 165, 8, 0, 1, 0, 8, 3),
        zero_frame=True,
        ngroups=3,
        nints=2,
    ).exposure


MIRI = {"detector": "MIRIMAGE", "integration_start": 1}
RSCD = np.array(
    [("SUB64", "FAST", 2, 4)],
    dtype=[("subarray", "U9"), ("readpatt", "U9"), ("group_skip1", int), ("group_skip", int)],
)
MASK = {"mask": types.MaskReference(images(*SHAPE[2:])[1])}
BIAS = {"superbias": types.SuperBiasReference(*images(*SHAPE[2:]))}
RESET = {"reset": types.ResetReference(*images(2, 4, *SHAPE[2:]))}
GAIN = {"gain": types.GainReference(images(*SHAPE[2:])[0], gain_factor=1.7)}
AFTER = {"after_jump_flag_dn1": 100.0, "after_jump_flag_time1": 5.0}

# Of jump: which groups are of no use, and how many jumps there are.
CASES: dict[str, Case] = {
    "group_scale": Case(GroupScaleStep, lambda: ramp(nframes=3, frame_divisor=4)),
    "dq_init": Case(DQInitStep, ramp, MASK),
    "dq_init-guider": Case(
        DQInitStep,
        lambda: guider_raw("FGS_TRACK", 2, 2),
        {"mask": types.MaskReference(images(9, 11)[1])},
    ),
    "superbias": Case(SuperBiasStep, lambda: ramp(zero_frame=True), BIAS),
    "reset": Case(ResetStep, lambda: ramp(**MIRI), RESET),
    "rscd": Case(
        RscdStep,
        lambda: ramp(**MIRI),
        {"rscd": types.RscdReference(RSCD)},
        n_syncs=12,
        why="groups in which a pixel saturates, 2 x 4 at most; 4 counts",
    ),
    "firstframe": Case(FirstFrameStep, lambda: ramp(**MIRI), n_syncs=1, why="a count to tell"),
    "firstframe-all": Case(
        FirstFrameStep, lambda: ramp(**MIRI), parameters={"bright_use_group1": False}
    ),
    "lastframe": Case(LastFrameStep, lambda: ramp(**MIRI)),
    "dark_current": Case(DarkCurrentStep, ramp, dark(9)),
    "dark_current-averaged": Case(
        DarkCurrentStep, lambda: ramp(nframes=2, groupgap=1), dark(20, average_dark_current=None)
    ),
    "dark_current-miri": Case(DarkCurrentStep, lambda: ramp(**MIRI), dark(9, 2)),
    "dark_current-rate": Case(
        DarkCurrentStep,
        ramp,
        dark(9, average_dark_current=np.ones(SHAPE[2:], np.float32)),
        n_syncs=1,
        why="whether the dark has a rate",
    ),
    "dark_current-again": Case(
        DarkCurrentStep,
        lambda: replace(ramp(), average_dark_current=np.zeros(SHAPE[2:], np.float32)),
        dark(9, average_dark_current=np.ones(SHAPE[2:], np.float32)),
        n_syncs=1,
        why="whether the dark has a rate",
    ),
    "charge_migration": Case(
        ChargeMigrationStep, ramp, parameters={"signal_threshold": 1000.0, "skip": False}
    ),
    "jump": Case(JumpStep, ramp, jump_references(), n_syncs=2),
    "jump-after": Case(
        JumpStep, ramp, jump_references(), AFTER, n_syncs=3, why="as jump; the median gain"
    ),
    "jump-clipped": Case(
        JumpStep, ramp, jump_references(), {"minimum_sigclip_groups": 3}, n_syncs=2
    ),
    "jump-no-neighbors": Case(
        JumpStep, ramp, jump_references(), {"flag_4_neighbors": False}, n_syncs=2
    ),
    "gain_scale": Case(GainScaleStep, rates, GAIN),
    "gain_scale-ramp": Case(GainScaleStep, ramp, GAIN),
    "guider_cds-fine": Case(
        GuiderCdsStep, lambda: guider_raw("FGS_FINEGUIDE", 3, 9), guider_references()
    ),
    "guider_cds-id": Case(
        GuiderCdsStep, lambda: guider_raw("FGS_ID-STACK", 2, 2), guider_references()
    ),
    "flat_field": Case(FlatFieldStep, image, flat()),
    "flat_field-inverse": Case(FlatFieldStep, image, flat(), {"inverse": True}),
    "flat_field-guider": Case(FlatFieldStep, guider_rates, flat()),
    "flat_field-guider-inverse": Case(FlatFieldStep, guider_rates, flat(), {"inverse": True}),
    "photom": Case(PhotomStep, image, photom_references()),
    "photom-inverse": Case(PhotomStep, image, photom_references(), {"inverse": True}),
}


def sent(device: Any, reference: Any) -> Any:
    """Return a reference with its images on the device, as the references room gives them."""
    arrays = {
        name: device.send(array)
        for name, array in arrays_of(reference).items()
        if array.dtype.names is None
    }
    return type(reference)(**{**vars(reference), **arrays})


def run(case: Case, exposure: Any, references: dict[str, Any]) -> Any:
    """Return what a step makes of an exposure."""
    step = case.step()
    for name, value in case.parameters.items():
        setattr(step, name, value)
    step.applies_to(exposure)
    with np.errstate(all="ignore"):
        result = step.correct_all(exposure, references)
    return exposure if result is None else result


def arrays(result: Any) -> dict[str, np.ndarray]:
    values = {f.name: getattr(result, f.name) for f in fields(result)}
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}


def assert_same(ours: Any, theirs: Any) -> None:
    """Assert that two exposures have the same arrays, to the bit, and keywords."""
    assert type(ours) is type(theirs)
    assert arrays(ours).keys() == arrays(theirs).keys()
    for name, array in arrays(ours).items():
        assert array.dtype == arrays(theirs)[name].dtype, name
        np.testing.assert_array_equal(array, arrays(theirs)[name], err_msg=name)
    facts = [result.model.to_flat_dict(include_arrays=False) for result in (ours, theirs)]
    for of_one in facts:
        of_one.pop("meta.date", None)
    assert facts[0] == facts[1]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", CASES)
def test_gives_the_same(gpu: Any, name: str) -> None:
    case = CASES[name]
    here = run(case, case.make(), case.references)
    there = transfer.send(case.make(), gpu)
    references = {key: sent(gpu, value) for key, value in case.references.items()}
    counts = getattr(gpu.xp, "counts", None)
    if counts is not None:
        counts.reset()
    there = run(case, there, references)
    if counts is not None:
        assert counts.syncs <= case.n_syncs, counts
        assert counts.sent == 0, counts
    assert_same(transfer.fetch(there, gpu), here)
    before, after = arrays(case.make()), arrays(here)
    assert any(not np.array_equal(after[key], before.get(key), equal_nan=True) for key in after)


def test_flags_of_the_user(gpu: Any, tmp_path: Path) -> None:
    from astropy.io import fits

    path = tmp_path / "flags.fits"
    fits.writeto(path, images(*SHAPE[2:])[1] * 2)
    case = Case(DQInitStep, ramp, MASK, {"user_supplied_dq": str(path)})
    here = run(case, ramp(), MASK)
    there = run(case, transfer.send(ramp(), gpu), {"mask": sent(gpu, MASK["mask"])})
    assert_same(transfer.fetch(there, gpu), here)


@pytest.mark.parametrize("step", [DQInitStep, SuperBiasStep])
def test_superstripes(gpu: Any, tmp_path_factory: pytest.TempPathFactory, step: Any) -> None:
    path = striped_file(tmp_path_factory.getbasetemp() / "striped")
    here, there = read_ramp(path), transfer.send(read_ramp(path), gpu)
    values, flags = images(*here.pixeldq.shape)
    flags = np.broadcast_to(flags, here.pixeldq.shape).copy()
    reference: Any = types.SuperBiasReference(values, flags)
    if step is DQInitStep:
        reference = types.MaskReference(flags)
    name = next(iter(step.reference_classes))
    run(Case(step, ramp), here, {name: reference})
    run(Case(step, ramp), there, {name: sent(gpu, reference)})
    assert_same(transfer.fetch(there, gpu), here)
    counts = getattr(gpu.xp, "counts", None)
    if counts is not None:
        counts.reset()
    collate(here)
    collate(there)
    assert counts is None or (counts.syncs, counts.sent) == (0, 0)
    assert_same(transfer.fetch(there, gpu), here)


def test_bad_pixels_of_exposures(gpu: Any) -> None:
    results = []
    for device in (None, gpu):
        step = BadpixSelfcalStep()
        step.force_single, step.kernel_size = True, 3
        if device is not None:
            step.session.device = device
        science, background = (
            datamodels.ImageModel(data=images(40, 60)[0] + k, dq=images(40, 60)[1]) for k in (0, 1)
        )
        science.meta.instrument.detector = "NRS1"
        step.correct(Selfcal(science, [background]))
        results.append((science, background))
    for here, there in zip(*results, strict=True):
        np.testing.assert_array_equal(there.dq, here.dq)
        np.testing.assert_array_equal(there.data, here.data)
        assert (here.dq & DO_NOT_USE).any()


def test_steps_that_do_not_apply_say_so(gpu: Any) -> None:
    there = transfer.send(ramp(shape=(1, 2, 4, 5)), gpu)
    with pytest.raises(SkipStep):
        run(Case(JumpStep, ramp), there, {})
    with pytest.raises(SkipStep):
        run(Case(ChargeMigrationStep, ramp), there, {})
