"""An exposure after stage 1, on its way to calibrated images: one plane, or one an integration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.models.flags import DO_NOT_USE

#: Rows that are taken together: what is computed on the way stays in the cache.
_ROWS = 32


@dataclass
class Image:
    """An image, or those of all integrations of a time series.

    Attributes
    ----------
    data, err : array, (y, x) or (ints, y, x) float32
        Signal and its error; in DN/s, or what ``meta.bunit_data`` says.
    dq : array, (y, x) or (ints, y, x) uint32
        Flags.
    var_poisson, var_rnoise, var_flat : array as ``data``, or None
        Variances by photon noise, read noise and flat field, in the unit squared.
    area : array, (y, x) float32, or None
        Area of each pixel relative to that of an average one.
    model : JwstDataModel
        The official data model without these arrays: metadata, WCS and tables.
    """

    data: Any
    dq: Any
    err: Any
    var_poisson: Any = None
    var_rnoise: Any = None
    var_flat: Any = None
    area: Any = None
    model: Any = None

    @property
    def measured(self) -> list[Any]:
        """Those of the signal, its error and variances that there are."""
        arrays = (self.data, self.err, self.var_poisson, self.var_rnoise, self.var_flat)
        return [array for array in arrays if array is not None]

    @property
    def meta(self) -> Any:
        """The metadata tree of `stdatamodels`."""
        return self.model.meta

    @property
    def wcs(self) -> Any:
        """The `gwcs.WCS` that assign_wcs gave it."""
        return self.model.meta.wcs


def row_by_row(image: Image) -> Iterator[Any]:
    """Cut an image into some rows at a time; in one piece where it is not in host memory.

    Yields
    ------
    tuple of slices
        Of any of its arrays.
    """
    n_rows = image.data.shape[-2]
    step = _ROWS if isinstance(image.data, np.ndarray) else n_rows
    for first in range(0, n_rows, step):
        yield np.s_[..., first : first + step, :]


def mark_invalid(image: Image) -> None:
    """Make NaN and DO_NOT_USE agree: what is one in any array becomes both, in place.

    Parameters
    ----------
    image : Image
    """
    xp = namespace_of(image.data, image.dq)
    for rows in row_by_row(image):
        flags = image.dq[rows]
        is_invalid = (flags & DO_NOT_USE) != 0
        for array in image.measured:
            is_invalid |= xp.isnan(array[rows])
        flags |= xp.asarray(is_invalid, dtype=flags.dtype) * DO_NOT_USE
        for array in image.measured:
            xp.copyto(array[rows], np.float32(np.nan), where=is_invalid)
