"""The CPU as a device: NumPy arrays, nothing to copy."""

from __future__ import annotations

import ctypes
import mmap
import os
from functools import lru_cache
from typing import Any

import numpy as np


class CpuDevice:
    """Host memory and NumPy."""

    name = "cpu"
    xp: Any = np
    out_of_memory: tuple[type[BaseException], ...] = ()

    def use(self) -> None:
        """Do nothing: arrays are made here unless another device is in use."""

    def send(self, array: Any) -> Any:
        """Return the array itself: the host is the device."""
        return array

    def fetch(self, array: Any) -> Any:
        """Return the array itself: the device is the host."""
        return array

    def free_memory(self) -> int:
        """Return the bytes of memory that the machine can still give out."""
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

    def give_back_memory(self) -> None:
        """Do nothing: the system has it back already."""

    def wait(self) -> None:
        """Return at once: CPU kernels are done when they return."""


#: The host, for functions that need a device and are given none.
CPU = CpuDevice()


def release_rows(array: Any, first: int, stop: int) -> None:
    """Give the memory of some rows back to the system, before the array itself can go.

    For an array that is used for the last time, row by row, while its successor grows. The rows
    read as zeros, or as before, afterwards. Does nothing where the system cannot do it.

    Parameters
    ----------
    array : array, (..., y, x)
        In host memory, C-contiguous, not shared with another array that is still needed.
    first, stop : int
        The rows of every plane.
    """
    madvise = _madvise()
    if madvise is None or not array.flags.c_contiguous or not array.flags.owndata:
        return
    planes = array.reshape(-1, *array.shape[-2:])
    page = mmap.PAGESIZE
    for plane in range(planes.shape[0]):
        part = planes[plane, first:stop]
        start = -(-part.ctypes.data // page) * page
        end = (part.ctypes.data + part.nbytes) // page * page
        if end > start:
            madvise(start, end - start, mmap.MADV_DONTNEED)


@lru_cache(maxsize=1)
def _madvise() -> Any:
    # Elsewhere MADV_DONTNEED is a hint, or means that nothing is lost.
    if os.uname().sysname != "Linux":
        return None
    try:
        function = ctypes.CDLL(None).madvise
    except (OSError, AttributeError):
        return None
    function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return function
