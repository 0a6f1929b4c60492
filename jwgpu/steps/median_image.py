"""The median of all integrations, as the scene to put aside while noise is fitted."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from jwgpu.backends import namespace_of
from jwgpu.errors import NotYetError
from jwgpu.kernels.median_stack import median_stack
from jwgpu.kernels.moving_median import middle
from jwgpu.models.ramp import Ramp
from jwgpu.models.rates import Rates
from jwgpu.runner.parts import in_rows
from jwgpu.steps.light_curve import light_curve

log = logging.getLogger(__name__)

#: Spectra whose integrations are scaled by a light curve, which takes their wavelengths.
_SPECTRA = ("NIS_SOSS", "NRS_BRIGHTOBJ", "NRC_TSGRISM")


class MedianImage(NamedTuple):
    """The median of all integrations, and what each is of it.

    Attributes
    ----------
    image : array, (groups, y, x) or (y, x) float32
    scale : array, (ints,) float32
    """

    image: Any
    scale: Any

    def scaled(self, i: int, j: int | None = None) -> Any:
        """Return the scene of an integration, or of one of its groups: (y, x) float32."""
        return self.scale[i] * (self.image if j is None else self.image[j])


def check_median_image(step: str, meta: Any) -> None:
    """Refuse exposures whose light only a spectrum can tell.

    Raises
    ------
    NotYetError
        For time series of spectra.
    """
    kind = str(meta.exposure.type)
    if kind in _SPECTRA:
        raise NotYetError(
            f"{meta.filename}: {step} cannot extract the spectra of a time series ({kind}) to "
            "scale its median image yet: use --background_method=median or model"
        )


def has_light_curve(meta: Any) -> bool:
    """Whether an exposure is an imaging time series, scaled by the light of its source."""
    kind = str(meta.exposure.type)
    is_series = bool(meta.visit.tsovisit) and (meta.exposure.nints or 2) > 1
    return kind == "NRC_TSIMAGE" or (kind == "MIR_IMAGE" and is_series)


def median_image(exposure: Ramp | Rates, rates: Rates, gain: Any = None) -> MedianImage:
    """Return the median over the integrations, scaled by their light.

    That is the light of the source for imaging time series, otherwise the median count rate.

    Parameters
    ----------
    exposure : Ramp or Rates
        Of two or more integrations.
    rates : Rates
        Count rate of each integration.
    gain : array, (y, x) float32, optional
        For imaging time series.

    Raises
    ------
    ValueError
        If no integration has a finite count rate, or a keyword is missing.
    """
    xp = namespace_of(rates.data)
    if gain is None:
        light = xp.stack([middle(image.reshape(-1)) for image in rates.data])
    else:
        light = light_curve(rates, gain)
    scale = light / middle(light)
    is_good = xp.isfinite(scale)
    if not bool(is_good.any()):
        raise ValueError("no integration has a finite count rate")
    if not bool(is_good.all()):
        n_bad = int((~is_good).sum())
        log.warning("%d integrations have no count rate: the median is taken", n_bad)
        scale[~is_good] = xp.median(scale[is_good])
    image = xp.empty(exposure.data.shape[1:], xp.float32)
    if image.ndim == 2:
        median_stack(xp.ascontiguousarray(exposure.data), image)
        return MedianImage(image, scale)
    # Some rows, and a group, at a time, so that no copy of all is made.
    for part in in_rows(exposure):
        rows = slice(None) if part is exposure else part.rows
        for k in range(image.shape[0]):
            median_stack(xp.ascontiguousarray(part.data[:, k]), image[k, rows])
    return MedianImage(image, scale)
