"""An exposure before ramp fitting: the samples up the ramp."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class StoredArray:
    """An array that is still in its file.

    Attributes
    ----------
    path, extension : str
        Where it is.
    dtype : dtype
        What it becomes when it is read.
    """

    path: str
    extension: str
    dtype: Any

    def read(self) -> Any:
        """Read it, into host memory."""
        from jwgpu.models.fits_arrays import read_array

        return read_array(self.path, self.extension, self.dtype)


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
    refout : array, (ints, groups, y, x // 4) float32, or StoredArray, or None
        Reference output, in DN (MIRI). No step uses it, so it stays in its file until the ramp is
        saved.
    average_dark_current : array, (y, x) float32, or None
        Dark current for the noise model, in electron/s.
    is_expendable : bool
        Whether nobody needs the samples after ramp fitting, so that their memory may go meanwhile.
    """

    data: Any
    groupdq: Any
    pixeldq: Any
    model: Any
    zeroframe: Any = None
    refout: Any = None
    average_dark_current: Any = None
    is_expendable: bool = False

    @property
    def meta(self) -> Any:
        """The metadata tree of `stdatamodels`, as in ``ramp.meta.exposure.ngroups``."""
        return self.model.meta

    @property
    def image_shape(self) -> tuple[int, int]:
        """Rows and columns of the detector image."""
        return (int(self.data.shape[-2]), int(self.data.shape[-1]))
