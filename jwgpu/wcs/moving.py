"""The geometry of a moving target: the sky, shifted so that the target stands still."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

#: Name of the frame.
MOVING_TARGET = "moving_target"


def with_moving_target(wcs: Any, ra: float, dec: float) -> Any:
    """Append the frame of a moving target to a geometry.

    Parameters
    ----------
    wcs : gwcs.WCS
        Pixels to the sky, and perhaps the wavelength, without that frame; left as it is.
    ra, dec : float
        Where the target shall be, less where it was in this exposure, in degrees: added to right
        ascension and declination as they are.

    Returns
    -------
    gwcs.WCS
        Its transform to ``world`` is the one of before, its last frame ``moving_target``.
    """
    import gwcs
    from astropy.modeling.models import Identity, Shift

    frame = deepcopy(wcs.output_frame)
    frame.name = MOVING_TARGET
    shift = Shift(ra) & Shift(dec)
    if frame.naxes > 2:
        shift = shift & Identity(frame.naxes - 2)
    return gwcs.WCS([*wcs.pipeline[:-1], (wcs.output_frame, shift), (frame, None)])
