"""Remove flicker (1/f) noise."""

from __future__ import annotations

import copy
import logging
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

from jwgpu.backends import namespace_of
from jwgpu.errors import InputError, ReferenceFileError
from jwgpu.kernels.flicker_noise import Lines
from jwgpu.kernels.flicker_noise.background import background_level
from jwgpu.models import writing
from jwgpu.models.ramp import Ramp
from jwgpu.models.rates import Rates
from jwgpu.models.stored_planes import StoredPlanes
from jwgpu.references.types import FlatReference
from jwgpu.runner.parts import put_together
from jwgpu.steps.base import INTEGRATIONS, SkipStep, param
from jwgpu.steps.cleaning import (
    FULL_FRAME,
    Cleaning,
    Products,
    clean_differences,
    clean_images,
    wave_cleaning,
)
from jwgpu.steps.flicker_parameters import (
    AUTOMATIC_TYPES,
    choose_parameters,
    mean_of_integrations,
)
from jwgpu.steps.median_image import (
    MedianImage,
    check_median_image,
    has_light_curve,
    median_image,
)
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
CHANNELS = 4


#: Samples alone, as a share of samples and flags.
_SAMPLES = 0.8


class _Plan(NamedTuple):
    """How to clean an exposure.

    Attributes
    ----------
    mask : array, (y, x) or (ints, y, x) bool
        Where the background is.
    flat : array, (y, x) float32, or None
    median : MedianImage or None
    cleaning : Cleaning
    """

    mask: Any
    flat: Any
    median: MedianImage | None
    cleaning: Cleaning


