"""Counts of what costs time on a GPU, and is easily done by mistake."""

from __future__ import annotations

from dataclasses import dataclass, fields


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
    """

    sent: int = 0
    sent_bytes: int = 0
    fetched: int = 0
    fetched_bytes: int = 0
    scalars: int = 0
    syncs: int = 0
    launches: int = 0

    def reset(self) -> None:
        """Begin anew."""
        for field in fields(self):
            setattr(self, field.name, 0)

    def send(self, size: int) -> None:
        """Count an array that goes to the device."""
        self.sent += 1
        self.sent_bytes += size

    def fetch(self, size: int) -> None:
        """Count an array that comes back."""
        self.fetched += 1
        self.fetched_bytes += size
        self.syncs += 1

    def read_scalar(self) -> None:
        """Count a number that the host reads, and waits for."""
        self.scalars += 1
        self.syncs += 1


counts = Counts()
