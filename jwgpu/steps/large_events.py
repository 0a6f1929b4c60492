"""Snowballs and showers: what the jump step does after it has found the jumps.

Jumps are searched in rows of all integrations, large events in images: each kind of them takes a
pass of its own over the exposure.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from jwgpu.backends import namespace_of
from jwgpu.kernels.large_events import (
    ShowerNoise,
    ShowerSettings,
    SnowballSettings,
    flag_showers,
    flag_snowballs,
    noise_of_showers,
)
from jwgpu.kernels.large_events.showers import are_enough
from jwgpu.models.flags import DO_NOT_USE
from jwgpu.models.ramp import Ramp
from jwgpu.models.stored_planes import StoredPlanes
from jwgpu.runner.parts import in_rows, put_together, reference_of
from jwgpu.steps.division import INTEGRATIONS, Divisible

log = logging.getLogger(__name__)

#: What is called with the exposure and the number of events when a pass is over.
Record = Callable[[Ramp, int], None]


class SnowballPass(Divisible):
    """Flag around snowballs, integration by integration."""

    cut = INTEGRATIONS
    keeps_samples = True
    # Does clear DO_NOT_USE, in cores: seen by surveys.

    def __init__(self, settings: SnowballSettings, record: Record) -> None:
        self._settings, self._record = settings, record
        # Cores are flagged in the next integration too, which may be in the next part.
        self._cores: list[Any] = []

    def correct_part(self, part: Ramp, *survey: Any, **references: Any) -> int:
        """Flag around the snowballs of some integrations; return how many there are."""
        del survey, references
        return flag_snowballs(part.groupdq, self._settings, self._cores)

    def collect(self, collected: int | None, part: Ramp, found: int) -> int:
        """Add up the snowballs."""
        del part
        return (collected or 0) + found

    def conclude(self, exposure: Ramp, survey: Any, collected: int) -> None:
        """Tell how many there are."""
        del survey
        log.info("%d snowballs, each group counted", collected)
        self._record(exposure, collected)


class ShowerPass(Divisible):
    """Flag showers, integration by integration, by the noise of all."""

    cut = INTEGRATIONS
    has_survey = True
    is_unseen_by_surveys = True
    keeps_samples = True

    def __init__(self, settings: Callable[[], ShowerSettings], record: Record) -> None:
        self._settings, self._record = settings, record

    def survey(self, exposure: Ramp, **references: Any) -> ShowerNoise | None:
        """Return centre and noise of the differences; None if there are too few of them.

        None also stands for the noise of an exposure in memory, which is found in time.
        """
        if not isinstance(exposure.data, StoredPlanes):
            return None
        settings = self._settings()
        n_unusable = int(exposure.groupdq.where_all_have(DO_NOT_USE).sum())
        if not are_enough(*exposure.data.shape[:2], n_unusable):
            return None
        center = sigma = None
        for part in in_rows(exposure):
            gain, readnoise = (
                reference_of(references[name], part).data for name in ("gain", "readnoise")
            )
            noise = noise_of_showers(part.data, part.groupdq, gain, readnoise, settings)
            center = _with_rows(center, part, noise.center)
            sigma = _with_rows(sigma, part, noise.sigma)
        assert center is not None and sigma is not None
        xp = namespace_of(center[0])
        return ShowerNoise(xp.stack(center), xp.stack(sigma))

    def correct_part(self, part: Ramp, survey: ShowerNoise | None, **references: Any) -> int | None:
        """Flag the showers of some integrations; return how many, None if none are searched."""
        if survey is None and part.part is not None:
            return None
        gain, readnoise = references["gain"].data, references["readnoise"].data
        arrays = (part.data, part.groupdq, part.pixeldq, gain, readnoise)
        return flag_showers(*arrays, self._settings(), survey)

    def collect(self, collected: int | None, part: Ramp, found: int | None) -> int | None:
        """Add up the showers."""
        del part
        return found if collected is None else collected + (found or 0)

    def conclude(self, exposure: Ramp, survey: Any, collected: int | None) -> None:
        """Tell how many there are."""
        del survey
        if collected is None:
            log.warning("there are too few differences: showers are not searched")
        else:
            log.info("%d showers, each group counted", collected)
        # Quirk: of both kinds the keyword counts the showers only.
        self._record(exposure, collected or 0)


def _with_rows(whole: Any, part: Ramp, images: Any) -> list[Any]:
    """Put some rows of images where they belong."""
    before = whole or [None] * images.shape[0]
    return [put_together(one, part, image) for one, image in zip(before, images, strict=True)]
