"""Compiling CUDA C++ for the host with g++, once for each text and set of options."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

SHIM = Path(__file__).parent / "shim"

#: Where compiled libraries are kept; ``make clean`` removes it.
KEPT = Path(__file__).parents[2] / "build" / "cudasim"

COMPILER = os.environ.get("CXX", "g++")

_ALWAYS = [
    "-std=c++17",
    "-g1",
    "-fPIC",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-Wall",
    "-Wno-unknown-pragmas",
    "-Wno-unused-function",
    "-Wno-attributes",
]

#: What a kernel is compiled with, by the name of the mode.
#:
#: ``checked`` traps what is undefined in C++; ``fast`` and ``fma`` are for speed, the latter with
#: the fused multiply-adds that a GPU would use without ``--fmad=false``; ``tsan`` finds races.
MODES = {
    "checked": [
        "-O1",
        "-ffp-contract=off",
        "-fstack-clash-protection",
        "-fsanitize=undefined,float-cast-overflow",
        "-fno-sanitize=vptr,float-divide-by-zero",
        "-fsanitize-undefined-trap-on-error",
    ],
    "fast": ["-O2", "-fwrapv", "-ffp-contract=off"],
    "fma": ["-O2", "-fwrapv", "-mfma", "-ffp-contract=fast"],
    "tsan": ["-O1", "-fwrapv", "-ffp-contract=off", "-fsanitize=thread"],
}

_KERNEL = re.compile(
    r"__global__\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?void\s+"
    r"(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\("
)
_FIRST_LINE = re.compile(r'#line 1 "([^"]+)"')
_DYNAMIC = re.compile(
    r"extern\s+__shared__\s+(?:__align__\(\d+\)\s*)?([\w:\s]+?)\s*\b(\w+)\s*\[\s*\]\s*;"
)


class KernelError(RuntimeError):
    """A kernel did what a GPU forbids, or what would only work by luck."""


def has_compiler() -> bool:
    """Return whether kernels can be run on the host."""
    return shutil.which(COMPILER) is not None


@cache
def runtime() -> ctypes.CDLL:
    """Return the scheduler: compiled once, and never instrumented."""
    sources = sorted(SHIM.iterdir())
    library = KEPT / f"runtime-{_digest(_version(), *(file.read_text() for file in sources))}.so"
    if not library.exists():
        options = ["-std=c++17", "-O2", "-fPIC", "-pthread", "-shared", f"-I{SHIM}"]
        _compile([*options, *(str(file) for file in sources if file.suffix == ".cpp")], library)
    loaded = ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    loaded.cudasim_alloc.restype = ctypes.c_void_p
    loaded.cudasim_alloc.argtypes = [ctypes.c_size_t, ctypes.c_size_t, ctypes.c_char_p]
    loaded.cudasim_free.argtypes = [ctypes.c_void_p]
    return loaded


def build(code: str, options: tuple[str, ...], mode: str) -> Path:
    """Return the library of a kernel's source, compiled now or before.

    Parameters
    ----------
    code : str
        CUDA C++.
    options : tuple of str
        Those of NVRTC; only ``-D`` means something here.
    mode : str
        One of `MODES`.
    """
    shim = (SHIM / "cudasim.hpp").read_text()
    flags = [*_ALWAYS, *MODES[mode], *(option for option in options if option.startswith("-D"))]
    # Dynamic shared memory is the one thing that C++ cannot express; the lines stay where they are.
    body = _DYNAMIC.sub(r"auto* \2 = static_cast<\1*>(cudasim::cudasim_dynamic_shared());", code)
    exports = "".join(f"CUDASIM_EXPORT({name})\n" for name in kernel_names(code))
    text = f'{body}\n#line 1 "exports"\n{exports}'
    library = KEPT / f"kernel-{mode}-{_digest(_version(), text, shim, *flags)}.so"
    if not library.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=KEPT) as folder:
            # Named as its first line says, by which the debugger's lines go.
            named = _FIRST_LINE.match(text)
            source = Path(folder, named[1] if named else "kernel.cu")
            source.parent.mkdir(exist_ok=True)
            source.write_text(text)
            include = ["-include", str(SHIM / "cudasim.hpp")]
            _compile([*flags, *include, "-shared", "-pthread", "-x", "c++", str(source)], library)
    return library


def kernel_names(code: str) -> list[str]:
    """Return the names of the ``__global__`` functions of a source."""
    return _KERNEL.findall(code)


@cache
def _version() -> str:
    return _run([COMPILER, "--version"])


def _compile(arguments: list[str], library: Path) -> None:
    library.parent.mkdir(parents=True, exist_ok=True)
    unfinished = library.with_suffix(f".{os.getpid()}")
    _run([COMPILER, *arguments, "-o", str(unfinished)])
    os.replace(unfinished, library)  # whole or not at all: other processes may look for it


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise KernelError(" ".join(command) + "\n" + done.stderr)
    return done.stdout


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
