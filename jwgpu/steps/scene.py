"""Which pixels of an exposure see background only: draft count rates, and a mask made from them."""

from __future__ import annotations

import logging
import math
import os
from dataclasses import dataclass, replace
from typing import Any

from jwgpu.backends import namespace_of
from jwgpu.errors import InputError, NotYetError, ReferenceFileError
from jwgpu.kernels.flicker_noise import background_limits, mask_outside
from jwgpu.models.flags import DO_NOT_USE, MSA_FAILED_OPEN, NO_FLAT_FIELD, NON_SCIENCE
from jwgpu.models.ramp import Ramp
from jwgpu.models.rates import Rates
from jwgpu.references.types import FlatReference
from jwgpu.runner.parts import in_rows, reference_of
from jwgpu.steps import provenance
from jwgpu.steps.ramp_fit import RampFitStep

log = logging.getLogger(__name__)

#: Rows of NIRSpec's detectors that the fixed slits are imaged to.
FIXED_SLIT_ROWS = slice(922, 1116)

SLIT_TYPES = ("NRS_FIXEDSLIT", "NRS_BRIGHTOBJ", "NRS_MSASPEC")


@dataclass(frozen=True)
class MaskSettings:
    """How to find the background.

    Attributes
    ----------
    mask_science_regions : bool
        Leave out where the instrument sends light.
    n_sigma : float
        Leave out what stands out of the background by more; 0 for no such search.
    fit_histogram : bool
        Take the width of the background from a fit to its histogram.
    single_mask : bool
        One mask for all integrations.
    """

    mask_science_regions: bool = False
    n_sigma: float = 2.0
    fit_histogram: bool = False
    single_mask: bool = True


def draft_rates(step: Any, ramp: Ramp, per_integration: bool) -> Rates:
    """Fit count rates with the default parameters of ramp fitting.

    Parameters
    ----------
    step : CalibrationStep
        The step that needs them. References are overridden as in the ramp fitting of the same
        pipeline (officially, not at all).
    ramp : Ramp
        Not changed.
    per_integration : bool
        Return the rate of each integration, (ints, y, x), not that of the exposure.
    """
    log.info("fitting draft count rates to find the background")
    siblings = getattr(step.parent, "ramp_fit", None)
    fit = RampFitStep()
    fit.applies_to(ramp)
    source = step.session.references.with_overrides((siblings or step).get_ref_override)
    used = {}
    for reftype in fit.reference_classes:
        used[reftype] = source.load(reftype, ramp.meta, ramp.data.shape, step.session.device)
        if used[reftype] is None:
            raise ReferenceFileError(
                f"{ramp.meta.filename}: {step.class_alias} needs a {reftype.upper()} reference for "
                "its draft count rates, and that is N/A"
            )
    factor = ramp.meta.exposure.gain_factor
    rates = _fitted(fit, ramp, used, per_integration)
    ramp.meta.exposure.gain_factor = factor
    draft = rates[1] if per_integration else rates[0]
    for reftype in used:
        provenance.record_reference(draft.meta, reftype, source.names_used[reftype])
    return draft


def _fitted(
    fit: RampFitStep, ramp: Ramp, references: dict[str, Any], per_integration: bool
) -> tuple[Rates, Rates]:
    """Fit a ramp that stays as it is; the second of the rates is there only if asked for."""
    survey = fit.survey(ramp, **references)
    found: Any = None
    for part in in_rows(ramp):
        if part.part is None:
            # The fit by likelihood flags jumps; what describes the ramp is the draft's own, too.
            flags = ramp.groupdq.copy() if survey.by_likelihood else ramp.groupdq
            part = replace(ramp, groupdq=flags)
        own = {name: reference_of(one, part) for name, one in references.items()}
        of_part = fit.correct_part(part, survey, **own)
        if not per_integration:
            of_part = of_part._replace(rateints=None)
        found = fit.collect(found, part, of_part)
    if not per_integration:
        found = found._replace(rateints=found.rate)
    rate, rateints = fit.conclude(ramp, survey, found)
    if per_integration and ramp.storage is not None:
        send, shape = ramp.storage.device.send, (ramp.data.shape[0], *ramp.image_shape)
        with ramp.storage.holding(ramp, 2 * math.prod(shape) * rateints.data.dtype.itemsize):
            rateints.data = send(rateints.data.read().reshape(shape))
            rateints.dq = send(rateints.dq.read().reshape(shape))
    return rate, rateints


def flag_by_flat(rates: Rates, flat: FlatReference | None) -> None:
    """Add the flags of a flat field to those of the rates, as flat fielding does."""
    if flat is None:
        return
    xp = namespace_of(rates.dq)
    is_bad = xp.isnan(flat.data) | (flat.data == 0) | ((flat.dq & NO_FLAT_FIELD) != 0)
    rates.dq |= flat.dq | xp.where(is_bad, xp.uint32(DO_NOT_USE | NO_FLAT_FIELD), xp.uint32(0))


