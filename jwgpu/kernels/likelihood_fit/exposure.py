"""The arrays that are fitted, and those that are filled in."""

from __future__ import annotations

from typing import Any, NamedTuple


class Exposure(NamedTuple):
    """The arrays that are fitted; `zeroframe` and `dark` may be None."""

    data: Any
    groupdq: Any
    pixeldq: Any
    gain: Any
    readnoise: Any
    zeroframe: Any
    dark: Any


class Rates(NamedTuple):
    """What is returned.

    Attributes
    ----------
    values : array, (4, y, x) or (4, ints, y, x) float32
        Rates, their errors, their variances by photons and by read noise.
    dq : array, (y, x) or (ints, y, x) uint32
    """

    values: Any
    dq: Any
