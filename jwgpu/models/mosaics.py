"""Images that others were resampled to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jwgpu.models.unchecked import unchecked

#: Arrays of a mosaic: attributes here and of the official models, in the order of a product.
ARRAYS = ("data", "err", "con", "wht", "var_poisson", "var_rnoise", "var_flat", "dq")


@dataclass
class Mosaic:
    """A mean of images on a common grid, in host memory.

    Attributes
    ----------
    data : array, (y, x) float32
        Weighted mean.
    wht : array, (y, x) float32
        Sum of the weights behind it.
    err : array, (y, x) float32, or None
        Its error.
    con : array, (planes, y, x) int32, or None
        Bit k of plane p is set where image ``32 p + k`` contributed.
    var_poisson, var_rnoise, var_flat : array, (y, x) float32, or None
        Variances.
    dq : array, (y, x) uint32, or None
        Flags of all pixels that contributed.
    model : JwstDataModel
        The official data model without these arrays.
    """

    data: Any
    wht: Any
    err: Any = None
    con: Any = None
    var_poisson: Any = None
    var_rnoise: Any = None
    var_flat: Any = None
    dq: Any = None
    model: Any = None

    @property
    def meta(self) -> Any:
        """The metadata tree of `stdatamodels`."""
        return self.model.meta


def new_model(first: Any) -> Any:
    """Return the official model of a mosaic without arrays, described as its first image is."""
    from stdatamodels.jwst import datamodels

    model = datamodels.ImageModel(None)
    with unchecked(model):
        model.update(first)
    return model


def model_of_mosaic(mosaic: Mosaic) -> Any:
    """Return a mosaic as its official model, sharing its arrays."""
    with unchecked(mosaic.model):
        for attribute in ARRAYS:
            value = getattr(mosaic, attribute)
            if value is not None:
                setattr(mosaic.model, attribute, value)
    return mosaic.model
