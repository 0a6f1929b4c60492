"""A catalogue of the sources in an image."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

import jwgpu
from jwgpu.errors import InputError
from jwgpu.models.mosaics import Mosaic
from jwgpu.models.reading_mosaics import mosaic_of, read_mosaic
from jwgpu.models.writing import TableProduct, save_product
from jwgpu.references.crds_source import NoMatchError
from jwgpu.references.types import ABVegaOffsetReference, ApcorrReference
from jwgpu.steps.apertures import Apertures, apertures_of, checked_energies, vega_offset_of
from jwgpu.steps.base import CalibrationStep, SkipStep, param
from jwgpu.steps.finder_options import FinderOptions
from jwgpu.steps.source_columns import catalogue
from jwgpu.steps.source_finding import Sources, check, find_sources
from jwgpu.steps.source_measures import (
    finite_places,
    magnitudes,
    neighbours,
    photometry,
    sharpness_and_roundness,
)

log = logging.getLogger(__name__)

_UNIT = "MJy/sr"
_PACKAGES = ("Python", "numpy", "scipy", "astropy", "photutils", "gwcs")


class SourceCatalogStep(CalibrationStep):
    """List the sources of an image: places, fluxes, magnitudes and shapes.

    Sources are what stands out from the sky in the smoothed image, by its noise; those that touch
    are taken apart. Fluxes are measured in circles that hold given shares of a point source's
    light, and over all pixels of a source.

    References
    ----------
    Bertin & Arnouts 1996, A&AS 117, 393.
    """

    class_alias = "source_catalog"

    aperture_ee1: int = param(30, help="Light within the smallest aperture, in percent")
    aperture_ee2: int = param(50, help="Light within the middle aperture, in percent")
    aperture_ee3: int = param(70, help="Light within the largest aperture, in percent")
    ci1_star_threshold: float = param(2.0, help="Middle over small aperture: more is extended")
    ci2_star_threshold: float = param(1.8, help="Large over middle aperture: more is extended")
    suffix: str | None = param("cat", help="Suffix of the catalogue")
    starfinder: str = param(
        "segmentation", options=("dao", "iraf", "segmentation"), help="How to find sources"
    )
    snr_threshold: float = param(3.0, help="Height above the sky, in its noise")
    bkg_boxsize: int = param(1000, help="Side of the boxes that the sky is measured in, in pixels")
    kernel_fwhm: float = param(2.0, help="Width of the Gaussian to smooth with, in pixels")
    minsep_fwhm: float = param(0.0, help="dao, iraf: least distance of stars, in widths")
    sigma_radius: float = param(1.5, help="dao, iraf: where the Gaussian ends, in sigma")
    sharplo: float = param(0.5, help="dao, iraf: least sharpness")
    sharphi: float = param(2.0, help="dao, iraf: largest sharpness")
    roundlo: float = param(0.0, help="dao, iraf: least roundness")
    roundhi: float = param(0.2, help="dao, iraf: largest roundness")
    brightest: int | None = param(200, help="dao, iraf: how many to keep")
    peakmax: float | None = param(None, help="dao, iraf: leave out pixels above")
    npixels: int = param(25, help="segmentation: least number of pixels in a source")
    connectivity: int = param(8, options=("4", "8"), help="segmentation: whether corners touch")
    nlevels: int = param(32, help="segmentation: levels to take sources apart at")
    contrast: float = param(0.001, help="segmentation: least share of the light of a part")
    multithresh_mode: str = param(
        "exponential",
        options=("exponential", "linear", "sinh"),
        help="segmentation: how the levels are spaced",
    )
    localbkg_width: int = param(0, help="segmentation: width of a ring of sky around each source")
    apermask_method: str = param(
        "correct", options=("correct", "mask", "none"), help="segmentation: what hides neighbours"
    )
    kron_params: list[float] | None = param(
        None, low=2, high=3, help="segmentation: of Kron apertures, which no column has"
    )
    deblend: bool = param(True, help="segmentation: whether to take sources apart")

    def process(self, source: Any) -> Any:
        """List the sources of a file or data model; stpipe calls this.

        Parameters
        ----------
        source : str, Path, ImageModel or Mosaic
            Left as it is; within a pipeline, a model learns the names of the products.

        Returns
        -------
        astropy.table.QTable or None
            None if there are no sources, or nothing to measure them with.
        """
        if isinstance(source, str):
            source = self.make_input_path(source)
        return self.apply(self.open(source))

    def open(self, source: Any) -> Mosaic:
        """Open a file, or wrap an official data model, as a `Mosaic`."""
        if isinstance(source, Mosaic):
            return source
        return read_mosaic(source) if isinstance(source, (str, Path)) else mosaic_of(source)

    def apply(self, mosaic: Mosaic) -> Any:
        """List the sources of a mosaic, and save the products if that is asked for."""
        started = time.perf_counter()
        self.session.observer.start_step(self.class_alias)
        status, found = self.attempt(self._prepare_and_correct, self.session.fetch(mosaic))
        self.record(mosaic, status, time.perf_counter() - started)
        if found is None:
            return None
        table, segments = found
        if self.save_results:
            self._save(mosaic, table, segments)
        return table

    def set_status(self, exposure: Any, status: str) -> None:
        """Do nothing: officially an image does not tell that it was searched."""

    def prepare(self, exposure: Mosaic) -> dict[str, Any]:
        """Return the references; see `CalibrationStep.prepare`."""
        checked_energies(self._energies)
        check(FinderOptions.of(self))
        _check_units(exposure)
        try:
            return super().prepare(exposure)
        except NoMatchError as why:
            log.warning("%s", why)
            raise SkipStep("there is no catalogue without apertures") from None

    def find_references(self, meta: Any) -> None:
        """Look up the references; that CRDS has none is for `prepare` to judge."""
        with contextlib.suppress(NoMatchError):
            super().find_references(meta)

    @property
    def _energies(self) -> tuple[int, int, int]:
        return self.aperture_ee1, self.aperture_ee2, self.aperture_ee3

    def correct(
        self, mosaic: Mosaic, apcorr: ApcorrReference, abvegaoffset: ABVegaOffsetReference
    ) -> tuple[Any, Any]:
        """List the sources of a mosaic.

        Parameters
        ----------
        mosaic : Mosaic
            In MJy/sr; changed nowhere.
        apcorr : ApcorrReference
            The apertures.
        abvegaoffset : ABVegaOffsetReference
            From AB to Vega magnitudes.

        Returns
        -------
        table : astropy.table.QTable
            One row a source.
        segments : array, (y, x) int32, or None
            Label of the source that each pixel belongs to; None if a finder tells no pixels.

        Raises
        ------
        SkipStep
            If there is none, or the references have no row for the image.
        """
        apertures = apertures_of(mosaic.meta, apcorr, self._energies)
        offset = vega_offset_of(mosaic.meta, abvegaoffset)
        to_jansky = 1.0e6 * mosaic.meta.photometry.pixelarea_steradians
        data = mosaic.data * np.float32(to_jansky)
        err = mosaic.err * np.float32(to_jansky)
        is_empty = np.isnan(mosaic.err)
        if mosaic.wht is not None:
            is_empty |= mosaic.wht == 0
        sources = find_sources(data, err, is_empty, mosaic.meta.wcs, FinderOptions.of(self))
        if sources is None:
            log.warning("%s: no sources, so no catalogue", mosaic.meta.filename)
            raise SkipStep("there are no sources")
        values = self._measured(mosaic, data, err, sources, apertures, offset)
        meta = _described(sources.meta, apertures, offset)
        return catalogue(values, apertures.energies, meta), sources.segments

    def _measured(
        self,
        mosaic: Mosaic,
        data: Any,
        err: Any,
        sources: Sources,
        apertures: Apertures,
        offset: Any,
    ) -> dict[str, Any]:
        """Return the columns of the catalogue."""
        import astropy.units as u

        found = dict.fromkeys(_OF_SEGMENTS, np.nan) | sources.columns
        x, y = np.asarray(found["xcentroid"]), np.asarray(found["ycentroid"])
        places, is_nowhere = finite_places(x, y)
        found |= photometry(data, err, places, apertures)
        if "sky_centroid" not in found:
            found["sky_centroid"] = mosaic.meta.wcs.pixel_to_world(x, y)
        for name in ("isophotal", *(f"aper{e}" for e in apertures.energies), "aper_total"):
            magnitude, error = magnitudes(found[f"{name}_flux"], found[f"{name}_flux_err"])
            found |= {f"{name}_abmag": magnitude, f"{name}_abmag_err": error}
            found |= {f"{name}_vegamag": magnitude - offset, f"{name}_vegamag_err": error}
        small, middle, large = apertures.energies
        found["is_extended"] = np.logical_and(
            found[f"CI_{middle}_{small}"] > self.ci1_star_threshold,
            found[f"CI_{large}_{middle}"] > self.ci2_star_threshold,
        )
        found["sharpness"], found["roundness"] = sharpness_and_roundness(
            data, places, self.kernel_fwhm
        )
        label, distance = neighbours(np.asarray(found["label"]), places, is_nowhere)
        found |= {"nn_label": label, "nn_dist": distance * u.pixel}
        north = _angle_of_north(mosaic.meta)
        found["sky_orientation"] = (180 * u.deg - north + found["orientation"]) % (360 * u.deg)
        return found

    def _save(self, mosaic: Mosaic, table: Any, segments: Any) -> None:
        """Save the catalogue, and the map of its sources."""
        path = self.make_output_path(ext=".ecsv")
        save_product(TableProduct(table), path)
        log.info("catalogue: %s", path)
        names = {"source_catalog": os.path.basename(path)}
        if segments is not None:
            from stdatamodels.jwst import datamodels

            with datamodels.SegmentationMapModel(segments) as model:
                model.update(mosaic.model, only="PRIMARY")
                model.meta.source_catalog = names["source_catalog"]
                model.meta.wcs = mosaic.meta.wcs
                model.meta.wcsinfo = mosaic.meta.wcsinfo
                self.save_model(model, suffix="segm")
                names["segmentation_map"] = model.meta.filename
        if self.parent is not None:
            for name, value in names.items():
                setattr(mosaic.meta, name, value)


_OF_SEGMENTS = (
    *("isophotal_flux", "isophotal_flux_err", "isophotal_area", "semimajor_sigma"),
    *("semiminor_sigma", "ellipticity", "orientation"),
    *("sky_bbox_ll", "sky_bbox_ul", "sky_bbox_lr", "sky_bbox_ur"),
)


def _check_units(mosaic: Mosaic) -> None:
    """Check that fluxes can be told.

    Raises
    ------
    InputError
        If the image is not in MJy/sr, or lacks its errors or the area of its pixels.
    """
    meta = mosaic.meta
    for name in ("bunit_data", "bunit_err"):
        if getattr(meta, name) != _UNIT:
            raise InputError(
                f"{meta.filename}: is in {getattr(meta, name)}, not {_UNIT}, so sources have no "
                "fluxes: give an image that photom has seen"
            )
    if mosaic.err is None:
        raise InputError(f"{meta.filename}: has no ERR: resample it with enable_err=True")
    if meta.photometry.pixelarea_steradians is None:
        raise InputError(
            f"{meta.filename}: lacks PIXAR_SR, the area of a pixel: add it, or calibrate again "
            "with a photom reference that has it"
        )


def _described(meta: dict[str, Any], apertures: Apertures, offset: Any) -> dict[str, Any]:
    """Return the metadata of the catalogue."""
    known = meta["version"]
    versions = {name: known[name] for name in _PACKAGES if name in known}
    versions["jwgpu"] = jwgpu.__version__
    return {
        **meta,
        "version": versions,
        "aperture_params": apertures.described(),
        "abvega_offset": offset,
    }


def _angle_of_north(meta: Any) -> Any:
    """Return the angle from the x axis to north at the reference pixel, in degrees."""
    import astropy.units as u

    centre = meta.wcs.pixel_to_world(meta.wcsinfo.crpix1 - 1, meta.wcsinfo.crpix2 - 1)
    x, y = meta.wcs.world_to_pixel(centre)
    north_x, north_y = meta.wcs.world_to_pixel(centre.directional_offset_by(0.0, 1 * u.arcsec))
    return (np.arctan2(north_y - y, north_x - x) * u.radian).to(u.deg)
