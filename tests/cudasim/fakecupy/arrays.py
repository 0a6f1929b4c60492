"""Arrays that live in host memory and behave as if they did not."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import cupy as real  # can be imported without a driver
import numpy as np

from cudasim.fakecupy import cuda
from cudasim.fakecupy.counting import counts


def as_host(value: Any, where: str) -> Any:
    """Return arguments with the held arrays in place of those of the device.

    Raises
    ------
    TypeError
        If there is an array of the host among them.
    """
    if isinstance(value, ndarray):
        return value.held
    if isinstance(value, np.ndarray):
        raise TypeError(f"{where}: Unsupported type {type(value)}")
    if isinstance(value, (list, tuple)):
        held = [as_host(item, where) for item in value]
        return type(value)(held) if type(value) in (list, tuple) else type(value)(*held)
    if isinstance(value, dict):
        return {name: as_host(item, where) for name, item in value.items()}
    if isinstance(value, slice):
        return slice(*(as_host(item, where) for item in (value.start, value.stop, value.step)))
    return value


def as_device(value: Any) -> Any:
    """Return results with arrays of the device in place of held arrays; numbers become arrays."""
    if isinstance(value, (np.ndarray, np.generic)):
        return ndarray(np.asarray(value))
    if isinstance(value, (list, tuple)):
        items = [as_device(item) for item in value]
        return type(value)(items) if type(value) in (list, tuple) else type(value)(*items)
    return value


def call(
    name: str, function: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> Any:
    """Call what NumPy has in place of what CuPy has, if CuPy would take the arguments."""
    try:
        signature = inspect.signature(attrgetter(name)(real))
    except (TypeError, ValueError):
        signature = None  # compiled: not known
    if signature is not None:
        try:
            signature.bind(*arguments, **keywords)
        except TypeError as error:
            raise TypeError(f"cupy.{name}{signature}: {error}") from None
    held = as_host(arguments, name)
    if name in ("argmax", "argmin") and np.isnan(held[0]).any():
        raise ValueError(f"cupy.{name}: CUB, which finds it, leaves open what it is with NaN")
    try:
        result = function(*held, **as_host(keywords, name))
    except MemoryError as error:
        raise cuda.OutOfMemoryError(str(error)) from None
    return as_device(result) if keywords.get("out") is None else keywords["out"]


def _rounded_otherwise(powers: Any, out: Any) -> Any:
    """Change the last bit of powers: CUDA's need not be those of NumPy, not even squares."""
    if np.asarray(powers).dtype.kind != "f":
        return powers
    is_exact = (powers == 0) | (powers == 1)
    changed = np.where(is_exact, powers, np.nextafter(powers, np.inf, dtype=powers.dtype))
    if out is not None:
        powers[...] = changed
    return changed


class Part:
    """A module within CuPy, such as ``cupy.fft``: NumPy's functions, on arrays of the device."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __getattr__(self, name: str) -> Any:
        full_name = f"{self.__name__}.{name}"
        if not hasattr(getattr(real, self.__name__), name):
            raise AttributeError(f"module 'cupy.{self.__name__}' has no attribute {name!r}")
        function = attrgetter(full_name)(np)
        return lambda *arguments, **keywords: call(full_name, function, arguments, keywords)


class ndarray(np.lib.mixins.NDArrayOperatorsMixin):
    """An array of the device.

    Attributes
    ----------
    held : numpy.ndarray
        Where the numbers are. Only this package looks at it.
    """

    __slots__ = ("held",)
    __module__ = "cudasim.fakecupy"

    def __init__(self, held: np.ndarray) -> None:
        self.held = held
        cuda.pool.take(held)

    @property
    def device(self) -> cuda.Device:
        """The one device that there is, or the one that was the current one."""
        return cuda.Device(0)

    def __array__(self, *arguments: Any, **keywords: Any) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to "
            "construct a NumPy array explicitly."
        )

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
        name = ufunc.__name__
        if not hasattr(real, name):
            return NotImplemented
        out = keywords.pop("out", None)
        held = as_host(keywords, name)
        if out is not None:
            held["out"] = as_host(out, name)
        result = getattr(ufunc, method)(*as_host(inputs, name), **held)
        if name == "power":
            result = _rounded_otherwise(result, out)
        return as_device(result) if out is None else out[0]

    def __array_function__(self, function: Any, types: Any, inputs: Any, keywords: Any) -> Any:
        if not hasattr(real, function.__name__):
            return NotImplemented
        return call(function.__name__, function, inputs, keywords)

    def __getitem__(self, place: Any) -> Any:
        return as_device(self.held[as_host(place, "getitem")])

    def __setitem__(self, place: Any, value: Any) -> None:
        self.held[as_host(place, "setitem")] = as_host(value, "setitem")

    def __getattr__(self, name: str) -> Any:
        if not hasattr(real.ndarray, name):
            raise AttributeError(f"cupy.ndarray has no attribute {name!r}")
        value = getattr(self.held, name)
        if not callable(value):
            return as_device(value) if isinstance(value, np.ndarray) else value

        def method(*arguments: Any, **keywords: Any) -> Any:
            result = value(*as_host(arguments, name), **as_host(keywords, name))
            return as_device(result) if keywords.get("out") is None else keywords["out"]

        return method

    def get(
        self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True
    ) -> Any:
        """Copy it to the host."""
        del stream, blocking
        counts.fetch(self.held.nbytes)
        if out is None:
            return np.array(self.held, order=order)
        out[...] = self.held
        return out

    def set(self, arr: Any, stream: Any = None) -> None:
        """Copy an array of the host here."""
        del stream
        if not isinstance(arr, np.ndarray) or arr.dtype != self.held.dtype:
            raise TypeError("set takes a NumPy array of the same dtype")
        if arr.shape != self.held.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.held.shape}, new: {arr.shape}")
        counts.send(arr.nbytes)
        self.held[...] = arr

    def item(self, *place: Any) -> Any:
        """Read one number."""
        counts.read_scalar()
        return self.held.item(*place)

    def tolist(self) -> Any:
        """Copy it to the host as a list."""
        counts.fetch(self.held.nbytes)
        return self.held.tolist()

    def _scalar(self) -> np.ndarray:
        counts.read_scalar()
        return self.held

    def __float__(self) -> float:
        return float(self._scalar())

    def __int__(self) -> int:
        return int(self._scalar())

    def __complex__(self) -> complex:
        return complex(self._scalar())

    def __bool__(self) -> bool:
        return bool(self._scalar())

    def __index__(self) -> int:
        return self._scalar().__index__()

    def __len__(self) -> int:
        return len(self.held)

    def __iter__(self) -> Any:
        if self.held.ndim < 2:
            raise TypeError("iterating over an array of the device reads it element by element")
        return (self[i] for i in range(len(self.held)))

    def __repr__(self) -> str:
        return f"fakecupy.{self.held!r}"
