"""What of a geometry fits into FITS keywords: a tangent projection with SIP polynomials."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import Any

log = logging.getLogger(__name__)

_HIGHEST_DEGREE = 5  # tried where none is given

#: Keywords that the new ones replace, in lower case.
_REPLACED = re.compile(
    r"naxis|cdelt[12]|pc[12]_[12]|(a|b|ap|bp)_order|(a|b|ap|bp)_\d_\d", re.IGNORECASE
)


@dataclass(frozen=True)
class SipLimits:
    """How good the approximation shall be.

    Attributes
    ----------
    max_pix_error, max_inv_pix_error : float
        Largest error on the way to the sky, and back, in pixels.
    degree, inv_degree : int or None
        Degree of the polynomials; None for the least that is good enough.
    npoints : int
        Points along each axis that they are fitted to.
    """

    max_pix_error: float = 0.01
    degree: int | None = None
    max_inv_pix_error: float = 0.01
    inv_degree: int | None = None
    npoints: int = 12


def describe_for_fits(meta: Any, limits: SipLimits) -> None:
    """Put an approximation of ``meta.wcs`` into ``meta.wcsinfo``.

    Where it cannot be had within the limits, a warning says so and the keywords stay as they were.

    Parameters
    ----------
    meta : ObjectNode
        Metadata tree of an image with a geometry, changed in place.
    limits : SipLimits

    References
    ----------
    Shupe et al. 2005, ASP Conf. Ser. 347, 491.
    """
    reference_pixel = [meta.wcsinfo.crpix1, meta.wcsinfo.crpix2]
    degrees = range(1, _HIGHEST_DEGREE + 1)
    try:
        header = meta.wcs.to_fits_sip(
            max_pix_error=limits.max_pix_error,
            degree=degrees if limits.degree is None else limits.degree,
            max_inv_pix_error=limits.max_inv_pix_error,
            inv_degree=degrees if limits.inv_degree is None else limits.inv_degree,
            npoints=limits.npoints,
            crpix=None if None in reference_pixel else reference_pixel,
            projection="TAN",
        )
    except (ValueError, RuntimeError) as why:
        log.warning("no approximation of the geometry for FITS: %s", " ".join(str(why).split()))
        return
    keywords = meta.wcsinfo.instance
    for name in [name for name in keywords if _REPLACED.fullmatch(name)]:
        del keywords[name]
    keywords.update(
        {name.lower(): value for name, value in header.items() if not name.startswith("NAXIS")}
    )
