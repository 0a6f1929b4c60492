"""An exposure after ramp fitting: count rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class Rates:
    """Count rates of an exposure (``rate``), or of each of its integrations (``rateints``).

    Attributes
    ----------
    data, err : array, (y, x) or (ints, y, x) float32
        Count rate and its error, in DN/s.
    dq : array, (y, x) or (ints, y, x) uint32
        Flags.
    var_poisson, var_rnoise : array, (y, x) or (ints, y, x) float32
        Variances by photon and by read noise, in (DN/s)^2.
    model : JwstDataModel or None
        The official data model of the product without these arrays: metadata and tables.
    """

    data: Any
    dq: Any
    err: Any
    var_poisson: Any
    var_rnoise: Any
    model: Any = None

    @property
    def meta(self) -> Any:
        """The metadata tree of `stdatamodels`."""
        return self.model.meta


@dataclass
class RampFitOutput:
    """Segment by segment results of ramp fitting, the ``fitopt`` product.

    Attributes
    ----------
    slope, sigslope, var_poisson, var_rnoise, yint, sigyint, weights : array
        (ints, segments, y, x) float32: slope of each segment and its error (DN/s), variances
        ((DN/s)^2), intercept and its error (DN), weight.
    pedestal : array, (ints, y, x) float32
        Signal at zero exposure time, in DN.
    crmag : array, (ints, jumps, y, x) float32
        Size of each jump, in DN.
    """

    slope: Any
    sigslope: Any
    var_poisson: Any
    var_rnoise: Any
    yint: Any
    sigyint: Any
    pedestal: Any
    weights: Any
    crmag: Any
