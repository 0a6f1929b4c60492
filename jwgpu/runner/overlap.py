"""Several exposures on a GPU: the next one is read, and the last one written, meanwhile."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from jwgpu.backends import likely_device
from jwgpu.backends.cpu import CPU
from jwgpu.kernels.compiled import threads
from jwgpu.models import behind, reading
from jwgpu.runner import memory


class Overlap:
    """What goes on beside the calibration of several exposures; nothing on the CPU.

    There the processors are busy, and the memory for a second exposure is not to be had.

    Parameters
    ----------
    step : CalibrationStep
        What calibrates them, with the parameters that the user gives.
    files : sequence of str
        The exposures, in their order.

    Attributes
    ----------
    writer : jwgpu.models.behind.Writer or None
        Who writes their products; None if each is written before the next exposure begins.
    """

    def __init__(self, step: Any, files: Sequence[str]) -> None:
        self._files = files
        # With little memory on the host there may not be room for another exposure.
        self._reads_ahead = (
            getattr(step, "reads_ramps", False) and memory.bytes_of(step.max_memory) is None
        )
        self._threads = step.threads
        self._device = likely_device(step.device) if len(files) > 1 else CPU
        self.writer = behind.Writer() if self._device.out_of_memory else None

    def begin(self, number: int) -> None:
        """Take note that an exposure begins, and read the next one."""
        if number:
            reading.forget_ahead(self._files[number - 1])  # it may have failed before it was read
        if self.writer is None:
            return
        self.writer.file = self._files[number]
        following = self._files[number + 1 : number + 2]
        if self._reads_ahead and following and self._has_room_for(following[0]):
            reading.read_ahead(following[0], lambda: self._device, self._threads or threads())

    def failures(self) -> list[tuple[str, BaseException]]:
        """Wait for the products of earlier exposures; return what failed, by exposure."""
        return [] if self.writer is None else self.writer.failures()

    def finish(self) -> list[tuple[str, BaseException]]:
        """Wait for all products; return what failed, by exposure."""
        return [] if self.writer is None else self.writer.close()

    def _has_room_for(self, file: str) -> bool:
        """Tell by the size of a file whether there is ample room for it beside another one."""
        return os.path.isfile(file) and (
            2 * memory.AMPLE * os.path.getsize(file) < self._device.free_memory()
        )
