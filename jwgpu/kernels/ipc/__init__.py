"""Undoing interpixel capacitance: convolution of every group with a small kernel."""

from __future__ import annotations

from typing import Any

from jwgpu.backends import implementation


def deconvolve(
    data: Any,
    kernel: Any,
    borders: tuple[int, int, int, int] = (0, 0, 0, 0),
    rows: Any = None,
) -> None:
    """Convolve the science part of each image with a kernel that undoes interpixel capacitance.

    Pixels beyond the science part, reference pixels among them, count as zero; reference pixels
    keep their values. Single precision, the kernel's elements in the order of the array, the
    central one last.

    Parameters
    ----------
    data : array, (ints, groups, y, x) float32
        Samples, in DN, changed in place.
    kernel : array, (ky, kx) or (ky, kx, y, x), float32
        One kernel for all pixels, or one for each; its sides should be odd.
    borders : tuple of int
        Reference pixels at the bottom, top, left and right of the image.
    rows : array, (detector's rows,) int32, optional
        Where an interleaved image has the rows of the detector; others stay. Without it, all rows
        are the detector's. Borders, and a kernel with one matrix a pixel, count these rows.

    Notes
    -----
    "IPC Correction" in the JWST calibration documents.
    """
    implementation(__name__, data, kernel, rows).deconvolve(data, kernel, borders, rows)
