"""CPU body of SIRS: templates are small and made by NumPy, one image at a time in each thread."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.compiled import compiled, over_rows
from jwgpu.kernels.reference_pixels.layout import BORDER, Placement

#: Standard deviation of normal noise, in median absolute deviations.
_SIGMA = 1.48


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
    for side, columns in enumerate((slice(None, BORDER), slice(-BORDER, None))):
        values = image[:, columns].astype(np.float64)
        middle = np.median(values)
        distance = np.abs(values - middle)
        good = distance <= sigma_limit * _SIGMA * np.median(distance)
        signal = np.sum(values * good, axis=1) / BORDER
        share = np.sum(good, axis=1) / BORDER
        for amplifier, kernel in enumerate(kernels[side]):
            whole = np.convolve(np.ones(rows), kernel, mode="same")
            present = np.convolve(share, kernel, mode="same")
            smooth = np.convolve(signal, kernel, mode="same")
            template[amplifier] += smooth * (whole / present)
    return template
