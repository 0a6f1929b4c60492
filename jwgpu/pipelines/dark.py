"""Darks: stage 1 up to linear ramps, of which reference files are made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from jwgpu.models import reading
from jwgpu.models.ramp import Ramp
from jwgpu.pipelines.ramps import MID_INFRARED, NEAR_INFRARED, RampPipeline
from jwgpu.runner.blocks import Blocks
from jwgpu.steps.dq_init import DQInitStep
from jwgpu.steps.emicorr import EmiCorrStep
from jwgpu.steps.firstframe import FirstFrameStep
from jwgpu.steps.group_scale import GroupScaleStep
from jwgpu.steps.ipc import IPCStep
from jwgpu.steps.lastframe import LastFrameStep
from jwgpu.steps.linearity import LinearityStep
from jwgpu.steps.refpix import RefPixStep
from jwgpu.steps.reset import ResetStep
from jwgpu.steps.rscd import RscdStep
from jwgpu.steps.saturation import SaturationStep
from jwgpu.steps.superbias import SuperBiasStep


class DarkPipeline(RampPipeline):
    """Calibrate a raw dark as far as linear ramps.

    Examples
    --------
    >>> from jwgpu.pipelines import DarkPipeline
    >>> ramp = DarkPipeline.call("jw..._uncal.fits")
    """

    class_alias = "calwebb_dark"

    step_defs: ClassVar = {
        step.class_alias: step
        for step in (
            GroupScaleStep,
            DQInitStep,
            EmiCorrStep,
            SaturationStep,
            IPCStep,
            SuperBiasStep,
            RefPixStep,
            ResetStep,
            RscdStep,
            FirstFrameStep,
            LastFrameStep,
            LinearityStep,
        )
    }

    def order_for(self, meta: Any, name: str) -> list[str]:
        """Return the aliases of the steps of a dark, in their order."""
        del name
        return MID_INFRARED if meta.instrument.name == "MIRI" else NEAR_INFRARED

    def calibrate(self, ramp: Ramp, order: Sequence[str]) -> Any:
        """Take a ramp through the steps; return the linear ramps as an official model."""
        return reading.model_of(self.session.fetch(self.run_steps(ramp, order)))

    def calibrate_in_blocks(self, blocks: Blocks, order: Sequence[str]) -> Any:
        """Do the same with an exposure that does not fit into the memory."""
        return reading.model_of(self.session.fetch(blocks.run(self.steps_of(order))))
