"""How CPU kernels are compiled and shared out over threads."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from typing import Any, TypeVar

import numba
from numba.core import event

log = logging.getLogger(__name__)

_Function = TypeVar("_Function", bound=Callable[..., Any])

#: Ranges that each thread gets: more than one, so that an uneven load evens out.
_RANGES_PER_THREAD = 4

_threads = 0


def compiled(function: _Function) -> _Function:
    """Compile `function` to machine code when first called, and keep it for later runs.

    Arithmetic is IEEE's, as written (no ``fastmath``); division by zero gives inf or NaN; the GIL
    is released.
    """
    options = {"cache": True, "nogil": True, "fastmath": False, "error_model": "numpy"}
    result: _Function = numba.njit(**options)(function)
    return result


def inlined(function: _Function) -> _Function:
    """Compile `function` as `compiled` does, into each function that calls it.

    A loop that calls another function does not become vector instructions.
    """
    options = {"nogil": True, "fastmath": False, "error_model": "numpy", "forceinline": True}
    result: _Function = numba.njit(**options)(function)
    return result


def set_threads(number: int) -> None:
    """Use `number` threads in `over_rows`; 0 means one for each CPU that this process may use."""
    global _threads
    _threads = number


def threads() -> int:
    """Return the number of threads that `over_rows` uses."""
    if _threads:
        return _threads
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def over_rows(function: Callable[..., Any], n_rows: int, *arguments: Any) -> None:
    """Call ``function(first, stop, *arguments)`` on ranges that make up ``range(n_rows)``.

    The ranges are shared out over the threads. The function must write only what belongs to its
    own range, so that the result does not depend on how the rows are cut or on the threads.
    """
    n_threads = min(threads(), n_rows)
    if n_threads <= 1:
        if n_rows:
            function(0, n_rows, *arguments)
        return
    n_ranges = min(n_rows, n_threads * _RANGES_PER_THREAD)
    bounds = [n_rows * i // n_ranges for i in range(n_ranges + 1)]
    pool = _pool(n_threads)
    pending = [pool.submit(function, first, stop, *arguments) for first, stop in pairwise(bounds)]
    for range_done in pending:
        range_done.result()


@lru_cache(maxsize=1)
def _pool(n_threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(n_threads, thread_name_prefix="jwgpu")


class _CompilationNotice(event.Listener):
    """Tell the user, once a process, that kernels are being compiled, for this time only."""

    told = False

    def on_start(self, compilation: Any) -> None:
        if not self.told:
            self.told = True
            log.info("compiling kernels for this machine, once; later runs load them")

    def on_end(self, compilation: Any) -> None:
        """Nothing to say: the notice is given at the start."""


event.register("numba:compile", _CompilationNotice())