class CleanFlickerNoiseStep(RampOrRateStep):
    """Find the background of each image, and take its stripes or slow waves out."""

    class_alias = "clean_flicker_noise"
    # The traces (pastasoss) are for spectra of NIRISS SOSS, which are refused so far.
    reference_file_types: ClassVar = ["flat", "pastasoss"]
    # Images are cleaned one by one, where the rates of all integrations show no light.
    cut = INTEGRATIONS
    has_survey = True

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
        is_chosen = self.autoparam and kind in AUTOMATIC_TYPES
        if self.background_method == "median_image" and not is_chosen:
            if exposure.data.ndim < 3 or exposure.data.shape[0] < 2:
                self._fail("there is no median image of a single integration")
            check_median_image(self.class_alias, exposure.meta)

    def needed_references(self, meta: Any, shape: tuple[int, ...] = ()) -> dict[str, type]:
        """Return the types that this exposure needs with these parameters."""
        needed = super().needed_references(meta, shape)
        is_chosen = self.autoparam and meta.exposure.type in AUTOMATIC_TYPES
        needs_flat = self.apply_flat_field or is_chosen or self._needs_flat_flags(meta)
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
        self.correct_undivided(exposure, flat=flat)

    def may_be_given_up(self, exposure: Ramp | Rates) -> bool:
        """Return whether cleaning can end half-way: then the exposure must be as it was."""
        return self.fit_method == "fft" and exposure.data.shape[-2:] != FULL_FRAME

    def saves(self, exposure: Any) -> bool:
        """Return whether background or noise are saved."""
        del exposure
        return self.save_background or self.save_noise

    def memory_beside(self, exposure: Ramp) -> float:
        """Return the memory of what is saved of a part, as a share of that."""
        keeps_before = self.save_noise or self.may_be_given_up(exposure)
        return _SAMPLES * (self.save_background + keeps_before + self.save_noise)

    def survey(self, *exposure: Any, **references: Any) -> _Plan:
        """Return where the background is, and how to clean."""
        (found,) = exposure
        step, flat = self, references.get("flat")
        if self.autoparam:
            step = self._with_chosen_parameters(found, flat)
        try:
            return step._plan(found, flat)
        finally:
            self._has_failed = step._has_failed

    def correct_part(self, part: Any, survey: _Plan, **references: Any) -> Products:
        """Clean some integrations; see `correct`."""
        del references
        mask, flat, median, cleaning = survey
        if isinstance(part, Ramp):
            here = slice(part.first_integration, part.first_integration + part.data.shape[0])
            mask = mask if mask.ndim == 2 else mask[here]
            median = None if median is None else median._replace(scale=median.scale[here])
        keeps_before = self.save_noise or self.may_be_given_up(part)
        products = Products(
            namespace_of(part.data).zeros_like(part.data) if self.save_background else None,
            part.data.copy() if keeps_before else None,
        )
        if isinstance(part, Ramp) and median is None:
            is_done = clean_differences(part, mask, cleaning, flat, products)
        else:
            is_done = clean_images(part, mask, cleaning, flat, products, median)
        if not is_done:
            part.data[...] = products.before
            self._fail("nothing of an image is left to fit: the exposure stays as it was")
        noise = part.data - products.before if self.save_noise else None
        return Products(products.background, noise)

    def collect(self, collected: Products | None, part: Any, found: Products) -> Products:
        """Put together what is to be saved."""
        before = collected or Products()
        pairs = ((before.background, found.background), (before.before, found.before))
        return Products(*(None if b is None else put_together(a, part, b) for a, b in pairs))

    def conclude(self, exposure: Any, survey: _Plan, collected: Products) -> None:
        """Save background and noise."""
        del survey
        if self.save_background:
            self._save(exposure, collected.background, "flicker_bkg", exposure)
        if self.save_noise:
            self._save(exposure, collected.before, "flicker_noise", exposure)

    def _plan(self, exposure: Ramp | Rates, flat: FlatReference | None) -> _Plan:
        """Return where the background is, and how to clean with the parameters of this step."""
        is_single = self.single_mask and self.background_method != "median_image"
        settings = MaskSettings(
            self.mask_science_regions, self.n_sigma, self.fit_histogram, is_single
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
        median = self._median_image(exposure, scene)
        return _Plan(mask, flat_image, median, self._cleaning(exposure))

    def _with_chosen_parameters(
        self, exposure: Ramp | Rates, flat: FlatReference | None
    ) -> CleanFlickerNoiseStep:
        """Return this step with what the image decides, which counts more than the user's word."""
        kind = str(exposure.meta.exposure.type)
        if kind not in AUTOMATIC_TYPES:
            log.warning("%s: parameters are chosen for images of NIRCam and NIRISS only", kind)
            return self
        if isinstance(exposure, Ramp):
            rate = draft_rates(self, exposure, per_integration=False).data
        elif exposure.data.ndim == 3:
            rate = mean_of_integrations(exposure.data)
        else:
            rate = exposure.data.copy()
        if flat is not None:
            rate /= _without_gaps(flat)
        axis = abs(_slow_axis(exposure)) - 1
        chosen = choose_parameters(kind, rate, axis, self.session.device)
        step = copy.copy(self)
        step.autoparam = False
        step.apply_flat_field = flat is not None
        step.background_method, step.fit_by_channel = chosen
        log.info("%s: the image asks for %s, flat field %s", kind, chosen, step.apply_flat_field)
        return step

    def set_status(self, exposure: Any, status: str) -> None:
        """Record the status of this step; a mode that is not cleaned counts as FAILED."""
        super().set_status(exposure, "FAILED" if self._has_failed else status)

    def _fail(self, why: str) -> None:
        self._has_failed = True
        log.warning("%s: %s", self.class_alias, why)
        raise SkipStep(why)

    def _needs_flat_flags(self, meta: Any) -> bool:
        """Whether flags of the flat field join those of the rates, which a mask is made from."""
        if meta.exposure.type != "MIR_IMAGE":
            return False
        if self.background_method == "median_image":
            return True
        return self.mask_science_regions and _given(self.user_mask) is None

    def _mask(
        self,
        exposure: Ramp | Rates,
        settings: MaskSettings,
        flat: FlatReference | None,
        flat_image: Any,
    ) -> tuple[Any, Any]:
        """Return the mask of the background, and the exposure that it was made from."""
        mask = None
        if _given(self.user_mask) is not None:
            mask = read_mask(self, str(self.user_mask))
            if self.background_method != "median_image":
                return mask, exposure
        if isinstance(exposure, Ramp):
            rates = draft_rates(self, exposure, per_integration=not settings.single_mask)
        else:
            rates = replace(exposure, dq=exposure.dq.copy(), data=exposure.data.copy())
        if self._needs_flat_flags(exposure.meta):
            flag_by_flat(rates, flat)
        if flat_image is not None:
            rates.data /= flat_image
        return scene_mask(rates, settings) if mask is None else mask, rates

    def _median_image(self, exposure: Ramp | Rates, rates: Rates) -> MedianImage | None:
        if self.background_method != "median_image":
            return None
        try:
            return median_image(exposure, rates, self._gain(exposure))
        except ValueError as why:
            self._fail(f"there is no median image: {why}")
        return None

    def _gain(self, exposure: Ramp | Rates) -> Any:
        """Return the gain that an imaging time series is measured with; None for all others."""
        if not has_light_curve(exposure.meta):
            return None
        siblings = getattr(self.parent, "ramp_fit", None)
        source = self.session.references.with_overrides((siblings or self).get_ref_override)
        shape, device = exposure.data.shape, self.session.device
        gain = source.load("gain", exposure.meta, shape, device)
        if gain is None:
            raise ReferenceFileError(
                f"{exposure.meta.filename}: {self.class_alias} needs a GAIN reference to measure "
                "the light of a time series, and that is N/A"
            )
        return gain.data

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
        method = _given(self.background_method)
        return wave_cleaning(
            meta,
            # What varies around the median image is taken for noise.
            background_method=None if method == "median_image" else method,
            background_box_size=(int(box[0]), int(box[1])) if box else None,
            n_sigma=self.n_sigma,
            lines=lines,
        )

    def _save(self, described: Any, data: Any, suffix: str, exposure: Ramp | Rates) -> None:
        """Save an intermediate product with the metadata of what it was made from."""
        path = self.make_output_path(basepath=exposure.meta.filename, suffix=suffix)
        on_host = data if isinstance(data, StoredPlanes) else self.session.device.fetch(data)
        model = writing.intermediate_model(described, on_host)
        writing.save_product(model, path)
        log.info("saved %s", path)


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
