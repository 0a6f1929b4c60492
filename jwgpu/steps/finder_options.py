"""How stars and other sources are found in an image."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

_KRON = (2.5, 1.4, 0.0)


@dataclass(frozen=True)
class FinderOptions:
    """How sources are found; the names are those of parameters of tweakreg and source_catalog.

    Attributes
    ----------
    starfinder : str
        ``dao``, ``iraf`` or ``segmentation``.
    snr_threshold : float
        How far a pixel rises above the background, in its scatter.
    bkg_boxsize : int
        Side of the boxes of the background, in pixels.
    kernel_fwhm : float
        Width of what the image is smoothed with, in pixels.
    minsep_fwhm : float
        Least distance of two stars, in `kernel_fwhm`.
    sigma_radius : float
        Where the smoothing ends, in standard deviations.
    sharplo, sharphi, roundlo, roundhi : float
        Least and largest sharpness and roundness of stars.
    brightest : int or None
        How many stars are kept.
    peakmax : float or None
        Brightest pixel that a star may have.
    npixels, connectivity, deblend, nlevels, contrast, multithresh_mode
        How segments of connected pixels are found, and divided.
    localbkg_width, apermask_method, kron_params
        How they are measured.
    """

    starfinder: str
    snr_threshold: float
    bkg_boxsize: int
    kernel_fwhm: float
    minsep_fwhm: float
    sigma_radius: float
    sharplo: float
    sharphi: float
    roundlo: float
    roundhi: float
    brightest: int | None
    peakmax: float | None
    npixels: int
    connectivity: int
    nlevels: int
    contrast: float
    multithresh_mode: str
    localbkg_width: int
    apermask_method: str
    kron_params: tuple[float, ...]
    deblend: bool

    @classmethod
    def of(cls, step: Any) -> FinderOptions:
        """Return the options that the parameters of a step tell."""
        values = {field.name: getattr(step, field.name) for field in fields(cls)}
        values["connectivity"] = int(values["connectivity"])
        values["kron_params"] = tuple(values["kron_params"] or _KRON)
        return cls(**values)

    @property
    def min_separation(self) -> int:
        """Least distance of two stars, in whole pixels."""
        return max(2, int(self.minsep_fwhm * self.kernel_fwhm + 0.5))