def read_mask(step: Any, path: str) -> Any:
    """Read a user's mask: (y, x) or (ints, y, x) bool, True where it is not 0.

    Raises
    ------
    InputError
        If there is none in the file.
    """
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such file; correct user_mask or leave it out")
    with step._datamodels_open(path) as model:
        mask = getattr(model, "data", None)
        if mask is None or mask.ndim not in (2, 3):
            raise InputError(f"{path}: holds no image that could be a mask; correct user_mask")
        return step.session.device.send(mask.astype(bool))


def check_regions(step: Any, exposure: Any, parameter: str = "mask_science_regions") -> None:
    """Refuse to mask regions that only world coordinates can tell.

    Raises
    ------
    NotYetError
        For NIRSpec spectra whose coordinates are not there.
    """
    meta = exposure.meta
    alias, kind = step.class_alias, str(meta.exposure.type)
    if getattr(step, parameter) and kind == "NIS_SOSS":
        raise NotYetError(
            f"{meta.filename}: {alias} cannot mask the traces of SOSS yet; "
            f"use --{parameter}=false, or give a user mask"
        )
    # Images, darks and lamps are masked by the flags of their pixels alone.
    if not getattr(step, parameter) or kind not in ("NRS_IFU", *SLIT_TYPES):
        return
    has_coordinates = getattr(meta, "wcs", None) is not None
    if has_coordinates and kind != "NRS_IFU":
        if kind == "NRS_MSASPEC" and meta.cal_step.msa_flagging != "COMPLETE":
            raise NotYetError(
                f"{meta.filename}: {alias} cannot flag failed-open shutters yet: give an exposure "
                f"on which msaflagopen has run, or --{parameter}=false"
            )
        return
    raise NotYetError(
        f"{meta.filename}: {alias} cannot mask where NIRSpec's spectra ({kind}) fall: jwgpu does "
        f"not assign world coordinates yet; use --{parameter}=false"
    )


def scene_mask(rates: Rates, settings: MaskSettings, traces: Any = None) -> Any:
    """Return where count rates are those of the background.

    Parameters
    ----------
    rates : Rates
        Of an exposure, or of its integrations.
    settings : MaskSettings
    traces : array, (y, x) bool, optional
        Where NIRISS's traces of SOSS are.

    Returns
    -------
    array, (y, x) or (ints, y, x) bool
        True for the background.
    """
    xp = namespace_of(rates.data)
    mask = ~(xp.isnan(rates.data) | (rates.data == 0))
    if settings.mask_science_regions:
        _mask_regions(xp, rates, mask, traces)
    if settings.n_sigma > 0:
        for image, plane in planes_of(rates.data, mask):
            limits = background_limits(
                image, plane, sigma_upper=settings.n_sigma, fit_histogram=settings.fit_histogram
            )
            mask_outside(image, plane, *limits)
    if settings.single_mask and mask.ndim == 3:
        mask = xp.all(mask, axis=0)
    return mask


def planes_of(images: Any, masks: Any) -> list[tuple[Any, Any]]:
    """Return each image with its mask, both (y, x), of one image or of several."""
    if masks.ndim == 2:
        return [(images, masks)]
    return [(images[i], masks[i]) for i in range(masks.shape[0])]


def _mask_regions(xp: Any, rates: Rates, mask: Any, traces: Any) -> None:
    """Leave out, in place, where the instrument sends light, or where it is of no use."""
    kind = str(rates.meta.exposure.type)
    flags = 0
    if kind.startswith("NRS"):
        flags = MSA_FAILED_OPEN
    elif kind == "MIR_IMAGE":
        flags = DO_NOT_USE | NON_SCIENCE
    if flags:
        mask &= (rates.dq & xp.uint32(flags)) == 0
    if kind in SLIT_TYPES:
        mask_slits(rates.meta.wcs, mask)
    if kind == "NRS_MSASPEC" and not _has_fixed_slits(rates.meta.wcs):
        mask[..., FIXED_SLIT_ROWS, :] = False
    if traces is not None:
        mask &= ~traces


def mask_slits(wcs: Any, mask: Any) -> None:
    """Leave out the bounding box of each slit."""
    from math import floor

    for slit in wcs.get_transform("gwa", "slit_frame").slit_ids:
        columns, rows = (
            slice(*(floor(float(edge) + 0.5) for edge in interval))
            for interval in wcs.bounding_box[slit]
        )
        mask[..., rows, columns] = False


def _has_fixed_slits(wcs: Any) -> bool:
    """Whether a MOS exposure has fixed slits among its slitlets (quadrant 5)."""
    slits = getattr(wcs.get_transform("gwa", "slit_frame"), "slits", None)
    if slits is None:
        log.warning("the world coordinates do not name the open slits")
        return False
    return any(slit.quadrant == 5 for slit in slits)
