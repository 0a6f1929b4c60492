"""Start the flags of an exposure from the bad-pixel mask."""

from __future__ import annotations

import logging
from typing import Any

from jwgpu.backends import namespace_of
from jwgpu.errors import InputError, NotYetError, ParameterError
from jwgpu.models.flags import DO_NOT_USE
from jwgpu.models.ramp import Ramp
from jwgpu.references.types import MaskReference
from jwgpu.steps.base import PIXELS, RampStep, param

log = logging.getLogger(__name__)

#: Guide star exposures: their flags are one array ``dq``, not ``pixeldq`` and ``groupdq``.
_GUIDER_TYPES = frozenset(
    ("FGS_ACQ1", "FGS_ACQ2", "FGS_FINEGUIDE", "FGS_ID-IMAGE", "FGS_ID-STACK", "FGS_TRACK")
)


class DQInitStep(RampStep):
    """Take the flags of the mask, and of the user, into the exposure's."""

    class_alias = "dq_init"
    cut = PIXELS
    superstripes = "each"

    user_supplied_dq: str | None = param(None, help="FITS file of flags to add to the mask's")

    def applies_to(self, exposure: Ramp) -> None:
        """Raise `NotYetError` for guide stars: their flags have another layout."""
        _refuse_other_layouts(exposure.meta)

    def correct(self, ramp: Ramp, mask: MaskReference) -> None:
        """Combine the mask with the pixels' flags, and its DO_NOT_USE with those of all groups.

        Parameters
        ----------
        ramp : Ramp
            Exposure; ``pixeldq`` and ``groupdq`` are changed.
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
        ramp.pixeldq |= flags
        is_bad = flags & DO_NOT_USE
        ramp.groupdq |= namespace_of(flags).asarray(is_bad, dtype=ramp.groupdq.dtype)


def _refuse_other_layouts(meta: Any) -> None:
    exposure_type = str(meta.exposure.type).upper()
    if exposure_type in _GUIDER_TYPES:
        raise NotYetError(
            f"guide star exposures (EXP_TYPE {exposure_type}) are not calibrated yet: "
            "use the official jwst package for them"
        )


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
