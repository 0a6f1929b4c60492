"""Flag the last group of MIRI's integrations."""

from __future__ import annotations

from jwgpu.models.flags import DO_NOT_USE
from jwgpu.models.ramp import Ramp
from jwgpu.steps.base import PIXELS, RampStep, SkipStep


class LastFrameStep(RampStep):
    """Keep the last group of each integration out of the fit, where there are three or more."""

    class_alias = "lastframe"
    cut = PIXELS

    def applies_to(self, exposure: Ramp) -> None:
        """Raise `SkipStep` for other instruments than MIRI."""
        if not str(exposure.meta.instrument.detector).startswith("MIR"):
            raise SkipStep("only MIRI needs it")

    def correct(self, ramp: Ramp) -> None:
        """Flag the last group DO_NOT_USE.

        Parameters
        ----------
        ramp : Ramp
            Exposure; ``groupdq`` is changed.

        Raises
        ------
        SkipStep
            If there are less than three groups.
        """
        n_groups = ramp.groupdq.shape[1]
        if n_groups < 3:
            raise SkipStep(f"{n_groups} groups are too few to do without the last")
        ramp.groupdq[:, n_groups - 1, ...] |= DO_NOT_USE
