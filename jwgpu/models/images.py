"""An exposure after stage 1, on its way to calibrated images: one plane, or one an integration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jwgpu.backends import namespace_of
from jwgpu.models.flags import DO_NOT_USE


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
    def meta(self) -> Any:
        """The metadata tree of `stdatamodels`."""
        return self.model.meta

    @property
    def wcs(self) -> Any:
        """The `gwcs.WCS` that assign_wcs gave it."""
        return self.model.meta.wcs


def mark_invalid(image: Image) -> None:
    """Make NaN and DO_NOT_USE agree: what is one in any array becomes both, in place.

    Parameters
    ----------
    image : Image
    """
    xp = namespace_of(image.data, image.dq)
    arrays = [image.data, image.err, image.var_poisson, image.var_rnoise, image.var_flat]
    arrays = [array for array in arrays if array is not None]
    is_invalid = (image.dq & DO_NOT_USE) != 0
    for array in arrays:
        is_invalid |= xp.isnan(array)
    image.dq |= xp.asarray(is_invalid, dtype=image.dq.dtype) * DO_NOT_USE
    for array in arrays:
        array[is_invalid] = xp.nan
