"""The stars of an image that it is aligned by."""

from __future__ import annotations

import logging
import warnings
from typing import Any

from jwgpu.errors import ParameterError
from jwgpu.models.flags import DO_NOT_USE, NON_SCIENCE
from jwgpu.models.images import Image
from jwgpu.steps.finder_options import FinderOptions
from jwgpu.steps.image_background import background_of
from jwgpu.steps.peak_finding import find_peaks
from jwgpu.steps.segment_finding import find_segments

log = logging.getLogger(__name__)

_COLUMNS = ("id", "xcentroid", "ycentroid", "flux")
_OF_SEGMENTS = ("label", "x_centroid", "y_centroid", "segment_flux")


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
    above = image.data - background.level()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there are none, or NaN among the pixels
            stars = _found(above, image.err, mask, background.scatter(), options)
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


def _found(above: Any, err: Any, mask: Any, scatter: Any, options: FinderOptions) -> Any:
    """Return the table of what stands out from the background; None if nothing does."""
    if options.starfinder != "segmentation":
        return find_peaks(above, mask, scatter, options)
    threshold = options.snr_threshold * scatter
    found = find_segments(above, err, mask, threshold, options, _OF_SEGMENTS)
    return None if found is None else found[0]


def _without_stars() -> Any:
    from astropy.table import QTable

    return QTable(names=_COLUMNS, dtype=(int, float, float, float))
