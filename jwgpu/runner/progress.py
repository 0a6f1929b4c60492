"""How a run tells what it is doing, for whoever wants to show it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class Progress(Protocol):
    """An observer of a run."""

    def start_exposure(self, name: str, steps: Sequence[str]) -> None:
        """Take note that exposure `name` will go through `steps`, in this order."""

    def start_step(self, name: str) -> None:
        """Take note that step `name` begins."""

    def finish_step(self, name: str, seconds: float) -> None:
        """Take note that step `name` ended, or was skipped (0 seconds)."""

    def finish_exposure(self, name: str) -> None:
        """Take note that exposure `name` is done, or has failed."""


class Silence:
    """The observer that shows nothing."""

    def start_exposure(self, name: str, steps: Sequence[str]) -> None:
        """Show nothing."""

    def start_step(self, name: str) -> None:
        """Show nothing."""

    def finish_step(self, name: str, seconds: float) -> None:
        """Show nothing."""

    def finish_exposure(self, name: str) -> None:
        """Show nothing."""


_current: ContextVar[Progress] = ContextVar("progress", default=Silence())  # noqa: B039 - it has no state


def current() -> Progress:
    """Return the observer of the run that is going on."""
    return _current.get()


@contextmanager
def observed_by(observer: Progress) -> Iterator[None]:
    """Have `observer` told of every run within this context."""
    token = _current.set(observer)
    try:
        yield
    finally:
        _current.reset(token)
