"""Start the flags of an exposure from the bad-pixel mask."""

from __future__ import annotations

import logging
from typing import Any

from jwgpu.backends import namespace_of
from jwgpu.errors import InputError, ParameterError
from jwgpu.models import guider
from jwgpu.models.flags import DO_NOT_USE
from jwgpu.models.guider import GuiderRaw
from jwgpu.models.ramp import Ramp
from jwgpu.references.types import MaskReference
from jwgpu.steps.base import PIXELS, RampStep, param

log = logging.getLogger(__name__)


class DQInitStep(RampStep):
    """Take the flags of the mask, and of the user, into the exposure's."""

    class_alias = "dq_init"
    cut = PIXELS
    superstripes = "each"

    user_supplied_dq: str | None = param(None, help="FITS file of flags to add to the mask's")

    def open(self, source: Any) -> Any:
        """Open a file, or wrap an official data model, as a `Ramp` or samples of the guider."""
        return guider.open_raw(source) if guider.is_of_guider(source) else super().open(source)

    def as_model(self, exposure: Ramp | GuiderRaw) -> Any:
        """Return the exposure as an official data model."""
        if isinstance(exposure, GuiderRaw):
            return guider.model_of(exposure)
        return super().as_model(exposure)

    def correct(self, ramp: Ramp | GuiderRaw, mask: MaskReference) -> None:
        """Combine the mask with the pixels' flags, and its DO_NOT_USE with those of all groups.

        Parameters
        ----------
        ramp : Ramp or GuiderRaw
            Exposure; ``pixeldq`` and ``groupdq`` are changed, of the guider ``dq``.
        mask : MaskReference
            Flags of bad pixels.

        Raises
        ------
        InputError
            If the user's file is not a FITS image of flags.
        ParameterError
            If the user's image has another shape than the exposure.
        """
        flags = mask.dq
        if self.user_supplied_dq is not None:
            xp = namespace_of(mask.dq)
            user_flags = _read_flags(self.user_supplied_dq, tuple(mask.dq.shape))
            flags = mask.dq | xp.asarray(user_flags)
        if isinstance(ramp, GuiderRaw):
            ramp.dq |= flags
            return
        ramp.pixeldq |= flags
        is_bad = flags & DO_NOT_USE
        ramp.groupdq |= namespace_of(flags).asarray(is_bad, dtype=ramp.groupdq.dtype)


def _read_flags(path: str, shape: tuple[int, ...]) -> Any:
    """Return the flags, uint32 of `shape`, of the first image in a FITS file."""
    from astropy.io import fits

    try:
        flags = fits.getdata(path)
    except (OSError, IndexError) as error:
        raise InputError(
            f"user_supplied_dq: {path} is not a FITS image that can be read: {error}"
        ) from error
    if flags.shape != shape:
        raise ParameterError(
            f"user_supplied_dq: {path} has the shape {flags.shape}, the exposure {shape}: "
            "give flags of the exposure's own subarray"
        )
    log.info("adding the flags of %s to the mask", path)
    return flags.astype("uint32")
