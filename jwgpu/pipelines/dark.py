"""Darks: stage 1 up to linear ramps, of which reference files are made."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from jwgpu.models import reading
from jwgpu.pipelines.base import CalibrationPipeline
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

NEAR_INFRARED = [
    "group_scale",
    "dq_init",
    "saturation",
    "ipc",
    "superbias",
    "refpix",
    "linearity",
]
MID_INFRARED = [
    "group_scale",
    "dq_init",
    "emicorr",
    "saturation",
    "ipc",
    "firstframe",
    "lastframe",
    "reset",
    "linearity",
    "rscd",
]


class DarkPipeline(CalibrationPipeline):
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

    def process(self, source: Any) -> Any:
        """Run the pipeline on a file or an official data model; stpipe calls this.

        Parameters
        ----------
        source : str, Path or RampModel
            The dark; a model is left unchanged.

        Returns
        -------
        RampModel
            Linear ramps.
        """
        from jwgpu.kernels.compiled import threads

        source = self._own(source)
        is_file = isinstance(source, (str, Path))
        model = reading.read_metadata(source) if is_file else source
        name = Path(source).name if is_file else str(model.meta.filename)
        order = MID_INFRARED if model.meta.instrument.name == "MIRI" else NEAR_INFRARED
        observer = self.session.observer
        observer.start_exposure(name, ["load", *order, "save"])
        try:
            for step in (getattr(self, alias) for alias in order):
                if not step.skip:
                    step.find_references(model.meta)
            observer.start_step("load")
            ramp = (
                reading.read_ramp(source, model, threads()) if is_file else reading.ramp_of(source)
            )
            for alias in order:
                ramp = self.run_step(getattr(self, alias), ramp)
            return reading.model_of(ramp)
        finally:
            observer.finish_exposure(name)
