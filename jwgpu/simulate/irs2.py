"""NIRSpec's IRS2 readout: reference pixels among the others, and noise that they see too.

Noise is made in the order of time, as the electronics make it: one slow and fast part that all
five outputs share, which the reference output shows, and a slow part of each amplifier, which its
reference pixels show. The filters of the REFPIX file take both off: the reference output where
changes are fast, reference pixels where they are slow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jwgpu.kernels.irs2.layout import (
    IMAGE_TIME,
    LINE_TIME,
    LINES,
    OUTPUT_ROWS,
    OUTPUTS,
    PERIOD,
    ROWS,
    SCIENCE_RUN,
    VISITS,
    InterleavedLayout,
    interleaved_layout,
)
from jwgpu.models.flags import BAD_REF_PIXEL, REFERENCE_PIXEL
from jwgpu.simulate.detector_maps import FloatImage
from jwgpu.simulate.pedestal import pink_noise
from jwgpu.simulate.scene import generator
from jwgpu.simulate.settings import Settings

_INTERLEAVED = 16  # purpose of the random generator, beside those of the scene
_LEVEL = 9000.0  # DN, of reference pixels
_BAD = 300.0  # DN: noise of the reference pixels that the DQ table lists

# Frequencies, in turns an image: where reference pixels hand over to the reference output, and
# where that shows mostly its own noise.
_SLOW = 10_000
_FAST = 60_000
# Of the 712 times of a line the correction fills 8 a visit with reference pixels.
_STRETCH = IMAGE_TIME / (8 * VISITS * LINES)


def layout_of(settings: Settings) -> InterleavedLayout:
    """Return where the reference pixels are."""
    return interleaved_layout(np, settings.camera.name == "NRS2")


def interleaved_level(settings: Settings, image: FloatImage) -> FloatImage:
    """Return the bias, (3200, 2048), from that of the detector's own pixels."""
    layout = layout_of(settings)
    level = np.empty((ROWS, LINES), np.float32)
    level[:] = (_LEVEL + 15.0 * np.sin(0.7 * np.arange(ROWS)))[:, None]
    level[layout.science_rows] = image
    return level


def interleaved_flags(settings: Settings, flags: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the mask, (3200, 2048), from the flags of the detector's own pixels.

    BAD_REF_PIXEL means interleaved ones here: elsewhere it would cost the whole row.
    """
    mask = np.full((ROWS, LINES), np.uint32(REFERENCE_PIXEL))
    mask[layout_of(settings).science_rows] = flags & ~np.uint32(BAD_REF_PIXEL)
    return mask


def bad_reference_pixels(settings: Settings) -> list[tuple[int, int, int]]:
    """Return rows of the DQ table: amplifier, pair, and the bits of its visits that are bad."""
    if not settings.bad_pixels:
        return [(amplifier, pair, 0) for amplifier in range(1, OUTPUTS) for pair in (1, 2)]
    rng = np.random.default_rng([settings.detector_seed, _INTERLEAVED])
    return [
        (amplifier, pair, 1 << int(rng.integers(VISITS)))
        for amplifier in range(1, OUTPUTS)
        for pair in (1, 2)
    ]


def filters() -> tuple[NDArray[np.complex64], NDArray[np.complex64]]:
    """Return alpha and beta, (4, 712 * 2048), that fit the noise of this simulation."""
    frequency = np.abs(np.fft.fftfreq(IMAGE_TIME, 1.0 / IMAGE_TIME))
    slow = 1.0 / (1.0 + (frequency / _SLOW) ** 8)
    fast = 1.0 / (1.0 + (frequency / _FAST) ** 8)
    alpha = np.broadcast_to((1.0 - slow) * fast, (OUTPUTS - 1, IMAGE_TIME))
    beta = np.broadcast_to(slow * _STRETCH, (OUTPUTS - 1, IMAGE_TIME))
    return alpha.astype(np.complex64), beta.astype(np.complex64)


def filter_table(dtype: Any) -> NDArray[np.void]:
    """Return the table of a REFPIX file: real and imaginary parts take turns."""
    table = np.zeros(2 * IMAGE_TIME, dtype=dtype)
    for name, values in zip(("alpha", "beta"), filters(), strict=True):
        for amplifier, one in enumerate(values):
            table[f"{name}_{amplifier}"] = np.ascontiguousarray(one).view(np.float32)
    return table


def interleave(settings: Settings, images: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Add reference pixels, reference output and their common noise to raw counts.

    Parameters
    ----------
    settings : Settings
    images : ndarray, uint16, shape (ints, n, 2048, 2048)
        Groups, or zero frames: of either the n-th has its own noise.

    Returns
    -------
    ndarray, uint16, shape (ints, n, 3200, 2048)
    """
    layout = layout_of(settings)
    result = np.empty((*images.shape[:2], ROWS, LINES), np.uint16)
    frames = settings.pattern.nframes
    for integration, groups in enumerate(images):
        for group, image in enumerate(groups):
            rng = generator(settings, _INTERLEAVED, integration, group)
            counts = interleaved_level(settings, image.astype(np.float32))
            is_reference = np.ones(ROWS, bool)
            is_reference[layout.science_rows] = False
            counts += _noise(settings, layout, rng) / np.float32(np.sqrt(frames))
            white = rng.standard_normal((int(is_reference.sum()), LINES), dtype=np.float32)
            sigma = settings.read_noise * settings.camera.read_noise / settings.camera.gain
            counts[is_reference] += white * np.float32(sigma / np.sqrt(frames))
            for row in _bad_rows(settings, layout):
                counts[row] += rng.normal(0.0, _BAD, LINES).astype(np.float32)
            result[integration, group] = np.clip(np.rint(counts), 0, 65535)
    return result


def _noise(
    settings: Settings, layout: InterleavedLayout, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw what all outputs and each amplifier add to an image (3200, 2048), in DN."""
    common = pink_noise(rng, IMAGE_TIME, 1)[:, 0] * np.float32(settings.flicker_noise)
    noise = np.zeros((ROWS, LINES), np.float32)
    for output in range(OUTPUTS):
        series = common
        if output:
            spectrum = np.zeros(IMAGE_TIME // 2 + 1, np.complex128)
            parts = rng.standard_normal((2, _SLOW // 4))
            spectrum[1 : 1 + _SLOW // 4] = parts[0] + 1j * parts[1]
            slow = np.fft.irfft(spectrum, n=IMAGE_TIME)
            series = series + (slow * (settings.drift / slow.std())).astype(np.float32)
        rows = layout.row_at[output]
        along = series.reshape(LINES, LINE_TIME)[:, rows >= 0].T
        noise[rows[rows >= 0]] = along[:, ::-1] if layout.is_reversed else along
    return noise


def _bad_rows(settings: Settings, layout: InterleavedLayout) -> list[int]:
    """Return the rows of the reference pixels that the DQ table lists."""
    rows = []
    for amplifier, pair, bits in bad_reference_pixels(settings):
        which = pair if amplifier % 2 else 3 - pair
        first = amplifier * OUTPUT_ROWS + SCIENCE_RUN // 2 + 2 * (which - 1)
        for visit in range(VISITS):
            if bits >> visit & 1:
                rows += [int(layout.row(first + visit * PERIOD + i)) for i in (0, 1)]
    return rows
