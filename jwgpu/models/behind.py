"""Products that are written while the next exposure is calibrated."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any


class Writer:
    """Writes one product after the other, in a thread of its own.

    Attributes
    ----------
    file : str
        The exposure whose products are given now.
    """

    def __init__(self) -> None:
        self.file = ""
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="jwgpu writes")
        self._pending: list[tuple[str, Future[Any]]] = []

    def do(self, action: Callable[..., Any], *arguments: Any) -> None:
        """Do something when all that was given before is done."""
        self._pending.append((self.file, self._pool.submit(action, *arguments)))

    def failures(self) -> list[tuple[str, BaseException]]:
        """Wait for the products of earlier exposures; return what failed, by exposure."""
        return self._finish([one for one in self._pending if one[0] != self.file])

    def close(self) -> list[tuple[str, BaseException]]:
        """Wait for all products; return what failed, by exposure."""
        failed = self._finish(list(self._pending))
        self._pool.shutdown()
        return failed

    def _finish(self, some: list[tuple[str, Future[Any]]]) -> list[tuple[str, BaseException]]:
        self._pending = [one for one in self._pending if one not in some]
        found = [(file, done.exception()) for file, done in some]
        return [(file, error) for file, error in found if error is not None]


_writer: ContextVar[Writer | None] = ContextVar("writer", default=None)


def current() -> Writer | None:
    """Return who writes products later; None to write them at once."""
    return _writer.get()


@contextmanager
def writing(writer: Writer | None) -> Iterator[None]:
    """Let products that nobody changes any more be written later; None: at once after all.

    Which warnings are shown is a matter of the process, not of a thread: where two threads each
    hide some for a while, what one has hidden may stay so. In the end all is as it was.
    """
    token = _writer.set(writer)
    try:
        with warnings.catch_warnings():
            yield
    finally:
        _writer.reset(token)


def close(model: Any) -> None:
    """Close an official data model when its product has been written."""
    writer = _writer.get()
    if writer is None:
        model.close()
    else:
        writer.do(model.close)
