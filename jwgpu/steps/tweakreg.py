"""Align images by their stars: to each other, and to a catalog."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from jwgpu.errors import InputError, ParameterError
from jwgpu.models.images import Image
from jwgpu.models.library import Library
from jwgpu.models.writing import TableProduct, save_product
from jwgpu.steps import star_catalogs
from jwgpu.steps.base import param
from jwgpu.steps.finder_options import FinderOptions
from jwgpu.steps.library_step import FailStep, LibraryStep
from jwgpu.steps.star_finding import find_stars
from jwgpu.wcs import alignment, sky_catalogs
from jwgpu.wcs.fits_approximation import SipLimits, describe_for_fits
from jwgpu.wcs.imaging import footprint

log = logging.getLogger(__name__)

_GEOMETRIES = ("shift", "rshift", "rscale", "general")


class TweakRegStep(LibraryStep):
    """Align images by their stars, to each other and then, if wanted, to a catalog of the sky.

    The geometry of each image gets a frame ``v2v3corr``, with a shift and turn in the tangent
    plane. Without a catalog, the frame is that of one of the images.
    """

    class_alias = "tweakreg"

    save_catalogs: bool = param(False, help="Save the catalogs of stars that were found")
    use_custom_catalogs: bool = param(False, help="Use catalogs that are given for the images")
    catalog_format: str = param("ecsv", help="Format of saved catalogs, ecsv or fits")
    catfile: str = param("", help="Text file with the names of images and their catalogs")
    starfinder: str = param(
        "iraf", options=("dao", "iraf", "segmentation"), help="How stars are found"
    )
    snr_threshold: float = param(10.0, help="Rise above the background, in its scatter")
    kernel_fwhm: float = param(2.5, help="Width of what the image is smoothed with, in pixels")
    bkg_boxsize: int = param(400, help="Side of the boxes of the background, in pixels")
    minsep_fwhm: float = param(0.0, help="Least distance of stars, in kernel_fwhm")
    sigma_radius: float = param(1.5, help="Where the smoothing ends, in standard deviations")
    sharplo: float = param(0.5, help="Least sharpness of a star")
    sharphi: float = param(2.0, help="Largest sharpness of a star")
    roundlo: float = param(0.0, help="Least roundness of a star")
    roundhi: float = param(0.2, help="Largest roundness of a star")
    brightest: int = param(200, help="How many stars are kept")
    peakmax: float | None = param(None, help="Brightest pixel that a star may have")
    npixels: int = param(10, help="Least number of connected pixels (segmentation)")
    connectivity: str = param("8", options=("4", "8"), help="Neighbours of a pixel (segmentation)")
    nlevels: int = param(32, help="Levels at which segments are divided")
    contrast: float = param(0.001, help="Share of the flux that makes a part a segment of its own")
    multithresh_mode: str = param(
        "exponential", options=("exponential", "linear", "sinh"), help="How the levels are spaced"
    )
    localbkg_width: int = param(0, help="Width of the local background, in pixels (segmentation)")
    apermask_method: str = param(
        "correct", options=("correct", "mask", "none"), help="What is done about neighbours"
    )
    kron_params: list[float] | None = param(None, low=2, high=3, help="Kron aperture")
    deblend: bool = param(True, help="Divide segments of several sources")

    enforce_user_order: bool = param(False, help="Align in the given order")
    expand_refcat: bool = param(False, help="Align to the stars of all images aligned before")
    minobj: int = param(15, help="Least number of stars to match")
    fitgeometry: str = param("rshift", options=_GEOMETRIES, help="What is fitted")
    nclip: int = param(3, low=0, help="How often stars that are off are left out")
    sigma: float = param(3.0, low=0.0, help="From where on a star is off, in RMS errors")
    searchrad: float = param(2.0, help="Largest offset of the images, in arcsec")
    use2dhist: bool = param(True, help="Look for the offset among all differences")
    separation: float = param(1.0, help="Stars closer than this are not matched, in arcsec")
    tolerance: float = param(0.7, help="Distance at which two stars are one, in arcsec")
    xoffset: float = param(0.0, help="Offset in x where it is not looked for, in arcsec")
    yoffset: float = param(0.0, help="Offset in y where it is not looked for, in arcsec")

    abs_refcat: str | None = param(
        "", help=f"Catalog of the sky: a file, or one of {' '.join(sky_catalogs.SERVED)}"
    )
    save_abs_catalog: bool = param(False, help="Save the catalog that the service gave")
    abs_minobj: int = param(15, help="minobj, for the catalog of the sky")
    abs_fitgeometry: str = param("rshift", options=_GEOMETRIES, help="What is fitted to it")
    abs_nclip: int = param(3, low=0, help="nclip, for the catalog of the sky")
    abs_sigma: float = param(3.0, low=0.0, help="sigma, for the catalog of the sky")
    abs_searchrad: float = param(6.0, help="searchrad, for the catalog of the sky")
    abs_use2dhist: bool = param(True, help="use2dhist, for the catalog of the sky")
    abs_separation: float = param(1.0, help="separation, for the catalog of the sky")
    abs_tolerance: float = param(0.7, help="tolerance, for the catalog of the sky")

    sip_approx: bool = param(True, help="Approximate by a tangent projection and SIP, for FITS")
    sip_max_pix_error: float = param(0.01, help="Largest error of SIP, in pixels")
    sip_degree: int | None = param(None, high=6, help="Degree of SIP; None for the least that does")
    sip_max_inv_pix_error: float = param(0.01, help="Largest error of the way back, in pixels")
    sip_inv_degree: int | None = param(
        None, high=6, help="Degree of the way back; None for the least that does"
    )
    sip_npoints: int = param(12, help="Points along each axis that SIP is fitted to")
    output_use_model: bool = param(True, help="Name products after the images")
    in_memory: bool = param(True, help="Keep all images in memory")

    def correct(self, library: Library) -> None:
        """Align the images.

        Parameters
        ----------
        library : Library
            Calibrated images with their geometry, on the host; those that could be aligned get
            another one, with S_REGION and SIP keywords.

        Raises
        ------
        FailStep
            If the images stay as they are: one alone, too few stars, or a bad match.
        InputError
            If an image has no geometry, or a catalog cannot be read.
        """
        refcat = (self.abs_refcat or "").strip()
        self._check(refcat)
        n_groups = len(library.groups)
        if n_groups == 1 and not refcat and not self.save_catalogs:
            raise FailStep("one exposure alone has nothing to be aligned to")
        given = None
        if self.use_custom_catalogs:
            given = star_catalogs.catalogs_of(self.catfile.strip(), library)
        correctors = self._find_all(library, given)
        self._align(library, correctors, refcat)
        self._update(library, correctors, refcat)

    def _check(self, refcat: str) -> None:
        """Refuse what can be known to be wrong before anything is computed."""
        if self.catalog_format not in star_catalogs.FORMATS:
            raise ParameterError(f"catalog_format={self.catalog_format}: choose ecsv or fits")
        if refcat:
            sky_catalogs.check_name(refcat)

    def _find_all(self, library: Library, given: dict[str, str | None] | None) -> list[Any]:
        """Find, or read, the stars of each image."""

        def find(image: Image, _: int) -> Any:
            meta = image.meta
            if not meta.hasattr("wcs") or meta.wcs is None:
                raise InputError(f"{meta.filename}: has no geometry; run assign_wcs first")
            return alignment.corrector_of(meta, self._stars_of(image, given))

        return list(library.map(find, modify=False, names=("data", "err", "dq")))

    def _stars_of(self, image: Image, given: dict[str, str | None] | None) -> Any:
        """Return the stars of an image within its bounding box: those given, or found."""
        meta = image.meta
        name = str(meta.filename)
        path = star_catalogs.path_of(meta, given)
        if path is None:
            stars = star_catalogs.with_xy(find_stars(image, FinderOptions.of(self)), name)
        else:
            stars = star_catalogs.read_stars(path)
        stars = star_catalogs.within(stars, meta.wcs.bounding_box)
        stars.meta["name"] = stars.meta.get("name") or Path(name).stem
        level = logging.INFO if len(stars) else logging.WARNING
        log.log(level, "%s: %d stars %s", name, len(stars), f"of {path}" if path else "found")
        if path is None and self.save_catalogs:
            path = star_catalogs.save_stars(stars, name, self.catalog_format, self.output_dir)
        if path is not None:
            meta.tweakreg_catalog = path
        return stars

    def _align(self, library: Library, correctors: list[Any], refcat: str) -> None:
        """Align the images to each other, and to the catalog."""
        reason = "one exposure alone has nothing to be aligned to"
        try:
            if len(library.groups) > 1:
                matching, fitting = self._options("")
                alignment.align_to_each_other(
                    correctors,
                    matching,
                    fitting,
                    enforce_user_order=self.enforce_user_order,
                    # With a catalog, so that no star counts twice.
                    expand_refcat=self.expand_refcat or bool(refcat),
                )
                reason = ""
        except alignment.AlignmentError as error:
            reason = str(error)
        if not refcat:
            if reason:
                raise FailStep(reason)
            return
        if reason:
            log.warning("the images are not aligned to each other: %s", reason)
        try:
            self._align_to_catalog(library, correctors, refcat)
        except alignment.AlignmentError as error:
            raise FailStep(str(error)) from error

    def _align_to_catalog(self, library: Library, correctors: list[Any], refcat: str) -> None:
        matching, fitting = self._options("abs_")
        alignment.check_separation(matching)
        if refcat.upper() not in sky_catalogs.SERVED:
            catalog = sky_catalogs.read_catalog(refcat)
        else:
            catalog = self._ask_service(library, correctors, refcat.upper())
            if self.save_abs_catalog:
                path = Path(self.output_dir or "") / f"fit_{refcat.lower()}_ref.ecsv"
                save_product(TableProduct(catalog), path)
        alignment.align_to_catalog(correctors, catalog, matching, fitting)

    def _ask_service(self, library: Library, correctors: list[Any], name: str) -> Any:
        """Return the catalog of the sky around the images."""
        from astropy.time import Time

        metas = list(library.map(lambda image, _: image.meta, modify=False, names=("dq",)))
        epoch = float(Time(metas[0].observation.date).decimalyear)
        outlines = [corrector.wcs.footprint() for corrector in correctors]
        return sky_catalogs.fetch_catalog(name, outlines, metas[0], epoch)

    def _update(self, library: Library, correctors: list[Any], refcat: str) -> None:
        """Give the images that were aligned their geometry."""

        def write(model: Any, index: int) -> None:
            corrector = correctors[index]
            if not alignment.is_aligned(corrector):
                return
            meta = model.meta
            if refcat:
                corrector.wcs.name = f"FIT-LVL3-{self.abs_refcat}"
            # As it is: checking it against the schema of geometries takes as long as all else.
            meta.instance["wcs"] = corrector.wcs
            outline = footprint(meta.wcs)
            if outline is not None:
                meta.wcsinfo.s_region = outline
            if self.sip_approx:
                describe_for_fits(meta, self._sip_limits())

        library.describe(write)

    def _options(self, prefix: str) -> tuple[alignment.Matching, alignment.Fitting]:
        """Return how to match and fit; `prefix` is that of the parameters."""

        def value(name: str) -> Any:
            return getattr(self, prefix + name)

        matching = alignment.Matching(
            searchrad=value("searchrad"),
            separation=value("separation"),
            tolerance=value("tolerance"),
            use2dhist=value("use2dhist"),
            xoffset=0.0 if prefix else self.xoffset,
            yoffset=0.0 if prefix else self.yoffset,
        )
        fitting = alignment.Fitting(
            value("fitgeometry"), value("minobj"), value("nclip"), value("sigma")
        )
        return matching, fitting

    def _sip_limits(self) -> SipLimits:
        return SipLimits(
            self.sip_max_pix_error,
            self.sip_degree,
            self.sip_max_inv_pix_error,
            self.sip_inv_degree,
            self.sip_npoints,
        )
