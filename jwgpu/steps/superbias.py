"""Subtract the bias of each pixel."""

from __future__ import annotations

from typing import Any

from jwgpu.backends import namespace_of
from jwgpu.models.ramp import Ramp
from jwgpu.references.types import SuperBiasReference
from jwgpu.steps.base import PIXELS, RampStep


class SuperBiasStep(RampStep):
    """Subtract the superbias image from every group, and from the zero frames."""

    class_alias = "superbias"
    cut = PIXELS
    superstripes = "each"

    def correct(self, ramp: Ramp, superbias: SuperBiasReference) -> None:
        """Subtract the bias; a pixel whose bias is NaN keeps its samples.

        Parameters
        ----------
        ramp : Ramp
            Exposure; ``data``, ``pixeldq`` and ``zeroframe`` are changed.
        superbias : SuperBiasReference
            Bias in DN, and its flags.
        """
        xp = namespace_of(ramp.data, superbias.data)
        bias = xp.where(xp.isnan(superbias.data), 0.0, superbias.data)
        ramp.pixeldq |= superbias.dq
        for integration in range(ramp.data.shape[0]):
            ramp.data[integration, ...] -= bias
        if ramp.zeroframe is not None and ramp.meta.exposure.zero_frame:
            _subtract_from_zero_frames(ramp.zeroframe, bias, xp)


def _subtract_from_zero_frames(zeroframe: Any, bias: Any, xp: Any) -> None:
    """Subtract from the zero frames, where exactly zero means "no value" and stays."""
    for integration in range(zeroframe.shape[0]):
        frame = zeroframe[integration, ...]
        zeroframe[integration, ...] = xp.where(frame == 0.0, frame, frame - bias)
