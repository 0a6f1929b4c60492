"""Stage 1: from the samples up the ramp to count rates."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, ClassVar

from jwgpu.errors import NoScienceDataError
from jwgpu.models import behind, guider, reading, writing
from jwgpu.models.ramp import Ramp
from jwgpu.models.rates import Rates
from jwgpu.models.stripes import striped_readout
from jwgpu.pipelines import ramps
from jwgpu.pipelines.ramps import RampPipeline
from jwgpu.runner.blocks import Blocks
from jwgpu.steps import provenance
from jwgpu.steps.base import param
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

_LAST = ["charge_migration", "jump", "picture_frame", "clean_flicker_noise", "persistence"]
#: The steps before ramp fitting.
NEAR_INFRARED = [*ramps.NEAR_INFRARED, "dark_current", *_LAST]
MID_INFRARED = [*ramps.MID_INFRARED, "dark_current", "refpix", *_LAST]
_RATES = ["ramp_fit", "gain_scale"]


class Detector1Pipeline(RampPipeline):
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

    def order_for(self, meta: Any, name: str) -> list[str]:
        """Return the aliases of the steps of an exposure, in their order; see `check_exposure`."""
        check_exposure(meta, name)
        return [*(MID_INFRARED if meta.instrument.name == "MIRI" else NEAR_INFRARED), *_RATES]

    def calibrate(self, ramp: Ramp, order: Sequence[str]) -> Any:
        """Take a ramp through the steps before ramp fitting, ramp fitting, and what follows."""
        ramp = self.run_steps(ramp, order[: -len(_RATES)])
        if self.save_calibrated_ramp:
            with behind.writing(None):  # its metadata go on changing
                self._save(reading.model_of(self.session.fetch(ramp)), "ramp")
        ramp.is_expendable = not self.ramp_fit.skip
        result = self.run_step(self.ramp_fit, ramp)
        if isinstance(result, Ramp):
            self.suffix = "ramp"
            return reading.model_of(self.session.fetch(self.run_step(self.gain_scale, result)))
        del ramp
        self.suffix = "rate"
        return self.finish(*result)

    def calibrate_in_blocks(self, blocks: Blocks, order: Sequence[str]) -> Any:
        """Do the same with an exposure that does not fit into the memory."""
        steps = self.steps_of(order[: -len(_RATES)])
        if self.save_calibrated_ramp:
            blocks.run(steps)
            with behind.writing(None):
                self._save(reading.model_of(self.session.fetch(blocks.exposure)), "ramp")
            steps = []
        result = blocks.run([*steps, self.ramp_fit])
        if isinstance(result, Ramp):
            self.suffix = "ramp"
            return reading.model_of(self.session.fetch(blocks.run([self.gain_scale])))
        self.suffix = "rate"
        return self.finish(*result)

    def finish(self, rate: Rates, rateints: Rates) -> Any:
        """Rescale the count rates, save those by integration, and return the exposure's."""
        self.gain_scale.suffix = "gain_scaleints"
        rateints = self.run_step(self.gain_scale, rateints)
        self._save(writing.model_of_rates(self.session.fetch(rateints)), "rateints")
        del rateints
        self.gain_scale.suffix = "gain_scale"
        rate = self.run_step(self.gain_scale, rate)
        return writing.model_of_rates(self.session.fetch(rate))

    def _save(self, model: Any, suffix: str) -> None:
        provenance.stamp(model, self)
        self.session.observer.start_step("save")
        self.save_model(model, suffix)


def check_exposure(meta: Any, name: str) -> None:
    """Check that this pipeline calibrates exposures of this kind.

    Raises
    ------
    NoScienceDataError
        If it is an exposure of the guider.
    InputError
        If it was read in stripes, and its keywords do not say how.
    """
    if guider.is_guider(meta):
        raise NoScienceDataError(
            f"{name}: detector1 does not take guider exposures ({meta.exposure.type}); "
            "calibrate them with jwgpu guider"
        )
    striped_readout(meta)
