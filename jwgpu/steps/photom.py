"""From count rates to surface brightness."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from jwgpu.errors import InputError, NotYetError, ReferenceFileError
from jwgpu.models.images import Image, mark_invalid
from jwgpu.references.types import AreaReference, PhotomReference
from jwgpu.steps.assign_wcs import IMAGING
from jwgpu.steps.base import PIXELS, SkipStep, param
from jwgpu.steps.image_step import ImageStep

log = logging.getLogger(__name__)

#: Microjansky per square arcsec in one megajansky per steradian, as astropy has it to the bit.
_UJY_PER_ARCSEC2 = 23.50443053909789

#: What the rows of the reference are chosen by.
_CHOSEN_BY = {
    "NIRCAM": ("filter", "pupil"),
    "NIRISS": ("filter", "pupil"),
    "MIRI": ("filter", "subarray"),
    "FGS": (),
}

_DAYS_PER_YEAR = 365.0


class PhotomStep(ImageStep):
    """Turn count rates (DN/s) into surface brightness (MJy/sr).

    The factor of the exposure's filter, corrected for what the telescope has lost since it was
    measured, multiplies the signal and its errors. The area of the pixels goes into the header, and
    their relative areas into an extension of their own; the pixels are not divided by them.
    """

    class_alias = "photom"
    cut = PIXELS

    inverse: bool = param(False, help="Divide instead of multiplying")
    source_type: str | None = param(
        None, help="Type of the source; for spectra only, no effect on images"
    )
    apply_time_correction: bool = param(True, help="Correct for the loss of throughput over time")

    def applies_to(self, exposure: Image) -> None:
        """Raise `NotYetError` for spectra, and `SkipStep` for cubes of NIRISS."""
        kind = str(exposure.meta.exposure.type).upper()
        if kind not in IMAGING:
            raise NotYetError(
                f"{exposure.meta.filename}: photom knows images so far, not {kind}: run this step "
                "with the official package"
            )
        if exposure.meta.instrument.name == "NIRISS" and exposure.data.ndim == 3:
            raise SkipStep("integrations of NIRISS are not converted")

    def correct(
        self, image: Image, photom: PhotomReference, area: AreaReference | None = None
    ) -> None:
        """Convert signal, errors and variances.

        Parameters
        ----------
        image : Image
            All arrays are changed.
        photom : PhotomReference
            Factors in MJy/sr per DN/s.
        area : AreaReference, optional
            Areas of the pixels; without one, the average that `photom` tells.

        Raises
        ------
        ReferenceFileError
            If the reference has several rows for the exposure. (Without one it stays in DN/s.)
        """
        _record_areas(image, photom, area)
        row = _row_of(image.meta, photom)
        if row is None:
            # Quirk: the official step says COMPLETE and converts nothing.
            log.warning("%s has no row for this exposure: it stays in DN/s", photom.path)
            return
        factor = photom.table["photmjsr"][row]
        if self.apply_time_correction and photom.changes:
            throughput = _throughput(photom, row, image.meta)
            if throughput != 1.0:
                log.info("throughput has changed by a factor of %.6g", throughput)
                factor = factor / throughput
        image.meta.photometry.conversion_megajanskys = factor
        image.meta.photometry.conversion_microjanskys = factor * _UJY_PER_ARCSEC2
        self._convert(image, factor)
        unit = "DN/s" if self.inverse else "MJy/sr"
        image.meta.bunit_data = unit
        image.meta.bunit_err = unit
        mark_invalid(image)

    def _convert(self, image: Image, factor: Any) -> None:
        """Multiply by the factor, or divide; variances by its square."""
        squared = factor * factor
        scaled = [(image.data, factor), (image.err, factor)]
        scaled += [
            (variance, squared)
            for variance in (image.var_poisson, image.var_rnoise, image.var_flat)
            if variance is not None
        ]
        for array, by in scaled:
            if self.inverse:
                array /= by
            else:
                array *= by


def _record_areas(image: Image, photom: PhotomReference, area: AreaReference | None) -> None:
    """Put the average area of a pixel into the header, and the map of areas into the image."""
    source: Any = photom if area is None else area
    if area is not None:
        image.area = area.data
    for keyword, value in (("PIXAR_SR", source.area_sr), ("PIXAR_A2", source.area_arcsec2)):
        if value is None:
            log.warning("%s lacks the keyword %s", source.path, keyword)
    image.meta.photometry.pixelarea_steradians = source.area_sr
    image.meta.photometry.pixelarea_arcsecsq = source.area_arcsec2


def _row_of(meta: Any, photom: PhotomReference) -> int | None:
    """Find the row for the exposure's filter, pupil or subarray."""
    instrument = meta.instrument.name
    if instrument == "FGS":
        return 0
    wanted = {
        "filter": str(meta.instrument.filter).upper(),
        "pupil": str(meta.instrument.pupil).upper(),
        "subarray": str(meta.subarray.name).upper(),
    }
    names = list(_CHOSEN_BY[instrument])
    if instrument == "NIRCAM" and "subarray" in photom.table:
        names.append("subarray")
    chosen = {name: wanted[name] for name in names}
    row = _matching_row(photom, chosen)
    if row is None and instrument == "MIRI":
        row = _matching_row(photom, {**chosen, "subarray": "GENERIC"})
    return row


def _matching_row(photom: PhotomReference, chosen: dict[str, str]) -> int | None:
    n_rows = len(photom.table["photmjsr"])
    matches = np.ones(n_rows, bool)
    for name, value in chosen.items():
        if name not in photom.table:
            raise ReferenceFileError(f"{photom.path}: its table PHOTOM has no column {name}")
        matches &= np.char.upper(np.asarray(photom.table[name], dtype=str)) == value
    rows = np.flatnonzero(matches)
    if len(rows) > 1:
        raise ReferenceFileError(
            f"{photom.path}: {len(rows)} rows of PHOTOM fit {' '.join(chosen.values())}; one must"
        )
    return int(rows[0]) if len(rows) else None


def _throughput(photom: PhotomReference, row: int, meta: Any) -> Any:
    """Return the throughput at the time of the exposure relative to that of the reference."""
    time = meta.exposure.mid_time
    if time is None:
        raise InputError(
            f"{meta.filename}: lacks EXPMID, the time of the exposure, on which its throughput "
            "depends; restore it, or set apply_time_correction to false"
        )
    throughput = np.float64(1.0)
    for kind, columns in photom.changes.items():
        terms = {name: values[row] for name, values in columns.items()}
        throughput *= _CHANGES[kind](time - terms.pop("t0"), **terms)
    return throughput


def _linear(days: Any, lossperyear: Any) -> Any:
    return 1.0 - lossperyear * days / _DAYS_PER_YEAR


def _exponential(days: Any, amplitude: Any, tau: Any, const: Any) -> Any:
    return amplitude * np.exp(-days / tau) + const


def _powerlaw(days: Any, year1value: Any, tsoft: Any, alpha: Any) -> Any:
    after_a_year = (_DAYS_PER_YEAR + tsoft) ** alpha
    return (days + tsoft) ** alpha / (after_a_year / year1value)


_CHANGES: dict[str, Any] = {"linear": _linear, "exponential": _exponential, "powerlaw": _powerlaw}
