"""Removal of the readout drift that the reference pixels see.

The near-infrared detectors have a border of four reference pixels on every side. Those at the ends
of the columns give an offset for each amplifier (and for its odd and even columns); those at the
ends of the rows, smoothed along the slow axis, give a signal for each row. MIRI has four columns of
them, one an amplifier, on the left and on the right.

Images stay in the orientation in which they are stored: a layout (see
:mod:`jwgpu.kernels.reference_pixels.layout`) says where the reference pixels of a section lie, so
that nothing is turned, transposed or embedded in a full frame.
"""

from __future__ import annotations

from typing import Any

from jwgpu.backends import implementation
from jwgpu.kernels.reference_pixels.layout import NearInfraredLayout, Sections

__all__ = ["subtract_drift", "subtract_drift_from_differences"]


def subtract_drift(
    images: Any,
    layout: NearInfraredLayout,
    sigma_limit: float,
    side_length: int,
    side_gain: float,
) -> None:
    """Subtract from each near-infrared image what its reference pixels show, in place.

    For each section (an amplifier's columns, or its odd or even ones) the offset is the mean of the
    clipped means of its edges, over those edges that have good pixels; 0 where none has. The side
    signal of a row is the median of the good side pixels within `side_length` rows, after the
    offsets are removed from them, averaged over the two sides. At the ends of the detector
    the rows are mirrored about the last one. NaN in a section's reference pixels makes the section
    NaN; a NaN median counts as missing.

    Parameters
    ----------
    images : array, (n, y, x) float32
        In DN, C-contiguous.
    layout : NearInfraredLayout
        Where the reference pixels are and what each of them stands for.
    sigma_limit : float
        Values further than this from the mean, in standard deviations, are clipped, until none is.
    side_length : int
        Window of the running median, in rows: at least 1, less than twice the rows of the detector.
        The window of an even length begins half of it before the row.
    side_gain : float
        Factor on the side signal.

    Notes
    -----
    Method: JWST calibration documents, "Reference Pixel Correction". All sums are float64. The
    official package uses float32 for the first image and, without side pixels, for all: where a
    value lies within float32 rounding of the clipping limit it may decide otherwise (measured: none
    in 4000 means at 1000 DN, two at 10,000 DN, each changing the mean by at most 0.04 DN).
    """
    implementation(__name__, images, layout.pixels).subtract_drift(
        images, layout, sigma_limit, side_length, side_gain
    )


def subtract_drift_from_differences(data: Any, sections: Sections, sigma_limit: float) -> None:
    """Subtract from each MIRI group the drift since the first group of its integration, in place.

    The clipped means are those of the differences to the first group. The first group stays as
    it is; a pixel that is NaN in it becomes NaN in all groups.

    Parameters
    ----------
    data : array, (ints, groups, y, x) float32
        In DN, C-contiguous.
    sections : Sections
        From :func:`jwgpu.kernels.reference_pixels.layout.mid_infrared_sections`: either four
        (one an amplifier) or eight (with even and odd rows apart).
    sigma_limit : float
        Values further than this from the mean, in standard deviations, are clipped, until none is.
    """
    implementation(__name__, data, sections.pixels).subtract_drift_from_differences(
        data, sections, sigma_limit
    )
