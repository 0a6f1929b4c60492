"""Find the source of a slit's spectrum on the image that verified its acquisition (MIRI LRS)."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from jwgpu.associations import check_members, is_association, read_association
from jwgpu.errors import InputError, JwgpuError
from jwgpu.models.images import Image
from jwgpu.models.reading_images import image_of, model_of_image, read_image
from jwgpu.references.types import FilterOffsetReference
from jwgpu.steps.assign_wcs import AssignWcsStep
from jwgpu.steps.base import CalibrationStep, SkipStep, param

log = logging.getLogger(__name__)

#: Exposures whose source is looked for.
_SPECTRA = frozenset({"MIR_LRS-FIXEDSLIT", "MIR_LRS-SLITLESS"})

#: Side of what is looked at around the expected place, in pixels, and the least of it that must
#: have a value.
_SIDE = 20
_LEAST = 10

_HORIZONTAL = 1  # direction of the dispersion


class TargCentroidStep(CalibrationStep):
    """Measure where the source is on the image that verified its acquisition.

    A Gaussian is fitted around the place where the source should be; the spectrum's own dither and
    the shift by the image's filter are added. No arrays change: the place is written into the
    spectrum (``source_xpos``, ``source_ypos``; on the image ``ta_xpos``, ``ta_ypos``).
    """

    class_alias = "targ_centroid"

    ta_file: str | None = param(None, help="Image that verified the acquisition")
    skip: bool = param(True, help="Skip this step, unless it runs by itself")

    reference_file_types = ("filteroffset",)

    def process(self, source: Any) -> Any:
        """Run this step on a spectrum; stpipe calls this.

        Parameters
        ----------
        source : str, Path, JwstDataModel or sequence of them
            A file or model of a spectrum, with its geometry; or an association, or a list of
            models, that have the image as well, as ``target_acquisition``.

        Returns
        -------
        JwstDataModel or list of them
            As many as were given.
        """
        models, spectrum = self._opened(source)
        image = self.ta_file
        if models is not None:
            kinds = [str(model.meta.asn.exptype).lower() for model in models]
            found = [
                m for m, kind in zip(models, kinds, strict=True) if kind == "target_acquisition"
            ]
            image = found[0] if found else None
        try:
            self._locate(spectrum, image)
            status = "COMPLETE"
        except SkipStep as reason:
            log.error("targ_centroid is skipped: %s", reason)
            status = "SKIPPED"
        spectrum.meta.cal_step.targ_centroid = status
        return spectrum if models is None else models

    def _opened(self, source: Any) -> tuple[list[Any] | None, Any]:
        """Return the models of a list or association, and the one of the spectrum."""
        if isinstance(source, str):
            source = self.make_input_path(source)
        if isinstance(source, (str, Path)):
            if not is_association(source):
                return None, self._datamodels_open(str(source))
            source = self._members(source)
        elif not isinstance(source, (list, tuple)):
            return None, self._own(source)
        else:
            source = [self._own(model) for model in source]
        spectra = [model for model in source if str(model.meta.asn.exptype).lower() == "science"]
        if not spectra:
            raise InputError("none of the data models is there as science: give one")
        return source, spectra[0]

    def _members(self, path: str | Path) -> list[Any]:
        association = read_association(path)
        check_members(association)
        if not association.of("science"):
            raise InputError(f"{path}: has no science member: give it one")
        models = []
        for member in association.members:
            model = self._datamodels_open(str(member.path))
            model.meta.asn.exptype = member.kind
            models.append(model)
        return models

    def _locate(self, spectrum: Any, given: Any) -> None:
        """Write the place of the source into a spectrum.

        Raises
        ------
        SkipStep
            If it cannot be found.
        """
        if str(given).lower() == "none":
            raise SkipStep("there is no image of the acquisition: give ta_file")
        meta = spectrum.meta
        if meta.target.source_type != "POINT":
            log.warning(
                "%s: the source is %s; the step is made for points",
                meta.filename,
                meta.target.source_type,
            )
        if meta.exposure.type not in _SPECTRA:
            raise SkipStep(f"{meta.exposure.type} is not among {', '.join(sorted(_SPECTRA))}")
        image = self._image(given)
        expected, dither = _places(self._with_geometry(image))
        offset = self._filter_offset(image)
        place = centroid(image.data, expected)
        spectrum.ta_xpos, spectrum.ta_ypos = place
        log.info("the source is at (%.2f, %.2f) of its image", *place)
        # Quirk: both have the same subarray, it is assumed, so that its start does not count.
        own = _places(spectrum)[1]
        spectrum.source_xpos = place[0] - dither[0] + own[0] + offset[0]
        spectrum.source_ypos = place[1] - dither[1] + own[1] + offset[1]
        log.info(
            "the source is at (%.2f, %.2f) of the spectrum",
            spectrum.source_xpos,
            spectrum.source_ypos,
        )

    def _image(self, given: Any) -> Image:
        """Open the image that verified the acquisition."""
        if isinstance(given, (str, Path)):
            image = read_image(given)
        else:
            image = image_of(given.copy())
        kind = image.meta.exposure.type
        if image.data.ndim != 2 or kind != "MIR_TACONFIRM":
            raise SkipStep(
                f"{image.meta.filename} is of type {kind} with {image.data.ndim} axes, and not an "
                "image of type MIR_TACONFIRM"
            )
        return image

    def _with_geometry(self, image: Image) -> Any:
        """Return the model of the image, with its geometry."""
        if not image.meta.hasattr("wcs"):
            step = AssignWcsStep(parent=self, sip_approx=False)
            try:
                step.apply(image)
            except JwgpuError as error:
                raise SkipStep(f"{image.meta.filename} gets no geometry: {error}") from error
        return model_of_image(image)

    def _filter_offset(self, image: Image) -> tuple[float, float]:
        """Return the shift by the filter of the image, in pixels."""
        references = self.session.references.with_overrides(self.get_ref_override)
        found: FilterOffsetReference | None = references.load(
            "filteroffset", image.meta, image.data.shape, self.session.device, optional=True
        )
        for row in found.rows if found is not None else ():
            if row.get("filter") == image.meta.instrument.filter:
                return float(row["column_offset"]), float(row["row_offset"])
        raise SkipStep(f"no FILTEROFFSET for {image.meta.instrument.filter}")


def centroid(data: Any, expected: tuple[float, float]) -> tuple[float, float]:
    """Return the centre of the Gaussian that fits best around a place.

    Parameters
    ----------
    data : array, (y, x) float32
    expected : (float, float)
        Column and row.

    Returns
    -------
    x, y : float

    Raises
    ------
    SkipStep
        If there is nothing to fit to, or nothing fits.
    """
    from photutils.centroids import centroid_2dg

    x, y = (int(np.round(at)) for at in expected)
    left, bottom = max(0, x - _SIDE // 2), max(0, y - _SIDE // 2)
    cut = data[bottom : max(0, y + _SIDE // 2), left : max(0, x + _SIDE // 2)]
    is_bad = ~np.isfinite(cut)
    if cut.size - np.isnan(cut).sum() < _LEAST:
        raise SkipStep(f"fewer than {_LEAST} pixels around ({x}, {y}) have a value")
    try:
        found = centroid_2dg(cut, mask=is_bad)
    except ValueError as error:
        raise SkipStep(f"no Gaussian fits around ({x}, {y}): {error}") from error
    return float(found[0] + left), float(found[1] + bottom)


def _places(model: Any) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the pixel that the source should be on, and how far it is from the undithered one.

    The place on the sky goes into the metadata, where it is not there.
    """
    meta = model.meta
    if not meta.hasattr("wcs") or meta.wcs is None:
        raise SkipStep(f"{meta.filename} has no geometry: run assign_wcs first")
    if not (meta.dither.hasattr("dithered_ra") and meta.dither.hasattr("dithered_dec")):
        meta.dither.dithered_ra, meta.dither.dithered_dec = _dithered(meta)
    to_pixels = meta.wcs.get_transform("world", "detector")
    more = [_middle_wavelength(meta)] * (to_pixels.n_inputs - 2) if to_pixels.n_inputs > 2 else []
    x, y = to_pixels(meta.dither.dithered_ra, meta.dither.dithered_dec, *more)[:2]
    x_ref, y_ref = to_pixels(meta.wcsinfo.ra_ref, meta.wcsinfo.dec_ref, *more)[:2]
    return (float(x), float(y)), (float(x - x_ref), float(y - y_ref))


