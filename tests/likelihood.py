"""What tests of the likelihood fit share: an official fit that gives the same on every machine."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from stcal.ramp_fitting import likely_fit


class _PlainPowers(np.ndarray):
    """An array whose powers are those of the C library."""

    def __pow__(self, exponent: Any) -> Any:
        if exponent == 2:
            return super().__pow__(exponent)
        values = np.asarray(self)
        with np.errstate(all="ignore"):
            return np.array([value**exponent for value in values])


def use_plain_powers(monkeypatch: Any) -> None:
    """Let the official fit take roots with the C library.

    With AVX-512 NumPy takes powers of arrays in its own way, which differs in the last bit in one
    of twenty. Where a ramp has three usable differences or fewer, or five groups and no light, the
    official fit leaves to rounding whether there is a jump, and so its result depends on the
    machine. On machines without AVX-512 this changes nothing.
    """

    def ones(shape: Any, *arguments: Any, **keywords: Any) -> Any:
        array = np.ones(shape, *arguments, **keywords)
        return array.view(_PlainPowers) if array.dtype == np.float64 and array.ndim == 2 else array

    numpy = SimpleNamespace(**{**vars(np), "ones": ones})
    monkeypatch.setattr(likely_fit, "np", numpy)
