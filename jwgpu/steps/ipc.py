"""Undo interpixel capacitance."""

from __future__ import annotations

from typing import Any

from jwgpu.errors import ReferenceFileError
from jwgpu.kernels.ipc import deconvolve
from jwgpu.models.ramp import Ramp
from jwgpu.references.types import IpcReference
from jwgpu.steps.base import INTEGRATIONS, RampStep
from jwgpu.steps.readout import refuse_special_readout

REFERENCE_BORDER = 4  # pixels, on every side of a near-infrared detector, left and right of MIRI's
NEAR_INFRARED_SIDE = 2048  # pixels
MIRI_COLUMNS = 1032


class IPCStep(RampStep):
    """Undo interpixel capacitance by convolving every group with the kernel of its reference."""

    class_alias = "ipc"
    cut = INTEGRATIONS

    def applies_to(self, exposure: Ramp) -> None:
        """Raise `NotYetError` for IRS2 and striped readouts."""
        refuse_special_readout(self.class_alias, exposure)

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
        shape = tuple(ipc.kernel.shape)
        if len(shape) not in (2, 4) or shape[2:] not in ((), ramp.image_shape):
            raise ReferenceFileError(
                f"{ipc.path}: an IPC kernel of shape {shape} does not fit an image of "
                f"{ramp.image_shape}: give one of (ky, kx), or of (ky, kx, rows, columns)"
            )
        deconvolve(ramp.data, ipc.kernel, reference_borders(ramp.meta))


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
