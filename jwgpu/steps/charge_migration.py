"""Flag groups from where charge migrates to the neighbouring pixels on."""

from __future__ import annotations

import logging
from typing import Any

from jwgpu.backends import namespace_of
from jwgpu.models.flags import CHARGELOSS, DO_NOT_USE
from jwgpu.models.ramp import Ramp
from jwgpu.steps.base import INTEGRATIONS, RampStep, SkipStep, param

log = logging.getLogger(__name__)

_LEAST_GROUPS = 3


class ChargeMigrationStep(RampStep):
    """Flag the groups of bright pixels, and of their neighbours, whose signal is not reliable.

    In undersampled images of stars, charge spills from the brightest pixel over to the next ones
    long before it saturates. The groups from there on are left out of the fitted rate; ramp_fit
    counts them all the same in the variance by read noise, so that resampling does not give such
    pixels less weight than others.
    """

    class_alias = "charge_migration"
    # A pixel depends on its four neighbours, and on no other integration.
    cut = INTEGRATIONS

    signal_threshold: float = param(25000, help="signal from which on charge migrates, in DN")
    skip: bool = param(True, help="Skip this step")

    def correct(self, ramp: Ramp) -> None:
        """Flag CHARGELOSS and DO_NOT_USE in all groups from the first that is too bright on.

        Parameters
        ----------
        ramp : Ramp
            Exposure; its ``groupdq`` is changed.

        Raises
        ------
        SkipStep
            If there are fewer than three groups.
        """
        if ramp.data.shape[1] < _LEAST_GROUPS:
            raise SkipStep(f"it needs {_LEAST_GROUPS} groups or more")
        log.info("charge migrates from %.2f DN on", self.signal_threshold)
        for integration in range(ramp.data.shape[0]):
            self._flag_integration(ramp.data[integration, ...], ramp.groupdq[integration, ...])

    def _flag_integration(self, data: Any, groupdq: Any) -> None:
        """Flag one integration: (groups, y, x), samples and flags."""
        xp = namespace_of(data)
        lost = xp.zeros(data.shape[1:], dtype=bool)
        for group in range(data.shape[0]):
            samples, flags = data[group, ...], groupdq[group, ...]
            # Quirk: a group that is not to be used counts all the same if it has another flag too.
            found = (samples > self.signal_threshold) & (flags != DO_NOT_USE)
            lost |= found
            lost[1:, :] |= found[:-1, :]
            lost[:-1, :] |= found[1:, :]
            lost[:, 1:] |= found[:, :-1]
            lost[:, :-1] |= found[:, 1:]
            # What is flagged here is of this group, and was looked at already.
            flags |= lost.astype(flags.dtype) * (CHARGELOSS | DO_NOT_USE)
