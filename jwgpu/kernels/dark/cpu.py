"""Subtracting an averaged dark: compiled loops over rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows


@compiled
def add_frame(total: Any, frame: Any) -> None:
    """Add one row of a dark frame to ``total``, NaN as zero."""
    for x in range(total.size):
        value = frame[x]
        total[x] += value if value == value else np.float32(0.0)


@compiled
def subtract_row(samples: Any, mean: Any) -> None:
    """Subtract one row of the averaged dark from one row of samples."""
    for x in range(mean.size):
        samples[x] -= mean[x]


@compiled
def subtract_dark_rows(
    first: int, stop: int, data: Any, dark: Any, n_averaged: int, step: int
) -> None:
    """Subtract the dark from rows ``first`` to ``stop - 1`` of all groups, summing in float32."""
    mean = np.empty(data.shape[3], np.float32)
    for group in range(data.shape[1]):
        first_frame = min(group * step, dark.shape[0])
        stop_frame = min(group * step + n_averaged, dark.shape[0])
        n_frames = np.float32(stop_frame - first_frame)
        for y in range(first, stop):
            mean[:] = np.float32(0.0)
            for frame in range(first_frame, stop_frame):
                add_frame(mean, dark[frame, y])
            if n_frames != np.float32(1.0):
                for x in range(mean.size):
                    mean[x] /= n_frames
            for integration in range(data.shape[0]):
                subtract_row(data[integration, group, y], mean)


@compiled
def extrapolated_value(dark: Any, frame: int, y: int, x: int) -> float:
    """Return a pixel of the dark, past its last frame on the line through the last two."""
    last = dark.shape[0] - 1
    if frame <= last:
        value = np.float64(dark[frame, y, x])
    else:
        rate = np.float32(dark[last, y, x] - dark[last - 1, y, x])
        value = np.float64(frame - last) * np.float64(rate) + np.float64(dark[last, y, x])
    return value if value == value else 0.0


@compiled
def subtract_extrapolated_rows(
    first: int, stop: int, data: Any, dark: Any, n_averaged: int, step: int, n_frames: int
) -> None:
    """Subtract a dark of ``n_frames`` frames, the last ones extrapolated, summing in float64."""
    for group in range(data.shape[1]):
        first_frame = min(group * step, n_frames)
        stop_frame = min(group * step + n_averaged, n_frames)
        for y in range(first, stop):
            for x in range(data.shape[3]):
                mean = 0.0
                for frame in range(first_frame, stop_frame):
                    mean += extrapolated_value(dark, frame, y, x)
                mean /= np.float64(stop_frame - first_frame)
                if n_averaged > 1 or step > 1:
                    # An averaged dark is stored in float32; a dark that is used as it is, is not.
                    mean = np.float64(np.float32(mean))
                for integration in range(data.shape[0]):
                    sample = np.float64(data[integration, group, y, x])
                    data[integration, group, y, x] = np.float32(sample - mean)


def subtract_dark(data: Any, dark: Any, n_averaged: int, step: int) -> None:
    """See the package."""
    over_rows(subtract_dark_rows, data.shape[2], data, dark, n_averaged, step)


def subtract_extrapolated_dark(
    data: Any, dark: Any, n_averaged: int, step: int, n_extrapolated: int
) -> None:
    """See the package."""
    n_frames = int(dark.shape[0]) + n_extrapolated
    over_rows(subtract_extrapolated_rows, data.shape[2], data, dark, n_averaged, step, n_frames)
