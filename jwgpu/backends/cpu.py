"""The CPU as a device: NumPy arrays, nothing to copy."""

from __future__ import annotations

import os
from typing import Any

import numpy as np


class CpuDevice:
    """Host memory and NumPy."""

    name = "cpu"
    xp: Any = np

    def send(self, array: Any) -> Any:
        """Return the array itself: the host is the device."""
        return array

    def fetch(self, array: Any) -> Any:
        """Return the array itself: the device is the host."""
        return array

    def free_memory(self) -> int:
        """Return the bytes of memory that the machine can still give out."""
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

    def wait(self) -> None:
        """Return at once: CPU kernels are done when they return."""
