"""The grid of pixels that images are resampled to: a tangent projection around them all."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jwgpu.errors import InputError, ParameterError
from jwgpu.wcs.outlines import corners_of, mean_pixel_area, unit_vectors, united

log = logging.getLogger(__name__)

_ARCSEC = 3600.0  # in a degree

#: Bytes of a pixel of a mosaic: data, errors, weight, context, three variances.
_PIXEL = 28

#: Keywords of the first image that place the grid.
_NEEDED = {
    "RA_REF": "ra_ref",
    "DEC_REF": "dec_ref",
    "ROLL_REF": "roll_ref",
    "V3I_YANG": "v3yangle",
    "VPARITY": "vparity",
}


@dataclass(frozen=True)
class GridOptions:
    """What the user wants of the grid; None for what the images suggest.

    Attributes
    ----------
    pixel_scale : float or None
        Side of a pixel, in arcsec.
    pixel_scale_ratio : float
        Side of a pixel relative to that of the first image, where there is no `pixel_scale`.
    rotation : float or None
        Position angle of the columns, in degrees; None for that of the first image's.
    crpix, crval : sequence of 2 floats, or None
        Reference pixel (column and row, from 0), and its place on the sky in degrees.
    shape : (int, int) or None
        Columns and rows.
    """

    pixel_scale: float | None = None
    pixel_scale_ratio: float = 1.0
    rotation: float | None = None
    crpix: Sequence[float] | None = None
    crval: Sequence[float] | None = None
    shape: Sequence[int] | None = None


@dataclass(frozen=True)
class OutputGrid:
    """A grid.

    Attributes
    ----------
    wcs : gwcs.WCS
        With ``array_shape``.
    pixel_scale : float
        Side of a pixel, in arcsec.
    pixel_scale_ratio : float or None
        The same relative to the first image; None where only an image can tell.
    """

    wcs: Any
    pixel_scale: Any
    pixel_scale_ratio: Any = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        n_y, n_x = self.wcs.array_shape
        return int(n_y), int(n_x)


def grid_around(
    metas: Sequence[Any], shape: tuple[int, int], options: GridOptions = GridOptions()
) -> OutputGrid:
    """Lay a grid around images.

    Parameters
    ----------
    metas : sequence of ObjectNode
        Metadata trees of the images, with S_REGION; the first gives scale and rotation.
    shape : (int, int)
        Rows and columns of the first image.
    options : GridOptions

    Raises
    ------
    InputError
        If an image lacks its geometry, or the keywords that place the grid; or if images are so
        far apart that no memory holds a grid around them.
    ParameterError
        If the grid has no pixels.
    """
    first = metas[0]
    _check(metas)
    info = first.wcsinfo
    if options.pixel_scale is None:
        ratio: Any = options.pixel_scale_ratio
        scale = _scale_at(first.wcs, info.ra_ref, info.dec_ref) * ratio
    else:
        scale = options.pixel_scale / _ARCSEC
        area = mean_pixel_area(first.wcs, shape)
        if area is None:
            raise InputError(f"{first.filename}: its geometry gives no area on the sky")
        ratio = scale / np.rad2deg(math.sqrt(area))
    corners = np.vstack([corner for meta in metas for corner in corners_of(meta.wcsinfo.s_region)])
    centre = middle(corners) if options.crval is None else tuple(options.crval)
    matrix = _rotation(info, options.rotation)
    wcs = _tangent_plane(first.wcs, corners, centre, matrix, scale, options)
    log.info("the output has %d x %d pixels of %.5f arcsec", *wcs.pixel_shape, _ARCSEC * scale)
    if options.shape is None:
        _check_size(wcs.pixel_shape, metas)
    if len(metas) > 1:
        _warn_of_gaps(metas, wcs)
    return OutputGrid(wcs, _ARCSEC * scale, ratio)


def read_grid(path: str | Path, shape: Sequence[int] | None = None) -> OutputGrid:
    """Read a grid from an ASDF file.

    Parameters
    ----------
    path : str or Path
        With ``wcs``, and perhaps ``array_shape`` or ``pixel_shape``, and ``pixel_scale`` (arcsec)
        or ``pixel_area`` (square arcsec).
    shape : (int, int), optional
        Columns and rows, instead of those that the file tells.

    Raises
    ------
    InputError
        If the file cannot be read, or does not tell the grid.
    """
    import asdf

    try:
        with asdf.open(path) as file:
            wcs = deepcopy(file.tree["wcs"])
            told = {
                name: file.tree.get(name)
                for name in ("array_shape", "pixel_shape", "pixel_scale", "pixel_area")
            }
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{path}: no output_wcs can be read ({error!r}); give an ASDF file with a key wcs"
        ) from error
    if wcs.output_frame.naxes != 2:
        raise InputError(f"{path}: the output_wcs has {wcs.output_frame.naxes} axes, not 2")
    if told["array_shape"] is None and told["pixel_shape"] is not None:
        told["array_shape"] = told["pixel_shape"][::-1]
    if shape is not None:
        wcs.array_shape = tuple(shape[::-1])
    elif wcs.array_shape is None:
        wcs.array_shape = told["array_shape"] or _shape_of_box(wcs, path)
    scale = told["pixel_scale"]
    if scale is None and told["pixel_area"] is not None:
        scale = np.sqrt(told["pixel_area"])
    if scale is None:
        area = mean_pixel_area(wcs, wcs.array_shape)
        if area is None:
            raise InputError(f"{path}: the output_wcs gives no area on the sky")
        scale = _ARCSEC * np.rad2deg(math.sqrt(area))
    return OutputGrid(wcs, scale)


def _shape_of_box(wcs: Any, path: str | Path) -> tuple[int, ...]:
    if wcs.bounding_box is None:
        raise InputError(
            f"{path}: nothing tells the shape of the output_wcs; give output_shape, or store "
            "array_shape, pixel_shape or a bounding box"
        )
    return tuple(int(high + 0.5) for _, high in wcs.bounding_box.bounding_box(order="C"))


def _check_size(shape: tuple[int, int], metas: Sequence[Any]) -> None:
    """Refuse a grid that cannot be: mostly of images that do not belong together."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if math.prod(shape) * _PIXEL <= memory:
        return
    what = f"needs {shape[0]} x {shape[1]} pixels, more than this machine's memory holds"
    if len(metas) == 1:
        raise InputError(f"{metas[0].filename}: its image {what}: choose a larger pixel_scale")
    corners = np.array([corners_of(meta.wcsinfo.s_region)[0][0] for meta in metas])
    along_ra = (corners[:, 0] - corners[0, 0] + 180) % 360 - 180
    along_ra *= math.cos(math.radians(corners[0, 1]))
    away = np.hypot(along_ra, corners[:, 1] - corners[0, 1])
    other = metas[int(np.argmax(away))]
    raise InputError(
        f"{metas[0].filename}, {other.filename}: do not overlap, {max(away):.2g} degrees apart; an "
        f"image of both {what}: take out what does not belong there, or give output_shape and crval"
    )


