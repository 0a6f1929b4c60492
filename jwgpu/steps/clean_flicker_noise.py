"""Remove flicker (1/f) noise."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

from jwgpu.backends import namespace_of
from jwgpu.errors import InputError
from jwgpu.kernels.flicker_noise import (
    Lines,
    background_limits,
    mask_outside,
    restore,
    stripes,
    subtract_background,
    take_difference,
)
from jwgpu.kernels.flicker_noise.background import background_level
from jwgpu.kernels.flicker_noise.fourier import (
    Band,
    full_frame_noise,
    subarray_noise,
    to_readout,
)
from jwgpu.models import writing
from jwgpu.models.flags import DO_NOT_USE, JUMP_DET
from jwgpu.models.ramp import Ramp
from jwgpu.models.rates import Rates
from jwgpu.references.types import FlatReference
from jwgpu.steps.base import WHOLE, SkipStep, param
from jwgpu.steps.ramp_or_rate import RampOrRateStep
from jwgpu.steps.scene import (
    MaskSettings,
    check_regions,
    draft_rates,
    flag_by_flat,
    read_mask,
    scene_mask,
)

log = logging.getLogger(__name__)

FOURIER_TYPES = ("NRS_MSASPEC", "NRS_IFU", "NRS_FIXEDSLIT", "NRS_BRIGHTOBJ")
FULL_FRAME = (2048, 2048)
CHANNELS = 4

#: With ALLSLITS, less of the higher frequencies is noise.
_WIDE_BAND = Band()
_BANDS = {"ALLSLITS": Band(low=150.0, low_end=200.0)}


@dataclass
class Products:
    """What may be saved beside the exposure; None where it is not asked for.

    Attributes
    ----------
    background, before : array, same shape as the data, or None
        What was taken for the background; the data before cleaning.
    """

    background: Any = None
    before: Any = None


@dataclass(frozen=True)
class Cleaning:
    """How to clean an image.

    Attributes
    ----------
    background_method : str or None
        Background to put aside: ``median``, ``model``, None; ``median_image`` becomes None.
    background_box_size : (int, int), optional
        Boxes of the model.
    n_sigma : float
        What stands out of the background by more is not used.
    lines : Lines or None
        Lines whose median is noise; None for a fit of waves.
    is_flipped : bool
        Whether the detector is read in the order of falling x.
    band : Band
        Frequencies of that fit.
    """

    background_method: str | None = None
    background_box_size: tuple[int, int] | None = None
    n_sigma: float = 0.0
    lines: Lines | None = None
    is_flipped: bool = False
    band: Band = _WIDE_BAND


class CleanFlickerNoiseStep(RampOrRateStep):
    """Find the background of each image, and take its stripes or slow waves out."""

    class_alias = "clean_flicker_noise"
    # The scene mask comes from the rates of all integrations and the statistics of whole images.
    cut = WHOLE

    autoparam: bool = param(False, help="choose parameters by the image (NIRCam, NIRISS imaging)")
    fit_method: str = param(
        "median", options=("fft", "median"), help="medians of lines, or waves (NIRSpec spectra)"
    )
    fit_by_channel: bool = param(False, help="each amplifier for itself (near-infrared)")
    background_method: str | None = param(
        "median",
        options=("median", "model", "median_image", None),
        help="background that is left in place",
    )
    background_box_size: list[int] | None = param(
        None, low=2, high=2, help="rows and columns of a box of the background model"
    )
    mask_science_regions: bool = param(False, help="leave out where light is expected")
    apply_flat_field: bool = param(False, help="divide by the flat field while fitting")
    n_sigma: float = param(2.0, help="sources stand out of the background by more sigma")
    fit_histogram: bool = param(False, help="fit the histogram of the background for its sigma")
    single_mask: bool = param(True, help="one mask for all integrations")
    user_mask: str | None = param(None, help="file of a mask to use instead: 1 for background")
    save_mask: bool = param(False, help="save the mask (mask)")
    save_background: bool = param(False, help="save the background (flicker_bkg)")
    save_noise: bool = param(False, help="save the noise (flicker_noise)")
    skip: bool = param(True, help="skip this step")

    _has_failed = False

    def applies_to(self, exposure: Ramp | Rates) -> None:
        """End with status FAILED, as officially, for modes that are not cleaned.

        Raises
        ------
        NotYetError
            If regions are to be masked that only world coordinates can tell.
        """
        self._has_failed = False
        kind = str(exposure.meta.exposure.type)
        if kind.startswith("MIR") and kind != "MIR_IMAGE":
            self._fail(f"exposures of type {kind} are not cleaned")
        if self.fit_method == "fft" and kind not in FOURIER_TYPES:
            self._fail(f"waves are not fitted to exposures of type {kind}: use fit_method=median")
        if _given(self.user_mask) is None:
            check_regions(self, exposure)

    def needed_references(self, meta: Any, shape: tuple[int, ...] = ()) -> dict[str, type]:
        """Return the types that this exposure needs with these parameters."""
        needed = super().needed_references(meta, shape)
        needs_flat = self.apply_flat_field or self._needs_flat_flags(meta)
        return needed if needs_flat else {}

    def correct(self, exposure: Ramp | Rates, flat: FlatReference | None = None) -> None:
        """Clean every group but the first of every integration, or every image of count rates.

        Parameters
        ----------
        exposure : Ramp or Rates
            Changed in place; each cleaned difference of two groups is added to the cleaned group
            before.
        flat : FlatReference, optional

        Raises
        ------
        InputError
            If the user's mask cannot be read.
        """
        settings = MaskSettings(
            self.mask_science_regions, self.n_sigma, self.fit_histogram, self.single_mask
        )
        flat_image = None
        if self.apply_flat_field and flat is not None:
            flat_image = _without_gaps(flat)
        elif self.apply_flat_field:
            log.warning("there is no flat field for this exposure: it is not applied")
        mask, scene = self._mask(exposure, settings, flat, flat_image)
        self._check_mask(exposure, mask)
        if self.save_mask:
            self._save(scene, mask, "mask", exposure)
        cleaning = self._cleaning(exposure)
        products = Products(
            namespace_of(exposure.data).zeros_like(exposure.data) if self.save_background else None,
            exposure.data.copy() if self.save_noise or _may_fail(exposure, cleaning) else None,
        )
        if isinstance(exposure, Ramp):
            is_done = _clean_ramps(exposure, mask, cleaning, flat_image, products)
        else:
            is_done = _clean_rates(exposure, mask, cleaning, flat_image, products)
        if not is_done:
            exposure.data[...] = products.before
            self._fail("nothing of an image is left to fit: the exposure stays as it was")
        if self.save_background:
            self._save(exposure, products.background, "flicker_bkg", exposure)
        if self.save_noise:
            self._save(exposure, exposure.data - products.before, "flicker_noise", exposure)

    def set_status(self, exposure: Any, status: str) -> None:
        """Record the status of this step; a mode that is not cleaned counts as FAILED."""
        super().set_status(exposure, "FAILED" if self._has_failed else status)

    def _fail(self, why: str) -> None:
        self._has_failed = True
        log.warning("%s: %s", self.class_alias, why)
        raise SkipStep(why)

    def _needs_flat_flags(self, meta: Any) -> bool:
        return (
            self.mask_science_regions
            and meta.exposure.type == "MIR_IMAGE"
            and _given(self.user_mask) is None
        )

    def _mask(
        self,
        exposure: Ramp | Rates,
        settings: MaskSettings,
        flat: FlatReference | None,
        flat_image: Any,
    ) -> tuple[Any, Any]:
        """Return the mask of the background, and the exposure that it was made from."""
        if _given(self.user_mask) is not None:
            return read_mask(self, str(self.user_mask)), exposure
        if isinstance(exposure, Ramp):
            rates = draft_rates(self, exposure, per_integration=not settings.single_mask)
        else:
            rates = replace(exposure, dq=exposure.dq.copy(), data=exposure.data.copy())
        if self._needs_flat_flags(exposure.meta):
            flag_by_flat(rates, flat)
        if flat_image is not None:
            rates.data /= flat_image
        return scene_mask(rates, settings), rates

    def _check_mask(self, exposure: Ramp | Rates, mask: Any) -> None:
        n_ints = exposure.data.shape[0] if exposure.data.ndim > 2 else 1
        is_other_shape = mask.shape[-2:] != exposure.data.shape[-2:]
        if is_other_shape or (mask.ndim == 3 and mask.shape[0] != n_ints):
            self._fail(f"the mask, of {mask.shape}, does not fit data of {exposure.data.shape}")

    def _cleaning(self, exposure: Ramp | Rates) -> Cleaning:
        meta = exposure.meta
        name = str(meta.subarray.name).upper()
        lines = None
        if self.fit_method == "median":
            # MIRI has no 1/f noise, but a flicker along its columns.
            is_miri = str(meta.exposure.type).startswith("MIR")
            axis = 0 if is_miri else abs(_slow_axis(exposure)) - 1
            channels = 1
            if self.fit_by_channel and (name != "FULL" or is_miri):
                log.warning("only full frames of the near infrared are fitted by channel")
            elif self.fit_by_channel and exposure.data.shape[-2:][axis] == FULL_FRAME[axis]:
                channels = CHANNELS
            lines = Lines(axis, channels)
        box = self.background_box_size
        return wave_cleaning(
            meta,
            background_method=_given(self.background_method),
            background_box_size=(int(box[0]), int(box[1])) if box else None,
            n_sigma=self.n_sigma,
            lines=lines,
        )

    def _save(self, described: Any, data: Any, suffix: str, exposure: Ramp | Rates) -> None:
        """Save an intermediate product with the metadata of what it was made from."""
        path = self.make_output_path(basepath=exposure.meta.filename, suffix=suffix)
        model = writing.intermediate_model(described, self.session.device.fetch(data))
        writing.save_product(model, path)
        log.info("saved %s", path)


def clean_image(image: Any, mask: Any, cleaning: Cleaning) -> tuple[Any, Any, bool]:
    """Find the noise of an image, and put its background aside.

    Parameters
    ----------
    image : array, (y, x) float32
        Changed in place: without background, but with its noise.
    mask : array, (y, x) bool
        Pixels to use; changed in place.
    cleaning : Cleaning

    Returns
    -------
    noise : array or None
        As `restore` takes it.
    background : float or array
    is_done : bool
        False if nothing is left to fit.
    """
    background: Any = 0.0
    if cleaning.background_method == "median":
        background = subtract_background(image, mask, cleaning.n_sigma)
    elif cleaning.background_method == "model":
        background = background_level(image, mask, "model", cleaning.background_box_size)
        image -= background
        if cleaning.n_sigma > 0:
            limits = background_limits(
                image, mask, cleaning.n_sigma, cleaning.n_sigma, lower_half_only=True
            )
            mask_outside(image, mask, *limits)
    if cleaning.lines is not None:
        return stripes(image, mask, cleaning.lines), background, True
    noise = waves(image, mask, cleaning)
    return noise, background, noise is not None


def waves(image: Any, mask: Any, cleaning: Cleaning) -> Any:
    """Return the slow waves in an image, (y, x) float32; None if there is nothing to fit."""
    read, unlit = (to_readout(array, cleaning.is_flipped) for array in (image, mask))
    if image.shape == FULL_FRAME:
        noise = full_frame_noise(read, unlit)
    else:
        noise = subarray_noise(read, unlit, cleaning.band)
    if noise is None:
        return None
    xp = namespace_of(noise)
    noise = (noise[::-1] if cleaning.is_flipped else noise).T
    return xp.ascontiguousarray(noise, dtype=xp.float32)


def wave_cleaning(meta: Any, **others: Any) -> Cleaning:
    """Return how to clean an exposure of NIRSpec by a fit of waves."""
    is_flipped = str(meta.instrument.detector).upper() != "NRS1"
    band = _BANDS.get(str(meta.subarray.name).upper(), _WIDE_BAND)
    return Cleaning(is_flipped=is_flipped, band=band, **others)


def _clean_ramps(ramp: Ramp, scene: Any, cleaning: Cleaning, flat: Any, products: Products) -> bool:
    """Clean the differences of groups, in place; return False if one cannot be fitted."""
    xp = namespace_of(ramp.data)
    image = xp.empty(ramp.image_shape, xp.float32)
    mask = xp.empty(ramp.image_shape, bool)
    previous = xp.empty(ramp.image_shape, xp.float32)
    current = xp.empty(ramp.image_shape, xp.float32)
    for i in range(ramp.data.shape[0]):
        previous[...] = ramp.data[i, 0]
        for j in range(1, ramp.data.shape[1]):
            group = ramp.data[i, j]
            current[...] = group
            take_difference(
                image,
                mask,
                current,
                previous,
                scene=scene if scene.ndim == 2 else scene[i],
                groupdq=ramp.groupdq[i, j],
                unusable=DO_NOT_USE | JUMP_DET,
                flat=flat,
            )
            current, previous = previous, current
            if not bool(mask.any()):
                _warn_of_nothing(i, j - 1)
                continue
            noise, background, is_done = clean_image(image, mask, cleaning)
            if not is_done:
                return False
            restore(group, image, noise, background, flat, ramp.data[i, j - 1])
            if products.background is not None:
                products.background[i, j] = background
    return True


def _clean_rates(
    rates: Rates, scene: Any, cleaning: Cleaning, flat: Any, products: Products
) -> bool:
    """Clean images of count rates, in place; return False if one cannot be fitted."""
    xp = namespace_of(rates.data)
    images = rates.data if rates.data.ndim == 3 else rates.data[None]
    for i, target in enumerate(images):
        image = xp.empty(target.shape, xp.float32)
        mask = xp.empty(target.shape, bool)
        plane = scene if scene.ndim == 2 else scene[i]
        take_difference(image, mask, target, None, scene=plane, flat=flat)
        if not bool(mask.any()):
            _warn_of_nothing(i, 0)
            continue
        noise, background, is_done = clean_image(image, mask, cleaning)
        if not is_done:
            return False
        restore(target, image, noise, background, flat)
        if products.background is not None:
            products.background[i if rates.data.ndim == 3 else ...] = background
    return True


def _warn_of_nothing(i: int, j: int) -> None:
    log.warning("integration %d, group %d has no usable pixel and is not cleaned", i + 1, j + 1)


def _may_fail(exposure: Ramp | Rates, cleaning: Cleaning) -> bool:
    """Whether cleaning can end half-way: then the exposure must be as it was."""
    return cleaning.lines is None and exposure.data.shape[-2:] != FULL_FRAME


def _without_gaps(flat: FlatReference) -> Any:
    """Return a flat field with a smooth model of itself where it has no value."""
    xp = namespace_of(flat.data)
    is_bad = (flat.data == 0) | ~xp.isfinite(flat.data)
    if not bool(is_bad.any()):
        return flat.data
    level = background_level(flat.data, ~is_bad, "model")
    return xp.where(is_bad, level, flat.data)


def _given(value: str | None) -> str | None:
    """Return None for the word "none", too."""
    return None if str(value).lower() == "none" else value


def _slow_axis(exposure: Ramp | Rates) -> int:
    axis = exposure.meta.subarray.slowaxis
    if axis not in (-2, -1, 1, 2):
        raise InputError(
            f"{exposure.meta.filename}: keyword SLOWAXIS is {axis}: clean_flicker_noise needs to "
            "know along which axis the detector is read"
        )
    return int(axis)
