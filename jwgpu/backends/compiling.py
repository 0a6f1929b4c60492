"""Compiling CUDA C++ for a GPU, and keeping what was compiled for later processes.

CuPy could do both, but lets kernels flush denormal numbers to zero (it adds ``-ftz=true`` behind
all other options); the CPU does not, and both shall compute the same.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

from jwgpu.errors import DeviceError

log = logging.getLogger(__name__)


def load_module(xp: Any, code: str, name: str, options: tuple[str, ...]) -> Any:
    """Return the compiled module of a source, for the current device.

    Parameters
    ----------
    xp : module
        CuPy, or what stands in for it and compiles by itself.
    code : str
        CUDA C++, without includes.
    name : str
        What errors call it.
    options : tuple of str
        Of NVRTC.

    Raises
    ------
    DeviceError
        If it cannot be compiled.
    """
    nvrtc = getattr(xp.cuda, "nvrtc", None)
    if nvrtc is None:
        return xp.RawModule(code=code, options=options, backend="nvrtc")
    capability = int(xp.cuda.Device().compute_capability)
    return xp.RawModule(path=str(compiled(nvrtc, code, name, options, capability)))


def compiled(nvrtc: Any, code: str, name: str, options: tuple[str, ...], capability: int) -> Path:
    """Return the file of what a source is compiled to, now or before.

    Parameters
    ----------
    nvrtc : module
        CuPy's bindings of it.
    code, name, options
        See `load_module`.
    capability : int
        Of the GPU: 90 for 9.0.
    """
    supported = [number for number in nvrtc.getSupportedArchs() if number <= capability]
    if not supported:
        raise DeviceError(
            f"this NVRTC cannot compile for compute capability {capability / 10:.1f}; install "
            "jwgpu[cuda12] instead of jwgpu[cuda13]"
        )
    # What is newer than the compiler gets a text that its driver can finish.
    is_known = capability in supported
    target = f"--gpu-architecture={'sm' if is_known else 'compute'}_{max(supported)}"
    facts = (code, *options, target, str(nvrtc.getVersion()))
    digest = hashlib.sha256("\0".join(facts).encode()).hexdigest()[:32]
    path = _folder() / f"{digest}.{'cubin' if is_known else 'ptx'}"
    if not path.exists():
        log.debug("compiling %s for %s", name, target)
        binary = _compile(nvrtc, code, name, (*options, target), is_known)
        _keep(binary, path)
    return path


def _keep(binary: bytes, path: Path) -> None:
    """Write a file, whole or not at all: other processes and threads may look for it, or make it.

    Raises
    ------
    DeviceError
        If it cannot be written.
    """
    unfinished = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
    try:
        try:
            unfinished.write_bytes(binary)
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise DeviceError(
            f"{path.parent}: compiled kernels cannot be kept there ({error.strerror or error}): "
            "set JWGPU_CACHE_DIR to a folder with room"
        ) from error


def _compile(nvrtc: Any, code: str, name: str, options: tuple[str, ...], is_known: bool) -> bytes:
    program = nvrtc.createProgram(code, name, (), ())
    try:
        nvrtc.compileProgram(program, options)
        result = nvrtc.getCUBIN(program) if is_known else nvrtc.getPTX(program)
    except nvrtc.NVRTCError as error:
        why = nvrtc.getProgramLog(program).strip() or str(error)
        raise DeviceError(f"{name}: cannot be compiled: {why}") from None
    finally:
        nvrtc.destroyProgram(program)
    return result if isinstance(result, bytes) else result.encode()


@functools.cache
def _folder() -> Path:
    """Return a folder for what was compiled; one for this process alone if none can be kept."""
    kept = os.environ.get("JWGPU_CACHE_DIR") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "jwgpu"
    )
    folder = Path(kept) / "kernels"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        log.info("kernels are compiled for this run alone: %s cannot be written (%s)", kept, error)
    return Path(_for_this_process().name)


@functools.cache
def _for_this_process() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="jwgpu-")
