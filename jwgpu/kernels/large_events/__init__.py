"""Large cosmic-ray events: snowballs in the near infrared, showers in the mid infrared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

#: Sigmas beyond which differences of integrations do not count for centre and noise of a shower.
CLIPPING: Final = 5.0


@dataclass(frozen=True)
class SnowballSettings:
    """What counts as a snowball, and what is flagged around it. Defaults are those of jwst 3.0.

    Parameters
    ----------
    min_jump_area, min_core_area : float
        Least area of the pixels with jumps, and of those newly saturated, in pixels.
    needs_core : bool
        Whether only jumps around a saturated core are snowballs.
    edge_size : int
        Nearer to the edge (pixels) no core is needed.
    expansion : float
        The flagged ellipse is larger by this factor.
    min_core_size : float
        Cores with a larger minor axis (pixels) are widened.
    core_widening : float
        By how much their axes grow, in pixels.
    largest_axis : float
        No axis of a flagged ellipse is longer, in pixels.
    following_groups : int
        Groups of the next integration in which the cores are flagged, the first one included;
        it is not flagged itself.
    """

    min_jump_area: float = 5.0
    min_core_area: float = 1.0
    needs_core: bool = True
    edge_size: int = 25
    expansion: float = 2.0
    min_core_size: float = 2.5
    core_widening: float = 4
    largest_axis: float = 400
    following_groups: int = 0


@dataclass(frozen=True)
class ShowerSettings:
    """What counts as a shower, and what is flagged around it. Defaults are those of jwst 3.0.

    Parameters
    ----------
    frames_averaged : int
        Frames averaged in a group (keyword NFRAMES), at least 1.
    threshold : float
        Least signal-to-noise ratio of a difference, smoothed with a ring.
    min_area : float
        Least area of such pixels.
    inner_radius, outer_radius : float
        Of the ring, in pixels.
    expansion : float
        The minor axis of the flagged ellipse is larger by this factor, and the major axis by as
        many pixels.
    following_groups : int
        How many groups are flagged after that of the shower.
    largest_axis : float
        No axis of a flagged ellipse is longer, in pixels.
    largest_change : float
        Pixels whose mean difference changes by more (electrons a group) through the new flags
        keep the flags they had.
    minimum_sigclip_groups : int
        Integrations from which on centre and scatter of a difference come from sigma clipping
        over the integrations.
    jumps_were_searched : bool
        Whether `jwgpu.kernels.jump.find_jumps` found enough groups to search.
    """

    frames_averaged: int = 1
    threshold: float = 1.2
    min_area: float = 90
    inner_radius: float = 1.0
    outer_radius: float = 3.6
    expansion: float = 1.1
    following_groups: int = 0
    largest_axis: float = 400
    largest_change: float = 6.0
    minimum_sigclip_groups: int = 100
    jumps_were_searched: bool = True


class ShowerNoise(NamedTuple):
    """Centre and noise of the differences of each pixel, in electrons.

    Attributes
    ----------
    center, sigma : array, (1, y, x) or (groups, y, x) float32
        Of all differences, or, clipped over the integrations, of that of each group and the one
        before.
    """

    center: Any
    sigma: Any


def flag_snowballs(
    groupdq: Any, settings: SnowballSettings, cores_before: list[Any] | None = None
) -> int:
    """Flag around large jumps with saturated cores JUMP_DET, and the cores SATURATED; in place.

    In each group the regions of newly saturated pixels and those with jumps are found. A region of
    jumps is a snowball if the centroid of a region that saturates in this group or the next lies
    within it. Around it, what is not saturated becomes JUMP_DET. Large saturated regions, around
    jumps or not, are widened in this and all later groups, where they lose all other flags; they
    become JUMP_DET in the next integration.

    Parameters
    ----------
    groupdq : array, (ints, groups, y, x) uint8
        Flags, jumps among them.
    settings : SnowballSettings
    cores_before : list, optional
        Large cores of the integration before the first, for an exposure that is taken in parts:
        empty before the first part, filled for the next one.

    Returns
    -------
    int
        Number of snowballs; one that is seen in several groups counts in each.

    References
    ----------
    "Jump Detection" in the JWST calibration documents; Regan 2023, JWST-STScI-008545; details as
    in release 3.0.
    """
    from jwgpu.kernels.large_events import snowballs

    return snowballs.flag_snowballs(groupdq, settings, cores_before)


def noise_of_showers(
    data: Any, groupdq: Any, gain: Any, readnoise: Any, settings: ShowerSettings
) -> ShowerNoise:
    """Return centre and noise of the differences, for an exposure that is taken in parts.

    Parameters are those of `flag_showers`, of some rows of all integrations.
    """
    from jwgpu.kernels.large_events import showers

    return showers.noise_of_showers(data, groupdq, gain, readnoise, settings)


def flag_showers(
    data: Any,
    groupdq: Any,
    pixeldq: Any,
    gain: Any,
    readnoise: Any,
    settings: ShowerSettings,
    noise: ShowerNoise | None = None,
) -> int | None:
    """Flag faint extended emission that comes in one group JUMP_DET, in place.

    A difference's distance from the pixel's median difference, over its noise, is smoothed with
    a ring, flagged pixels left out. Large regions above the threshold are showers; ellipses around
    them are flagged in this group and some after it, up to a pixel's saturation.

    Parameters
    ----------
    data : array, (ints, groups, y, x) float32
        Samples up the ramp, in DN. Not changed.
    groupdq : array, (ints, groups, y, x) uint8
        Flags, jumps among them.
    pixeldq : array, (y, x) uint32
        Not changed.
    gain, readnoise : array, (y, x) float32
        In electrons per DN; noise of a difference of two frames, in DN.
    settings : ShowerSettings
    noise : ShowerNoise, optional
        That of all integrations, if these are only some.

    Returns
    -------
    int or None
        Number of showers, each group counted; None if there were too few differences to search.

    References
    ----------
    "Jump Detection" in the JWST calibration documents; Regan 2023, JWST-STScI-008545; details as
    in release 3.0.
    """
    from jwgpu.kernels.large_events import showers

    return showers.flag_showers(data, groupdq, pixeldq, gain, readnoise, settings, noise)
