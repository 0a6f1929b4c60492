"""Simple improved reference subtraction (SIRS): side reference pixels, convolved.

For each amplifier the correction of a row is a weighted sum of the left and right reference pixels
of the rows nearby. The weights are kernels that were trained on dark exposures and are kept as
Fourier coefficients.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.backends import implementation
from jwgpu.kernels.reference_pixels.layout import Placement

__all__ = ["convolution_kernels", "subtract_template"]


def convolution_kernels(gamma: Any, zeta: Any, smoothing: float, half_width: int) -> Any:
    """Turn Fourier coefficients into smoothed kernels.

    Parameters
    ----------
    gamma, zeta : array, (amplifiers, n + 1) complex128
        Coefficients of the left and of the right reference pixels; an amplifier's kernel has 2 n
        rows before it is cut.
    smoothing : float
        Standard deviation of the Gaussian that the kernel is convolved with, in rows.
    half_width : int
        Rows of the kernel on either side of its middle.

    Returns
    -------
    ndarray, (2, amplifiers, 2 half_width + 1) float64
        On the host, whatever the device of the coefficients: the kernels are small.
    """
    rows = np.arange(-half_width, half_width + 1)
    window = np.exp(-(rows**2) / (2 * smoothing**2))
    window /= window.sum()
    sides = []
    for coefficients in (gamma, zeta):
        whole = np.fft.fftshift(np.fft.irfft(np.asarray(coefficients.tolist()), axis=1), axes=1)
        middle = coefficients.shape[1] - 1
        cut = whole[:, middle - half_width : middle + half_width + 1]
        sides.append([np.convolve(kernel, window, mode="same") for kernel in cut])
    return np.array(sides)


def subtract_template(images: Any, kernels: Any, placement: Placement, sigma_limit: float) -> None:
    """Subtract from each image what its side reference pixels foretell, in place.

    Reference pixels further than `sigma_limit` standard deviations (1.48 times the median
    absolute deviation) from their side's median count as missing; their weights go to the others.
    Flags do not count, as in release 3.0.

    Parameters
    ----------
    images : array, (n, y, x) float32
        Full frames, in DN, C-contiguous, without the offsets of the amplifiers.
    kernels : ndarray, (2, amplifiers, length) float64
        From `convolution_kernels`.
    placement : Placement
        How the image is stored.
    sigma_limit : float
        See above.

    Notes
    -----
    Release 3.0 of the official package, ``refpix_algorithm = "sirs"``. Sums are float64.
    """
    implementation(__name__, images).subtract_template(images, kernels, placement, sigma_limit)
