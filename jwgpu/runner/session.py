"""What one run of a step or pipeline works with: its device, its references, its observer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jwgpu.backends import Device, get_device
from jwgpu.runner import progress, transfer

if TYPE_CHECKING:
    from jwgpu.references import ReferenceCache, References

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
    """

    device: Device
    references: References
    observer: progress.Progress = field(default_factory=progress.current)
    max_memory: int | None = None

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
        from jwgpu.runner.memory import bytes_of

        max_memory = bytes_of(step.max_memory)
        set_threads(step.threads)
        device = get_device(step.device)
        device.use()
        source = References(None, step.references, step.offline, _cache(max_memory), threads())
        return cls(device, source, max_memory=max_memory)

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
