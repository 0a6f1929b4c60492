"""Stand-in for `cupy.RawModule`: kernels run on the host, and are checked."""

from __future__ import annotations

import os
import re
from typing import Any, ClassVar

import numpy as np

from cudasim.fakecupy.arrays import ndarray
from cudasim.fakecupy.counting import counts
from cudasim.host import HostKernel, HostModule, KernelError

#: Kernels whose outputs may depend on the order of the threads, as a source says of them.
_UNORDERED = re.compile(r"^//\s*unordered:(.*)$", re.MULTILINE)


class Settings:
    """How kernels run.

    Attributes
    ----------
    mode : str
        One of `cudasim.building.MODES`.
    reorders : bool
        Whether each launch is run once more with the threads in another order, and must give the
        same. In the checked mode only.
    workers : int
        Blocks that run at the same time.
    launched : set of str
        Names of all kernels that ran.
    """

    mode = os.environ.get("CUDASIM_MODE", "checked")
    reorders = True
    workers = 1
    launched: ClassVar[set[str]] = set()


settings = Settings()


class RawModule:
    """A CUDA source; see `cupy.RawModule`."""

    def __init__(
        self, *, code: str, options: tuple[str, ...] = (), backend: str = "nvrtc", **more: Any
    ) -> None:
        del backend, more
        self.code, self.options = code, options
        self.unordered = {name for line in _UNORDERED.findall(code) for name in line.split()}
        self.modules: dict[str, HostModule] = {}

    def get_function(self, name: str) -> RawKernel:
        """Return one of its kernels."""
        self.compiled().get_function(name)  # names that are not there are found now
        return RawKernel(self, name)

    def compiled(self) -> HostModule:
        """Return what it is compiled to in the present mode."""
        mode = settings.mode
        if mode not in self.modules:
            self.modules[mode] = HostModule(self.code, self.options, mode)
        return self.modules[mode]


class RawKernel:
    """A kernel; see `cupy.RawKernel`."""

    max_dynamic_shared_size_bytes = 48 << 10

    def __init__(self, module: RawModule, name: str) -> None:
        self.module, self.name = module, name

    def __call__(
        self, grid: Any, block: Any, args: tuple[Any, ...], *, shared_mem: int = 0
    ) -> None:
        """Run it on the host."""
        counts.launch(self.name)
        settings.launched.add(self.name)
        for value in args:
            if isinstance(value, np.ndarray):
                raise TypeError(f"Unsupported type {type(value)}")
        if shared_mem > self.max_dynamic_shared_size_bytes:
            raise KernelError(
                f"{self.name}: {shared_mem} bytes of shared memory were not asked for"
            )
        kernel = self.module.compiled().get_function(self.name)
        arguments = tuple(value.held if isinstance(value, ndarray) else value for value in args)
        repeats = (
            settings.mode == "checked"
            and settings.reorders
            and self.name not in self.module.unordered
        )
        before = _copies(arguments) if repeats else []
        kernel(grid, block, arguments, shared_mem, workers=settings.workers)
        if repeats:
            kernel(grid, block, before, shared_mem, order="random", workers=settings.workers)
            self._compare(kernel, arguments, before)

    def _compare(self, kernel: HostKernel, first: tuple[Any, ...], second: list[Any]) -> None:
        for place, (one, other) in enumerate(zip(first, second, strict=True)):
            if isinstance(one, np.ndarray) and one.tobytes() != other.tobytes():
                raise KernelError(
                    f"{kernel.name}: argument {place} depends on the order of the threads (or it "
                    "is read before it is written)"
                )


def _copies(arguments: tuple[Any, ...]) -> list[Any]:
    """Return the arguments with copies of the arrays; what was one array stays one."""
    copies: dict[tuple[int, int], np.ndarray] = {}
    result: list[Any] = []
    for value in arguments:
        if isinstance(value, np.ndarray):
            value = copies.setdefault((value.ctypes.data, value.nbytes), value.copy())
        result.append(value)
    return result
