"""What is the same for all pixels of a fit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jwgpu.kernels.ramp_fit import Timing

#: When a segment of a single group was exposed: from a group to the next, up to the mean time of
#: the reads of the first group, or up to the first frame.
WHOLE_GROUP, FIRST_READ, FRAME_ZERO = 0, 1, 2


class Setup(NamedTuple):
    """What is the same for all pixels."""

    first_group: int
    group_time: float
    frame_time: float
    first_read_time: float  # mean time of the reads of the first group
    noise_scale: float  # divides the noise of a frame difference to give that of a group
    reads_before: float  # groups from the reset to the first group
    suppress_one_group: bool
    has_zeroframe: bool
    has_dark: bool


def setup_of(
    timing: Timing,
    first_group: int,
    *,
    suppress_one_group: bool,
    has_zeroframe: bool,
    has_dark: bool,
) -> Setup:
    """Return the setup for a readout; times are float32 in the official package."""
    frame_time = float(np.float32(timing.frame_time))
    reads_before = (timing.nframes + 1) / 2.0 + timing.drop_frames
    return Setup(
        first_group=int(first_group),
        group_time=float(np.float32(timing.group_time)),
        frame_time=frame_time,
        first_read_time=(timing.nframes + 1.0) * frame_time / 2.0,
        noise_scale=float(np.sqrt(2.0 * timing.nframes)),
        reads_before=float(reads_before / (timing.nframes + timing.groupgap)),
        suppress_one_group=bool(suppress_one_group),
        has_zeroframe=bool(has_zeroframe),
        has_dark=bool(has_dark),
    )
