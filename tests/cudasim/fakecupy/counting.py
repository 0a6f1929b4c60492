"""Counts of what costs time on a GPU, and is easily done by mistake."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field, fields


@dataclass
class Counts:
    """What happened since `reset`.

    Attributes
    ----------
    sent, fetched : int
        Arrays that went to the device, and back.
    sent_bytes, fetched_bytes : int
        Their bytes.
    scalars : int
        Numbers that were read from the device one by one, as by ``float(x)`` or ``if x:``.
    syncs : int
        Times that the host waited for the device: for each array or number fetched, and where it
        was asked to.
    launches : int
        Kernels of ours that were launched.
    places : Counter
        How often each of the first two kinds, scalars and launches came from where in the project:
        ``("sent", "references.collection.load")``; of a launch, the kernel.
    """

    sent: int = 0
    sent_bytes: int = 0
    fetched: int = 0
    fetched_bytes: int = 0
    scalars: int = 0
    syncs: int = 0
    launches: int = 0
    places: Counter[tuple[str, str]] = field(default_factory=Counter)

    def reset(self) -> None:
        """Begin anew."""
        for one in fields(self):
            setattr(self, one.name, Counter() if one.name == "places" else 0)

    def send(self, size: int) -> None:
        """Count an array that goes to the device."""
        self.sent += 1
        self.sent_bytes += size
        self.places["sent", _place()] += 1

    def fetch(self, size: int) -> None:
        """Count an array that comes back."""
        self.fetched += 1
        self.fetched_bytes += size
        self.syncs += 1
        self.places["fetched", _place()] += 1

    def read_scalar(self) -> None:
        """Count a number that the host reads, and waits for."""
        self.scalars += 1
        self.syncs += 1
        self.places["scalars", _place()] += 1

    def launch(self, kernel: str) -> None:
        """Count a launch."""
        self.launches += 1
        self.places["launches", kernel] += 1

    def of(self, kind: str) -> dict[str, int]:
        """Return how often things of a kind happened, by place."""
        return {place: n for (one, place), n in self.places.items() if one == kind}


def _place() -> str:
    """Return module and function of the project that the device was asked by."""
    frame = sys._getframe(2)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        is_rim = module in ("jwgpu.runner.transfer", "jwgpu.runner.session")
        if module.startswith("jwgpu.") and not module.startswith("jwgpu.backends") and not is_rim:
            return f"{module.removeprefix('jwgpu.')}.{frame.f_code.co_qualname}"
        frame = frame.f_back
    return ""


counts = Counts()
