"""The protocol of a device, and how one is chosen by name."""

from __future__ import annotations

import logging
import re
from typing import Any, Protocol

from jwgpu.errors import DeviceError

log = logging.getLogger(__name__)

#: Spellings that `get_device` takes.
DEVICE_NAMES = "auto, cpu, cuda, cuda:N"


class Device(Protocol):
    """Where arrays live and kernels run.

    Attributes
    ----------
    name : str
        ``cpu``, ``cuda`` or ``cuda:1``.
    xp : module
        The array namespace: `numpy` or one that behaves like it.
    """

    name: str
    xp: Any

    def send(self, array: Any) -> Any:
        """Return a host array as one of this device: itself, where host and device are one."""

    def fetch(self, array: Any) -> Any:
        """Return an array of this device as a host array."""

    def free_memory(self) -> int:
        """Return the bytes that can still be allocated on this device."""

    def wait(self) -> None:
        """Return when all work given to this device is done."""


def get_device(name: str = "auto") -> Device:
    """Return the device called `name`.

    Parameters
    ----------
    name : str
        ``cpu``; ``cuda`` or ``cuda:N`` (an error where it cannot be used); ``auto`` for a usable
        GPU if there is one, else the CPU.

    Raises
    ------
    DeviceError
        If the name is unknown or the device cannot be used.
    """
    from jwgpu.backends.cpu import CpuDevice

    if name == "cpu":
        return CpuDevice()
    if name == "auto":
        log.info("device auto: no GPU support in this version, computing on the cpu")
        return CpuDevice()
    if re.fullmatch(r"cuda(:\d+)?", name):
        raise DeviceError(
            f"device {name}: this version of jwgpu has no GPU kernels; use --device cpu or auto"
        )
    raise DeviceError(f"device {name!r} is unknown: use one of {DEVICE_NAMES}")
