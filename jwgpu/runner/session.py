"""What one run of a step or pipeline works with: its device, its references, its observer."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jwgpu.backends import Device, get_device
from jwgpu.backends.cpu import CPU
from jwgpu.errors import JwgpuError, TooLittleMemoryError, WholeExposureError
from jwgpu.runner import memory, progress, transfer
from jwgpu.runner.memory import Budget

if TYPE_CHECKING:
    from jwgpu.references import ReferenceCache, References

log = logging.getLogger(__name__)

#: Share of the free memory of a device that is planned with: kernels need some for themselves.
_SHARE = 0.8

#: How often an exposure is tried again on the device: in smaller blocks, or when all else is gone.
_IN_BLOCKS, _IN_ONE_PIECE = 2, 1

#: Decoded references that the runs of one call share; None outside of `keeping_references`.
_shared_cache: ContextVar[Any] = ContextVar("shared_cache", default=None)


@dataclass
class Session:
    """One run: made when a step or pipeline starts, shared by the steps of a pipeline.

    Attributes
    ----------
    device : Device
        Where the arrays live.
    references : References
        Where reference files come from; a step asks with its own overrides.
    observer : Progress
        Who is told of the progress.
    max_memory : int or None
        Bytes that the process shall stay below, by calibrating in blocks; None for no limit.
    attempt : int
        How often the device had too little memory for the exposure so far.
    """

    device: Device
    references: References
    observer: progress.Progress = field(default_factory=progress.current)
    max_memory: int | None = None
    attempt: int = 0

    @classmethod
    def of(cls, step: Any) -> Session:
        """Make the session that the parameters of a top-level `step` ask for.

        Raises
        ------
        DeviceError
            If the device cannot be used.
        ReferenceFileError
            If the folder of references cannot be read.
        ParameterError
            If the memory is not a number of bytes.
        """
        from jwgpu.kernels.compiled import set_threads, threads
        from jwgpu.references import References

        max_memory = memory.bytes_of(step.max_memory)
        set_threads(step.threads)
        device = get_device(step.device)
        device.use()
        source = References(None, step.references, step.offline, _cache(max_memory), threads())
        return cls(device, source, max_memory=max_memory)

    def budget(self) -> Budget | None:
        """Return the memory that there is for an exposure: the least of host and device."""
        found = []
        if self.max_memory is not None:
            name = f"max_memory={memory.readable(self.max_memory)}"
            found.append(Budget(self.max_memory, memory.PROCESS, name))
        if self.device.out_of_memory:
            limit = int(_SHARE * self.device.free_memory())
            name = f"the free memory of {self.device.name}, {memory.readable(limit)},"
            found.append(Budget(limit, 0, name))
        return min(found, key=lambda one: one.room, default=None)

    def surely_fits(self, source: str | Path, budget: Budget) -> bool:
        """Tell by the size of its file alone whether an exposure is far from filling a device."""
        is_of_device = not budget.process
        return (
            is_of_device
            and not self.attempt
            and memory.AMPLE * os.path.getsize(source) < budget.room
        )

    def where_there_is_room(self, attempt: Callable[[], Any], *, in_blocks: bool = False) -> Any:
        """Return what an attempt returns, made again where the device has too little memory.

        Again without what was kept there, in smaller blocks if it can be, and then on the CPU.

        Parameters
        ----------
        attempt : callable
            Calibrates an exposure from its beginning.
        in_blocks : bool
            Whether an attempt after the first one makes smaller blocks.
        """
        attempts = _IN_BLOCKS if in_blocks else _IN_ONE_PIECE
        first = self.device
        failures: tuple[type[BaseException], ...] = (
            *first.out_of_memory,
            TooLittleMemoryError,
            WholeExposureError,
        )
        try:
            while True:
                try:
                    return attempt()
                except failures as why:
                    if self.device is not first or not first.out_of_memory:
                        raise
                    reason = " ".join(str(why).split())
                    # Foreseen: it may be the memory of the host that is limited.
                    is_foreseen = isinstance(why, JwgpuError)
                    is_over = is_foreseen or self.attempt == attempts
                # The error is gone, and with it the arrays that its traceback held.
                self._make_room()
                again = "trying again in smaller blocks" if in_blocks else "trying again"
                what = "calibrating on the cpu" if is_over else again
                short = "cannot take it" if is_foreseen else "has too little memory"
                log.warning("%s %s (%s): %s", first.name, short, reason[:200], what)
                self.attempt += 1
                if is_over:
                    self.device, self.attempt = CPU, 0
        finally:
            self.device, self.attempt = first, 0

    def _make_room(self) -> None:
        from jwgpu.models import reading

        reading.forget_ahead()
        self.references.forget()
        gc.collect()
        self.device.give_back_memory()

    def send(self, exposure: Any) -> Any:
        """Return an exposure with its arrays on this run's device."""
        return transfer.send(exposure, self.device)

    def fetch(self, result: Any) -> Any:
        """Return an exposure, or several, with their arrays on the host, for official models."""
        return transfer.fetch(result, self.device)


@contextmanager
def keeping_references() -> Iterator[None]:
    """Keep decoded references between the runs within this context, for calls of many exposures."""
    from jwgpu.references import BETWEEN_EXPOSURES, ReferenceCache

    token = _shared_cache.set(ReferenceCache(BETWEEN_EXPOSURES))
    try:
        yield
    finally:
        _shared_cache.reset(token)


def _cache(max_memory: int | None) -> ReferenceCache:
    from jwgpu.references import WITHIN_EXPOSURE, ReferenceCache

    # Where memory is short, nothing is kept between exposures.
    kept = _shared_cache.get() if max_memory is None else None
    return ReferenceCache(WITHIN_EXPOSURE) if kept is None else kept
