"""Flag samples that are saturated, or at the floor of the converter."""

from __future__ import annotations

import logging

from jwgpu.backends import namespace_of
from jwgpu.errors import InputError, ReferenceFileError
from jwgpu.kernels import irs2
from jwgpu.kernels.saturation import clear_saturated_zeroframe, flag_saturation
from jwgpu.models.flags import NO_SAT_CHECK
from jwgpu.models.ramp import Ramp
from jwgpu.references.types import SaturationReference, SuperBiasReference
from jwgpu.steps.base import INTEGRATIONS, RampStep, param
from jwgpu.steps.readout import is_interleaved, layout_of

log = logging.getLogger(__name__)


class SaturationStep(RampStep):
    """Flag saturated samples with their neighbours, and samples at the converter's floor."""

    class_alias = "saturation"
    cut = INTEGRATIONS
    superstripes = "each"

    n_pix_grow_sat: int = param(1, help="Layers of neighbours to flag around a saturated pixel")
    use_readpatt: bool = param(
        True, help="Look for saturation within groups that are the mean of several frames"
    )

    def correct(
        self, ramp: Ramp, saturation: SaturationReference, superbias: SuperBiasReference | None
    ) -> None:
        """Flag saturation; frame zero, which has no flags, is set to 0 where it is saturated.

        Parameters
        ----------
        ramp : Ramp
            Exposure; ``groupdq``, ``pixeldq`` and ``zeroframe`` are changed.
        saturation : SaturationReference
            Threshold in DN, and its flags.
        superbias : SuperBiasReference or None
            Bias in DN, for saturation within the second group; 0 if None (MIRI).

        Raises
        ------
        InputError
            If ``use_readpatt`` is on, and the number of frames in a group is not known.
        """
        grow = max(self.n_pix_grow_sat, 0)
        frames = 0
        if self.use_readpatt:
            frames = ramp.meta.exposure.nframes or 0
            if frames < 1:
                raise InputError(
                    f"{ramp.meta.filename}: NFRAMES is missing: "
                    "add it, or use --steps.saturation.use_readpatt=false"
                )
            log.info("looking for saturation within groups of %d frames", frames)
        if is_interleaved(ramp):
            _flag_interleaved(ramp, saturation, superbias, grow, frames)
            return
        n_saturated, n_floor = flag_saturation(
            ramp.data,
            ramp.groupdq,
            saturation.data,
            saturation.dq,
            superbias.data if superbias is not None else None,
            grow=grow,
            frames_averaged=frames,
        )
        log.info("%d pixels saturate, %d are at the converter's floor", n_saturated, n_floor)
        if ramp.zeroframe is not None and ramp.meta.exposure.zero_frame:
            clear_saturated_zeroframe(ramp.zeroframe, saturation.data, saturation.dq, grow=grow)

        xp = namespace_of(ramp.pixeldq, saturation.data)
        unknown = xp.isnan(saturation.data)
        ramp.pixeldq |= xp.where(unknown, saturation.dq | NO_SAT_CHECK, saturation.dq)


def _flag_interleaved(
    ramp: Ramp,
    saturation: SaturationReference,
    superbias: SuperBiasReference | None,
    grow: int,
    frames: int,
) -> None:
    """Flag an IRS2 exposure: the references know only the detector's own rows."""
    rows = layout_of(ramp).science_rows
    xp = namespace_of(ramp.pixeldq, saturation.data)
    if saturation.data.shape[0] != rows.size:
        raise ReferenceFileError(
            f"{saturation.path}: thresholds of {saturation.data.shape[0]} rows do not fit the "
            f"{rows.size} rows of the detector: give a SATURATION reference of the full frame"
        )
    unknown = xp.isnan(saturation.data)
    flags = xp.where(unknown, saturation.dq | NO_SAT_CHECK, saturation.dq)
    is_checked = flags & NO_SAT_CHECK == 0
    # What is not checked is held against 65536 DN, more than the 16-bit converter can give.
    threshold = xp.where(is_checked, saturation.data, xp.float32(65536.0))
    n_saturated, n_floor = irs2.flag_saturation(
        ramp.data,
        ramp.groupdq,
        threshold,
        superbias.data if superbias is not None else None,
        rows,
        grow=grow,
        frames_averaged=frames,
    )
    log.info("%d pixels saturate, %d are at the converter's floor", n_saturated, n_floor)
    if ramp.zeroframe is not None and ramp.meta.exposure.zero_frame:
        for i in range(ramp.zeroframe.shape[0]):
            frame = ramp.zeroframe[i, rows][None]
            clear_saturated_zeroframe(frame, saturation.data, saturation.dq, grow=grow)
            ramp.zeroframe[i, rows] = frame[0]
    ramp.pixeldq[rows] |= flags
