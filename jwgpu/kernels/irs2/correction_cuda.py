"""The IRS2 correction on a GPU: a few images at a time, transforms by the array library.

Series are in the order of time, and transformed as a whole: a GPU has the room, and its library is
fastest so. The CPU transforms the same in two steps; the two differ by rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.kernels.irs2 import tables
from jwgpu.kernels.irs2.layout import IMAGE_TIME, LINE_TIME, LINES, OUTPUTS, InterleavedLayout
from jwgpu.kernels.irs2.tables import BORDER, REACH, ROUNDS
from jwgpu.kernels.launching import launch

#: Images at a time: each needs some 90 MB of series and spectra, and as much for the transforms.
IMAGES_AT_A_TIME = 2

AMPLIFIERS = OUTPUTS - 1
LANES = 32
_TILE = 32
_TILES = (-(-LINE_TIME // _TILE) * _TILE, -(-LINES // _TILE) * 8)


@dataclass(frozen=True)
class _Known:
    """What is the same for all images, on the device."""

    every_time: Any
    source_time: Any
    window: Any
    transmission: Any


@cache
def _known(xp: Any, number: int) -> _Known:
    """Send the tables to the current device, the one of that number, once."""
    times, sources = tables.stretched()
    source_time = np.full(LINE_TIME, -1, np.int32)
    source_time[times] = tables.reference_times()[sources]
    return _Known(
        every_time=xp.arange(LINE_TIME, dtype=xp.int32),
        source_time=xp.asarray(source_time),
        window=xp.asarray(tables.window()),
        transmission=xp.asarray(tables.transmission()),
    )


def subtract_reference(
    images: Any, offset: Any, alpha: Any, beta: Any, layout: InterleavedLayout, keep_reference: bool
) -> None:
    """Contract in the package."""
    known = _known(namespace_of(images), images.device.id)
    for first in range(0, images.shape[0], IMAGES_AT_A_TIME):
        some = images[first : first + IMAGES_AT_A_TIME]
        _correct(some, offset, alpha, beta, layout, keep_reference, known)


def _correct(
    images: Any,
    offset: Any,
    alpha: Any,
    beta: Any,
    layout: InterleavedLayout,
    keep_reference: bool,
    known: _Known,
) -> None:
    """Correct a few images."""
    xp = namespace_of(images)
    n = images.shape[0]
    drift = fit_drift(images, offset, layout)
    filled = _fill_output(images, offset, drift, layout, known)
    if keep_reference:
        numbers = (*map(np.int32, (n, *images.shape[1:], LINE_TIME)), np.bool_(layout.is_reversed))
        arguments = (images, offset, layout.row_at, filled, *numbers)
        launch(__file__, "write_output", (LINES, LINE_TIME, n), arguments)
    of_output = xp.fft.rfft(filled)
    del filled
    spectra = xp.fft.rfft(lay_out_in_time(images, offset, drift, layout, known.source_time, 1))
    sizes = map(np.int32, (n, AMPLIFIERS, spectra.shape[-1], LINES, LINE_TIME))
    pairs = [array.view(xp.float32) for array in (of_output, alpha, beta)]
    threads = (spectra.shape[-1], AMPLIFIERS, n)
    launch(__file__, "combine", threads, (*pairs, *sizes, spectra.view(xp.float32)))
    correction = xp.fft.irfft(spectra, IMAGE_TIME)
    del spectra
    tail = (*_numbers(images, 1), np.bool_(layout.is_reversed), np.bool_(keep_reference))
    arguments = (
        images, offset, layout.row_at, layout.is_science_time, drift, correction, *tail
    )  # fmt: skip
    launch(__file__, "subtract_correction", (*_TILES, n * AMPLIFIERS), arguments, block=(_TILE, 8))


def fit_drift(images: Any, offset: Any, layout: InterleavedLayout) -> Any:
    """Return (images, outputs, 2) float32: value at mid-time, and slope, of each output."""
    xp = namespace_of(images)
    n, rows, lines = images.shape
    drift = xp.empty((n, OUTPUTS, 2), xp.float32)
    workspace = xp.empty((n * OUTPUTS, 2, 2 * BORDER, LINE_TIME), xp.float32)
    numbers = map(np.int32, (n, OUTPUTS, rows, lines, LINE_TIME))
    arguments = (
        images, offset, layout.row_at, *numbers, np.bool_(layout.is_reversed), np.int32(BORDER),
        workspace, drift,
    )  # fmt: skip
    launch(__file__, "fit_drift", n * OUTPUTS * LANES, arguments, block=128)
    return drift


def lay_out_in_time(
    images: Any,
    offset: Any,
    drift: Any,
    layout: InterleavedLayout,
    source_time: Any,
    first_output: int,
) -> Any:
    """Return series (images, outputs, times) of the reference output (0) or the amplifiers (1)."""
    xp = namespace_of(images)
    n_outputs = AMPLIFIERS if first_output else 1
    n_series = images.shape[0] * n_outputs
    series = xp.empty((images.shape[0], n_outputs, IMAGE_TIME), xp.float32)
    arguments = (
        images, offset, layout.row_at, source_time, drift, *_numbers(images, first_output),
        np.bool_(layout.is_reversed), series,
    )  # fmt: skip
    launch(__file__, "lay_out_in_time", (*_TILES, n_series), arguments, block=(_TILE, 8))
    return series


def _numbers(images: Any, first_output: int) -> tuple[Any, ...]:
    n, rows, lines = images.shape
    n_outputs = AMPLIFIERS if first_output else 1
    sizes = (n, first_output, n_outputs, OUTPUTS, rows, lines, LINE_TIME)
    return tuple(map(np.int32, sizes))


def _fill_output(
    images: Any, offset: Any, drift: Any, layout: InterleavedLayout, known: _Known
) -> Any:
    """Return the reference output without gaps, (images, 1, times) float32."""
    xp = namespace_of(images)
    series = lay_out_in_time(images, offset, drift, layout, known.every_time, 0)
    n = images.shape[0]
    filled = interpolate_zeros(series, known.window)
    sizes = tuple(map(np.int32, (n, IMAGE_TIME, LINE_TIME)))
    for _ in range(ROUNDS):
        spectrum = xp.fft.rfft(filled)
        spectrum *= known.transmission
        filtered = xp.fft.irfft(spectrum, IMAGE_TIME)
        arguments = (filled, filtered, layout.is_science_time, *sizes)
        launch(__file__, "fill_gaps", (IMAGE_TIME, n), arguments)
    return filled


def interpolate_zeros(series: Any, window: Any) -> Any:
    """Return series (images, 1, times) with their zeros replaced by what is near."""
    filled = namespace_of(series).empty_like(series)
    n, _, length = series.shape
    arguments = (series, window, *map(np.int32, (REACH, n, length)), filled)
    launch(__file__, "interpolate_zeros", (length, n), arguments)
    return filled
