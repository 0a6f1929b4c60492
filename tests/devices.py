"""The devices that tests run on: the CPU, a GPU where there is one, and what stands in for one."""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import Any

import pytest

from jwgpu.backends import get_device

#: Every device; those that are not there are skipped, and counted.
DEVICES = ["cpu", "emulated", "cuda"]

#: Those whose kernels are CUDA.
GPUS = ["emulated", "cuda"]


def open_device(name: str) -> Any:
    """Return a device for a test, or skip the test, saying what is missing."""
    if name == "cpu":
        return get_device("cpu")
    device, reason = _emulated() if name == "emulated" else _real()
    if device is None:
        pytest.skip(reason)
    return device


@cache
def _emulated() -> tuple[Any, str]:
    from cudasim.building import has_compiler

    if not has_compiler():
        return None, "no g++: CUDA kernels cannot be run on the CPU"
    if importlib.util.find_spec("cupy") is None:
        return None, "no CuPy: its stand-in has no names to check against"
    from cudasim import fakecupy

    from jwgpu.backends.cuda import CudaDevice

    return CudaDevice(fakecupy), ""


@cache
def _real() -> tuple[Any, str]:
    try:
        import cupy

        if not cupy.cuda.is_available():
            return None, "no GPU here"
    except Exception as error:  # whatever a driver that is not right can raise
        return None, f"no CuPy here ({type(error).__name__})"
    from jwgpu.backends.cuda import CudaDevice

    return CudaDevice(cupy), ""
