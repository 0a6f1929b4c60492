"""Flag the first group of MIRI's integrations."""

from __future__ import annotations

import logging
import warnings
from typing import Any

from jwgpu.backends import namespace_of
from jwgpu.models.flags import DO_NOT_USE, FLUX_ESTIMATED, SATURATED
from jwgpu.models.ramp import Ramp
from jwgpu.steps.base import PIXELS, RampStep, SkipStep, param

log = logging.getLogger(__name__)

_DEPRECATED = "firstframe is deprecated since jwst 2.0: rscd now flags the first group"


class FirstFrameStep(RampStep):
    """Keep the first group of each integration out of the fit, where there are four or more."""

    class_alias = "firstframe"
    cut = PIXELS

    bright_use_group1: bool = param(
        True, help="keep the first group of pixels that are saturated in the third"
    )
    skip: bool = param(True, help="leave this step out")

    def applies_to(self, exposure: Ramp) -> None:
        """Tell that this step is deprecated; raise `SkipStep` for other instruments than MIRI."""
        warnings.warn(_DEPRECATED, DeprecationWarning, stacklevel=2)
        log.warning(_DEPRECATED)
        if not str(exposure.meta.instrument.detector).startswith("MIR"):
            raise SkipStep("only MIRI needs it")

    def correct(self, ramp: Ramp) -> None:
        """Flag the first group DO_NOT_USE.

        Bright pixels, saturated in the third group, keep it: their signal is large against the
        effect. In ``pixeldq`` they are flagged FLUX_ESTIMATED.

        Parameters
        ----------
        ramp : Ramp
            Exposure; ``groupdq`` and ``pixeldq`` are changed.

        Raises
        ------
        SkipStep
            If there are less than four groups.
        """
        n_groups = ramp.groupdq.shape[1]
        if n_groups < 4:
            raise SkipStep(f"{n_groups} groups are too few to do without the first")
        if self.bright_use_group1:
            _flag_first_group_of_faint_pixels(ramp)
        else:
            ramp.groupdq[:, 0, ...] |= DO_NOT_USE


def _flag_first_group_of_faint_pixels(ramp: Ramp) -> None:
    xp = namespace_of(ramp.groupdq)
    is_kept: Any = xp.zeros_like(ramp.pixeldq, dtype=xp.bool)
    for integration in range(ramp.groupdq.shape[0]):
        groups = ramp.groupdq[integration, ...]
        is_bright = (groups[2, ...] & SATURATED) != 0
        is_kept |= is_bright
        groups[0, ...] = xp.where(is_bright, groups[0, ...], groups[0, ...] | DO_NOT_USE)
    ramp.pixeldq[...] = xp.where(is_kept, ramp.pixeldq | FLUX_ESTIMATED, ramp.pixeldq)
    is_usable = is_kept & ((ramp.pixeldq & DO_NOT_USE) == 0)
    log.info("%d usable bright pixels keep their first group", int(xp.count_nonzero(is_usable)))
