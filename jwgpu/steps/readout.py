"""Readouts that need a treatment of their own."""

from __future__ import annotations

from jwgpu.errors import NotYetError
from jwgpu.models.ramp import Ramp

LONGEST_SIDE = 2048  # pixels; only NIRSpec's IRS2, with its interleaved reference pixels, is longer


def refuse_special_readout(step: str, ramp: Ramp) -> None:
    """Raise for readouts whose image is not a plain window of the detector.

    Parameters
    ----------
    step : str
        Alias of the step that cannot treat them.
    ramp : Ramp
        Exposure.

    Raises
    ------
    NotYetError
        For NIRSpec's IRS2 readout, and for readout in several stripes.
    """
    way_out = f"use the official package for it, or --steps.{step}.skip=true"
    if max(ramp.image_shape) > LONGEST_SIDE:
        raise NotYetError(f"{step} cannot treat the IRS2 readout of NIRSpec yet: {way_out}")
    subarray = ramp.meta.subarray
    has_stripes = getattr(subarray, "multistripe_reads1", None) is not None
    if has_stripes or (getattr(subarray, "num_superstripe", None) or 0) > 0:
        raise NotYetError(f"{step} cannot treat a readout in several stripes yet: {way_out}")
