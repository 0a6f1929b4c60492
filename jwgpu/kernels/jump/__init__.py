"""Finding cosmic-ray hits in ramps by the two-point-difference method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jwgpu.backends import implementation


@dataclass(frozen=True)
class JumpSettings:
    """What counts as a jump, and what is flagged around one. Defaults are those of jwst 3.0.

    Parameters
    ----------
    frames_averaged : int
        Frames averaged in a group (keyword NFRAMES), at least 1.
    rejection_threshold : float
        Jumps stand out by more than this many sigma.
    four_group_threshold, three_group_threshold : float
        The same while only three or two differences of a pixel are usable (iterative method).
    min_diffs_single_pass : int
        Usable differences in an integration from which on all jumps are found in one pass.
    minimum_groups : int
        Usable groups below which nothing is searched, unless by sigma clipping.
    minimum_sigclip_groups : int
        Integrations, or groups, from which on differences are sigma-clipped instead.
    only_use_ints : bool
        Sigma clipping compares a difference with the same one in the other integrations;
        if False, with all differences of the pixel.
    flag_4_neighbors : bool
        Flag the four neighbours of a jump, too.
    min_jump_to_flag_neighbors, max_jump_to_flag_neighbors : float
        Only for jumps between these limits, in sigma.
    after_jump_electrons : tuple of two float
        Size of jumps, in electrons, after which groups are flagged. Two criteria.
    after_jump_groups : tuple of two int
        How many groups after such a jump; 0 for none.
    """

    frames_averaged: int = 1
    rejection_threshold: float = 4.0
    four_group_threshold: float = 5.0
    three_group_threshold: float = 6.0
    min_diffs_single_pass: int = 10
    minimum_groups: int = 3
    minimum_sigclip_groups: int = 100
    only_use_ints: bool = True
    flag_4_neighbors: bool = True
    min_jump_to_flag_neighbors: float = 10.0
    max_jump_to_flag_neighbors: float = 1000.0
    after_jump_electrons: tuple[float, float] = (0.0, 0.0)
    after_jump_groups: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class JumpCount:
    """What `find_jumps` found.

    Parameters
    ----------
    jumps : int or None
        Samples flagged JUMP_DET before neighbours and following groups are flagged (those that
        were flagged on input among them); None if there were too few usable groups to search.
    unusable_groups : int
        Groups, over all integrations, of which every pixel is DO_NOT_USE.
    """

    jumps: int | None
    unusable_groups: int


@dataclass(frozen=True)
class Surroundings:
    """What has to be known of an exposure to find the jumps in some of its rows.

    Parameters
    ----------
    is_unusable : array, (ints, groups) bool
        Groups of which every pixel is DO_NOT_USE.
    is_full : array, (ints, groups) bool
        Groups of which every pixel is DO_NOT_USE or JUMP_DET after sigma clipping.
    rows : (int, int)
        The first row to count jumps in and the one after the last: others are there to see their
        neighbours.
    """

    is_unusable: Any
    is_full: Any
    rows: tuple[int, int]


def find_full_groups(groupdq: Any, flags: int) -> Any:
    """Return, (ints, groups) bool on the host, the groups of which every pixel has one of `flags`.

    Parameters
    ----------
    groupdq : array, (ints, groups, y, x) uint8
    flags : int
    """
    return implementation(__name__, groupdq).find_full_groups(groupdq, flags)


def is_clipped(shape: tuple[int, ...], is_unusable: Any, settings: JumpSettings) -> bool:
    """Return whether an exposure of this shape is searched by sigma clipping.

    Parameters
    ----------
    shape : tuple of int
        (ints, groups, y, x).
    is_unusable : array, (ints, groups) bool
        Groups of which every pixel is DO_NOT_USE.
    settings : JumpSettings
    """
    if settings.only_use_ints:
        return shape[0] >= settings.minimum_sigclip_groups
    return bool((~is_unusable).sum() >= settings.minimum_sigclip_groups)


def clip_jumps(data: Any, groupdq: Any, gain: Any, settings: JumpSettings) -> None:
    """Flag in ``groupdq``, in place, the jumps that sigma clipping finds, and no neighbours.

    Parameters
    ----------
    data, groupdq, gain, settings
        As for `find_jumps`, of any rows of an exposure.
    """
    implementation(__name__, data, groupdq, gain).clip_jumps(data, groupdq, gain, settings)


def find_jumps(
    data: Any,
    groupdq: Any,
    gain: Any,
    readnoise: Any,
    settings: JumpSettings,
    surroundings: Surroundings | None = None,
) -> JumpCount:
    """Flag jumps JUMP_DET in ``groupdq``, in place.

    A pixel's differences of successive groups, in electrons, should scatter around their median
    ``m`` with the variance ``|m| + readnoise**2 / frames_averaged``; a difference far out is a
    jump in its second group. Samples that are SATURATED, DO_NOT_USE or NaN give no difference.
    There are three methods, and one serves all pixels:

    * *iterative*, for few differences: of the absolute differences the largest is left out (four
      or more), the median taken (three; the smaller one of two), and the difference farthest from
      it flagged and removed if beyond the threshold; then again with what remains, until nothing
      is beyond it. Integrations are taken together.
    * *single pass*: all differences beyond the threshold around the median of all.
    * *sigma clipping*, for many integrations: no noise model, but clipping around the median by
      multiples of the standard deviation, up to five times.

    Then come the neighbours in the same group, then the groups after large jumps. SATURATED and
    DO_NOT_USE samples are never flagged, and lose a JUMP_DET that they came with.

    Parameters
    ----------
    data : array, (ints, groups, y, x) float32
        Samples up the ramp, in DN. Not changed.
    groupdq : array, (ints, groups, y, x) uint8
        Flags of each sample.
    gain : array, (y, x) float32
        In electrons per DN. Pixels without one (NaN) have no jumps.
    readnoise : array, (y, x) float32
        Noise of a difference of two frames, in DN.
    settings : JumpSettings
    surroundings : Surroundings, optional
        Of an exposure of which these are some rows, with one more on either side, or up to the
        edge. The flags of these outer rows are not to be used.

    Returns
    -------
    JumpCount

    References
    ----------
    Anderson & Gordon 2011, PASP 123, 1237. "Jump Detection" in the JWST calibration documents;
    sigma clipping, the single pass and the noise of several integrations as in release 3.0.
    """
    result: JumpCount = implementation(__name__, data, groupdq, gain, readnoise).find_jumps(
        data, groupdq, gain, readnoise, settings, surroundings
    )
    return result
