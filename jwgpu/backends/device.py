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
    out_of_memory : tuple of type
        What is raised where it has no room for an array, and the CPU may have.
    """

    name: str
    xp: Any
    out_of_memory: tuple[type[BaseException], ...]

    def use(self) -> None:
        """Let this thread make its new arrays here."""

    def send(self, array: Any) -> Any:
        """Return a host array as one of this device: itself, where host and device are one."""

    def fetch(self, array: Any) -> Any:
        """Return an array of this device as a host array."""

    def free_memory(self) -> int:
        """Return the bytes that can still be allocated on this device."""

    def give_back_memory(self) -> None:
        """Give back what is kept for later arrays."""

    def wait(self) -> None:
        """Return when all work given to this device is done."""


def likely_device(name: str) -> Device:
    """Return the device that `get_device` gives, without a word; the CPU where it raises."""
    from jwgpu.backends.cpu import CPU

    try:
        return get_device("cuda" if name == "auto" else name)
    except DeviceError:
        return CPU


def get_device(name: str = "auto") -> Device:
    """Return the device called `name`.

    Parameters
    ----------
    name : str
        ``cpu``; ``cuda`` or ``cuda:N`` (an error where it cannot be used); ``auto`` for the first
        GPU if it can be used, else the CPU, which a log record tells.

    Raises
    ------
    DeviceError
        If the name is unknown or the device cannot be used.
    """
    from jwgpu.backends.cpu import CpuDevice
    from jwgpu.backends.cuda import open_cuda

    if name == "cpu":
        return CpuDevice()
    if name == "auto":
        try:
            return open_cuda(0)
        except DeviceError as error:
            reason = str(error).partition(": ")[2].partition(";")[0]
            log.info("device auto: computing on the cpu (%s)", reason)
            return CpuDevice()
    if re.fullmatch(r"cuda(:\d+)?", name):
        return open_cuda(int(name.partition(":")[2] or 0))
    raise DeviceError(f"device {name!r} is unknown: use one of {DEVICE_NAMES}")
