"""Compiling for real GPUs with NVRTC: one wheel, no driver, no GPU."""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
from functools import cache
from pathlib import Path

from cudasim.building import KEPT

#: What the kernels are compiled for: from Turing (2018) to the newest.
ARCHITECTURES = ["sm_75", "sm_80", "sm_90", "sm_100", "sm_120"]


class CompilationError(RuntimeError):
    """NVRTC refuses a source; the message is its log."""


@cache
def library() -> ctypes.CDLL | None:
    """Return NVRTC, or None where its wheel is not installed."""
    spec = importlib.util.find_spec("nvidia")
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    for folder in folders:
        for found in sorted(Path(folder).glob("*/lib/libnvrtc.so.*")):
            return ctypes.CDLL(str(found))
    return None


def compile_source(code: str, name: str, options: tuple[str, ...]) -> tuple[bytes, str]:
    """Compile a source, or return what it was compiled to before.

    Parameters
    ----------
    code : str
        CUDA C++.
    name : str
        What the log calls it.
    options : tuple of str
        NVRTC's.

    Returns
    -------
    binary : bytes
        A CUBIN; PTX for a virtual architecture.
    log : str
        Warnings; registers and spills with ``--ptxas-options=-v``.

    Raises
    ------
    CompilationError
        If it cannot be compiled.
    """
    facts = (code, name, *options, _version())
    digest = hashlib.sha256("\0".join(facts).encode()).hexdigest()[:24]
    kept = KEPT / f"nvrtc-{digest}"
    log = kept.with_suffix(".log")
    if not log.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        binary, text = _compile(code, name, options)
        kept.write_bytes(binary)
        log.write_text(text)
    return kept.read_bytes(), log.read_text()


def _compile(code: str, name: str, options: tuple[str, ...]) -> tuple[bytes, str]:
    nvrtc = library()
    program = ctypes.c_void_p()
    nothing = (0, None, None)
    _check(nvrtc.nvrtcCreateProgram(ctypes.byref(program), code.encode(), name.encode(), *nothing))
    try:
        given = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        failed = nvrtc.nvrtcCompileProgram(program, len(options), given)
        log = _read(program, "ProgramLog").decode().rstrip("\0\n ")
        if failed:
            raise CompilationError(log)
        is_binary = any("=sm_" in option for option in options)
        return _read(program, "CUBIN" if is_binary else "PTX"), log
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


@cache
def _version() -> str:
    major, minor = ctypes.c_int(), ctypes.c_int()
    _check(library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
    return f"{library()._name} {major.value}.{minor.value}"


def _read(program: ctypes.c_void_p, what: str) -> bytes:
    nvrtc = library()
    size = ctypes.c_size_t()
    _check(getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    text = ctypes.create_string_buffer(size.value)
    _check(getattr(nvrtc, f"nvrtcGet{what}")(program, text))
    return text.raw


def _check(status: int) -> None:
    if status:
        raise RuntimeError(f"NVRTC reports error {status}")
