"""Rescale count rates that were taken with another gain setting."""

from __future__ import annotations

import logging
from typing import Any

from jwgpu.models.rates import Rates
from jwgpu.references.types import GainReference
from jwgpu.steps.base import PIXELS, RateStep, SkipStep

log = logging.getLogger(__name__)


class GainScaleStep(RateStep):
    """Multiply the rates by the factor between the detector's gain setting and the standard one."""

    class_alias = "gain_scale"
    cut = PIXELS

    def correct(self, rates: Rates, gain: GainReference | None) -> None:
        """Rescale the rates and, by the factor's square, their variances.

        Parameters
        ----------
        rates : Rates
            Changed in place. A factor in its metadata, which ramp fitting leaves there, comes
            before that of the reference.
        gain : GainReference or None
            Its ``gain_factor`` is keyword GAINFACT.

        Raises
        ------
        SkipStep
            If neither has a factor.
        """
        factor = rates.meta.exposure.gain_factor
        if factor is None and gain is not None:
            factor = gain.gain_factor
        if factor is None:
            raise SkipStep("there is no GAINFACT, so that the gain setting is the standard one")
        log.info("rates are multiplied by %g", factor)
        for name, scale in (
            ("data", factor),
            ("err", factor),
            ("var_poisson", factor**2),
            ("var_rnoise", factor**2),
        ):
            # Ramps, where ramp fitting is skipped, have samples only.
            array = getattr(rates, name, None)
            if array is not None:
                array *= scale
        rates.meta.exposure.gain_factor = factor

    def _load_references(self, exposure: Any) -> dict[str, Any]:
        if exposure.meta.exposure.gain_factor is not None:
            return {"gain": None}
        return super()._load_references(exposure)
