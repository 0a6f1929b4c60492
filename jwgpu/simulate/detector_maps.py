"""What a detector is like, pixel by pixel: the truth that the reference files describe.

Every number of a pixel comes from a hash of its place on the full frame, so that any window of a
detector, however small, is cut from the same full frame without computing the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jwgpu.models.flags import (
    BAD_REF_PIXEL,
    DEAD,
    DO_NOT_USE,
    HOT,
    LOW_QE,
    NO_GAIN_VALUE,
    NO_LIN_CORR,
    NO_SAT_CHECK,
    RC,
    REFERENCE_PIXEL,
    UNRELIABLE_BIAS,
    UNRELIABLE_DARK,
    WARM,
)
from jwgpu.simulate.geometry import Detector, Window, fast_and_slow, reference_pixels
from jwgpu.simulate.settings import Settings

FloatImage = NDArray[np.float32]

# Full well above the bias (near-infrared) or above zero (MIRI), in DN.
_NEAR_INFRARED_WELL = 48000.0
_MID_INFRARED_WELL = 56000.0

# Part of the pixels that have each flaw, and the flags that the mask and the others give it.
_FLAWS = (
    (0.0003, DO_NOT_USE | DEAD),
    (0.0010, DO_NOT_USE | HOT),
    (0.0010, WARM),
    (0.0003, RC),
    (0.0003, LOW_QE),
    (0.0002, NO_SAT_CHECK),
    (0.0002, NO_LIN_CORR),
    (0.0002, UNRELIABLE_BIAS),
    (0.0002, UNRELIABLE_DARK),
    (0.0001, NO_GAIN_VALUE),
)
_BAD_REFERENCE_PIXELS = 0.005


def full_well(detector: Detector) -> float:
    """Return the typical full well of a detector, in electrons."""
    if detector.is_mid_infrared:
        return (_MID_INFRARED_WELL - 8000.0) * detector.gain
    return _NEAR_INFRARED_WELL * detector.gain


def _hash(window: Window, salt: int) -> NDArray[np.uint64]:
    """Return 64 well-mixed bits for each pixel of a window (the finaliser of splitmix64)."""
    rows = window.rows.astype(np.uint64)[:, None]
    columns = window.columns.astype(np.uint64)[None, :]
    bits = (rows << np.uint64(32)) + columns
    # Salts stay below 2^31, so the product wraps, which is what a hash wants.
    bits = (bits + np.uint64(salt)) * np.uint64(0x9E3779B97F4A7C15)
    bits ^= bits >> np.uint64(30)
    bits *= np.uint64(0xBF58476D1CE4E5B9)
    bits ^= bits >> np.uint64(27)
    bits *= np.uint64(0x94D049BB133111EB)
    bits ^= bits >> np.uint64(31)
    return bits


def pixel_noise(window: Window, salt: int) -> FloatImage:
    """Return a nearly normal deviate for each pixel, always the same for the same place.

    Returns
    -------
    ndarray, float32, shape (y, x)
        Mean 0, standard deviation 1: the sum of four uniform deviates of 16 bits each.
    """
    parts = _hash(window, salt).view(np.uint16).reshape(*window.shape, 4)
    total = parts[..., 0].astype(np.float32)
    for index in (1, 2, 3):
        total += parts[..., index]
    total -= np.float32(2 * 65535.0)
    total *= np.float32(np.sqrt(3.0) / 65536.0)
    return total


def pixel_chance(window: Window, salt: int) -> FloatImage:
    """Return a uniform deviate in [0, 1) for each pixel: ndarray, float32, shape (y, x)."""
    return (_hash(window, salt) >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)


@dataclass(frozen=True)
class DetectorMaps:
    """One detector's properties in a window; images of shape (y, x).

    Attributes
    ----------
    superbias : ndarray, float32
        Level right after a reset, in DN.
    gain : ndarray, float32
        In e-/DN.
    read_noise : ndarray, float32
        Of one read, in DN.
    dark : ndarray, float32
        Dark current, in full wells an integration.
    efficiency : ndarray, float32
        Sensitivity relative to a normal pixel; 0 in reference pixels.
    well : ndarray, float32
        Where the signal stops growing: above the bias for the near-infrared detectors, above
        zero for MIRI, in DN.
    nonlinearity : ndarray, float32
        Strength of the non-linear terms, 1 for a typical pixel.
    settling : ndarray, float32
        How strongly MIRI's reset effect shows, 1 for a typical pixel.
    flags : ndarray, uint32
        Flaws by official flag; each reference file has its own share of them.
    """

    superbias: FloatImage
    gain: FloatImage
    read_noise: FloatImage
    dark: FloatImage
    efficiency: FloatImage
    well: FloatImage
    nonlinearity: FloatImage
    settling: FloatImage
    flags: NDArray[np.uint32]


def _flags(
    settings: Settings, window: Window, is_reference: NDArray[np.bool_]
) -> NDArray[np.uint32]:
    flags = np.where(is_reference, np.uint32(REFERENCE_PIXEL), np.uint32(0))
    if not settings.bad_pixels:
        return flags
    chance = pixel_chance(window, settings.detector_seed * 16 + 7)
    low = 0.0
    for share, value in _FLAWS:
        hit = (chance >= low) & (chance < low + share) & ~is_reference
        flags[hit] |= np.uint32(value)
        low += share
    flags[is_reference & (chance < _BAD_REFERENCE_PIXELS)] |= np.uint32(DO_NOT_USE | BAD_REF_PIXEL)
    return flags


def _superbias(settings: Settings, window: Window) -> FloatImage:
    """Level, slope along the slow direction, columns of their own, pixels of their own."""
    detector = settings.camera
    level, scatter = (8000.0, 60.0) if detector.is_mid_infrared else (10000.0, 80.0)
    fast, slow = fast_and_slow(detector, window)
    along_fast = 40.0 * np.sin(fast * 0.37) + 30.0 * (fast % 2) + 25.0 * (fast // 512)
    along_slow = 150.0 * np.exp(-slow / 200.0)
    if abs(detector.fast_axis) == 1:
        structure = along_slow[:, None] + along_fast[None, :]
    else:
        structure = along_fast[:, None] + along_slow[None, :]
    bias = pixel_noise(window, settings.detector_seed * 16 + 1)
    bias *= np.float32(scatter)
    bias += (level + structure).astype(np.float32)
    return bias


def detector_maps(settings: Settings, window: Window | None = None) -> DetectorMaps:
    """Compute a detector's properties in a window (by default the one that is read)."""
    detector = settings.camera
    window = settings.place if window is None else window
    seed = settings.detector_seed * 16
    is_reference = reference_pixels(detector, window)
    flags = _flags(settings, window, is_reference)

    gain = np.float32(0.01 * detector.gain) * pixel_noise(window, seed + 2) + np.float32(
        detector.gain
    )
    noise = np.float32(0.08) * pixel_noise(window, seed + 3) + np.float32(1.0)
    noise *= np.float32(detector.read_noise / detector.gain)
    efficiency = np.float32(0.01) * pixel_noise(window, seed + 4) + np.float32(1.0)
    well = np.float32(_MID_INFRARED_WELL if detector.is_mid_infrared else _NEAR_INFRARED_WELL) * (
        np.float32(0.02) * pixel_noise(window, seed + 5) + np.float32(1.0)
    )
    strength = np.float32(0.05) * pixel_noise(window, seed + 6) + np.float32(1.0)
    strength *= np.float32(settings.nonlinearity)
    # Reference pixels gather no charge, so they have nothing to straighten.
    strength[is_reference] = 0.0
    dark = np.float32(settings.dark) * (
        np.float32(0.1) * pixel_noise(window, seed + 8) + np.float32(1.0)
    )

    size = pixel_chance(window, seed + 9)
    hot, warm = (flags & HOT) != 0, (flags & WARM) != 0
    dark[hot] = 0.05 + 1.5 * size[hot]
    dark[warm] = 0.005 + 0.03 * size[warm]
    efficiency[(flags & DEAD) != 0] = 0.0
    efficiency[(flags & LOW_QE) != 0] *= 0.3
    efficiency[is_reference] = 0.0
    dark[is_reference] = 0.0
    settling = np.float32(0.1) * pixel_noise(window, seed + 10) + np.float32(1.0)
    return DetectorMaps(
        superbias=_superbias(settings, window),
        gain=gain,
        read_noise=noise,
        dark=dark,
        efficiency=efficiency,
        well=well,
        nonlinearity=strength,
        settling=settling,
        flags=flags,
    )
