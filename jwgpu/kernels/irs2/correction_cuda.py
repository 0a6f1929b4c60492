"""The IRS2 correction on a GPU: a few images at a time, transforms by the array library.

Series are in the order of time, and transformed as a whole: a GPU has the room, and its library is
fastest so. The CPU transforms the same in two steps; the two differ by rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.backends.kept import kept_on_device
from jwgpu.kernels.irs2 import tables
from jwgpu.kernels.irs2.layout import LINE_TIME, OUTPUTS, InterleavedLayout
from jwgpu.kernels.irs2.tables import BORDER, REACH, ROUNDS
from jwgpu.kernels.lanes import LANES
from jwgpu.kernels.launching import launch

#: Images at a time: each needs some 90 MB of series and spectra, and as much for the transforms.
IMAGES_AT_A_TIME = 2

AMPLIFIERS = OUTPUTS - 1
#: Lines and times that a block turns round, see the source.
_TILE = 32


@dataclass(frozen=True)
class Known:
    """What is the same for all images, on the device."""

    every_time: Any
    source_time: Any
    window: Any
    transmission: Any


@kept_on_device(maxsize=4)
def known_on(xp: Any, number: int) -> Known:
    """Send the tables to the current device, the one of that number, once."""
    times, sources = tables.stretched()
    source_time = np.full(LINE_TIME, -1, np.int32)
    source_time[times] = tables.reference_times()[sources]
    return Known(
        every_time=xp.arange(LINE_TIME, dtype=xp.int32),
        source_time=xp.asarray(source_time),
        window=xp.asarray(tables.window()),
        transmission=xp.asarray(tables.transmission()),
    )


def subtract_reference(
    images: Any, offset: Any, alpha: Any, beta: Any, layout: InterleavedLayout, keep_reference: bool
) -> None:
    """Contract in the package."""
    known = known_on(namespace_of(images), images.device.id)
    for first in range(0, images.shape[0], IMAGES_AT_A_TIME):
        some = images[first : first + IMAGES_AT_A_TIME]
        correct(some, offset, alpha, beta, layout, keep_reference, known)


def correct(
    images: Any,
    offset: Any,
    alpha: Any,
    beta: Any,
    layout: InterleavedLayout,
    keep_reference: bool,
    known: Known,
) -> None:
    """Correct a few images."""
    xp = namespace_of(images)
    n, rows, lines = images.shape
    times = layout.row_at.shape[1]
    drift = fit_drift(images, offset, layout)
    filled = _fill_output(images, offset, drift, layout, known)
    if keep_reference:
        numbers = (*map(np.int32, (n, rows, lines, times)), np.bool_(layout.is_reversed))
        arguments = (images, offset, layout.row_at, filled, *numbers)
        launch(__file__, "write_output", (lines, times, n), arguments)
    of_output = xp.fft.rfft(filled)
    del filled
    spectra = xp.fft.rfft(lay_out_in_time(images, offset, drift, layout, known.source_time, 1))
    sizes = map(np.int32, (n, AMPLIFIERS, spectra.shape[-1], lines, times))
    pairs = [array.view(xp.float32) for array in (of_output, alpha, beta)]
    threads = (spectra.shape[-1], AMPLIFIERS, n)
    launch(__file__, "combine", threads, (*pairs, *sizes, spectra.view(xp.float32)))
    correction = xp.fft.irfft(spectra, lines * times)
    del spectra
    tail = (*_numbers(images, layout, 1), np.bool_(layout.is_reversed), np.bool_(keep_reference))
    arguments = (
        images, offset, layout.row_at, layout.is_science_time, drift, correction, *tail
    )  # fmt: skip
    tiles = _tiles(images, layout, n * AMPLIFIERS)
    launch(__file__, "subtract_correction", tiles, arguments, block=(_TILE, 8))


def fit_drift(images: Any, offset: Any, layout: InterleavedLayout) -> Any:
    """Return (images, outputs, 2) float32: value at mid-time, and slope, of each output."""
    xp = namespace_of(images)
    n, rows, lines = images.shape
    times = layout.row_at.shape[1]
    drift = xp.empty((n, OUTPUTS, 2), xp.float32)
    workspace = xp.empty((n * OUTPUTS, 2, 2 * BORDER, times), xp.float32)
    numbers = map(np.int32, (n, OUTPUTS, rows, lines, times))
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
    length = images.shape[2] * layout.row_at.shape[1]
    series = xp.empty((images.shape[0], n_outputs, length), xp.float32)
    arguments = (
        images, offset, layout.row_at, source_time, drift, *_numbers(images, layout, first_output),
        np.bool_(layout.is_reversed), series,
    )  # fmt: skip
    tiles = _tiles(images, layout, n_series)
    launch(__file__, "lay_out_in_time", tiles, arguments, block=(_TILE, 8))
    return series


def _tiles(images: Any, layout: InterleavedLayout, n_series: int) -> tuple[int, int, int]:
    """Return the threads for tiles of series: a block of (32, 8) each."""
    lines, times = images.shape[2], layout.row_at.shape[1]
    return -(-times // _TILE) * _TILE, -(-lines // _TILE) * 8, n_series


def _numbers(images: Any, layout: InterleavedLayout, first_output: int) -> tuple[Any, ...]:
    n, rows, lines = images.shape
    n_outputs = AMPLIFIERS if first_output else 1
    sizes = (n, first_output, n_outputs, OUTPUTS, rows, lines, layout.row_at.shape[1])
    return tuple(map(np.int32, sizes))


def _fill_output(
    images: Any, offset: Any, drift: Any, layout: InterleavedLayout, known: Known
) -> Any:
    """Return the reference output without gaps, (images, 1, times) float32."""
    xp = namespace_of(images)
    series = lay_out_in_time(images, offset, drift, layout, known.every_time, 0)
    filled = interpolate_zeros(series, known.window)
    n, _, length = series.shape
    sizes = tuple(map(np.int32, (n, length, layout.row_at.shape[1])))
    for _ in range(ROUNDS):
        spectrum = xp.fft.rfft(filled)
        spectrum *= known.transmission
        filtered = xp.fft.irfft(spectrum, length)
        arguments = (filled, filtered, layout.is_science_time, *sizes)
        launch(__file__, "fill_gaps", (length, n), arguments)
    return filled


def interpolate_zeros(series: Any, window: Any) -> Any:
    """Return series (images, 1, times) with their zeros replaced by what is near."""
    filled = namespace_of(series).empty_like(series)
    n, _, length = series.shape
    arguments = (series, window, *map(np.int32, (REACH, n, length)), filled)
    launch(__file__, "interpolate_zeros", (length, n), arguments)
    return filled
