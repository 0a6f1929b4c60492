"""Stand-in for `cupy.cuda`: devices, memory and streams that are not there."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from cudasim.fakecupy.counting import counts


class OutOfMemoryError(MemoryError):
    """The device has no room for an array."""


class memory:
    """Stand-in for `cupy.cuda.memory`."""

    OutOfMemoryError = OutOfMemoryError


def alloc_pinned_memory(size: int) -> bytearray:
    """Return host memory."""
    return bytearray(size)


class MemoryPool:
    """Counts the bytes of the arrays that live, and refuses those beyond its limit."""

    def __init__(self) -> None:
        self.limit = 16 << 30
        self.used = 0
        self.peak = 0

    def take(self, array: np.ndarray) -> None:
        """Count an array, unless its memory belongs to another one that was counted."""
        if array.base is not None or not array.nbytes:
            return
        if self.used + array.nbytes > self.limit:
            raise OutOfMemoryError(
                f"Out of memory allocating {array.nbytes:,} bytes (allocated so far: {self.used:,} "
                f"bytes, limit set to: {self.limit:,} bytes)."
            )
        self.used += array.nbytes
        self.peak = max(self.peak, self.used)
        weakref.finalize(array, self._give, array.nbytes)

    def _give(self, size: int) -> None:
        self.used -= size

    def free_all_blocks(self) -> None:
        """Give what is kept for later back to the device: nothing is."""

    def used_bytes(self) -> int:
        """Return the bytes of the arrays that live."""
        return self.used

    def free_bytes(self) -> int:
        """Return the bytes that are kept for later."""
        return 0


pool = MemoryPool()


class Device:
    """A device: there is one."""

    def __init__(self, device: int = 0) -> None:
        self.id = device

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and other.id == self.id

    __hash__ = None  # type: ignore[assignment]  # as CuPy's

    def use(self) -> None:
        """Make it the current one."""

    def synchronize(self) -> None:
        """Wait for all that it does."""
        counts.syncs += 1

    @property
    def compute_capability(self) -> str:
        """That of the newest GPUs that kernels are compiled for."""
        return "120"

    @property
    def attributes(self) -> dict[str, int]:
        """What is asked of a device: few processors, so that few threads have much to do."""
        return {"MultiProcessorCount": 2}

    @property
    def mem_info(self) -> tuple[int, int]:
        """Bytes that are free, and all."""
        return pool.limit - pool.used, pool.limit


class Stream:
    """An order of work."""

    null: Any = None

    def __init__(self, null: bool = False, non_blocking: bool = False, **more: Any) -> None:
        del null, non_blocking, more

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def synchronize(self) -> None:
        """Wait for what was given to it."""
        counts.syncs += 1

    def wait_event(self, event: Event) -> None:
        """Let what is given to it from now on wait for an event, on the device."""


class Event:
    """A place in an order of work."""

    def __init__(self, block: bool = False, disable_timing: bool = False) -> None:
        del block, disable_timing

    def record(self, stream: Stream | None = None) -> None:
        """Put it behind what was given to a stream."""

    def synchronize(self) -> None:
        """Wait until it is reached."""
        counts.syncs += 1


Stream.null = Stream(null=True)


def get_current_stream(device_id: int = -1) -> Stream:
    """Return the stream that work is given to."""
    del device_id
    return Stream.null


def is_available() -> bool:
    """Return True: the stand-in is always there."""
    return True


class runtime:
    """What is used of the CUDA runtime."""

    class CUDARuntimeError(RuntimeError):
        """An error that a function of the runtime returned."""

    @staticmethod
    def getDeviceCount() -> int:
        """Return 1."""
        return 1
