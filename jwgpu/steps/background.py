"""Subtract the mean of exposures of the sky nearby, taken for this."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jwgpu.associations import check_members, is_association, read_association
from jwgpu.backends import namespace_of
from jwgpu.errors import InputError, NotYetError
from jwgpu.models.fits_arrays import FitsFile
from jwgpu.models.images import Image
from jwgpu.steps.base import WHOLE, SkipStep, param
from jwgpu.steps.clipped_mean import mean_of, not_outlying, rows_at_a_time, sum_of
from jwgpu.steps.image_step import ImageStep

log = logging.getLogger(__name__)

#: Exposures whose background is fitted instead.
_FITTED = frozenset({"NIS_WFSS", "NRC_WFSS", "MIR_WFSS", "NIS_SOSS"})

#: Exposures whose official data model is none of an image.
_SLICED = frozenset({"NRS_IFU", "MIR_MRS"})

#: Differences of NIRSpec's grating wheel that do not count, in its unit of tilt.
_SAME_TILT = 1e-8


class Mean(NamedTuple):
    """The mean of some backgrounds.

    Attributes
    ----------
    data, err : array, (y, x) float32
        Mean and its error, DN/s. 0 where no background has a value.
    dq : array, (y, x) uint32
        All their flags.
    """

    data: Any
    err: Any
    dq: Any


class BackgroundStep(ImageStep):
    """Subtract the mean of background exposures."""

    class_alias = "bkg_subtract"
    cut = WHOLE
    # For spectra without slits, and SOSS.
    reference_file_types = ("bkg", "wavelengthrange")

    bkg_list: list[str] | None = param(None, help="Backgrounds, unless an association names them")
    save_combined_background: bool = param(False, help="Save the mean of the backgrounds")
    sigma: float = param(3.0, help="Distance from the median beyond which a background is left out")
    maxiters: int | None = param(None, help="Rounds of leaving out; all that it takes if None")
    soss_source_percentile: float = param(35.0, help="SOSS: brightness above which is source")
    soss_bkg_percentile: list[float] | None = param(
        None, low=2, high=2, help="SOSS: percentiles between which is background"
    )
    wfss_mmag_extract: float | None = param(None, help="Slitless spectra: faintest source")
    wfss_mask: str | None = param(None, help="Slitless spectra: file with a mask of the sources")
    wfss_maxiter: int = param(5, help="Slitless spectra: rounds of leaving out")
    wfss_rms_stop: float = param(0.0, help="Slitless spectra: percent of progress to stop at")
    wfss_outlier_percent: float = param(1.0, help="Slitless spectra: percent left out a round")

    #: Backgrounds for the next exposure, set by a pipeline or by `process`; before ``bkg_list``.
    backgrounds: Sequence[Any] | None = None

    def process(self, source: Any, input_bkg_list: Any = None) -> Any:
        """Run this step; stpipe calls this.

        Parameters
        ----------
        source : str, Path or JwstDataModel
            Exposure, or an association with one science member and its backgrounds.
        input_bkg_list : str, or sequence of str, Path or JwstDataModel, optional
            Backgrounds, where the association names none; a text is divided at its commas.

        Returns
        -------
        ImageModel or CubeModel
        """
        if isinstance(input_bkg_list, str):
            input_bkg_list = input_bkg_list.split(",")
        if input_bkg_list is not None:
            self.backgrounds = input_bkg_list
        return super().process(source)

    def open(self, source: Any) -> Any:
        """Open an exposure, or the science exposure of an association."""
        if isinstance(source, (str, Path)) and is_association(source):
            association = read_association(source)
            check_members(association, "science", "background")
            if len(association.products) > 1:
                log.warning("%s: only its first product counts", association.name)
            science = association.of("science")
            if not science:
                raise InputError(f"{source}: has no science member: give it one")
            if len(science) > 1:
                log.warning("%s: only its first science exposure counts", association.name)
            self.backgrounds = association.of("background") or self.backgrounds
            source = science[0]
        return super().open(source)

    def applies_to(self, exposure: Image) -> None:
        """Raise `NotYetError` for spectra without slits, SOSS and integral-field units."""
        kind = str(exposure.meta.exposure.type)
        if kind in _FITTED or kind in _SLICED:
            raise NotYetError(
                f"{exposure.meta.filename}: background does not know {kind} yet: run this step "
                "with the official package"
            )

    def correct(self, exposure: Image) -> None:
        """Subtract the mean of the backgrounds, and add its flags.

        Parameters
        ----------
        exposure : Image
            Its errors are left as they are, as officially.

        Raises
        ------
        SkipStep
            If there are no backgrounds, or NIRSpec's grating wheel stood otherwise.
        """
        given = self.backgrounds if self.backgrounds is not None else self.bkg_list
        backgrounds = [item for item in given or () if not isinstance(item, str) or item]
        if not backgrounds:
            log.warning("background: there are no backgrounds to subtract")
            raise SkipStep("there are no backgrounds")
        if str(exposure.meta.instrument.name).upper() == "NIRSPEC":
            _check_tilts(exposure.meta, backgrounds)
        mean = self.average(exposure, backgrounds)
        exposure.data -= mean.data
        exposure.dq = exposure.dq | mean.dq
        if self.save_combined_background:
            self._save(mean)

    def average(self, exposure: Image, backgrounds: Sequence[Any]) -> Mean:
        """Average backgrounds where the exposure is.

        Parameters
        ----------
        exposure : Image
        backgrounds : sequence of str, Path or JwstDataModel
            Opened one at a time.

        Raises
        ------
        InputError
            If one has another number of axes than the exposure.
        """
        xp = namespace_of(exposure.data)
        place = _Place.of(exposure)
        is_cube = exposure.data.ndim == 3
        nothing = xp.full_like(exposure.data[0, ...] if is_cube else exposure.data, xp.nan)
        flags = xp.zeros_like(exposure.dq[0, ...] if is_cube else exposure.dq)
        data, squares = [], []
        for item in backgrounds:
            # Opening takes the arrays out of a model, which is the caller's.
            own = item if isinstance(item, (str, Path)) else item.copy()
            other = self.session.send(super().open(own))
            if other.data.ndim != exposure.data.ndim:
                raise InputError(
                    f"{other.meta.filename}: has {other.data.ndim} axes, the exposure "
                    f"{exposure.data.ndim}: give _rate files for a _rate file, _rateints for a "
                    "_rateints file"
                )
            common = place.common_with(_Place.of(other))
            if common is None:
                log.warning("%s has nothing in common with the exposure", other.meta.filename)
                data.append(nothing)
                squares.append(nothing)
                continue
            values, errors, dq = _cut(other, common, nothing)
            # As officially, what is left out of the errors of integrations is not what is left out
            # of their values; where nothing is left, 0 takes part in the mean.
            squared = errors * errors
            data.append(self._mean_of_integrations(values) if is_cube else values)
            squares.append(self._mean_of_integrations(squared) if is_cube else squared)
            flags = flags | dq
        return Mean(*self._combine(data, squares), flags)

    def _combine(self, data: list[Any], squares: list[Any]) -> tuple[Any, Any]:
        """Return the mean of images, and its error from their squared errors: (y, x) float32."""
        xp = namespace_of(data[0])
        mean = xp.zeros_like(data[0], dtype=xp.float32)
        error = xp.zeros_like(mean)
        for rows in rows_at_a_time(len(data), mean.shape):
            planes = xp.stack([xp.astype(plane[rows, :], xp.float64) for plane in data])
            kept = not_outlying(planes, self.sigma, self.maxiters)
            values, count = mean_of(planes, kept)
            planes = xp.stack([xp.astype(plane[rows, :], xp.float64) for plane in squares])
            spread = xp.sqrt(sum_of(planes, kept)) / xp.maximum(count, xp.ones_like(count))
            mean[rows, :] = xp.astype(values, xp.float32)
            error[rows, :] = xp.astype(spread, xp.float32)
        return mean, error

    def _mean_of_integrations(self, cube: Any) -> Any:
        """Return the mean of the integrations of one background: (y, x) float64."""
        xp = namespace_of(cube)
        mean = xp.zeros_like(cube[0, ...], dtype=xp.float64)
        for rows in rows_at_a_time(cube.shape[0], mean.shape):
            planes = cube[:, rows, :]
            mean[rows, :] = mean_of(planes, not_outlying(planes, self.sigma, self.maxiters))[0]
        return mean

    def _save(self, mean: Mean) -> None:
        """Save the mean as a product of its own."""
        from stdatamodels.jwst import datamodels

        fetch = self.session.device.fetch
        model = datamodels.ImageModel(data=fetch(mean.data), err=fetch(mean.err), dq=fetch(mean.dq))
        path = self.save_model(model, suffix="combinedbackground", force=True)
        log.info("The combined background is in %s", path)


class _Place(NamedTuple):
    """Where on the detector an image is: half-open ranges of rows and columns, from 0."""

    bottom: int
    top: int
    left: int
    right: int

    @classmethod
    def of(cls, image: Image) -> _Place:
        """Read it from the keywords; full frames need none."""
        subarray = image.meta.subarray
        places = (subarray.xstart, subarray.ystart, subarray.xsize, subarray.ysize)
        if any(value is None for value in places):
            is_miri = str(image.meta.instrument.name).upper() == "MIRI"
            full = (1024, 1032) if is_miri else (2048, 2048)
            if tuple(image.data.shape[-2:]) != full:
                raise InputError(
                    f"{image.meta.filename}: lacks SUBSTRT1, SUBSTRT2, SUBSIZE1 or SUBSIZE2; "
                    "restore them from the archive"
                )
            places = (1, 1, full[1], full[0])
        x, y, n_x, n_y = places
        return cls(y - 1, y - 1 + n_y, x - 1, x - 1 + n_x)

    def common_with(self, other: _Place) -> _Common | None:
        """Return where in another image what both have in common is; None if there is nothing."""
        bottom, top = max(self.bottom, other.bottom), min(self.top, other.top)
        left, right = max(self.left, other.left), min(self.right, other.right)
        if top <= bottom or right <= left:
            return None
        return _Common(bottom - other.bottom, left - other.left, top - bottom, right - left)


class _Common(NamedTuple):
    """Where in an image what it has in common with another begins, and its size."""

    row: int
    column: int
    n_y: int
    n_x: int


def _cut(image: Image, common: _Common, nothing: Any) -> tuple[Any, Any, Any]:
    """Return a part of an image, in arrays of another size.

    As officially, the part lies at their origin, also where it begins elsewhere in the exposure.

    Parameters
    ----------
    image : Image
    common : _Common
        The part.
    nothing : array, (y, x) float32
        NaN, as large as the exposure.

    Returns
    -------
    values, errors : array, (y, x) or (ints, y, x) float32
        NaN around the part.
    flags : array, (y, x) uint32
        Those of all integrations; 0 around the part.
    """
    row, column, n_y, n_x = common
    xp = namespace_of(image.data)
    source = (..., slice(row, row + n_y), slice(column, column + n_x))
    corner = (..., slice(0, n_y), slice(0, n_x))
    data, dq = image.data[source], image.dq[source]
    fits = n_y <= nothing.shape[0] and n_x <= nothing.shape[1]
    if tuple(data.shape[-2:]) != (n_y, n_x) or not fits:
        raise InputError(
            f"{image.meta.filename}: the size of it or of the exposure is not that of the keywords "
            "SUBSIZE1 and SUBSIZE2; the files are not consistent"
        )
    n_ints = data.shape[0] if data.ndim == 3 else 0
    values = xp.stack([nothing] * n_ints) if n_ints else xp.full_like(nothing, xp.nan)
    errors = xp.full_like(values, xp.nan)
    flags = xp.zeros_like(nothing, dtype=xp.uint32)
    values[corner], errors[corner] = data, image.err[source]
    for plane in [dq[i, ...] for i in range(n_ints)] if n_ints else [dq]:
        flags[corner] = flags[corner] | plane
    return values, errors, flags


def _check_tilts(meta: Any, backgrounds: Sequence[Any]) -> None:
    """Raise `SkipStep` if NIRSpec's grating wheel stood otherwise for a background."""
    ours = _tilt(meta.filename, meta.instrument.gwa_xtilt, meta.instrument.gwa_ytilt)
    for item in backgrounds:
        if isinstance(item, (str, Path)):
            with FitsFile(item) as file:
                name = Path(item).name
                other = _tilt(name, file.primary.get("GWA_XTIL"), file.primary.get("GWA_YTIL"))
        else:
            name, instrument = item.meta.filename, item.meta.instrument
            other = _tilt(name, instrument.gwa_xtilt, instrument.gwa_ytilt)
        if any(abs(a - b) > _SAME_TILT for a, b in zip(ours, other, strict=True)):
            log.warning("background: %s has other GWA_XTIL and GWA_YTIL", name)
            raise SkipStep("the grating wheel did not stand alike")


def _tilt(name: str, x: Any, y: Any) -> tuple[float, float]:
    if x is None or y is None:
        raise InputError(f"{name}: lacks GWA_XTIL or GWA_YTIL; restore them from the archive")
    return float(x), float(y)
