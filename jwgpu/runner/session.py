"""What one run of a step or pipeline works with: its device, its references, its observer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jwgpu.backends import Device, get_device
from jwgpu.runner import progress

if TYPE_CHECKING:
    from jwgpu.references import References


@dataclass
class Session:
    """One run: made when a step or pipeline starts, shared by the steps of a pipeline.

    Attributes
    ----------
    device : Device
        Where the arrays live.
    references : Path or None
        Folder of reference files; None for CRDS.
    offline : bool
        Whether CRDS may only use its cache.
    observer : Progress
        Who is told of the progress.
    """

    device: Device
    references: Path | None = None
    offline: bool = False
    observer: progress.Progress = field(default_factory=progress.current)

    @classmethod
    def of(cls, step: Any) -> Session:
        """Make the session that the parameters of a top-level `step` ask for.

        Raises
        ------
        DeviceError
            If the device cannot be used.
        """
        from jwgpu.kernels.compiled import set_threads

        set_threads(step.threads)
        folder = Path(step.references).expanduser() if step.references else None
        return cls(get_device(step.device), folder, step.offline)

    def references_with(self, override: Callable[[str], Any]) -> References:
        """Return where references come from, for a step with these overrides."""
        from jwgpu.references import References

        return References(override, folder=self.references, offline=self.offline)
