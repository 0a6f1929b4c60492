"""Subtracting a dark whose frames are averaged, on the way, as those of the exposure were."""

from __future__ import annotations

from typing import Any

from jwgpu.backends import implementation


def subtract_dark(
    data: Any,
    dark: Any,
    *,
    n_averaged: int = 1,
    step: int = 1,
    n_extrapolated: int = 0,
) -> None:
    """Subtract from each group the mean of the dark frames that it spans, in place.

    Group ``g`` spans the frames ``g * step`` to ``g * step + n_averaged - 1``. The means are made a
    row at a time and used for all integrations, so no averaged dark is ever held. A NaN in the
    dark counts as zero.

    Past its end the dark goes on, for `n_extrapolated` frames, along the line through its last two
    frames. Frames past those do not exist: a group that reaches there takes the mean of what there
    is, and becomes NaN where there is nothing, as in the official package.

    Parameters
    ----------
    data : array, (ints, groups, y, x) float32
        Samples in DN; changed.
    dark : array, (frames, y, x) float32
        Accumulated dark signal in DN.
    n_averaged : int
        Frames that the exposure averages in a group.
    step : int
        Frames from the start of one group to that of the next.
    n_extrapolated : int
        Frames to extrapolate; then sums are carried in float64, else in float32. Needs a dark of
        two frames or more.

    References
    ----------
    JWST calibration documents, "Dark Current Subtraction", Algorithm.
    """
    body = implementation(__name__, data, dark)
    if n_extrapolated:
        body.subtract_extrapolated_dark(data, dark, int(n_averaged), int(step), int(n_extrapolated))
    else:
        body.subtract_dark(data, dark, int(n_averaged), int(step))
