"""CPU body of SIRS: one image at a time in each thread; medians by NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows
from jwgpu.kernels.reference_pixels.layout import BORDER, Placement

#: Standard deviation of normal noise, in median absolute deviations.
SIGMA = 1.48


@compiled
def subtract_along_x(image: Any, template: Any, amplifier: Any) -> None:
    """Subtract ``template[amplifier, row]`` from an image with amplifiers side by side."""
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            image[y, x] = np.float32(image[y, x] - template[amplifier[x], y])


@compiled
def subtract_along_y(image: Any, template: Any, amplifier: Any) -> None:
    """Subtract ``template[amplifier, row]`` from an image with amplifiers on top of each other."""
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            image[y, x] = np.float32(image[y, x] - template[amplifier[y], x])


def subtract_template(images: Any, kernels: Any, placement: Placement, sigma_limit: float) -> None:
    """Contract in the package."""
    amplifiers = kernels.shape[1]
    fast = np.arange(placement.n_fast, dtype=np.int64)
    amplifier = np.ascontiguousarray(
        (fast * amplifiers // placement.n_fast)[:: 1 if placement.fast_axis > 0 else -1]
    )
    step = 1 if placement.slow_axis > 0 else -1
    subtract = subtract_along_x if placement.fast_along_x else subtract_along_y

    def correct(first: int, stop: int) -> None:
        for i in range(first, stop):
            template = make_template(placement.in_detector_frame(images[i]), kernels, sigma_limit)
            subtract(images[i], np.ascontiguousarray(template[:, ::step]), amplifier)

    over_rows(correct, images.shape[0])


def make_template(image: Any, kernels: Any, sigma_limit: float) -> Any:
    """Return what to subtract, (amplifiers, rows) float64, from an image (slow, fast)."""
    rows = image.shape[0]
    template = np.zeros((kernels.shape[1], rows))
    signal, share, scratch = np.empty(rows), np.empty(rows), np.empty((3, rows))
    for side, columns in enumerate((slice(None, BORDER), slice(-BORDER, None))):
        values = image[:, columns].astype(np.float64)
        middle = np.median(values)
        reach = sigma_limit * SIGMA * np.median(np.abs(values - middle))
        leave_out(values, middle, reach, signal, share)
        for amplifier, kernel in enumerate(kernels[side]):
            add_convolved(signal, share, kernel, scratch, template[amplifier])
    return template


@compiled
def leave_out(values: Any, middle: float, reach: float, signal: Any, share: Any) -> None:
    """Average the side pixels of each row that are near the middle, and tell which share is."""
    for row in range(values.shape[0]):
        total, n_good = 0.0, 0.0
        for j in range(values.shape[1]):
            value = values[row, j]
            is_good = 1.0 if abs(value - middle) <= reach else 0.0
            total += value * is_good  # NaN stays
            n_good += is_good
        signal[row] = total / values.shape[1]
        share[row] = n_good / values.shape[1]


@compiled
def add_convolved(signal: Any, share: Any, kernel: Any, scratch: Any, template: Any) -> None:
    """Add the convolution of `signal`; the weight of what is left out goes to the others."""
    rows = signal.size
    smooth, present, whole = scratch[0], scratch[1], scratch[2]
    for row in range(rows):
        smooth[row] = present[row] = whole[row] = 0.0
    for k in range(kernel.size):
        shift = (kernel.size - 1) // 2 - k
        weight = kernel[k]
        for row in range(max(0, -shift), min(rows, rows - shift)):
            smooth[row] += weight * signal[row + shift]
            present[row] += weight * share[row + shift]
            whole[row] += weight
    for row in range(rows):
        template[row] += smooth[row] * (whole[row] / present[row])
