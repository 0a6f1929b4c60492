"""A stand-in for CuPy that needs no GPU.

Its arrays live in host memory, but behave as CuPy's: they refuse to become NumPy arrays by
themselves, and to be mixed with them. Names and keywords that the installed CuPy does not have
are refused. What goes to and from the device, waits, and launches are counted in `counts`. Kernels
run on the host, under the checks of `cudasim.host`.

It is stricter than CuPy in places, where a copy between host and device would go unseen. It cannot
show how CuPy differs from NumPy in numbers, but for powers (``x**2``), nor speed.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from cudasim.fakecupy import cuda
from cudasim.fakecupy.arrays import Part, as_device, as_host, call, ndarray, real
from cudasim.fakecupy.counting import counts
from cudasim.fakecupy.modules import RawModule

__all__ = ["RawModule", "array", "asarray", "asnumpy", "counts", "cuda", "ndarray"]


def asarray(a: Any, dtype: Any = None, order: Any = None, *, blocking: bool = False) -> ndarray:
    """Return an array of the device; a host array is sent there."""
    del order, blocking
    if isinstance(a, ndarray):
        return as_device(np.asarray(a.held, dtype))
    sent = np.array(a, dtype=dtype, order="C")
    if sent.dtype.kind not in "biufc":
        raise ValueError(f"Unsupported dtype {sent.dtype}")
    if isinstance(a, np.ndarray):
        counts.send(sent.nbytes)
    return as_device(sent)


def array(a: Any, dtype: Any = None, copy: bool = True, **keywords: Any) -> ndarray:
    """Return a new array of the device."""
    if isinstance(a, ndarray):
        return as_device(np.array(a.held, dtype=dtype, copy=copy))
    return asarray(a, dtype, **keywords)


def ascontiguousarray(a: Any, dtype: Any = None) -> ndarray:
    """Return an array without gaps; a host array is sent to the device."""
    if isinstance(a, ndarray):
        return as_device(np.ascontiguousarray(a.held, dtype))
    return asarray(a, dtype)


def asnumpy(a: Any, stream: Any = None, order: str = "C", out: Any = None) -> Any:
    """Return an array of the device as one of the host."""
    return a.get(stream, order, out) if isinstance(a, ndarray) else np.asarray(a)


def empty(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    """Return an array of which nothing is known: NaN, or all bits set."""
    return _poisoned(np.empty(shape, dtype, order))


def empty_like(a: ndarray, dtype: Any = None, order: str = "K", **keywords: Any) -> ndarray:
    """Return an array like another, of which nothing is known."""
    return _poisoned(np.empty_like(a.held, dtype, order, **keywords))


def _poisoned(held: np.ndarray) -> ndarray:
    if held.size:
        held.reshape(-1, order="A").view(np.uint8).fill(0xFF)
    return as_device(held)


def get_array_module(*arguments: Any) -> Any:
    """Return this module if an array of the device is among the arguments, else NumPy."""
    import sys

    is_here = any(isinstance(value, ndarray) for value in arguments)
    return sys.modules[__name__] if is_here else np


def get_default_memory_pool() -> cuda.MemoryPool:
    """Return what device memory is taken from."""
    return cuda.pool


def __getattr__(name: str) -> Any:
    """Return what NumPy has under a name that CuPy has too."""
    if not hasattr(real, name):
        raise AttributeError(f"module 'cupy' has no attribute {name!r}")
    value = getattr(np, name)
    if isinstance(value, np.ufunc):
        return _ufunc(value)
    if isinstance(value, ModuleType):
        return Part(name)
    if isinstance(value, type) or not callable(value):
        return value
    return lambda *arguments, **keywords: call(name, value, arguments, keywords)


def _ufunc(function: np.ufunc) -> Any:
    def apply(*arguments: Any, **keywords: Any) -> Any:
        name = function.__name__
        out = keywords.get("out")
        result = function(*as_host(arguments, name), **as_host(keywords, name))
        return as_device(result) if out is None else out

    for method in ("reduce", "accumulate", "outer", "at"):
        setattr(apply, method, _method(function, method))
    return apply


def _method(function: np.ufunc, method: str) -> Any:
    def apply(*arguments: Any, **keywords: Any) -> Any:
        name = f"{function.__name__}.{method}"
        if not hasattr(getattr(real, function.__name__), method):
            raise AttributeError(f"cupy.{name} does not exist")
        return as_device(
            getattr(function, method)(*as_host(arguments, name), **as_host(keywords, name))
        )

    return apply
