"""Divide by the flat field: the response of each pixel to even light."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.errors import NotYetError
from jwgpu.models import guider
from jwgpu.models.fits_arrays import FitsFile
from jwgpu.models.flags import DO_NOT_USE, NO_FLAT_FIELD
from jwgpu.models.guider import GuiderRates
from jwgpu.models.images import Image, mark_invalid, row_by_row
from jwgpu.references.types import FlatReference
from jwgpu.steps import provenance
from jwgpu.steps.base import PIXELS, SkipStep, param
from jwgpu.steps.image_step import ImageStep

log = logging.getLogger(__name__)

#: References that only NIRSpec's spectra have; products of others say so.
_OF_NIRSPEC = ("fflat", "sflat", "dflat")

_SPECTRA_OF_NIRSPEC = frozenset(
    {"NRS_AUTOWAVE", "NRS_BRIGHTOBJ", "NRS_FIXEDSLIT", "NRS_IFU", "NRS_LAMP", "NRS_MSASPEC"}
)


class FlatFieldStep(ImageStep):
    """Divide count rates by the response of each pixel."""

    class_alias = "flat_field"
    cut = PIXELS

    save_interpolated_flat: bool = param(
        False, help="Save the flat field as it was used (_interpolatedflat)"
    )
    user_supplied_flat: str | None = param(None, help="Flat field to use instead of the reference")
    inverse: bool = param(False, help="Multiply instead of dividing")

    def open(self, source: Any) -> Any:
        """Open a file, or wrap an official data model: an image, or count rates of the guider."""
        if isinstance(source, (str, Path)):
            with FitsFile(source) as file:
                is_guider = file.primary.get("EXP_TYPE") in guider.GUIDER_TYPES
        else:
            is_guider = guider.is_guider(source.meta)
        return guider.open_rates(source) if is_guider else super().open(source)

    def as_model(self, exposure: Any) -> Any:
        """Return the exposure as an official data model."""
        is_image = isinstance(exposure, Image)
        return super().as_model(exposure) if is_image else guider.model_of(exposure)

    def applies_to(self, exposure: Any) -> None:
        """Raise `NotYetError` for spectra of NIRSpec, `SkipStep` where there are no rates."""
        kind = exposure.meta.exposure.type
        if kind in _SPECTRA_OF_NIRSPEC:
            raise NotYetError(
                f"{exposure.meta.filename}: flat_field does not know spectra of NIRSpec ({kind}) "
                "yet: run this step with the official package"
            )
        if not isinstance(exposure, (GuiderRates, Image)):
            raise SkipStep("guider_cds has made no count rates")

    def get_ref_override(self, reference_file_type: str) -> Any:
        """Return the flat field that the caller gives."""
        if self.user_supplied_flat is not None:
            return str(self.make_input_path(Path(self.user_supplied_flat)))
        return super().get_ref_override(reference_file_type)

    def correct(self, exposure: Image | GuiderRates, flat: FlatReference | None) -> None:
        """Divide; pixels without a response keep their value, and are flagged.

        Parameters
        ----------
        exposure : Image or GuiderRates
            All arrays are changed.
        flat : FlatReference, optional
            Relative response.

        Raises
        ------
        SkipStep
            If there is no reference, or one that is too small.
        """
        if self.user_supplied_flat is None:
            for reftype in _OF_NIRSPEC:
                provenance.record_reference(exposure.meta, reftype, "N/A")
        if flat is None:
            raise SkipStep("there is no FLAT reference")
        n_y, n_x = exposure.data.shape[-2:]
        if flat.data.shape[0] < n_y or flat.data.shape[1] < n_x:
            log.warning("flat_field: %s is smaller than the exposure", flat.path)
            raise SkipStep("the FLAT reference is smaller than the exposure")
        if self.save_interpolated_flat:
            self._save_flat(flat)
        if isinstance(exposure, Image):
            self._correct_image(exposure, flat)
            mark_invalid(exposure)
            return
        response, errors, flags = _response(flat)
        self._correct_guider(exposure, response, errors)
        exposure.dq = exposure.dq | flags
        _mark_invalid_rates(exposure)

    def _save_flat(self, flat: FlatReference) -> None:
        """Save the reference; as it was used, if it was not cut. Both as officially."""
        from stdatamodels.jwst import datamodels

        response, _, flags = _response(flat)
        with datamodels.FlatModel(str(flat.path)) as model:
            if model.data.shape == response.shape:
                model.data = self.session.device.fetch(response)
                model.dq = self.session.device.fetch(flags)
            self.save_model(model, suffix="interpolatedflat", force=True)

    def _correct_image(self, image: Image, flat: FlatReference) -> None:
        """Divide signal and variances, add them up to the error, and flag; some rows at a time."""
        xp = namespace_of(image.data, flat.data)
        image.var_flat = xp.zeros_like(image.data)
        for rows in row_by_row(image):
            response, errors, flags = _response(flat, rows)
            data, variance = image.data[rows], image.var_flat[rows]
            photons, noise = image.var_poisson[rows], image.var_rnoise[rows]
            squared = response * response
            if self.inverse:
                data *= response
                photons *= squared
                noise *= squared
                total = photons + noise
            else:
                data /= response
                variance[...] = data * data / squared * (errors * errors)
                photons /= squared
                noise /= squared
                total = photons + noise + variance
            image.err[rows] = xp.sqrt(total)
            image.dq[rows] |= flags

    def _correct_guider(self, rates: GuiderRates, response: Any, errors: Any) -> None:
        """Divide the signal; its error has no parts by photons and by reading."""
        xp = namespace_of(rates.data, response)
        if self.inverse:
            rates.data *= response
            rates.var_flat = xp.zeros_like(rates.data)
        else:
            rates.data /= response
            squares = rates.data * rates.data / (response * response)
            rates.var_flat = squares * (errors * errors)
            rates.err = xp.sqrt(rates.err * rates.err + rates.var_flat)


def _response(flat: FlatReference, rows: Any = np.s_[...]) -> tuple[Any, Any, Any]:
    """Return response, its error and the flags of some rows; where there is no response, 1."""
    xp = namespace_of(flat.data)
    data, given = flat.data[rows], flat.dq[rows]
    lacks_value = xp.isnan(data) | (data == 0)
    is_missing = lacks_value | ((given & NO_FLAT_FIELD) != 0)
    flags = given | xp.asarray(is_missing, dtype=given.dtype) * DO_NOT_USE
    flags = flags | xp.asarray(lacks_value, dtype=given.dtype) * NO_FLAT_FIELD
    response = xp.where((flags & DO_NOT_USE) != 0, xp.ones_like(data), data)
    errors = xp.zeros_like(data) if flat.err is None else flat.err[rows]
    return response, errors, flags


def _mark_invalid_rates(rates: GuiderRates) -> None:
    """Make NaN in all arrays what is NaN in one.

    The guider's flags are of pixels, not of samples: as officially, they make no sample NaN.
    """
    xp = namespace_of(rates.data)
    is_nan = xp.isnan(rates.data) | xp.isnan(rates.err) | xp.isnan(rates.var_flat)
    for array in (rates.data, rates.err, rates.var_flat):
        array[is_nan] = xp.nan
