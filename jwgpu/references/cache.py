"""Decoded references kept between the exposures of one call, within a budget of memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock

from jwgpu.references.decode import arrays_of
from jwgpu.references.types import Reference

#: Bytes to keep between the exposures of one call.
BETWEEN_EXPOSURES = 1_500_000_000

#: Bytes to keep within one exposure: two full-frame images, so that what two steps in a row share
#: (gain and readnoise; the superbias and its flags) is read once.
WITHIN_EXPOSURE = 33 << 20


class ReferenceCache:
    """The references used last, up to a number of bytes.

    Parameters
    ----------
    budget : int
        Bytes of arrays to keep; what alone is bigger is not kept, 0 keeps nothing.
    """

    def __init__(self, budget: int = BETWEEN_EXPOSURES) -> None:
        self.budget = budget
        self._kept: OrderedDict[Hashable, tuple[int, Reference]] = OrderedDict()
        self._lock = Lock()

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return sum(size for size, _ in self._kept.values())

    def get(self, key: Hashable) -> Reference | None:
        """Return what is kept under a key, or None."""
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][1]

    def put(self, key: Hashable, reference: Reference) -> None:
        """Keep a reference; those unused for longest make room for it."""
        size = sum(int(array.nbytes) for array in arrays_of(reference).values())
        if size > self.budget:
            return
        with self._lock:
            self._kept.pop(key, None)
            while self._kept and self.size + size > self.budget:
                self._kept.popitem(last=False)
            self._kept[key] = (size, reference)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()
