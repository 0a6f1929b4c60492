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


@dataclass(frozen=True)
class Part:
    """Which part of an exposure a ramp holds: some integrations, or some rows of all.

    Attributes
    ----------
    shape : tuple of int
        (ints, groups, y, x) of the exposure.
    first_integration : int
        The exposure's integration that comes first here, from 0.
    first_row : int
        The exposure's row that comes first here.
    own_rows : (int, int)
        The first row of the part and the one after the last, but for those around them that it
        only needs to see: counted within the part.
    """

    shape: tuple[int, int, int, int]
    first_integration: int
    first_row: int
    own_rows: tuple[int, int]


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
    part : Part or None
        What it holds of an exposure; None for all.
    storage : Storage or None
        Where an exposure that is calibrated in blocks is kept, see `jwgpu.runner.parts`; None for
        one in memory. Then ``data``, ``groupdq`` and ``zeroframe`` are
        `jwgpu.models.stored_planes.StoredPlanes`, but for a part of it, which is in memory.
    """

    data: Any
    groupdq: Any
    pixeldq: Any
    model: Any
    zeroframe: Any = None
    refout: Any = None
    average_dark_current: Any = None
    is_expendable: bool = False
    part: Part | None = None
    storage: Any = None

    @property
    def first_integration(self) -> int:
        """The first integration that is here, from 0."""
        return 0 if self.part is None else self.part.first_integration

    @property
    def n_integrations(self) -> int:
        """Integrations of the exposure, also those that are not here."""
        return int(self.data.shape[0] if self.part is None else self.part.shape[0])

    @property
    def rows(self) -> slice:
        """The rows of the exposure that are here for their own sake."""
        if self.part is None:
            return slice(0, self.image_shape[0])
        first = self.part.first_row
        return slice(first + self.part.own_rows[0], first + self.part.own_rows[1])

    @property
    def own_rows(self) -> slice:
        """The rows that are here, but for those of other parts around them."""
        return slice(None) if self.part is None else slice(*self.part.own_rows)

    @property
    def meta(self) -> Any:
        """The metadata tree of `stdatamodels`, as in ``ramp.meta.exposure.ngroups``."""
        return self.model.meta

    @property
    def image_shape(self) -> tuple[int, int]:
        """Rows and columns of the detector image."""
        return (int(self.data.shape[-2]), int(self.data.shape[-1]))
