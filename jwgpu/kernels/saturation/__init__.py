"""Where ramps saturate: thresholds, charge spilled to neighbours, averaged groups, frame zero."""

from __future__ import annotations

from typing import Any

from jwgpu.backends import implementation


def flag_saturation(
    data: Any,
    groupdq: Any,
    threshold: Any,
    threshold_dq: Any,
    bias: Any = None,
    *,
    grow: int = 1,
    frames_averaged: int = 0,
) -> tuple[int, int]:
    """Flag samples above the saturation threshold, and those at the floor of the converter.

    From the first group at or above its threshold on, a pixel is SATURATED, and so are its
    neighbours; a sample at or below zero is AD_FLOOR and DO_NOT_USE. Pixels flagged NO_SAT_CHECK,
    or without a threshold (NaN), are checked against 65536 DN, just beyond the converter's range.

    Where a group is the mean of several frames, the charge may cross the threshold in its last
    frames while the mean stays below. Such a group, just before the first saturated one, is
    DO_NOT_USE: (a) with its neighbours, where the mean reaches the threshold times (mean frame
    number / last frame number); (b) second group only, where the first group foretells no
    saturation before the end of the third, but the step to the second one is large enough to have
    come from a last frame at saturation.

    Parameters
    ----------
    data : array, (ints, groups, y, x) float32
        Samples up the ramp, in DN, as read out. Not changed.
    groupdq : array, (ints, groups, y, x) uint8
        Flags of each sample, updated in place. Groups that are SATURATED already grow, too.
    threshold : array, (y, x) float32
        Saturation threshold, in DN.
    threshold_dq : array, (y, x) uint32
        Flags of the threshold.
    bias : array, (y, x) float32, optional
        Superbias, in DN, for (b); zero without one.
    grow : int
        How many layers of neighbours to flag around a saturated pixel.
    frames_averaged : int
        Frames in a group, for (a) and (b); 0 leaves both out.

    Returns
    -------
    tuple of int
        Pixels that are SATURATED, and pixels that are AD_FLOOR, in any sample.

    Notes
    -----
    "Saturation Detection" in the JWST calibration documents, and release 3.0 for (a) and (b).
    """
    result: tuple[int, int] = implementation(
        __name__, data, groupdq, threshold, threshold_dq
    ).flag_saturation(data, groupdq, threshold, threshold_dq, bias, grow, frames_averaged)
    return result


def clear_saturated_zeroframe(
    zeroframe: Any, threshold: Any, threshold_dq: Any, *, grow: int = 1
) -> None:
    """Set frame zero to 0 where it is saturated, next to saturation, or at the converter's floor.

    Frame zero has no flags of its own: 0 marks a bad value.

    Parameters
    ----------
    zeroframe : array, (ints, y, x) float32
        First frame of each integration, in DN, changed in place.
    threshold, threshold_dq, grow
        As in `flag_saturation`.
    """
    implementation(__name__, zeroframe, threshold, threshold_dq).clear_saturated_zeroframe(
        zeroframe, threshold, threshold_dq, grow
    )
