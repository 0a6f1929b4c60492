"""Choosing namespace and kernel body by where the arrays live."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from jwgpu.errors import DeviceError


def namespace_of(*arrays: Any) -> Any:
    """Return the array namespace (`numpy`, `cupy`, …) that all `arrays` belong to.

    None and Python scalars belong to every namespace.

    Raises
    ------
    DeviceError
        If there is no array among them, or arrays of different namespaces are mixed.
    """
    names = {
        _home(array) for array in arrays if hasattr(array, "dtype") and hasattr(array, "shape")
    }
    if len(names) != 1:
        found = " and ".join(sorted(names)) or "none"
        raise DeviceError(
            f"arrays of one device are needed, found {found}: send all of them to one device first"
        )
    return import_module(names.pop())


def implementation(kernel: str, *arrays: Any) -> Any:
    """Return the module that holds the body of `kernel` for the device of `arrays`.

    Parameters
    ----------
    kernel : str
        Dotted name of the kernel's package, its own ``__name__``.
    *arrays : array
        The kernel's array arguments; all of one device.

    Raises
    ------
    DeviceError
        If devices are mixed, or the kernel has no body for this device.
    """
    namespace = namespace_of(*arrays).__name__
    body = "cpu" if namespace == "numpy" else "cuda"
    try:
        return import_module(f"{kernel}.{body}")
    except ModuleNotFoundError as error:
        if error.name != f"{kernel}.{body}":
            raise
        raise DeviceError(
            f"{kernel.rpartition('.')[2]} has no {body} kernel yet: use --device cpu"
        ) from None


def _home(array: Any) -> str:
    namespace = getattr(array, "__array_namespace__", None)
    module = namespace().__name__ if namespace is not None else type(array).__module__
    return str(module).partition(".")[0] if module.startswith(("numpy", "cupy")) else str(module)
