"""What a device is: an array namespace, and how data get there and back.

The device of a computation is decided by where its arrays live, never by a global: `namespace_of`
gives the array namespace to compute with, and `implementation` picks the kernel body beside it.
"""

from __future__ import annotations

from jwgpu.backends.device import Device, get_device, likely_device
from jwgpu.backends.dispatch import implementation, namespace_of

__all__ = ["Device", "get_device", "implementation", "likely_device", "namespace_of"]