def _dithered(meta: Any) -> tuple[float, float]:
    """Return the sky at the reference point moved by the dither, in degrees."""
    from stdatamodels.jwst.transforms.models import IdealToV2V3

    info = meta.wcsinfo
    to_focal_plane = IdealToV2V3(info.v3yangle, info.v2_ref, info.v3_ref, info.vparity)
    place = to_focal_plane(meta.dither.x_offset, meta.dither.y_offset)
    to_sky = meta.wcs.get_transform("v2v3", "world")
    # A wavelength, where one is asked for, does not count.
    ra, dec = to_sky(*place, *[0.0] * (to_sky.n_inputs - 2))[:2]
    return float(ra), float(dec)


def _middle_wavelength(meta: Any) -> float:
    """Return the mean wavelength of the line in the middle of a spectrum."""
    (left, right), (bottom, top) = (tuple(axis) for axis in meta.wcs.bounding_box)
    if meta.wcsinfo.dispersion_direction == _HORIZONTAL:
        y = np.arange(round(top), dtype=np.float64)
        x = np.full(len(y), (left + right) / 2)
    else:
        x = np.arange(round(right), dtype=np.float64)
        y = np.full(len(x), (bottom + top) / 2)
    wavelengths = meta.wcs(x, y)[2]
    if not np.isfinite(wavelengths).any():
        raise SkipStep(f"{meta.filename}: its geometry gives no wavelength")
    return float(np.nanmean(wavelengths))
