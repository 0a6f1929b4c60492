"""References that are trees of names and values (ASDF), not images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jwgpu.errors import ReferenceFileError
from jwgpu.references import types

if TYPE_CHECKING:
    from jwgpu.references.decode import Decoding

_FEWEST_BINS = 4  # that a cubic spline can be drawn through


def emicorr(decoding: Decoding) -> types.Reference:
    """Decode the frequencies and subarray cases of an EMICORR reference.

    Raises
    ------
    ReferenceFileError
        If it does not hold both, or a waveform is of no use.
    """
    path = decoding.source.path
    frequencies = {
        name: _frequency(path, name, _members(path, name, value))
        for name, value in _mapping(decoding, "frequencies").items()
    }
    cases = {
        name: _case(path, name, _members(path, name, value))
        for name, value in _mapping(decoding, "subarray_cases").items()
    }
    return types.EmiReference(frequencies, cases, **decoding.common())


def _mapping(decoding: Decoding, name: str) -> Mapping[str, Any]:
    found = decoding.source.entry(name)
    return _members(decoding.source.path, name, None if found is None else found.item())


def _members(path: str, name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ReferenceFileError(f"{path}: {name} is no mapping; this is no EMICORR reference")
    return value


def _frequency(path: str, name: str, tree: Mapping[str, Any]) -> types.EmiFrequency:
    try:
        frequency = float(tree["frequency"])
        waveform = np.array(tree["phase_amplitudes"], dtype=np.float64)
    except (KeyError, TypeError, ValueError):
        raise ReferenceFileError(
            f"{path}: frequency {name} lacks its frequency or phase_amplitudes"
        ) from None
    if waveform.ndim != 1 or waveform.size < _FEWEST_BINS or not np.isfinite(waveform).all():
        raise ReferenceFileError(
            f"{path}: phase_amplitudes of {name} must be {_FEWEST_BINS} or more finite numbers"
        )
    if not frequency > 0:
        raise ReferenceFileError(f"{path}: frequency {name} is {frequency} Hz; it must be positive")
    return types.EmiFrequency(frequency, waveform)


def _case(path: str, name: str, tree: Mapping[str, Any]) -> types.EmiCase:
    by_speed = tree.get("freqs") or {}
    slow = by_speed.get("SLOW") or {}
    try:
        return types.EmiCase(
            int(tree["rowclocks"]),
            int(tree["frameclocks"]),
            tuple(by_speed.get("FAST") or ()),
            {detector: tuple(names) for detector, names in slow.items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ReferenceFileError(
            f"{path}: subarray case {name} lacks rowclocks, frameclocks or freqs"
        ) from None
