"""refpix, ipc and the saturation of IRS2 wholly on a GPU's arrays: what they do on the CPU."""

from __future__ import annotations

import dataclasses

import irs2 as made
import numpy as np
import pytest
from array_steps import exposure as small_exposure
from test_refpix import exposure, superstripes

from jwgpu.kernels.irs2.layout import ROWS
from jwgpu.models.flags import BAD_REF_PIXEL, NO_SAT_CHECK
from jwgpu.models.reading import ramp_of
from jwgpu.references.types import (
    IpcReference,
    RefPixReference,
    SaturationReference,
    SirsKernelReference,
    SuperBiasReference,
)
from jwgpu.steps.ipc import IPCStep
from jwgpu.steps.refpix import RefPixStep
from jwgpu.steps.saturation import SaturationStep

ARRAYS = ("data", "groupdq", "pixeldq", "zeroframe")
#: Rounding of the transforms, see the tests of the kernel.
IRS2_TOLERANCE = {"rtol": 1e-6, "atol": 3e-5}


def on(gpu, thing):
    """Return a ramp or a reference with its arrays on the device."""
    arrays = {k: gpu.send(v) for k, v in vars(thing).items() if isinstance(v, np.ndarray)}
    return dataclasses.replace(thing, **arrays)


def check(gpu, step, model, *references, tolerance=None, **parameters):
    """Run the step on both devices; compare, and return what the CPU has."""
    ramps = ramp_of(model.copy()), on(gpu, ramp_of(model.copy()))
    for ramp, here in zip(ramps, (references, [on(gpu, one) for one in references]), strict=True):
        instance = step()
        for name, value in parameters.items():
            setattr(instance, name, value)
        instance.correct(ramp, *here)
    want, found = ramps
    for name in ARRAYS:
        expected, result = getattr(want, name), getattr(found, name)
        assert (expected is None) == (result is None)
        if expected is None:
            continue
        assert result.dtype == expected.dtype
        if tolerance and expected.dtype.kind == "f":
            np.testing.assert_allclose(gpu.fetch(result), expected, **tolerance)
        else:
            np.testing.assert_array_equal(gpu.fetch(result), expected)
    assert want.data.shape != model.data.shape or not np.array_equal(want.data, model.data)
    return want


@pytest.mark.parametrize("detector", ["NRCA1", "NIS"])
def test_four_amplifiers(gpu, detector):
    # The end of the slow axis that has a border.
    if detector == "NIS":
        model = exposure(detector, (1, 2, 2048, 32), (2017, 1), "SUBGRISM64")
    else:
        model = exposure(detector, (1, 2, 32, 2048), (1, 1), "SUBGRISM64")
    model.meta.exposure.zero_frame = True
    model.zeroframe = model.data[:, 0] - 2
    model.zeroframe[0, 7, 9:12] = 0.0
    check(gpu, RefPixStep, model)


def test_one_amplifier(gpu):
    check(gpu, RefPixStep, exposure("NRCA1", (2, 3, 40, 40), (1, 1), "SUB64P", 1))


def test_without_good_reference_pixels(gpu):
    model = exposure("NRCA1", (1, 1, 40, 40), (101, 101), "SUB64P", 1)
    ramp = on(gpu, ramp_of(model))
    RefPixStep().correct(ramp)
    np.testing.assert_array_equal(gpu.fetch(ramp.data), model.data)


def test_superstripes_are_put_together(gpu):
    check(gpu, RefPixStep, superstripes())


def test_mid_infrared(gpu):
    check(gpu, RefPixStep, exposure("MIRIMAGE", (1, 2, 1024, 1032)))


def test_sirs(gpu):
    random = np.random.default_rng(1)
    parts = random.normal(0, 1e-3, (2, 2, 4, 1025))
    gamma, zeta = parts[0] + 1j * parts[1]
    reference = SirsKernelReference(gamma=gamma, zeta=zeta)
    model = exposure("NIS", (1, 1, 2048, 2048))
    ramp, device_ramp = ramp_of(model.copy()), on(gpu, ramp_of(model.copy()))
    for one, here in ((ramp, reference), (device_ramp, on(gpu, reference))):
        step = RefPixStep()
        step.refpix_algorithm = "sirs"
        step.correct(one, None, here)
    np.testing.assert_array_equal(gpu.fetch(device_ramp.data), ramp.data)
    assert not np.array_equal(ramp.data, model.data)


@pytest.mark.parametrize("keep", [True, False])
def test_irs2(gpu, keep):
    model = made.exposure("NRS2", zero_frame=not keep, groups=1 + keep)
    model.data[:, :, 1308:1310] += 200
    model.pixeldq[28, 3] |= BAD_REF_PIXEL
    if not keep:
        model.zeroframe -= 3
    alpha, beta = (made.half(one) for one in made.filters())
    reference = RefPixReference(alpha, beta, np.array([(1, 1, 0b1011), (4, 2, 1)]))
    want = check(
        gpu,
        RefPixStep,
        model,
        reference,
        tolerance=IRS2_TOLERANCE,
        preserve_irs2_refpix=keep,
        irs2_mean_subtraction=keep,
    )
    assert want.data.shape[2] == (ROWS if keep else 2048)


def test_ipc(gpu):
    random = np.random.default_rng(3)
    model = small_exposure((2, 3, 12, 20))
    check(gpu, IPCStep, model, IpcReference(random.normal(0, 0.1, (3, 3)).astype(np.float32)))


def test_ipc_of_irs2(gpu):
    random = np.random.default_rng(3)
    kernel = IpcReference(random.normal(0, 0.1, (3, 3)).astype(np.float32))
    check(gpu, IPCStep, made.exposure("NRS2", groups=1), kernel)


def test_saturation_of_irs2(gpu):
    random = np.random.default_rng(4)
    model = made.exposure("NRS2", groups=3, zero_frame=True)
    shape = (2048, 2048)
    threshold = random.uniform(30, 120, shape).astype(np.float32)
    threshold[5, 7] = np.nan
    dq = random.choice(np.array([0, 0, 0, NO_SAT_CHECK], np.uint32), shape)
    bias = random.normal(5, 1, (ROWS, 2048)).astype(np.float32)
    superbias = SuperBiasReference(bias, np.zeros(bias.shape, np.uint32))
    references = SaturationReference(threshold, dq), superbias
    model.meta.exposure.nframes = 4
    ramps = ramp_of(model.copy()), on(gpu, ramp_of(model.copy()))
    for ramp, here in zip(ramps, (references, [on(gpu, one) for one in references]), strict=True):
        SaturationStep().correct(ramp, *here)
    for name in ARRAYS:
        np.testing.assert_array_equal(gpu.fetch(getattr(ramps[1], name)), getattr(ramps[0], name))
    assert not np.array_equal(ramps[0].groupdq, model.groupdq)
