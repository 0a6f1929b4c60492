"""From the telescope's focal plane (V2, V3) to the sky."""

from __future__ import annotations

from typing import Any

from jwgpu.errors import InputError

_ARCSEC = 3600.0  # in a degree

#: Keywords of the pointing, and their place in ``meta.wcsinfo``.
_POINTING = {
    "V2_REF": "v2_ref",
    "V3_REF": "v3_ref",
    "ROLL_REF": "roll_ref",
    "RA_REF": "ra_ref",
    "DEC_REF": "dec_ref",
}


def v2v3_to_sky(meta: Any) -> Any:
    """Return the transform from (V2, V3) to the sky that the pointing in the header tells.

    The reference point (V2_REF, V3_REF) is turned to where the telescope looked (RA_REF, DEC_REF,
    with V3 at the position angle ROLL_REF).

    Parameters
    ----------
    meta : ObjectNode
        Metadata tree of the exposure.

    Returns
    -------
    astropy.modeling.Model
        (V2, V3) in arcsec to (right ascension, declination) in degrees, 0 to 360.

    Raises
    ------
    InputError
        If the header lacks the pointing.

    References
    ----------
    "Telescope pointing" in JWST-STScI-005492; Cox & Lallo 2017, JWST-STScI-001550.
    """
    from astropy.modeling.models import RotationSequence3D, Scale
    from gwcs.geometry import CartesianToSpherical, SphericalToCartesian

    pointing = {keyword: getattr(meta.wcsinfo, name) for keyword, name in _POINTING.items()}
    missing = [keyword for keyword, value in pointing.items() if value is None]
    if missing:
        raise InputError(
            f"{meta.filename}: lacks the pointing ({', '.join(missing)}); restore the keywords "
            "from the archive"
        )
    angles = [
        pointing["V2_REF"] / _ARCSEC,
        -pointing["V3_REF"] / _ARCSEC,
        pointing["ROLL_REF"],
        pointing["DEC_REF"],
        -pointing["RA_REF"],
    ]
    to_degrees = Scale(1 / _ARCSEC) & Scale(1 / _ARCSEC)
    transform = (
        to_degrees
        | SphericalToCartesian(wrap_lon_at=180)
        | RotationSequence3D(angles, axes_order="zyxyz")
        | CartesianToSpherical(wrap_lon_at=360)
    )
    transform.name = "v23tosky"
    return transform


def velocity_aberration(meta: Any) -> Any:
    """Return the transform that undoes the differential aberration of light.

    The motion of the telescope makes the field look larger or smaller by the factor VA_SCALE,
    around the reference point, which the guider keeps in its place.

    Parameters
    ----------
    meta : ObjectNode
        Metadata tree of the exposure.

    Returns
    -------
    astropy.modeling.Model
        (V2, V3) to (V2, V3), in arcsec.

    Raises
    ------
    InputError
        If the factor is not positive.
    """
    from astropy.modeling.models import Identity, Scale, Shift

    factor = meta.velocity_aberration.scale_factor
    if factor is None or factor == 1:
        return Identity(2)
    if factor <= 0:
        raise InputError(
            f"{meta.filename}: VA_SCALE is {factor}; it must be positive, or be left out"
        )
    scale = Scale(factor, name="dva_scale_v2") & Scale(factor, name="dva_scale_v3")
    v2_ref, v3_ref = meta.wcsinfo.v2_ref or 0, meta.wcsinfo.v3_ref or 0
    if v2_ref == 0 and v3_ref == 0:
        return scale
    shift = Shift((1 - factor) * v2_ref, name="dva_v2_shift") & Shift(
        (1 - factor) * v3_ref, name="dva_v3_shift"
    )
    transform = scale | shift
    transform.name = "DVA_Correction"
    return transform
