"""What decides, in the form that the bodies on both devices take."""

from __future__ import annotations

from typing import Final, NamedTuple

# The methods of finding jumps. MARK_ONLY finds none, and looks at those found before.
ITERATIVE: Final = 0
SINGLE_PASS: Final = 1
MARK_ONLY: Final = 2


class Limits(NamedTuple):
    """The numbers that decide; see `JumpSettings`."""

    method: int
    frames_averaged: float
    rejection: float
    three_differences: float
    two_differences: float
    flag_neighbors: bool
    neighbors_above: float
    neighbors_below: float


class AfterJump(NamedTuple):
    """Sizes, in electrons, of jumps after which so many groups are flagged."""

    electrons_1: float
    groups_1: int
    electrons_2: float
    groups_2: int
