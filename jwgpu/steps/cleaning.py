"""Cleaning the images of an exposure of flicker noise, one after the other."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from jwgpu.backends import namespace_of
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
    from_readout,
    full_frame_noise,
    subarray_noise,
    to_readout,
)
from jwgpu.models.flags import DO_NOT_USE, JUMP_DET
from jwgpu.models.ramp import Ramp
from jwgpu.models.rates import Rates
from jwgpu.steps.median_image import MedianImage

log = logging.getLogger(__name__)

FULL_FRAME = (2048, 2048)

#: With ALLSLITS, less of the higher frequencies is noise.
_WIDE_BAND = Band()
_BANDS = {"ALLSLITS": Band(low=150.0, low_end=200.0)}


@dataclass
class Products:
    """What may be saved beside the exposure; None where it is not asked for.

    Attributes
    ----------
    background, before : array, same shape as the data, or None
        What was taken for the background; the data before cleaning, or what cleaning added.
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
    return from_readout(xp.asarray(noise, dtype=xp.float32), cleaning.is_flipped)


def wave_cleaning(meta: Any, **others: Any) -> Cleaning:
    """Return how to clean an exposure of NIRSpec by a fit of waves."""
    is_flipped = str(meta.instrument.detector).upper() != "NRS1"
    band = _BANDS.get(str(meta.subarray.name).upper(), _WIDE_BAND)
    return Cleaning(is_flipped=is_flipped, band=band, **others)


def clean_differences(
    ramp: Ramp, scene: Any, cleaning: Cleaning, flat: Any, products: Products
) -> bool:
    """Clean the differences of groups, each added to the cleaned group before.

    Parameters
    ----------
    ramp : Ramp
        Changed in place.
    scene : array, (y, x) or (ints, y, x) bool
        Where the background is.
    cleaning : Cleaning
    flat : array, (y, x) float32, or None
    products : Products
        Its background is filled in.

    Returns
    -------
    bool
        False if one could not be fitted.
    """
    xp = namespace_of(ramp.data)
    image, previous, current = (xp.empty(ramp.image_shape, xp.float32) for _ in range(3))
    mask = xp.empty(ramp.image_shape, bool)
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
                _warn_of_nothing(ramp.first_integration + i, j - 1)
                continue
            noise, background, is_done = clean_image(image, mask, cleaning)
            if not is_done:
                return False
            restore(group, image, noise, background, flat, ramp.data[i, j - 1])
            if products.background is not None:
                products.background[i, j] = background
    return True


def clean_images(
    exposure: Ramp | Rates,
    scene: Any,
    cleaning: Cleaning,
    flat: Any,
    products: Products,
    median: MedianImage | None,
) -> bool:
    """Clean each image for itself: count rates, or groups less their median image.

    Parameters and result are those of `clean_differences`, but for the last.

    Parameters
    ----------
    median : MedianImage or None
        Scene to put aside; groups need one.
    """
    data = exposure.data
    xp = namespace_of(data)
    for index in np.ndindex(*data.shape[:-2]):
        target = data[index]
        image, mask = xp.empty(target.shape, xp.float32), xp.empty(target.shape, bool)
        plane = scene if scene.ndim == 2 else scene[index[0]]
        base = None if median is None else median.scaled(*index)
        take_difference(image, mask, target, base, scene=plane, flat=flat)
        if not bool(mask.any()):
            first = getattr(exposure, "first_integration", 0)
            _warn_of_nothing(first + (*index, 0)[0], (*index, 0, 0)[1])
            continue
        noise, background, is_done = clean_image(image, mask, cleaning)
        if not is_done:
            return False
        restore(target, image, noise, background, flat, base)
        if products.background is not None:
            products.background[index] = background if base is None else base
    return True


def _warn_of_nothing(i: int, j: int) -> None:
    log.warning("integration %d, group %d has no usable pixel and is not cleaned", i + 1, j + 1)
