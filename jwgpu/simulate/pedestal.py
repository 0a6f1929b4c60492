"""What the read-out electronics add to a frame: wandering amplifiers and 1/f noise.

These are what reference pixels see too, and what the reference pixel correction is for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jwgpu.simulate.detector_maps import FloatImage
from jwgpu.simulate.geometry import fast_and_slow
from jwgpu.simulate.scene import PEDESTAL, generator
from jwgpu.simulate.settings import Settings

_AMPLIFIERS = 4


@dataclass(frozen=True)
class Pedestal:
    """Additive levels of the frames of one integration, in DN.

    Attributes
    ----------
    along_slow : ndarray, float32, shape (frames, slow, amplifiers)
        Of each line of pixels read in one go, for each amplifier.
    along_fast : ndarray, float32, shape (frames, fast)
        Of each place in a line: odd and even ones differ.
    amplifier : ndarray of int, shape (fast,)
        Which amplifier reads a place in a line.
    fast_is_x : bool
        Whether lines run along x.
    """

    along_slow: NDArray[np.float32]
    along_fast: NDArray[np.float32]
    amplifier: NDArray[np.intp]
    fast_is_x: bool

    def add_to(self, image: FloatImage, frame: int, first: int, stop: int) -> None:
        """Add a frame's levels to the rows from `first` to before `stop`, in place."""
        slow, fast = self.along_slow[frame], self.along_fast[frame]
        if self.fast_is_x:
            image += slow[first:stop][:, self.amplifier]
            image += fast
        else:
            image += slow.T[self.amplifier[first:stop]]
            image += fast[first:stop, None]


def pink_noise(rng: np.random.Generator, length: int, series: int) -> NDArray[np.float32]:
    """Draw noise whose power falls as one over the frequency.

    Returns
    -------
    ndarray, float32, shape (length, series)
        Mean 0 and standard deviation about 1.
    """
    if length < 2:
        return np.zeros((length, series), dtype=np.float32)
    frequencies = np.arange(length // 2 + 1, dtype=np.float64)
    frequencies[0] = np.inf
    amplitude = frequencies**-0.5
    # Of unit variance: each frequency adds (2 / length)^2 of its amplitude squared.
    amplitude *= 0.5 * length / np.sqrt(np.sum(amplitude**2))
    spectrum = rng.standard_normal((frequencies.size, series)) * amplitude[:, None] + 0j
    spectrum.imag = rng.standard_normal((frequencies.size, series)) * amplitude[:, None]
    return np.fft.irfft(spectrum, n=length, axis=0).astype(np.float32)


def draw_pedestal(settings: Settings, integration: int) -> Pedestal:
    """Draw the levels of all frames of one integration."""
    rng = generator(settings, PEDESTAL, integration)
    detector, frames = settings.camera, settings.total_frames
    fast, slow = fast_and_slow(detector, settings.place)
    if detector.is_mid_infrared:
        amplifier = fast % _AMPLIFIERS
    elif settings.place.noutputs == _AMPLIFIERS:
        amplifier = fast // 512
    else:
        amplifier = np.zeros_like(fast)

    # Lines follow one another in time along the slow direction, whichever way that is.
    order = np.argsort(np.argsort(slow))
    own = pink_noise(rng, frames * slow.size, _AMPLIFIERS)
    common = pink_noise(rng, frames * slow.size, 1)
    flicker = ((own + common) * np.float32(settings.flicker_noise / np.sqrt(2.0))).reshape(
        frames, slow.size, _AMPLIFIERS
    )
    steps = rng.standard_normal((frames, 1, _AMPLIFIERS), dtype=np.float32)
    wander = np.cumsum(steps, axis=0) * np.float32(settings.drift)
    along_slow = flicker[:, order] + wander

    parity_steps = rng.standard_normal((frames, _AMPLIFIERS), dtype=np.float32)
    parity = parity_steps * np.float32(0.5 * settings.odd_even)
    along_fast = np.zeros((frames, fast.size), dtype=np.float32)
    if detector.is_mid_infrared:
        sign = np.where(slow % 2, np.float32(1.0), np.float32(-1.0))
        along_slow = along_slow + sign[None, :, None] * parity[:, None, :]
    else:
        sign = np.where(fast % 2, np.float32(1.0), np.float32(-1.0))
        along_fast = sign * parity[:, amplifier]
    return Pedestal(along_slow, along_fast, amplifier, abs(detector.fast_axis) == 1)
