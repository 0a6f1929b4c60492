"""Translation of a reference's own flags into the official ones."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np

from jwgpu.models.flags import PIXEL

log = logging.getLogger(__name__)

Array: TypeAlias = np.ndarray[Any, Any]

_LOW = 0xFFFF
_SAMPLES = 1 << 18  # pixels translated at a time, so that the temporaries stay in the cache


def translate_flags(
    dq: Array, names: Iterable[str], values: Iterable[int], path: str = "the reference"
) -> None:
    """Give flags their official bits, in place.

    A file may number its flags as it likes; its table DQ_DEF says what each value is called. Bits
    that the table does not define, or whose name is unknown, vanish, as in the official package.

    Parameters
    ----------
    dq : array, any shape, uint32
        C-contiguous.
    names : iterable of str
        Names of flags.
    values : iterable of int
        Their values in `dq`; a value of several bits is set where any of them is.
    path : str
        The reference, for messages.
    """
    official = []
    for name, value in zip(names, values, strict=True):
        if name.strip() in PIXEL:
            official.append((int(value) & 0xFFFFFFFF, PIXEL[name.strip()]))
        else:
            log.warning("%s: flag %s of its DQ_DEF is unknown and ignored", path, name.strip())
    flat = dq.reshape(-1)
    if all(value == bit for value, bit in official):
        flat &= np.uint32(sum({bit for _, bit in official}))
        return
    # Translating is an OR over bits, so 16 bits at a time can be looked up in a table.
    low, high = _table(official, 0), _table(official, 16)
    for first in range(0, flat.size, _SAMPLES):
        part = flat[first : first + _SAMPLES]
        translated = low[part & _LOW]
        upper = part >> 16
        if upper.any():
            translated |= high[upper]
        part[:] = translated


def _table(official: list[tuple[int, int]], shift: int) -> Array:
    index = np.arange(1 << 16, dtype=np.uint32)
    table = np.zeros(1 << 16, np.uint32)
    for value, bit in official:
        bits = (value >> shift) & _LOW
        if bits:
            table[(index & np.uint32(bits)) != 0] |= np.uint32(bit)
    return table
