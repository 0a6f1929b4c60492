"""The geometry of images: detector, V2 and V3 without and with aberration, sky."""

from __future__ import annotations

import logging
from typing import Any

from jwgpu.models.images import Image
from jwgpu.references.types import DistortionReference, FilterOffsetReference
from jwgpu.wcs.pointing import v2v3_to_sky, velocity_aberration

log = logging.getLogger(__name__)

#: Instruments whose filters shift the image, with the keywords that tell the filter.
_FILTER_KEYWORDS = {
    "MIRI": ("filter",),
    "NIRCAM": ("filter", "pupil"),
    "NIRISS": ("filter", "pupil"),
}


def imaging_wcs(
    image: Image, distortion: DistortionReference, offsets: FilterOffsetReference | None
) -> Any:
    """Build the transform of an image to the sky.

    Parameters
    ----------
    image : Image
    distortion : DistortionReference
        Pixel of the full detector, from (0, 0), to (V2, V3) in arcsec.
    offsets : FilterOffsetReference, optional
        Shift of each filter, in pixels, which comes before the distortion.

    Returns
    -------
    gwcs.WCS
        Frames ``detector``, ``v2v3``, ``v2v3vacorr`` and ``world`` (ICRS). Its bounding box is
        that of the distortion, or the image with half a pixel around the centres of the outer
        ones; for a subarray always the latter.

    Raises
    ------
    InputError
        If the header lacks the pointing.
    """
    import gwcs
    from astropy import units as u
    from astropy.coordinates import ICRS
    from gwcs import coordinate_frames as frames

    arcsec = (u.arcsec, u.arcsec)

    def focal_plane(name: str) -> Any:
        axes = {"axes_order": (0, 1), "axes_names": ("v2", "v3"), "unit": arcsec}
        return frames.Frame2D(name=name, **axes)

    detector = frames.Frame2D(name="detector", axes_order=(0, 1), unit=(u.pix, u.pix))
    world = frames.CelestialFrame(name="world", reference_frame=ICRS())
    return gwcs.WCS(
        [
            (detector, _detector_to_v2v3(image, distortion, offsets)),
            (focal_plane("v2v3"), velocity_aberration(image.meta)),
            (focal_plane("v2v3vacorr"), v2v3_to_sky(image.meta)),
            (world, None),
        ]
    )


def footprint(wcs: Any) -> str | None:
    """Return the outline of an image on the sky as the keyword S_REGION has it.

    Parameters
    ----------
    wcs : gwcs.WCS
        Of an image, with a bounding box.

    Returns
    -------
    str or None
        Corners of the bounding box; None where one has no place on the sky.
    """
    import numpy as np

    corners = np.array(wcs.footprint(wcs.bounding_box, center=False, axis_type="spatial"))
    if not np.isfinite(corners).all():
        log.warning("S_REGION stays as it was: a corner of the image has no place on the sky")
        return None
    corners[:, 0] %= 360
    return "POLYGON ICRS  " + " ".join(f"{angle:.9f}" for angle in corners.ravel())


def _detector_to_v2v3(
    image: Image, distortion: DistortionReference, offsets: FilterOffsetReference | None
) -> Any:
    from astropy.modeling import bind_bounding_box
    from astropy.modeling.models import Identity, Shift

    transform = distortion.transform.copy()
    box = distortion.bounding_box
    shift = _filter_shift(image.meta, offsets)
    if shift is not None:
        transform = Shift(shift[0]) & Shift(shift[1]) | transform
    x_start, y_start = image.meta.subarray.xstart, image.meta.subarray.ystart
    if x_start not in (None, 1) or y_start not in (None, 1):
        starts = [
            Identity(1) if start in (None, 1) else Shift(start - 1) for start in (x_start, y_start)
        ]
        transform = starts[0] & starts[1] | transform
        box = None
    if box is None:
        n_y, n_x = image.data.shape[-2:]
        box = ((-0.5, n_x - 0.5), (-0.5, n_y - 0.5))
    bind_bounding_box(transform, box, order="F")
    return transform


def _filter_shift(meta: Any, offsets: FilterOffsetReference | None) -> tuple[float, float] | None:
    """Find the shift of the exposure's filter, in pixels along x and y."""
    if offsets is None:
        return None
    wanted = {
        name: getattr(meta.instrument, name) for name in _FILTER_KEYWORDS[meta.instrument.name]
    }
    for row in offsets.rows:
        if all(row.get(name) == value for name, value in wanted.items()):
            shift = row.get("column_offset"), row.get("row_offset")
            if any(part is None or part == "N/A" for part in shift):
                return None
            return float(shift[0]), float(shift[1])
    log.info("%s has no row for %s: no shift", offsets.path, " ".join(map(str, wanted.values())))
    return None
