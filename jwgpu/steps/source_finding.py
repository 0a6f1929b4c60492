"""The sources of an image, with the columns that their finder measures."""

from __future__ import annotations

import logging
import warnings
from typing import Any, NamedTuple

from jwgpu.errors import ParameterError
from jwgpu.steps.finder_options import FinderOptions
from jwgpu.steps.image_background import background_of
from jwgpu.steps.peak_finding import find_peaks
from jwgpu.steps.segment_finding import find_segments

log = logging.getLogger(__name__)

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


def check(finder: FinderOptions) -> None:
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


def find_sources(
    data: Any, err: Any, is_empty: Any, wcs: Any, finder: FinderOptions
) -> Sources | None:
    """Find sources.

    Parameters
    ----------
    data, err : array, (y, x) float32
        In Jy; changed nowhere.
    is_empty : array, (y, x) bool
        Where there are no data.
    wcs : gwcs.WCS
    finder : FinderOptions

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
    find = _segmented if finder.starfinder == "segmentation" else _stars
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of photutils, that there are none, or NaN
        return find(above, err, background.scatter(), is_empty, wcs, finder)


def _segmented(
    above: Any, err: Any, scatter: Any, is_empty: Any, wcs: Any, finder: FinderOptions
) -> Sources | None:
    """Find sources as connected pixels of the smoothed image, and measure them."""
    import astropy.units as u

    threshold = finder.snr_threshold * scatter
    found = find_segments(above, err, is_empty, threshold, finder, _COLUMNS, unit=u.Jy, wcs=wcs)
    if found is None:
        return None
    table, segments = found
    return Sources(_renamed(table), dict(table.meta), segments)


def _stars(
    above: Any, err: Any, scatter: Any, is_empty: Any, wcs: Any, finder: FinderOptions
) -> Sources | None:
    """Find point sources; there are no segments then."""
    import astropy.units as u

    del err, wcs
    try:
        table = find_peaks(above, is_empty, scatter, finder)
    except (TypeError, ValueError) as why:
        raise ParameterError(f"starfinder={finder.starfinder}: {why}") from None
    if not table:
        return None
    table["flux"] <<= u.Jy
    return Sources(_renamed(table), dict(table.meta), None)


def _renamed(table: Any) -> dict[str, Any]:
    names = [name for name in table.colnames if name in _NAMES or name in _KEPT]
    return {_NAMES.get(name, name): table[name] for name in names}
