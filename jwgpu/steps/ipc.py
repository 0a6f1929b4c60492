"""Undo interpixel capacitance."""

from __future__ import annotations

import logging
from typing import Any

from jwgpu.errors import ReferenceFileError
from jwgpu.kernels.ipc import deconvolve
from jwgpu.models.ramp import Ramp
from jwgpu.models.stripes import is_striped
from jwgpu.references.types import IpcReference
from jwgpu.steps.base import INTEGRATIONS, RampStep, SkipStep
from jwgpu.steps.readout import is_interleaved, layout_of

log = logging.getLogger(__name__)

REFERENCE_BORDER = 4  # pixels, on every side of a near-infrared detector, left and right of MIRI's
NEAR_INFRARED_SIDE = 2048  # pixels
MIRI_COLUMNS = 1032


class IPCStep(RampStep):
    """Undo interpixel capacitance by convolving every group with the kernel of its reference."""

    class_alias = "ipc"
    cut = INTEGRATIONS
    superstripes = "each"

    def applies_to(self, exposure: Ramp) -> None:
        """Raise `SkipStep` where stripes begin so that there seem to be reference pixels only.

        The start of a mirrored axis is counted otherwise for stripes than for other subarrays; the
        official package ends there.
        """
        bottom, top, left, right = reference_borders(exposure.meta)
        rows, columns = exposure.image_shape
        if is_striped(exposure.meta) and (bottom + top > rows or left + right > columns):
            log.warning("%s: ipc is not for this readout in stripes", exposure.meta.filename)
            raise SkipStep("the borders of reference pixels are not known for these stripes")

    def correct(self, ramp: Ramp, ipc: IpcReference) -> None:
        """Convolve; reference pixels neither change nor take part.

        Parameters
        ----------
        ramp : Ramp
            Exposure; ``data`` are changed.
        ipc : IpcReference
            Kernel, one for the detector or one for each pixel.

        Raises
        ------
        ReferenceFileError
            If the kernel has neither two nor four axes, or its pixels are not those of the image.
        """
        rows = layout_of(ramp).science_rows if is_interleaved(ramp) else None
        image_shape = ramp.image_shape if rows is None else (rows.size, ramp.image_shape[1])
        shape = tuple(ipc.kernel.shape)
        if len(shape) not in (2, 4) or shape[2:] not in ((), image_shape):
            raise ReferenceFileError(
                f"{ipc.path}: an IPC kernel of shape {shape} does not fit an image of "
                f"{image_shape}: give one of (ky, kx), or of (ky, kx, rows, columns)"
            )
        borders = reference_borders(ramp.meta)
        # Neighbours are those on the detector, not in the interleaved image.
        deconvolve(ramp.data, ipc.kernel, borders, rows)


def reference_borders(meta: Any) -> tuple[int, int, int, int]:
    """Return how many rows at the bottom and top, columns left and right, are reference pixels."""
    subarray = meta.subarray
    x_first = subarray.xstart - 1
    x_stop = x_first + subarray.xsize
    is_miri = meta.instrument.name == "MIRI"
    columns = MIRI_COLUMNS if is_miri else NEAR_INFRARED_SIDE
    left = max(0, REFERENCE_BORDER - x_first)
    right = max(0, x_stop - (columns - REFERENCE_BORDER))
    if is_miri:
        return 0, 0, left, right
    y_first = subarray.ystart - 1
    y_stop = y_first + subarray.ysize
    bottom = max(0, REFERENCE_BORDER - y_first)
    top = max(0, y_stop - (NEAR_INFRARED_SIDE - REFERENCE_BORDER))
    return bottom, top, left, right
