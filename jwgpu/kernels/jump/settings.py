"""What a search for jumps is told, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


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
