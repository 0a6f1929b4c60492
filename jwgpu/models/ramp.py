"""An exposure before ramp fitting: the samples up the ramp."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class Ramp:
    """The ramps of one exposure, changed in place by the steps of stage 1.

    Attributes
    ----------
    data : array, (ints, groups, y, x) float32
        Samples up the ramp, in DN.
    groupdq : array, (ints, groups, y, x) uint8
        Flags of each sample.
    pixeldq : array, (y, x) uint32
        Flags of each pixel.
    model : JwstDataModel
        The official data model of the exposure without these arrays: metadata and tables.
    zeroframe : array, (ints, y, x) float32, or None
        The first frame of each integration, in DN (NIRCam).
    refout : array, (ints, groups, y, x // 4) float32, or None
        Reference output, in DN (MIRI).
    average_dark_current : array, (y, x) float32, or None
        Dark current for the noise model, in electron/s.
    """

    data: Any
    groupdq: Any
    pixeldq: Any
    model: Any
    zeroframe: Any = None
    refout: Any = None
    average_dark_current: Any = None

    @property
    def meta(self) -> Any:
        """The metadata tree of `stdatamodels`, as in ``ramp.meta.exposure.ngroups``."""
        return self.model.meta

    @property
    def image_shape(self) -> tuple[int, int]:
        """Rows and columns of the detector image."""
        return (int(self.data.shape[-2]), int(self.data.shape[-1]))
