"""Give an exposure its geometry on the sky."""

from __future__ import annotations

import logging
from typing import Any

from jwgpu.errors import NotYetError
from jwgpu.models.images import Image
from jwgpu.models.unchecked import unchecked
from jwgpu.references.types import DistortionReference, FilterOffsetReference
from jwgpu.steps import provenance
from jwgpu.steps.base import PIXELS, SkipStep, param
from jwgpu.steps.image_step import ImageStep
from jwgpu.wcs.fits_approximation import SipLimits, describe_for_fits
from jwgpu.wcs.imaging import footprint, imaging_wcs

log = logging.getLogger(__name__)

#: Exposures that are images of the sky.
IMAGING = frozenset(
    {
        "FGS_FOCUS",
        "FGS_IMAGE",
        "MIR_4QPM",
        "MIR_CORONCAL",
        "MIR_IMAGE",
        "MIR_LYOT",
        "MIR_TACONFIRM",
        "MIR_TACQ",
        "NIS_AMI",
        "NIS_FOCUS",
        "NIS_IMAGE",
        "NIS_TACONFIRM",
        "NIS_TACQ",
        "NRC_CORON",
        "NRC_FOCUS",
        "NRC_IMAGE",
        "NRC_TACONFIRM",
        "NRC_TACQ",
        "NRC_TSIMAGE",
    }
)

#: Exposures that have no place on the sky.
_WITHOUT_SKY = frozenset(
    {
        "FGS_DARK",
        "FGS_INTFLAT",
        "FGS_SKYFLAT",
        "MIR_DARK",
        "MIR_FLAT-IMAGE",
        "MIR_FLAT-MRS",
        "MIR_FLATIMAGE",
        "MIR_FLATMRS",
        "NIS_DARK",
        "NIS_LAMP",
        "NRC_DARK",
        "NRC_FLAT",
        "NRC_GRISM",
        "NRC_LED",
        "NRS_DARK",
    }
)


#: References that only spectra have; products of images say so.
_OF_SPECTRA = (
    "camera",
    "chromcorr",
    "collimator",
    "disperser",
    "fore",
    "fpa",
    "ifufore",
    "ifupost",
    "ifuslicer",
    "msa",
    "ote",
    "regions",
    "specwcs",
    "wavelengthrange",
)


class AssignWcsStep(ImageStep):
    """Give an exposure its geometry: ``meta.wcs``, S_REGION, and an approximation for FITS.

    The geometry is that of the distortion reference, shifted as the filter does, turned to where
    the telescope looked and scaled by the aberration of light. FITS gets a tangent projection
    with SIP polynomials, because it cannot hold more.
    """

    class_alias = "assign_wcs"
    cut = PIXELS
    is_skipped_without_references = False

    sip_approx: bool = param(True, help="Approximate by a tangent projection and SIP, for FITS")
    sip_max_pix_error: float = param(0.01, help="Largest error of SIP, in pixels")
    sip_degree: int | None = param(None, high=6, help="Degree of SIP; None for the least that does")
    sip_max_inv_pix_error: float = param(0.01, help="Largest error of the way back, in pixels")
    sip_inv_degree: int | None = param(
        None, high=6, help="Degree of the way back; None for the least that does"
    )
    sip_npoints: int = param(12, help="Points along each axis that SIP is fitted to")
    slit_y_low: float = param(-0.55, help="Lower edge of a slit; for spectra of NIRSpec only")
    slit_y_high: float = param(0.55, help="Upper edge of a slit; for spectra of NIRSpec only")
    nrs_ifu_slice_wcs: bool = param(False, help="Geometry slice by slice; for NIRSpec's IFU only")

    def applies_to(self, exposure: Image) -> None:
        """Raise `SkipStep` where there is no sky, `NotYetError` for spectra."""
        kind = str(exposure.meta.exposure.type).upper()
        if kind in _WITHOUT_SKY:
            raise SkipStep(f"exposures of type {kind} have no place on the sky")
        if kind not in IMAGING:
            raise NotYetError(
                f"{exposure.meta.filename}: assign_wcs knows images so far, not {kind}: run this "
                "step with the official package"
            )

    def correct(
        self,
        image: Image,
        distortion: DistortionReference,
        filteroffset: FilterOffsetReference | None = None,
    ) -> None:
        """Set ``meta.wcs`` and ``meta.wcsinfo``.

        Parameters
        ----------
        image : Image
            Its metadata are changed.
        distortion : DistortionReference
            Geometry of the detector.
        filteroffset : FilterOffsetReference, optional
            Shifts by filters.

        Raises
        ------
        InputError
            If the header lacks the pointing.
        """
        meta = image.meta
        missing = _OF_SPECTRA if filteroffset else ("filteroffset", *_OF_SPECTRA)
        for reftype in missing:
            provenance.record_reference(meta, reftype, "N/A")
        with unchecked(image.model):
            meta.wcs = imaging_wcs(image, distortion, filteroffset)
        outline = footprint(meta.wcs)
        if outline is not None:
            meta.wcsinfo.s_region = outline
        if self.sip_approx:
            limits = SipLimits(
                self.sip_max_pix_error,
                self.sip_degree,
                self.sip_max_inv_pix_error,
                self.sip_inv_degree,
                self.sip_npoints,
            )
            describe_for_fits(meta, limits)

    def needed_references(self, meta: Any, shape: tuple[int, ...] = ()) -> dict[str, type]:
        """Return the references; the guider's images need no shifts, having no filters."""
        del shape
        needed = dict(self.reference_classes)
        if meta.instrument.name == "FGS":
            del needed["filteroffset"]
        return needed
