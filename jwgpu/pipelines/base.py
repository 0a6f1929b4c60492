"""What every pipeline shares: its steps work on one exposure in memory, and never meet a file."""

from __future__ import annotations

from typing import Any

import stpipe

from jwgpu.steps.base import CalibrationStep


class CalibrationPipeline(stpipe.Pipeline, CalibrationStep):
    """A pipeline: the order of its steps, and nothing else."""

    @classmethod
    def load_spec_file(cls, **keywords: Any) -> Any:
        """Return the configuration spec; what belongs to the run is no parameter of its steps."""
        spec = super().load_spec_file(**keywords)
        for step_spec in spec["steps"].values():
            for name in cls.run_parameters:
                del step_spec[name]
        return spec

    def run_step(self, step: CalibrationStep, exposure: Any) -> Any:
        """Hand an exposure to a step.

        Only where hooks or products are asked for does it become an official data model for a
        moment; stpipe's own way through a step costs about 0.1 s.

        Parameters
        ----------
        step : CalibrationStep
            One of this pipeline's steps.
        exposure : Ramp or Rates
            Changed in place.

        Returns
        -------
        Ramp, Rates, or what the step makes of them
        """
        if step.works_on_models:
            model = step.run(step.as_model(self.session.fetch(exposure)))
            return self.session.send(step.reopen(model))
        if step.skip:
            step.set_status(exposure, "SKIPPED")
            return exposure
        return step.apply(exposure)
