"""Tables that are made once and kept on a device for later calls, until its memory is wanted."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

_caches: list[Any] = []


def kept_on_device(maxsize: int) -> Callable[[Callable[..., Any]], Any]:
    """Let a function keep what it returned for its last `maxsize` sets of arguments.

    The device must be one of them: the array namespace, and the number of the GPU.
    """

    def keep(function: Callable[..., Any]) -> Any:
        cache = lru_cache(maxsize=maxsize)(function)
        _caches.append(cache)
        return cache

    return keep


def forget_kept() -> None:
    """Forget all that functions keep on any device; it is made again when it is asked for."""
    for cache in _caches:
        cache.cache_clear()
