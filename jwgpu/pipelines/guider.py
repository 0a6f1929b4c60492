"""The guider's own exposures: from samples to count rates."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from jwgpu.errors import InputError
from jwgpu.models import guider
from jwgpu.pipelines.base import CalibrationPipeline
from jwgpu.steps.dq_init import DQInitStep
from jwgpu.steps.flat_field import FlatFieldStep
from jwgpu.steps.guider_cds import GuiderCdsStep

ORDER = ["dq_init", "guider_cds", "flat_field"]


class GuiderPipeline(CalibrationPipeline):
    """Calibrate a guide star exposure: ``_uncal`` in, ``_cal`` out.

    Examples
    --------
    >>> from jwgpu.pipelines import GuiderPipeline
    >>> cal = GuiderPipeline.call("jw..._gs-fg_..._uncal.fits")
    """

    class_alias = "calwebb_guider"

    step_defs: ClassVar = {
        step.class_alias: step for step in (DQInitStep, GuiderCdsStep, FlatFieldStep)
    }

    def process(self, source: Any) -> Any:
        """Run the pipeline on a file or an official data model; stpipe calls this.

        Parameters
        ----------
        source : str, Path, GuiderRawModel or GuiderCalModel
            The exposure; a model is left unchanged. With the first two steps skipped, count rates.

        Returns
        -------
        GuiderCalModel
            Count rates; a `GuiderRawModel` if guider_cds is skipped.

        Raises
        ------
        InputError
            If it is no exposure of the guider.
        """
        self.suffix = "cal"
        name = Path(source).name if isinstance(source, (str, Path)) else source.meta.filename
        observer = self.session.observer
        observer.start_exposure(str(name), ["load", *ORDER, "save"])
        try:
            return self.session.where_there_is_room(lambda: self._calibrate_once(source, str(name)))
        finally:
            observer.finish_exposure(str(name))

    def _calibrate_once(self, source: Any, name: str) -> Any:
        source = self._own(source)
        self.session.observer.start_step("load")
        has_rates = self.dq_init.skip and self.guider_cds.skip
        exposure: Any = guider.open_rates(source) if has_rates else guider.open_raw(source)
        if not guider.is_guider(exposure.meta):
            raise InputError(
                f"{name}: EXP_TYPE {exposure.meta.exposure.type} is none of the guider's: "
                "calibrate it with jwgpu detector1"
            )
        for step in (getattr(self, alias) for alias in ORDER):
            if not step.skip:
                step.find_references(exposure.meta)
        exposure = self.session.send(exposure)
        for alias in ORDER:
            exposure = self.run_step(getattr(self, alias), exposure)
        return guider.model_of(self.session.fetch(exposure))
