"""Readouts that need a treatment of their own."""

from __future__ import annotations

from typing import Any

from jwgpu.backends import namespace_of
from jwgpu.errors import InputError
from jwgpu.kernels.irs2.layout import (
    LINES,
    REFERENCE_RUN,
    ROWS,
    SCIENCE_RUN,
    InterleavedLayout,
    interleaved_layout,
)
from jwgpu.models.ramp import Ramp

LONGEST_SIDE = 2048  # pixels; only NIRSpec's IRS2, with its interleaved reference pixels, is longer


def refuse_special_readout(step: str, ramp: Ramp) -> None:
    """Raise for readouts whose images have more than the pixels of the detector.

    Parameters
    ----------
    step : str
        Alias of the step that cannot treat them.
    ramp : Ramp
        Exposure.

    Raises
    ------
    InputError
        For NIRSpec's IRS2 readout with the reference pixels still among the others.
    """
    if is_interleaved(ramp):
        raise InputError(
            f"{ramp.meta.filename}: {step} needs images without the interleaved reference pixels "
            "of IRS2: run refpix before, without preserve_irs2_refpix"
        )


def is_interleaved(ramp: Ramp) -> bool:
    """Tell whether images have the reference pixels of NIRSpec's IRS2 readout in between."""
    return max(ramp.image_shape) > LONGEST_SIDE


def layout_of(ramp: Ramp) -> InterleavedLayout:
    """Return where the reference pixels of an IRS2 exposure are.

    Raises
    ------
    InputError
        If it is not of NIRSpec's detectors, or of another size or rhythm than theirs. The official
        package takes any rhythm (keywords NRS_NORM, NRS_REF), but its references have this one.
    """
    meta: Any = ramp.meta
    detector, shape = meta.instrument.detector, ramp.image_shape
    if detector not in ("NRS1", "NRS2") or shape != (ROWS, LINES):
        raise InputError(
            f"{meta.filename}: images of {shape[0]} x {shape[1]} of the detector {detector} are "
            f"neither IRS2 (NRS1 or NRS2, {ROWS} x {LINES}) nor of the usual size: correct the "
            "exposure"
        )
    expected = {"NRS_NORM": SCIENCE_RUN, "NRS_REF": REFERENCE_RUN}
    found = {"NRS_NORM": meta.exposure.nrs_normal, "NRS_REF": meta.exposure.nrs_reference}
    for keyword, value in found.items():
        if value not in (None, expected[keyword]):
            raise InputError(
                f"{meta.filename}: {keyword} is {value}; IRS2 with other than "
                f"{expected[keyword]} cannot be calibrated: correct the keyword"
            )
    return interleaved_layout(namespace_of(ramp.pixeldq), detector == "NRS2")
