"""Divide by the flat field: of the guider, so far."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from jwgpu.backends import namespace_of
from jwgpu.errors import NotYetError
from jwgpu.models import guider
from jwgpu.models.flags import DO_NOT_USE, NO_FLAT_FIELD
from jwgpu.models.guider import GuiderRates
from jwgpu.references.types import FlatReference
from jwgpu.steps import provenance
from jwgpu.steps.base import PIXELS, CalibrationStep, SkipStep, param

log = logging.getLogger(__name__)

#: References that only NIRSpec's spectra have; products of others say so.
_OF_NIRSPEC = ("fflat", "sflat", "dflat")


class FlatFieldStep(CalibrationStep):
    """Divide count rates by the response of each pixel."""

    class_alias = "flat_field"
    cut = PIXELS

    save_interpolated_flat: bool = param(False, help="Save the flat field made for NIRSpec")
    user_supplied_flat: str | None = param(None, help="Flat field to use instead of the reference")
    inverse: bool = param(False, help="Multiply instead of dividing")

    def open(self, source: Any) -> GuiderRates:
        """Open a file, or wrap an official data model, as count rates of the guider."""
        return guider.open_rates(source)

    def as_model(self, exposure: Any) -> Any:
        """Return the exposure as an official data model."""
        return guider.model_of(exposure)

    def applies_to(self, exposure: Any) -> None:
        """Raise `NotYetError` for exposures that are not the guider's own."""
        if not guider.is_guider(exposure.meta):
            raise NotYetError(
                f"flat_field: jwgpu divides guide star exposures only, not yet "
                f"{exposure.meta.exposure.type}: run this step with the official package"
            )
        if not isinstance(exposure, GuiderRates):
            raise SkipStep("guider_cds has made no count rates")

    def get_ref_override(self, reference_file_type: str) -> Any:
        """Return the flat field that the caller gives."""
        if self.user_supplied_flat is not None:
            return str(self.make_input_path(Path(self.user_supplied_flat)))
        return super().get_ref_override(reference_file_type)

    def correct(self, rates: GuiderRates, flat: FlatReference | None) -> None:
        """Divide the rates; pixels without a response keep theirs, and are flagged.

        Parameters
        ----------
        rates : GuiderRates
            All arrays are changed.
        flat : FlatReference, optional
            Relative response.
        """
        if self.user_supplied_flat is None:
            for reftype in _OF_NIRSPEC:
                provenance.record_reference(rates.meta, reftype, "N/A")
        if flat is None:
            raise SkipStep("there is no FLAT reference")
        if flat.data.shape[0] < rates.data.shape[-2]:
            log.warning("flat_field: %s is smaller than the exposure", flat.path)
            raise SkipStep("the FLAT reference is smaller than the exposure")
        xp = namespace_of(rates.data, flat.data)
        is_missing = xp.isnan(flat.data) | (flat.data == 0) | ((flat.dq & NO_FLAT_FIELD) != 0)
        lacks_value = xp.isnan(flat.data) | (flat.data == 0)
        flags = flat.dq | xp.asarray(is_missing, dtype=flat.dq.dtype) * DO_NOT_USE
        flags = flags | xp.asarray(lacks_value, dtype=flat.dq.dtype) * NO_FLAT_FIELD
        is_bad = (flags & DO_NOT_USE) != 0
        response = xp.where(is_bad, xp.ones_like(flat.data), flat.data)
        errors = xp.zeros_like(flat.data) if flat.err is None else flat.err
        if self.inverse:
            rates.data *= response
            rates.var_flat = xp.zeros_like(rates.data)
        else:
            rates.data /= response
            rates.var_flat = rates.data**2 / response**2 * errors**2
            rates.err = xp.sqrt(rates.err**2 + rates.var_flat)
        rates.dq = rates.dq | flags
        # The flags are of pixels, not of samples: as officially, they make no sample NaN.
        is_nan = xp.isnan(rates.data) | xp.isnan(rates.err) | xp.isnan(rates.var_flat)
        for array in (rates.data, rates.err, rates.var_flat):
            array[is_nan] = xp.nan
