"""Straighten each pixel's response."""

from __future__ import annotations

import logging
from typing import Any

from jwgpu.errors import ReferenceFileError
from jwgpu.kernels.linearity import straighten, straighten_reads, straighten_zeroframe
from jwgpu.models.ramp import Ramp
from jwgpu.references.types import LinearityReference
from jwgpu.steps.base import PIXELS, RampStep
from jwgpu.steps.readout import refuse_special_readout

log = logging.getLogger(__name__)


class LinearityStep(RampStep):
    """Straighten each pixel's response with the polynomial of its LINEARITY reference."""

    class_alias = "linearity"
    cut = PIXELS

    def applies_to(self, exposure: Ramp) -> None:
        """Raise for IRS2 with reference pixels still in the images."""
        refuse_special_readout(self.class_alias, exposure)

    def correct(self, ramp: Ramp, linearity: LinearityReference) -> None:
        """Straighten unsaturated samples and frame zero.

        Groups of several frames are straightened frame by frame, if the reference knows the
        inverse polynomial.

        Parameters
        ----------
        ramp : Ramp
            Exposure; ``data``, ``pixeldq`` and ``zeroframe`` are changed.
        linearity : LinearityReference
            Polynomials and their flags.

        Raises
        ------
        ReferenceFileError
            If the polynomials have no linear term.
        """
        coefficients, inverse = linearity.coefficients, linearity.inverse_coefficients
        for name, terms in (("COEFFS", coefficients), ("INV_COEFFS", inverse)):
            if terms is not None and terms.shape[0] < 2:
                raise ReferenceFileError(
                    f"{linearity.path}: {name} has no linear term: "
                    "give a LINEARITY reference of two planes or more"
                )
        arrays = (ramp.data, ramp.groupdq, ramp.pixeldq, coefficients)
        if inverse is not None and _holds_averages(ramp):
            frames = int(ramp.meta.exposure.nframes)
            log.info("straightening the %d frames of each group", frames)
            straighten_reads(*arrays, inverse, linearity.dq, frames)
        else:
            straighten(*arrays, linearity.dq)
        if ramp.zeroframe is not None and ramp.meta.exposure.zero_frame:
            straighten_zeroframe(ramp.zeroframe, coefficients, linearity.dq)


def _holds_averages(ramp: Ramp) -> bool:
    """Tell whether groups are means of frames that follow each other at a steady pace.

    A ramp of one group has no slope to go by: release 3.0 fails there with an index error, and
    we correct the mean instead.
    """
    exposure: Any = ramp.meta.exposure
    read_times = getattr(exposure, "read_times", None)
    has_read_times = read_times is not None and len(read_times) > 0
    return (exposure.nframes or 1) > 1 and not has_read_times and ramp.data.shape[1] > 1
