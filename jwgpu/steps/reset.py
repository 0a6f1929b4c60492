"""Subtract what the reset of a MIRI detector leaves in the first groups of an integration."""

from __future__ import annotations

import logging

from jwgpu.backends import namespace_of
from jwgpu.errors import ReferenceFileError
from jwgpu.models.ramp import Ramp
from jwgpu.references.types import ResetReference
from jwgpu.steps.base import PIXELS, RampStep, SkipStep

log = logging.getLogger(__name__)


class ResetStep(RampStep):
    """Subtract the decay that follows the reset, group by group and integration by integration."""

    class_alias = "reset"
    cut = PIXELS

    def applies_to(self, exposure: Ramp) -> None:
        """Raise `SkipStep` for other instruments than MIRI."""
        if not str(exposure.meta.instrument.detector).startswith("MIR"):
            raise SkipStep("only MIRI needs it")

    def correct(self, ramp: Ramp, reset: ResetReference) -> None:
        """Subtract the reference from the groups that it has.

        Integrations after the reference's last take its last one; in a segment of an exposure they
        are counted from the exposure's first (INTSTART). A NaN in the reference counts as zero.

        Parameters
        ----------
        ramp : Ramp
            Exposure; ``data`` and ``pixeldq`` are changed.
        reset : ResetReference
            Correction in DN, and its flags.

        Raises
        ------
        ReferenceFileError
            If the file does not hold what NINTS and NGROUPS in its header say.
        """
        xp = namespace_of(ramp.data, reset.data)
        n_integrations, n_groups = _integrations_and_groups(reset)
        first = (ramp.meta.exposure.integration_start or 1) - 1 + ramp.first_integration
        ramp.pixeldq |= reset.dq
        for integration in range(ramp.data.shape[0]):
            correction = reset.data[min(first + integration, n_integrations - 1), ...]
            for group in range(min(n_groups, ramp.data.shape[1])):
                plane = correction[group, ...]
                ramp.data[integration, group, ...] -= xp.where(xp.isnan(plane), 0.0, plane)


def _integrations_and_groups(reset: ResetReference) -> tuple[int, int]:
    """Return how many integrations and groups are to be corrected, as the header tells."""
    in_file = reset.planes_in_file or tuple(reset.data.shape[:2])
    n_integrations = in_file[0] if reset.nints is None else reset.nints
    n_groups = in_file[1] if reset.ngroups is None else reset.ngroups
    if n_integrations > in_file[0] or n_groups > in_file[1]:
        raise ReferenceFileError(
            f"{reset.path}: the header tells of {n_integrations} integrations of {n_groups} "
            f"groups, the data hold {in_file[0]} of {in_file[1]}: use another RESET reference"
        )
    return n_integrations, n_groups
