"""clean_flicker_noise under the name that it had for NIRSpec, with the parameters of that time."""

from __future__ import annotations

import logging
from math import inf
from typing import Any

from jwgpu.backends import namespace_of
from jwgpu.errors import InputError
from jwgpu.kernels.flicker_noise import background_limits, mask_outside, restore, take_difference
from jwgpu.models import writing
from jwgpu.models.flags import MSA_FAILED_OPEN
from jwgpu.models.ramp import Ramp
from jwgpu.models.rates import Rates
from jwgpu.steps.base import INTEGRATIONS, SkipStep, param
from jwgpu.steps.clean_flicker_noise import FOURIER_TYPES
from jwgpu.steps.cleaning import FULL_FRAME, wave_cleaning, waves
from jwgpu.steps.ramp_or_rate import RampOrRateStep
from jwgpu.steps.scene import (
    FIXED_SLIT_ROWS,
    SLIT_TYPES,
    check_regions,
    mask_slits,
    planes_of,
    read_mask,
)

log = logging.getLogger(__name__)

#: Columns of reference pixels at either side of a full frame.
_REFERENCE_COLUMNS = 4
_CLIP = 5.0


class NSCleanStep(RampOrRateStep):
    """Fit slow waves to the unlit pixels of NIRSpec's count rates, and subtract them."""

    class_alias = "nsclean"
    # Release 3.0 knows no status of the old name.
    status_name = "clean_flicker_noise"
    cut = INTEGRATIONS

    mask_spectral_regions: bool = param(True, help="leave out slits and slices")
    n_sigma: float = param(5.0, help="what stands out by more sigma is not fitted")
    save_mask: bool = param(False, help="save the mask (mask)")
    user_mask: str | None = param(None, help="file of a mask to use instead: 1 for unlit pixels")
    skip: bool = param(True, help="skip this step")

    def correct(self, rates: Rates) -> None:
        """Clean each image.

        Parameters
        ----------
        rates : Rates
            Changed in place.

        Raises
        ------
        InputError
            If the exposure is one of ramps, or the mask does not fit it.
        NotYetError
            If regions are to be masked that only world coordinates can tell.
        """
        if isinstance(rates, Ramp):
            raise InputError(
                f"{rates.meta.filename}: nsclean takes count rates; give a _rate or _rateints "
                "file, or use clean_flicker_noise"
            )
        if rates.meta.exposure.type not in FOURIER_TYPES:
            raise SkipStep(f"exposures of type {rates.meta.exposure.type} are not cleaned")
        masks = self._masks(rates)
        if self.save_mask:
            self._save_mask(rates, masks)
        images = rates.data if rates.data.ndim == 3 else rates.data[None]
        masks = masks if masks.ndim == 3 else masks[None]
        cleaning = wave_cleaning(rates.meta)
        xp = namespace_of(rates.data)
        for i in range(images.shape[0]):
            target = images[i]
            image = xp.empty(target.shape, xp.float32)
            mask = xp.empty(target.shape, bool)
            take_difference(image, mask, target, scene=masks[i if len(masks) > 1 else 0])
            noise = waves(image, mask, cleaning) if bool(mask.any()) else None
            if noise is None:
                log.warning("image %d has no unlit pixels and is not cleaned", i + 1)
                continue
            restore(target, image, noise, 0.0)

    def _masks(self, rates: Rates) -> Any:
        """Return which pixels are unlit: (y, x) or (ints, y, x) bool."""
        if str(self.user_mask).lower() != "none":
            mask = read_mask(self, str(self.user_mask))
            if mask.shape not in (rates.data.shape, rates.data.shape[-2:]):
                raise InputError(
                    f"{self.user_mask}: a mask of {mask.shape} does not fit {rates.meta.filename}, "
                    f"of {rates.data.shape}; correct user_mask"
                )
            return mask
        check_regions(self, rates, "mask_spectral_regions")
        xp = namespace_of(rates.data)
        kind = rates.meta.exposure.type
        mask = ~xp.isnan(rates.data) & ((rates.dq & xp.uint32(MSA_FAILED_OPEN)) == 0)
        if self.mask_spectral_regions and kind in SLIT_TYPES:
            mask_slits(rates.meta.wcs, mask)
        if mask.shape[-2:] == FULL_FRAME:
            if kind in ("NRS_IFU", "NRS_MSASPEC"):
                mask[..., FIXED_SLIT_ROWS, :] = False
            mask[..., :_REFERENCE_COLUMNS] = False
            mask[..., -_REFERENCE_COLUMNS:] = False
        for image, plane in planes_of(rates.data, mask):
            _, high = background_limits(image, plane, sigma_upper=self.n_sigma, clip=_CLIP)
            mask_outside(image, plane, -inf, high)
        return mask

    def _save_mask(self, rates: Rates, masks: Any) -> None:
        path = self.make_output_path(basepath=rates.meta.filename, suffix="mask")
        model = writing.intermediate_model(rates, self.session.device.fetch(masks))
        writing.save_product(model, path)
        log.info("saved %s", path)
