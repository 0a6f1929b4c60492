"""Finding sources in an image, and measuring their segments."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from jwgpu.errors import ParameterError
from jwgpu.kernels.segments import find_divisible, find_extremes
from jwgpu.kernels.smoothing import smooth
from jwgpu.steps.image_background import background_of

log = logging.getLogger(__name__)

_BEND = 0.25  # of levels that rise as a hyperbolic sine

_COLUMNS = (
    *("label", "x_centroid", "y_centroid", "sky_centroid", "area", "semimajor_axis"),
    *("semiminor_axis", "orientation", "segment_flux", "segment_flux_err", "ellipticity"),
    *("sky_bbox_ll", "sky_bbox_ul", "sky_bbox_lr", "sky_bbox_ur"),
)

#: Names of columns as catalogues have them, for those of each finder.
_NAMES = {
    "id": "label",
    "x_centroid": "xcentroid",
    "y_centroid": "ycentroid",
    "segment_flux": "isophotal_flux",
    "flux": "isophotal_flux",
    "segment_flux_err": "isophotal_flux_err",
    "area": "isophotal_area",
    "semimajor_axis": "semimajor_sigma",
    "semiminor_axis": "semiminor_sigma",
}
_KEPT = frozenset(
    [
        *("label", "sky_centroid", "orientation", "ellipticity"),
        *("sky_bbox_ll", "sky_bbox_ul", "sky_bbox_lr", "sky_bbox_ur"),
    ]
)


@dataclass(frozen=True)
class Finder:
    """How to find sources; the names are those of the parameters of source_catalog."""

    starfinder: str
    snr_threshold: float
    bkg_boxsize: int
    kernel_fwhm: float
    minsep_fwhm: float
    sigma_radius: float
    sharpness: tuple[float, float]
    roundness: tuple[float, float]
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


def check(finder: Finder) -> None:
    """Check parameters before the work starts.

    Raises
    ------
    ParameterError
        If they make no sense, or officially end in an error.
    """
    for name in ("npixels", "nlevels", "bkg_boxsize"):
        if getattr(finder, name) < 1:
            raise ParameterError(f"{name}={getattr(finder, name)}: it must be 1 or larger")
    if not 0 <= finder.contrast <= 1:
        raise ParameterError(f"contrast={finder.contrast}: it must be between 0 and 1")
    if finder.localbkg_width < 0:
        raise ParameterError(f"localbkg_width={finder.localbkg_width}: it must not be negative")
    if min(finder.kron_params[:2]) <= 0 or min(finder.kron_params) < 0:
        raise ParameterError(f"kron_params={list(finder.kron_params)}: they must be positive")
    if finder.kernel_fwhm <= 0:
        raise ParameterError(f"kernel_fwhm={finder.kernel_fwhm}: it must be larger than 0")
    if finder.starfinder != "segmentation" and finder.peakmax is not None:
        # Quirk: officially it has no unit, and the image is in Jy: an error.
        raise ParameterError(f"peakmax={finder.peakmax}: it cannot be used here: leave it out")


class Sources(NamedTuple):
    """What was found.

    Attributes
    ----------
    columns : dict
        Names as in a catalogue, to arrays, quantities or coordinates.
    meta : dict
        Of the finder's table: versions, parameters.
    segments : array, (y, x) int32, or None
        Label of the source that each pixel belongs to; 0 for none.
    """

    columns: dict[str, Any]
    meta: dict[str, Any]
    segments: Any


def find_sources(data: Any, err: Any, is_empty: Any, wcs: Any, finder: Finder) -> Sources | None:
    """Find sources.

    Parameters
    ----------
    data, err : array, (y, x) float32
        In Jy; changed nowhere.
    is_empty : array, (y, x) bool
        Where there are no data.
    wcs : gwcs.WCS
    finder : Finder

    Returns
    -------
    Sources or None
        None if there are none, or nothing is there to look at.
    """
    background = background_of(data, finder.bkg_boxsize, is_empty)
    if background is None:
        log.warning("no pixel has data, so there is no sky and are no sources")
        return None
    above = data - background.level()
    threshold = finder.snr_threshold * background.scatter()
    if finder.starfinder == "segmentation":
        return _segmented(above, err, threshold, is_empty, wcs, finder)
    return _stars(above, threshold, is_empty, finder)


def _segmented(
    above: Any, err: Any, threshold: Any, is_empty: Any, wcs: Any, finder: Finder
) -> Sources | None:
    """Find sources as connected pixels of the smoothed image, and measure them."""
    import astropy.units as u
    from astropy.convolution import Gaussian2DKernel
    from astropy.stats import gaussian_fwhm_to_sigma
    from photutils import use_future_column_names
    from photutils.segmentation import SourceCatalog, detect_sources

    kernel = Gaussian2DKernel(finder.kernel_fwhm * gaussian_fwhm_to_sigma)
    smoothed = smooth(above, is_empty, kernel.array)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of photutils, that there are none, or NaN
        segments = detect_sources(
            smoothed, threshold, finder.npixels, connectivity=finder.connectivity, mask=is_empty
        )
        if segments is None:
            return None
        if finder.deblend:
            segments = divided(smoothed, segments, finder)
        with use_future_column_names():
            table = SourceCatalog(
                above << u.Jy,
                segments,
                convolved_data=smoothed << u.Jy,
                error=err << u.Jy,
                mask=is_empty,
                wcs=wcs,
                local_bkg_width=finder.localbkg_width,
                aperture_mask_method=finder.apermask_method,
                kron_params=finder.kron_params,
            ).to_table(columns=list(_COLUMNS))
    return Sources(_renamed(table), dict(table.meta), segments.data)


def divided(smoothed: Any, segments: Any, finder: Any) -> Any:
    """Take segments apart that consist of several peaks; only few do.

    Parameters
    ----------
    smoothed : array, (y, x) float32
    segments : photutils.segmentation.SegmentationImage
    finder : Finder, or another that has its parameters of segments
    """
    from photutils.segmentation import deblend_sources

    if finder.contrast == 1:
        return segments
    boxes = np.array(
        [
            (label, rows.start, rows.stop, columns.start, columns.stop)
            for label, (rows, columns) in zip(segments.labels, segments.slices, strict=True)
        ],
        np.int64,
    )
    low, high = find_extremes(smoothed, segments.data, boxes)
    levels = _levels(low, high, finder)
    corners = finder.connectivity == 8
    is_divisible = find_divisible(
        smoothed, segments.data, boxes, levels, finder.npixels, corners=corners
    )
    labels = segments.labels[is_divisible]
    if not len(labels):
        return segments
    divided = deblend_sources(
        smoothed,
        segments,
        finder.npixels,
        labels=labels,
        n_levels=finder.nlevels,
        contrast=finder.contrast,
        mode=finder.multithresh_mode,
        connectivity=finder.connectivity,
        relabel=False,
        progress_bar=False,
    )
    _count_labels(divided.data)
    return divided


def _count_labels(segments: Any) -> None:
    """Give segments the labels 1, 2, 3, … in the order of those they have, in place."""
    from scipy import ndimage

    found = [n for n, part in enumerate(ndimage.find_objects(segments), start=1) if part]
    labels = np.zeros(found[-1] + 1, segments.dtype)
    labels[found] = np.arange(1, len(found) + 1)
    np.take(labels, segments, out=segments, mode="clip")


def _levels(low: Any, high: Any, finder: Any) -> Any:
    """Return the levels at which segments are looked at, (segments, levels) float64.

    They are between the least and the largest value of each: evenly spaced, or closer where it is
    faint. Where it is negative, they are evenly spaced.
    """
    even = np.linspace(low, high, finder.nlevels + 2, axis=-1)
    if finder.multithresh_mode != "linear":
        with np.errstate(divide="ignore", invalid="ignore"):
            low, high = low[:, None], high[:, None]
            share = (even - low) / (high - low)
            if finder.multithresh_mode == "sinh":
                bent = np.sinh(share / _BEND) / np.sinh(1.0 / _BEND) * (high - low) + low
            else:
                bent = np.where(low > 0, low * (high / low) ** share, even)
        even = bent
    return np.ascontiguousarray(even[:, 1:-1], np.float64)


def _stars(above: Any, threshold: Any, is_empty: Any, finder: Finder) -> Sources | None:
    """Find point sources; there are no segments then."""
    import astropy.units as u
    from photutils import use_future_column_names
    from photutils.detection import DAOStarFinder, IRAFStarFinder

    options: dict[str, Any] = {
        "sigma_radius": finder.sigma_radius,
        "min_separation": max(2, int(finder.minsep_fwhm * finder.kernel_fwhm + 0.5)),
        "sharpness_range": finder.sharpness,
        "roundness_range": finder.roundness,
        "peak_max": finder.peakmax,
        "n_brightest": finder.brightest,
    }
    kind = DAOStarFinder if finder.starfinder == "dao" else IRAFStarFinder
    try:
        search = kind(np.median(threshold) * u.Jy, finder.kernel_fwhm, **options)
    except (TypeError, ValueError) as why:
        raise ParameterError(f"starfinder={finder.starfinder}: {why}") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with use_future_column_names():
            table = search(above << u.Jy, mask=is_empty)
    return Sources(_renamed(table), dict(table.meta), None) if table else None


def _renamed(table: Any) -> dict[str, Any]:
    names = [name for name in table.colnames if name in _NAMES or name in _KEPT]
    return {_NAMES.get(name, name): table[name] for name in names}
