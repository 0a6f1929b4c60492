"""Small-as-can-be IRS2 exposures: the size is fixed, so few groups, and filters made for tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from stdatamodels.jwst import datamodels

from jwgpu.kernels.irs2.layout import IMAGE_TIME, LINES, ROWS, interleaved_layout
from jwgpu.models.flags import DO_NOT_USE, REFERENCE_PIXEL
from jwgpu.models.ramp import Ramp


def layout_of(detector: str) -> Any:
    return interleaved_layout(np, detector == "NRS2")


def exposure(
    detector: str = "NRS1", ints: int = 1, groups: int = 2, seed: int = 0, zero_frame: bool = False
) -> Any:
    """Return an official ramp model of noise with lines, rows and reference pixels of their own.

    Values are whole numbers, as of a converter: that a sample equals the mean of its groups, which
    the method takes for "not read", then does not hang on rounding.
    """
    random = np.random.default_rng(seed)
    shape = (ints, groups, ROWS, LINES)
    data = random.standard_normal(shape, dtype=np.float32) * 5 + 20
    data += random.normal(0, 4, (ints, groups, 1, LINES)).astype(np.float32)
    data += random.normal(0, 2, (ROWS, 1)).astype(np.float32)
    data += np.arange(groups, dtype=np.float32)[:, None, None] * 30
    np.rint(data, out=data)
    # Unread or lost values are exactly zero, in every group.
    data[:, :, random.random((ROWS, LINES)) < 0.002] = 0
    model = datamodels.RampModel()
    model.data = data
    model.groupdq = np.zeros(shape, np.uint8)
    pixeldq = np.zeros((ROWS, LINES), np.uint32)
    pixeldq[layout_of(detector).is_interleaved] |= REFERENCE_PIXEL
    pixeldq[random.random(pixeldq.shape) < 0.01] |= DO_NOT_USE
    model.pixeldq = pixeldq
    if zero_frame:
        model.zeroframe = data[:, 0].copy()
    model.meta.filename = "made_uncal.fits"
    model.meta.instrument.name, model.meta.instrument.detector = "NIRSPEC", detector
    exposure = model.meta.exposure
    exposure.type, exposure.readpatt = "NRS_FIXEDSLIT", "NRSIRS2RAPID"
    exposure.nints, exposure.ngroups, exposure.nframes, exposure.groupgap = ints, groups, 1, 0
    exposure.noutputs, exposure.zero_frame = 5, zero_frame
    exposure.nrs_normal, exposure.nrs_reference = 16, 4
    subarray = model.meta.subarray
    subarray.name, subarray.xstart, subarray.ystart = "FULL", 1, 1
    subarray.xsize, subarray.ysize = 2048, 2048
    subarray.fastaxis, subarray.slowaxis = (2, 1) if detector == "NRS1" else (-2, -1)
    return model


def ramp_of(model: Any) -> Ramp:
    """Return a copy of an official model as our ramp."""
    copy = model.copy()
    zero_frame = copy.zeroframe if model.meta.exposure.zero_frame else None
    return Ramp(copy.data, copy.groupdq, copy.pixeldq, copy, zero_frame)


def filters(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return alpha and beta, (4, 712 * 2048) complex64, that make no real series of one."""
    random = np.random.default_rng(seed)

    def draw() -> np.ndarray:
        parts = random.standard_normal((2, 4, IMAGE_TIME), dtype=np.float32) * np.float32(0.5)
        return parts[0] + np.complex64(1j) * parts[1]

    return draw(), draw()


def half(whole: np.ndarray) -> np.ndarray:
    """Return the part of filters that keeps a real series real, as the kernel takes it."""
    mirrored = whole[:, -np.arange(IMAGE_TIME)].conj()
    part = ((whole + mirrored) / 2).astype(np.complex64)
    return np.ascontiguousarray(part.reshape(len(whole), -1, LINES)[..., : LINES // 2 + 1])


def write_reference(path: Any, detector: str, bad: Any = None, seed: int = 1) -> str:
    """Write a REFPIX reference as CRDS has them, and return its path."""
    alpha, beta = filters(seed)
    columns = [f"{name}_{k}" for name in ("alpha", "beta") for k in range(4)]
    table = np.empty(2 * IMAGE_TIME, [(column, "f4") for column in columns])
    for name, values in (("alpha", alpha), ("beta", beta)):
        for k in range(4):
            table[f"{name}_{k}"] = values[k].view(np.float32)
    model = datamodels.IRS2Model()
    model.irs2_table = table
    if bad is not None:
        model.dq_table = np.array(bad, model.get_dtype("dq_table"))
    model.meta.instrument.name, model.meta.instrument.detector = "NIRSPEC", detector
    model.meta.reftype = "REFPIX"
    for name in ("author", "pedigree", "description"):
        setattr(model.meta, name, "DUMMY")
    model.meta.useafter = "2015-01-01T00:00:00"
    model.save(str(path))
    return str(path)
