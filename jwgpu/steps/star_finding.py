"""Finding stars in an image: background, threshold, places and fluxes."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jwgpu.errors import ParameterError
from jwgpu.models.flags import DO_NOT_USE, NON_SCIENCE
from jwgpu.models.images import Image
from jwgpu.steps.image_background import background_of

log = logging.getLogger(__name__)

_COLUMNS = ("id", "xcentroid", "ycentroid", "flux")


@dataclass(frozen=True)
class FinderOptions:
    """How stars are found.

    Attributes
    ----------
    finder : str
        ``dao``, ``iraf`` or ``segmentation``.
    snr_threshold : float
        How far a pixel rises above the background, in its scatter.
    kernel_fwhm : float
        Width of what the image is smoothed with, in pixels.
    bkg_boxsize : int
        Side of the boxes of the background, in pixels.
    min_separation : float
        Least distance of two stars, in pixels.
    sigma_radius : float
        Where the smoothing ends, in standard deviations.
    sharpness, roundness : (float, float)
        Least and largest.
    brightest : int or None
        How many are kept.
    peakmax : float or None
        Brightest pixel that a star may have.
    npixels, connectivity, deblend, nlevels, contrast, mode
        How segments of connected pixels are found, and divided.
    local_background_width, aperture_mask_method, kron
        How they are measured.
    """

    finder: str = "iraf"
    snr_threshold: float = 10.0
    kernel_fwhm: float = 2.5
    bkg_boxsize: int = 400
    min_separation: float = 2
    sigma_radius: float = 1.5
    sharpness: tuple[float, float] = (0.5, 2.0)
    roundness: tuple[float, float] = (0.0, 0.2)
    brightest: int | None = 200
    peakmax: float | None = None
    npixels: int = 10
    connectivity: int = 8
    deblend: bool = True
    nlevels: int = 32
    contrast: float = 0.001
    mode: str = "exponential"
    local_background_width: int = 0
    aperture_mask_method: str = "correct"
    kron: Sequence[float] | None = None


def find_stars(image: Image, options: FinderOptions) -> Any:
    """Find the stars of an image.

    Parameters
    ----------
    image : Image
        On the host. What is flagged DO_NOT_USE or NON_SCIENCE is left out.
    options : FinderOptions

    Returns
    -------
    astropy.table.QTable
        ``id``, ``xcentroid`` and ``ycentroid`` (pixels from 0) and ``flux``; empty where there are
        none.

    Raises
    ------
    ParameterError
        If an option makes no sense.
    """
    mask = (image.dq & (NON_SCIENCE | DO_NOT_USE)) != 0
    background = background_of(image.data, options.bkg_boxsize, mask)
    if background is None:
        log.warning("%s: has no pixels to take the background from", image.meta.filename)
        return _without_stars()
    finder = {"dao": _by_peaks, "iraf": _by_peaks, "segmentation": _by_segments}[options.finder]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there are none, or NaN among the pixels
            stars = finder(image.data - background.level, mask, background, options, image.err)
    except (ValueError, TypeError) as error:
        raise ParameterError(f"the star finder refuses its parameters: {error}") from error
    if stars is None or not len(stars):
        return _without_stars()
    names = {"x_centroid": "xcentroid", "y_centroid": "ycentroid"}
    names |= {"segment_flux": "flux", "label": "id"}
    for old, new in names.items():
        if old in stars.colnames:
            stars.rename_column(old, new)
    return stars[list(_COLUMNS)]


def _by_peaks(data: Any, mask: Any, background: Any, options: FinderOptions, err: Any) -> Any:
    """Find stars by peaks of the smoothed image."""
    del err
    from photutils import use_future_column_names
    from photutils.detection import DAOStarFinder, IRAFStarFinder

    kind = IRAFStarFinder if options.finder == "iraf" else DAOStarFinder
    threshold = np.median(options.snr_threshold * background.scatter())
    finder = kind(
        threshold,
        options.kernel_fwhm,
        sigma_radius=options.sigma_radius,
        min_separation=options.min_separation,
        sharpness_range=options.sharpness,
        roundness_range=options.roundness,
        n_brightest=options.brightest,
        peak_max=options.peakmax,
    )
    with use_future_column_names():
        return finder(data, mask=mask)


def _by_segments(data: Any, mask: Any, background: Any, options: FinderOptions, err: Any) -> Any:
    """Find stars as segments of connected pixels above the threshold."""
    from astropy.convolution import Gaussian2DKernel, convolve
    from astropy.stats import gaussian_fwhm_to_sigma
    from photutils import use_future_column_names
    from photutils.segmentation import SourceCatalog, SourceFinder

    smooth = data
    if options.kernel_fwhm > 0:
        kernel = Gaussian2DKernel(options.kernel_fwhm * gaussian_fwhm_to_sigma)
        smooth = convolve(data, kernel, mask=mask)
    finder = SourceFinder(
        options.npixels,
        connectivity=options.connectivity,
        deblend=options.deblend,
        n_levels=options.nlevels,
        contrast=options.contrast,
        mode=options.mode,
        progress_bar=False,
    )
    segments = finder(smooth, options.snr_threshold * background.scatter(), mask=mask)
    if segments is None:
        return None
    with use_future_column_names():
        return SourceCatalog(
            data,
            segments,
            mask=mask,
            convolved_data=smooth,
            error=err,
            local_bkg_width=options.local_background_width,
            aperture_mask_method=options.aperture_mask_method,
            kron_params=tuple(options.kron or (2.5, 1.4, 0.0)),
        ).to_table(columns=["label", "x_centroid", "y_centroid", "segment_flux"])


def _without_stars() -> Any:
    from astropy.table import QTable

    return QTable(names=_COLUMNS, dtype=(int, float, float, float))