def _warn_of_gaps(metas: Sequence[Any], wcs: Any) -> None:
    """Tell that some images do not overlap the others, which may be wanted."""
    outline = united([meta.wcsinfo.s_region for meta in metas], wcs)
    n_parts = len(corners_of(outline or ""))
    if n_parts > 1:
        log.warning("not all images overlap: there are %d parts with gaps between them", n_parts)


def _check(metas: Sequence[Any]) -> None:
    for meta in metas:
        if not meta.hasattr("wcs") or meta.wcs is None or not meta.wcsinfo.s_region:
            raise InputError(f"{meta.filename}: has no geometry (S_REGION); run assign_wcs first")
    first = metas[0]
    if first.wcs.output_frame.naxes != 2:
        raise InputError(f"{first.filename}: its geometry is not that of an image")
    missing = [key for key, name in _NEEDED.items() if getattr(first.wcsinfo, name) is None]
    if missing:
        raise InputError(
            f"{first.filename}: lacks {', '.join(missing)}; restore them from the archive"
        )


def _scale_at(wcs: Any, ra: float, dec: float) -> float:
    """Return the side of a pixel there, in degrees: the geometric mean of both axes."""
    from astropy.coordinates import SkyCoord

    x, y = wcs.invert(ra, dec, with_bounding_box=False)
    # One pixel to the right, and one up.
    places = wcs(np.array([x, x + 1, x]), np.array([y, y, y + 1]), with_bounding_box=False)
    here, right, up = SkyCoord(*places, unit="deg")
    return float(np.sqrt(here.separation(right).deg * here.separation(up).deg))


def middle(corners: Any) -> tuple[float, float]:
    """Return the middle of places on the sky: that of the box around their unit vectors."""
    vectors = unit_vectors(*np.transpose(corners))
    x, y, z = (vectors.max(axis=0) + vectors.min(axis=0)) / 2
    return np.rad2deg(np.arctan2(y, x)) % 360.0, np.rad2deg(np.arctan2(z, np.hypot(x, y)))


def _rotation(info: Any, rotation: float | None) -> Any:
    """Return the matrix from pixels to the tangent plane, of scale 1."""
    # The position angle of the columns: rotation, or what the pointing of the image says.
    yangle = info.vparity * np.deg2rad(info.v3yangle)
    roll = np.deg2rad(info.roll_ref) if rotation is None else np.deg2rad(rotation) + yangle
    angle = roll - yangle
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[info.vparity * cosine, sine], [-info.vparity * sine, cosine]])


def _tangent_plane(
    wcs: Any, corners: Any, centre: Any, matrix: Any, scale: float, options: GridOptions
) -> Any:
    """Return a geometry whose pixels hold all corners."""
    import gwcs
    from astropy.modeling import models
    from gwcs.fitswcs import FITSImagingWCSTransform

    projection = models.Pix2Sky_TAN()
    to_sky = (
        models.AffineTransformation2D(matrix=matrix)
        | models.Scale(scale) & models.Scale(scale)
        | projection
        | models.RotateNative2Celestial(centre[0], centre[1], 180)
    )
    places = np.array(to_sky.inverse(*corners.T))
    reference = np.array(to_sky.inverse(*centre))
    low, high = places.min(axis=1), places.max(axis=1)
    if options.crpix is None:
        shift = reference - low
    else:
        # Quirk: the middle lies at the origin but for rounding, so this is crpix.
        shift = np.asarray(options.crpix) - reference
    low, high = low + shift, high + shift
    if options.shape is None:
        shape = [int(edge + 0.5) for edge in high]
        box = tuple((-0.5, size - 0.5) for size in shape)
    else:
        shape = [int(size) for size in options.shape]
        box = tuple(
            (max(0, int(first + 0.5)) - 0.5, min(int(last + 0.5), size) - 0.5)
            for first, last, size in zip(low, high, shape, strict=True)
        )
    if min(shape) < 2:
        raise ParameterError(
            f"the output would have {shape[0]} x {shape[1]} pixels: check crpix, crval, "
            "pixel_scale and output_shape"
        )
    transform = FITSImagingWCSTransform(
        projection, crpix=tuple(shift), crval=centre, cdelt=[scale, scale], pc=matrix
    )
    grid = gwcs.WCS([gwcs.Step(wcs.input_frame, transform), gwcs.Step(wcs.output_frame, None)])
    grid.bounding_box = box
    grid.pixel_shape = tuple(shape)
    return grid
