"""Resampling images to a grid: weights, drizzle, errors, times, keywords."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.errors import InputError, ParameterError
from jwgpu.kernels.drizzle import Drop, Pixels, Sums, drizzle, finish
from jwgpu.models.blending import Blender
from jwgpu.models.flags import DO_NOT_USE, NON_SCIENCE
from jwgpu.models.images import Image, row_by_row
from jwgpu.models.library import group_of
from jwgpu.models.mosaics import Mosaic, new_model
from jwgpu.models.unchecked import unchecked
from jwgpu.wcs.outlines import mean_pixel_area, united
from jwgpu.wcs.output import OutputGrid
from jwgpu.wcs.pixel_map import pixel_map

log = logging.getLogger(__name__)

#: Variances in the order in which they are added up.
_VARIANCES = ("var_rnoise", "var_flat", "var_poisson")

_BITS = 32  # of a plane of the context

#: Keywords of the geometry of a detector, which a grid does not have.
_DISTORTION = re.compile(r"cd\d_\d|(a|b|ap|bp)_(order|\d_\d)")
_POINTING = ("v2_ref", "v3_ref", "ra_ref", "dec_ref", "roll_ref", "v3yangle", "vparity")


@dataclass(frozen=True)
class Options:
    """How images are resampled.

    Attributes
    ----------
    kernel, pixfrac
        How the light of a pixel is spread; see `jwgpu.kernels.drizzle.Drop`.
    fillval : str
        Value of pixels that nothing fell on: a number, ``NAN`` or ``INDEF``.
    weight_type : str
        ``ivm``: the inverse of the variance by read noise; ``exptime``: the time.
    bad_flags : int
        Pixels with one of these flags have no weight.
    errors : str or None
        ``variances``: from the resampled variances; ``drizzled``: the errors resampled as the
        data are; None for no errors.
    with_context, with_variances, with_flags : bool
        Whether the mosaic gets them.
    blend : bool
        Combine the keywords of the images; else they are those of the first.
    step, order
        See `jwgpu.wcs.pixel_map.pixel_map`.
    """

    kernel: str = "square"
    pixfrac: float = 1.0
    fillval: str = "NAN"
    weight_type: str = "ivm"
    bad_flags: int = int(DO_NOT_USE | NON_SCIENCE)
    errors: Literal["variances", "drizzled"] | None = "variances"
    with_context: bool = True
    with_variances: bool = True
    with_flags: bool = False
    blend: bool = False
    step: float = 1.0
    order: int = 1

    @property
    def fill(self) -> float:
        """The number behind `fillval`."""
        text = self.fillval.strip().upper()
        if text in ("", "INDEF"):
            return math.nan
        try:
            return float(text)
        except ValueError:
            raise ParameterError(
                f"fillval={self.fillval}: it must be a number, NAN or INDEF"
            ) from None


@dataclass
class _Times:
    """What the images of a mosaic add up to; each exposure counts once."""

    groups: list[str] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    exposure: float = 0
    duration: float = 0
    measurement: float | None = 0

    def add(self, meta: Any) -> None:
        group = getattr(meta, "group_id", None) or group_of(meta.observation.instance)
        group = group or f"exposure{len(self.groups) + 1:04d}"
        if group in self.groups:
            return
        self.groups.append(group)
        exposure = meta.exposure
        self.starts.append(exposure.start_time)
        self.ends.append(exposure.end_time)
        self.exposure += exposure.exposure_time or 0
        self.duration += exposure.duration or 0
        if exposure.measurement_time is None:
            self.measurement = None
        elif self.measurement is not None:
            self.measurement += exposure.measurement_time

    def record(self, meta: Any) -> None:
        exposure = meta.exposure
        exposure.exposure_time = self.exposure
        exposure.start_time = min((t for t in self.starts if t is not None), default=None)
        exposure.end_time = max((t for t in self.ends if t is not None), default=None)
        exposure.duration = self.duration
        exposure.measurement_time = self.measurement
        exposure.effective_exposure_time = self.exposure
        exposure.elapsed_exposure_time = self.duration


class Resampler:
    """Images that are added up on a grid.

    Parameters
    ----------
    grid : OutputGrid
    options : Options
    s_regions : sequence of str
        Outlines of all images that the grid was laid around.

    Examples
    --------
    >>> resampler = Resampler(grid, Options(pixfrac=0.8), s_regions)
    >>> for image in images:
    ...     resampler.add(image)
    >>> mosaic = resampler.finish()
    """

    def __init__(self, grid: OutputGrid, options: Options, s_regions: Sequence[str]):
        self.grid = grid
        self.options = options
        self.ratio = grid.pixel_scale_ratio
        self._fill = options.fill
        self._n_images = 0
        self._model: Any = None
        self._s_regions = s_regions
        self._times = _Times()
        self._blender = Blender()
        self._context: list[Any] = []
        self._sums: Any = None  # made where the images are

    def add(self, image: Image) -> None:
        """Add an image.

        Parameters
        ----------
        image : Image
            It is left as it is. Pixels that are NaN in any array count as flagged DO_NOT_USE.

        Raises
        ------
        InputError
            If it is no single image, or lacks its time or area.
        """
        meta = image.meta
        if image.data.ndim != 2:
            raise InputError(f"{meta.filename}: resample takes single images, not a series of them")
        if not (meta.exposure.exposure_time or 0) > 0:
            raise InputError(
                f"{meta.filename}: EFFEXPTM is {meta.exposure.exposure_time}; resample needs a "
                "positive exposure time"
            )
        if self._n_images and self._n_images == len(self._s_regions):
            raise ValueError("there are more images than outlines")
        if self._model is None:
            self._model = new_model(image.model)
            self._sums = self._empty_sums(namespace_of(image.data))
            self.ratio = self.ratio or _ratio_to(image, self.grid.pixel_scale)
        options = self.options
        by_noise = options.errors == "variances" and options.weight_type != "exptime"
        if by_noise and image.var_rnoise is None:
            raise InputError(f"{meta.filename}: lacks VAR_RNOISE; use weight_type exptime")
        weight = weight_of(image, options.weight_type, options.bad_flags)
        drop = Drop(options.kernel, options.pixfrac, float(self.ratio), _range_of(image))
        geometries, xp = (meta.wcs, self.grid.wcs), namespace_of(image.data)
        shape, step, order = image.data.shape, options.step, options.order
        places = pixel_map(*geometries, shape, step, order, xp, may_be_series=True)
        self._drizzle(image, weight, places, drop)
        self._n_images += 1
        if options.blend:
            self._blender.add(image.model)
        self._times.add(meta)

    def finish(self) -> Mosaic:
        """Return the mosaic of what was added."""
        sums, options = self._sums, self.options
        errors = finish(sums, options.fill, float(1.0 / self.ratio**2))
        mosaic = Mosaic(sums.values[0], sums.weights, err=errors, model=self._model)
        if options.with_context:
            planes = self._context
            is_one = len(planes) == 1
            mosaic.con = planes[0][None] if is_one else namespace_of(planes[0]).stack(planes)
        mosaic.dq = sums.flags
        if options.errors == "drizzled":
            mosaic.err = (sums.values[1] / self.ratio).astype(np.float32)
        if options.errors == "variances" and options.with_variances:
            for name, variance in zip(_VARIANCES, sums.variances, strict=True):
                setattr(mosaic, name, variance)
        with unchecked(mosaic.model):
            self._describe(mosaic)
        return mosaic

    def _empty_sums(self, xp: Any) -> Sums:
        shape, options = self.grid.shape, self.options
        several = (len(_VARIANCES), *shape)
        has_variances = options.errors == "variances"
        has_weights = has_variances and len(self._s_regions) > 1
        return Sums(
            xp.zeros((2 if options.errors == "drizzled" else 1, *shape), xp.float32),
            xp.zeros(shape, xp.float32),
            flags=xp.zeros(shape, xp.uint32) if options.with_flags else None,
            variances=xp.zeros(several, xp.float32) if has_variances else None,
            variance_weights=xp.zeros(several, xp.float32) if has_weights else None,
        )

    def _drizzle(self, image: Image, weight: Any, places: Any, drop: Drop) -> None:
        """Spread the image, and its variances or errors, over the grid."""
        options, background = self.options, image.meta.background
        has_sky = background.level is not None and not background.subtracted
        pixels = Pixels(
            image.data,
            weight,
            places,
            background.level if has_sky else 0.0,
            image.err if options.errors == "drizzled" else None,
            [getattr(image, name) for name in _VARIANCES]
            if options.errors == "variances"
            else None,
            image.dq if options.with_flags else None,
            time=_time_of(image) if options.weight_type == "exptime" else 0.0,
        )
        sums = self._sums._replace(context=self._next_plane())
        drizzle(pixels, drop, sums, self._n_images % _BITS)

    def _next_plane(self) -> Any:
        """Return the plane of the context that the next image is noted in."""
        if not self.options.with_context:
            return None
        if self._n_images % _BITS == 0:
            xp = namespace_of(self._sums.weights)
            self._context.append(xp.zeros(self.grid.shape, xp.int32))
        return self._context[-1]

    def _describe(self, mosaic: Mosaic) -> None:
        """Write the keywords of a mosaic."""
        meta, options, grid = mosaic.meta, self.options, self.grid
        if options.blend:
            self._blender.finish(mosaic.model)
        meta.filename = None  # that of the image; the product gets its own when it is saved
        meta.wcs = grid.wcs
        area = grid.pixel_scale**2
        meta.photometry.pixelarea_steradians = area / np.rad2deg(3600) ** 2
        meta.photometry.pixelarea_arcsecsq = area
        meta.resample.pointings = len(self._times.groups)
        meta.resample.pixel_scale_ratio = self.ratio
        meta.resample.pixfrac = options.pixfrac
        meta.resample.kernel = options.kernel
        meta.resample.fillval = options.fillval
        meta.resample.weight_type = options.weight_type
        self._times.record(meta)
        meta.background.level = None
        meta.background.subtracted = None
        if mosaic.err is None and meta.hasattr("bunit_err"):
            del meta.bunit_err
        describe_grid(meta)
        meta.wcsinfo.s_region = united(self._s_regions, grid.wcs)
        meta.cal_step.resample = "COMPLETE"


def weight_of(image: Image, weight_type: str, bad_flags: int) -> Any:
    """Return the weight of each pixel, (y, x) float32.

    Parameters
    ----------
    image : Image
        Pixels that are NaN in any array count as flagged DO_NOT_USE.
    weight_type : str
        ``ivm`` or ``exptime``.
    bad_flags : int
        Flags of the pixels that have none.
    """
    xp = namespace_of(image.data)
    weight = xp.empty(image.data.shape, xp.float32)
    uniform = np.float32(_time_of(image) if weight_type == "exptime" else 1.0)
    by_noise = weight_type != "exptime" and image.var_rnoise is not None
    if weight_type != "exptime" and not by_noise:
        log.warning("%s: has no VAR_RNOISE: all pixels weigh the same", image.meta.filename)
    for rows in row_by_row(image):
        is_bad = (image.dq[rows] & np.uint32(bad_flags)) != 0
        if bad_flags & DO_NOT_USE:
            for array in image.measured:
                is_bad |= xp.isnan(array[rows])
        part = weight[rows]
        if by_noise:
            with np.errstate(divide="ignore"):
                xp.divide(np.float32(1), image.var_rnoise[rows], out=part)
            is_bad |= ~xp.isfinite(part)
        else:
            part[...] = uniform
        xp.copyto(part, np.float32(0), where=is_bad)
    return weight


def describe_grid(meta: Any) -> None:
    """Put the geometry of a grid into ``meta.wcsinfo``, instead of that of a detector."""
    from gwcs.fitswcs import FITSImagingWCSTransform

    keywords = meta.wcsinfo.instance
    for name in [name for name in keywords if _DISTORTION.fullmatch(name)]:
        del keywords[name]
    transform = meta.wcs.forward_transform
    if isinstance(transform, FITSImagingWCSTransform):
        frame = meta.wcs.output_frame
        code = transform.projection.prjprm.code
        matrix = np.asarray(transform.pc)
        for number, axis in enumerate(("RA--", "DEC-"), start=1):
            index = number - 1
            keywords[f"crpix{number}"] = float(transform.crpix[index] + 1)
            keywords[f"cdelt{number}"] = float(transform.cdelt[index])
            keywords[f"crval{number}"] = float(transform.crval[index])
            keywords[f"pc{number}_1"] = float(matrix[index, 0])
            keywords[f"pc{number}_2"] = float(matrix[index, 1])
            keywords[f"ctype{number}"] = f"{axis}-{code}"
            keywords[f"cunit{number}"] = str(frame.unit[index])
        keywords["radesys"] = frame.reference_frame.name.upper()
    else:
        from jwgpu.wcs.fits_approximation import SipLimits, describe_for_fits

        log.warning("the output_wcs is no projection that FITS knows: its keywords approximate it")
        describe_for_fits(meta, SipLimits(degree=1, inv_degree=1))
    for name in _POINTING:
        keywords.pop(name, None)


def _ratio_to(image: Image, pixel_scale: Any) -> Any:
    """Return the side of a pixel of the grid relative to that of an image."""
    area = image.meta.photometry.pixelarea_steradians
    if not (area or 0) > 0:
        area = mean_pixel_area(image.wcs, image.data.shape)
    if area is None:
        raise InputError(f"{image.meta.filename}: lacks PIXAR_SR, the area of its pixels")
    return pixel_scale / (3600.0 * np.rad2deg(math.sqrt(area)))


def _range_of(image: Image) -> tuple[int, int, int, int]:
    """Return the first and last column and row that the bounding box touches."""
    n_y, n_x = image.data.shape
    if image.wcs.bounding_box is None:
        return 0, n_x - 1, 0, n_y - 1
    (left, right), (bottom, top) = image.wcs.bounding_box.bounding_box(order="F")
    first_x, first_y = max(0, int(left + 0.5)), max(0, int(bottom + 0.5))
    last_x = max(first_x, min(n_x - 1, int(right + 0.5)))
    return first_x, last_x, first_y, max(first_y, min(n_y - 1, int(top + 0.5)))


def _time_of(image: Image) -> float:
    exposure = image.meta.exposure
    time = exposure.measurement_time
    return float(exposure.exposure_time if time is None else time)
