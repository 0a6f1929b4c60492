"""Stage 1: from the samples up the ramp to count rates."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, ClassVar

from jwgpu.errors import NoScienceDataError, NotYetError
from jwgpu.models import reading, writing
from jwgpu.models.ramp import Ramp
from jwgpu.models.rates import Rates
from jwgpu.models.stripes import striped_readout
from jwgpu.pipelines.base import CalibrationPipeline
from jwgpu.runner import blocks
from jwgpu.steps import provenance
from jwgpu.steps.base import CalibrationStep, param
from jwgpu.steps.charge_migration import ChargeMigrationStep
from jwgpu.steps.clean_flicker_noise import CleanFlickerNoiseStep
from jwgpu.steps.dark_current import DarkCurrentStep
from jwgpu.steps.dq_init import DQInitStep
from jwgpu.steps.emicorr import EmiCorrStep
from jwgpu.steps.firstframe import FirstFrameStep
from jwgpu.steps.gain_scale import GainScaleStep
from jwgpu.steps.group_scale import GroupScaleStep
from jwgpu.steps.ipc import IPCStep
from jwgpu.steps.jump import JumpStep
from jwgpu.steps.lastframe import LastFrameStep
from jwgpu.steps.linearity import LinearityStep
from jwgpu.steps.persistence import PersistenceStep
from jwgpu.steps.picture_frame import PictureFrameStep
from jwgpu.steps.ramp_fit import RampFitStep
from jwgpu.steps.refpix import RefPixStep
from jwgpu.steps.reset import ResetStep
from jwgpu.steps.rscd import RscdStep
from jwgpu.steps.saturation import SaturationStep
from jwgpu.steps.superbias import SuperBiasStep

log = logging.getLogger(__name__)

NEAR_INFRARED = [
    "group_scale",
    "dq_init",
    "saturation",
    "ipc",
    "superbias",
    "refpix",
    "linearity",
    "dark_current",
    "charge_migration",
    "jump",
    "picture_frame",
    "clean_flicker_noise",
    "persistence",
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
    "dark_current",
    "refpix",
    "charge_migration",
    "jump",
    "picture_frame",
    "clean_flicker_noise",
    "persistence",
]

_GUIDER_TYPES = (
    "FGS_ACQ1",
    "FGS_ACQ2",
    "FGS_FINEGUIDE",
    "FGS_ID-IMAGE",
    "FGS_ID-STACK",
    "FGS_TRACK",
)


class Detector1Pipeline(CalibrationPipeline):
    """Calibrate a raw exposure: ``_uncal`` in; ``_rate`` and ``_rateints`` out.

    Examples
    --------
    >>> from jwgpu.pipelines import Detector1Pipeline
    >>> jump = {"rejection_threshold": 5}
    >>> rate = Detector1Pipeline.call("jw..._uncal.fits", steps={"jump": jump})
    """

    class_alias = "calwebb_detector1"

    save_calibrated_ramp: bool = param(False, help="Also save the ramp that is fitted")

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
            RscdStep,
            FirstFrameStep,
            LastFrameStep,
            LinearityStep,
            DarkCurrentStep,
            ResetStep,
            PersistenceStep,
            ChargeMigrationStep,
            JumpStep,
            PictureFrameStep,
            CleanFlickerNoiseStep,
            RampFitStep,
            GainScaleStep,
        )
    }

    def process(self, source: Any) -> Any:
        """Run the pipeline on a file or an official data model; stpipe calls this.

        Parameters
        ----------
        source : str, Path or RampModel
            The exposure; a model is left unchanged.

        Returns
        -------
        ImageModel, IFUImageModel or RampModel
            The count rate; the calibrated ramp, if ramp fitting is skipped.
        """
        source = self._own(source)
        is_file = isinstance(source, (str, Path))
        model = reading.read_metadata(source) if is_file else source
        name = Path(source).name if is_file else str(model.meta.filename)
        check_exposure(model.meta, name)
        order = MID_INFRARED if model.meta.instrument.name == "MIRI" else NEAR_INFRARED
        observer = self.session.observer
        observer.start_exposure(name, ["load", *order, "ramp_fit", "gain_scale", "save"])
        try:
            self._find_references(model.meta, order)
            observer.start_step("load")
            limit = self.session.max_memory
            if limit is not None and is_file:
                steps = [getattr(self, alias) for alias in (*order, "ramp_fit")]
                exposure = blocks.open_if_too_large(source, model, steps, limit)
                if exposure is not None:
                    return self.calibrate_in_blocks(exposure, steps, limit)
            # Nothing here holds the ramp: it goes when it has been fitted.
            return self.calibrate(self.load(source, model), order)
        finally:
            observer.finish_exposure(name)

    def load(self, source: Any, model: Any) -> Ramp:
        """Return the ramp in memory, on this run's device."""
        from jwgpu.kernels.compiled import threads

        if isinstance(source, (str, Path)):
            return reading.read_ramp(source, model, threads())
        return reading.ramp_of(source)

    def calibrate(self, ramp: Ramp, order: list[str]) -> Any:
        """Take a ramp through the steps before ramp fitting, ramp fitting, and what follows."""
        for name in order:
            ramp = self.run_step(getattr(self, name), ramp)
        if self.save_calibrated_ramp:
            self._save(reading.model_of(ramp), "ramp")
        if self.ramp_fit.skip:
            self.suffix = "ramp"
            ramp = self.run_step(self.ramp_fit, ramp)
            return reading.model_of(self.run_step(self.gain_scale, ramp))
        ramp.is_expendable = True
        rate, rateints = self.run_step(self.ramp_fit, ramp)
        del ramp
        self.suffix = "rate"
        return self.finish(rate, rateints)

    def calibrate_in_blocks(self, exposure: Ramp, steps: list[CalibrationStep], limit: int) -> Any:
        """Do the same as `calibrate` with an exposure that does not fit into the memory.

        Raises
        ------
        NotYetError
            If ramps are asked for, which would have to be in memory.
        """
        name = exposure.meta.filename
        if self.save_calibrated_ramp or self.ramp_fit.skip:
            raise NotYetError(
                f"{name}: a product of ramps takes the whole exposure in memory, which max_memory="
                f"{self.max_memory} does not allow: raise it, or ask for count rates only"
            )
        folder = Path(self.make_output_path(basepath=name, suffix="rate")).parent
        rates = blocks.Blocks(exposure, limit, folder, self.session.observer).run(steps)
        if rates is None:
            raise NotYetError(
                f"{name}: ramp_fit was skipped, and a product of ramps takes the whole exposure "
                "in memory: calibrate without max_memory"
            )
        self.suffix = "rate"
        return self.finish(*rates)

    def finish(self, rate: Rates, rateints: Rates) -> Any:
        """Rescale the count rates, save those by integration, and return the exposure's."""
        self.gain_scale.suffix = "gain_scaleints"
        rateints = self.run_step(self.gain_scale, rateints)
        self._save(writing.model_of_rates(rateints), "rateints")
        del rateints
        self.gain_scale.suffix = "gain_scale"
        return writing.model_of_rates(self.run_step(self.gain_scale, rate))

    def _save(self, model: Any, suffix: str) -> None:
        provenance.stamp(model, self)
        self.session.observer.start_step("save")
        self.save_model(model, suffix)

    def _find_references(self, meta: Any, order: list[str]) -> None:
        for name in (*order, "ramp_fit", "gain_scale"):
            step = getattr(self, name)
            if not step.skip:
                step.find_references(meta)


def check_exposure(meta: Any, name: str) -> None:
    """Check that this pipeline calibrates exposures of this kind.

    Raises
    ------
    NoScienceDataError
        If it is an exposure of the guider.
    InputError
        If it was read in stripes, and its keywords do not say how.
    """
    if meta.exposure.type in _GUIDER_TYPES:
        raise NoScienceDataError(
            f"{name}: detector1 does not take guider exposures ({meta.exposure.type}); "
            "calibrate them with jwgpu guider"
        )
    striped_readout(meta)
