"""Undo an on-board average that was divided by another number than that of its frames."""

from __future__ import annotations

import logging

from jwgpu.models.ramp import Ramp
from jwgpu.steps.base import PIXELS, RampStep, SkipStep

log = logging.getLogger(__name__)


class GroupScaleStep(RampStep):
    """Rescale groups whose frames were averaged with a divisor that is not their number.

    The spacecraft divides the sum of NFRAMES frames by shifting bits, that is by a power of two,
    FRMDIVSR. The samples are multiplied by FRMDIVSR / NFRAMES; other arrays stay as they are.
    """

    class_alias = "group_scale"
    cut = PIXELS
    superstripes = "together"

    def correct(self, ramp: Ramp) -> None:
        """Multiply the samples by FRMDIVSR / NFRAMES.

        Parameters
        ----------
        ramp : Ramp
            Exposure; its ``data`` are changed.

        Raises
        ------
        SkipStep
            If the two numbers agree, or are not known. Without FRMDIVSR nothing can be rescaled,
            whether NFRAMES is a power of two or not.
        """
        # Of MIRI's FASTGRPAVG patterns NFRAMES was set to the true number when the exposure was
        # made into a file (MIRNFRMS x FRMDIVSR), so that they need no exception here.
        n_frames = ramp.meta.exposure.nframes
        divisor = ramp.meta.exposure.frame_divisor
        if n_frames is None:
            raise SkipStep("NFRAMES is not given")
        if divisor is None:
            raise SkipStep(f"FRMDIVSR is not given (NFRAMES={n_frames})")
        if divisor == n_frames:
            raise SkipStep(f"the frames were averaged right: NFRAMES and FRMDIVSR are {n_frames}")
        log.info("multiplying all groups by FRMDIVSR/NFRAMES = %s/%s", divisor, n_frames)
        ramp.data *= divisor / n_frames
