"""A GPU as a device: CuPy arrays."""

from __future__ import annotations

from typing import Any


class CudaDevice:
    """The memory and the kernels of one GPU.

    Parameters
    ----------
    xp : module
        CuPy, or what stands in for it.
    number : int
        Which GPU, from 0.

    Attributes
    ----------
    name : str
        ``cuda``, or ``cuda:1`` for all but the first.
    """

    def __init__(self, xp: Any, number: int = 0) -> None:
        self.xp = xp
        self.number = number
        self.name = f"cuda:{number}" if number else "cuda"

    def send(self, array: Any) -> Any:
        """Return a copy of a host array on this device."""
        with self.xp.cuda.Device(self.number):
            return self.xp.asarray(array)

    def fetch(self, array: Any) -> Any:
        """Return a copy of an array of this device on the host."""
        return array.get()

    def free_memory(self) -> int:
        """Return the bytes that can still be allocated."""
        pool = self.xp.get_default_memory_pool()
        with self.xp.cuda.Device(self.number) as device:
            return int(device.mem_info[0] + pool.free_bytes())

    def wait(self) -> None:
        """Return when all work given to this device is done."""
        self.xp.cuda.Device(self.number).synchronize()
