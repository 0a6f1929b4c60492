"""Finding stars in an image: background, threshold, places and fluxes."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jwgpu.errors import ParameterError
from jwgpu.kernels.compiled import over_rows
from jwgpu.kernels.smoothing import smooth
from jwgpu.models.flags import DO_NOT_USE, NON_SCIENCE
from jwgpu.models.images import Image
from jwgpu.steps.image_background import Background, background_of
from jwgpu.steps.source_finding import divided

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
    npixels, connectivity, deblend, nlevels, contrast, multithresh_mode
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
    multithresh_mode: str = "exponential"
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
            stars = finder(image.data - background.level(), mask, background, options, image.err)
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


def _by_peaks(data: Any, mask: Any, background: Background, options: FinderOptions, _: Any) -> Any:
    """Find stars by peaks of the smoothed image."""
    from photutils import use_future_column_names
    from photutils.detection import DAOStarFinder, IRAFStarFinder

    kind = IRAFStarFinder if options.finder == "iraf" else DAOStarFinder
    more = {
        "sigma_radius": options.sigma_radius,
        "sharpness_range": options.sharpness,
        "roundness_range": options.roundness,
        "n_brightest": options.brightest,
        "peak_max": options.peakmax,
    }
    threshold = _median(background.scatter(), options.snr_threshold)
    finder = kind(threshold, options.kernel_fwhm, **more)
    least = getattr(finder, "threshold_eff", threshold)
    places = _peaks(data, mask, finder.kernel.data, least, int(options.min_separation))
    if not len(places):
        return None
    # Measured is on a sheet of cutouts, because the finder smooths all that it is given.
    sheet, height, middles = _cutouts(data, places, finder.kernel.data.shape)
    with use_future_column_names():
        stars = kind(threshold, options.kernel_fwhm, xycoords=middles, **more)(sheet)
    if stars is not None:
        number = (stars["y_centroid"] + 0.5).astype(int) // height
        for column, axis in (("x_centroid", 0), ("y_centroid", 1)):
            stars[column] += places[number, axis] - middles[number, axis]
    return stars


def _cutouts(data: Any, places: Any, kernel: tuple[int, int]) -> tuple[Any, int, Any]:
    """Put what is around some places of an image on a sheet, one below the other.

    Parameters
    ----------
    data : array, (y, x) float32
    places : array, (places, 2) int
        Columns and rows.
    kernel : (int, int)
        Rows and columns of what the sheet can be smoothed with.

    Returns
    -------
    array, int, array
        The sheet, with zeros beyond the image; the rows of each cutout; and the places on the
        sheet.
    """
    reach = [2 * (size // 2) for size in kernel]
    height, width = (2 * one + 1 for one in reach)
    y = places[:, 1, None] + np.arange(-reach[0], reach[0] + 1)
    x = places[:, 0, None] + np.arange(-reach[1], reach[1] + 1)
    n_y, n_x = data.shape
    inside = ((y >= 0) & (y < n_y))[:, :, None] & ((x >= 0) & (x < n_x))[:, None, :]
    cut = data[np.clip(y, 0, n_y - 1)[:, :, None], np.clip(x, 0, n_x - 1)[:, None, :]]
    sheet = np.where(inside, cut, np.float32(0)).reshape(-1, width)
    rows = np.arange(len(places)) * height + reach[0]
    return sheet, height, np.column_stack([np.full(len(places), reach[1]), rows])


def _peaks(data: Any, mask: Any, kernel: Any, threshold: float, radius: int) -> Any:
    """Return where a smoothed image is brightest within a circle.

    Parameters
    ----------
    data : array, (y, x) float32
    mask : array, (y, x) bool
        Where there are no stars.
    kernel : array, (y, x) float64
        What the image is smoothed with.
    threshold : float
    radius : int
        Of the circle, in pixels.

    Returns
    -------
    array, (peaks, 2) int
        Columns and rows, in the order of the rows.
    """
    smooth = _smoothed(data, kernel)
    if (smooth == smooth.flat[0]).all():
        return np.empty((0, 2), int)
    n_y, n_x = smooth.shape
    y, x = np.divmod(np.flatnonzero(smooth > threshold), n_x)
    kept = ~mask[y, x]
    y, x = y[kept], x[kept]
    reach = range(-radius, radius + 1)
    circle = [(dy, dx) for dy in reach for dx in reach if 0 < dy * dy + dx * dx <= radius * radius]
    for dy, dx in circle:
        # Beyond the image lie zeros; what is NaN is no brighter than anything.
        inside = (y + dy >= 0) & (y + dy < n_y) & (x + dx >= 0) & (x + dx < n_x)
        other = smooth[np.clip(y + dy, 0, n_y - 1), np.clip(x + dx, 0, n_x - 1)]
        kept = ~(np.where(inside, other, 0) > smooth[y, x])
        y, x = y[kept], x[kept]
    return np.column_stack([x, y])


def _smoothed(data: Any, kernel: Any) -> Any:
    """Convolve an image with a kernel; beyond the image lie zeros."""
    from scipy.ndimage import convolve

    smooth = np.empty_like(data)
    reach = kernel.shape[0] // 2

    def smooth_rows(first: int, stop: int) -> None:
        start = max(first - reach, 0)
        found = convolve(data[start : stop + reach], kernel, mode="constant", cval=0.0)
        smooth[first:stop] = found[first - start : stop - start]

    over_rows(smooth_rows, len(data))
    return smooth


def _median(image: Any, factor: float) -> Any:
    """Return the median of an image without NaN times a factor; its pixels lose their order."""
    values = image.ravel()
    middle = (values.size - 1) // 2, values.size // 2
    values.partition(middle)
    return (factor * values[middle[0] : middle[1] + 1]).mean()


def _by_segments(data: Any, mask: Any, background: Any, options: FinderOptions, err: Any) -> Any:
    """Find stars as segments of connected pixels above the threshold."""
    from astropy.convolution import Gaussian2DKernel
    from astropy.stats import gaussian_fwhm_to_sigma
    from photutils import use_future_column_names
    from photutils.segmentation import SourceCatalog, detect_sources

    smoothed = data
    if options.kernel_fwhm > 0:
        kernel = Gaussian2DKernel(options.kernel_fwhm * gaussian_fwhm_to_sigma)
        smoothed = smooth(data, mask, kernel.array)
    threshold = options.snr_threshold * background.scatter()
    segments = detect_sources(
        smoothed, threshold, options.npixels, connectivity=options.connectivity, mask=mask
    )
    if segments is None:
        return None
    if options.deblend:
        segments = divided(smoothed, segments, options)
    with use_future_column_names():
        return SourceCatalog(
            data,
            segments,
            mask=mask,
            convolved_data=smoothed,
            error=err,
            local_bkg_width=options.local_background_width,
            aperture_mask_method=options.aperture_mask_method,
            kron_params=tuple(options.kron or (2.5, 1.4, 0.0)),
        ).to_table(columns=["label", "x_centroid", "y_centroid", "segment_flux"])


def _without_stars() -> Any:
    from astropy.table import QTable

    return QTable(names=_COLUMNS, dtype=(int, float, float, float))
