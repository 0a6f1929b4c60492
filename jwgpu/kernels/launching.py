"""How CUDA kernels are read, compiled and launched.

A kernel's ``.cu`` is package data beside the Python file that launches it. It runs wherever its
arrays live.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.backends.compiling import load_module
from jwgpu.errors import DeviceError

#: Options of every kernel. A fused multiply-add rounds once where the CPU rounds twice: without it
#: both devices compute the same numbers.
OPTIONS = ("--std=c++17", "--fmad=false")

#: Where headers are looked for that do not lie beside the source: those shared by all kernels, and
#: those of other kernels, named with their folder.
_KERNELS = Path(__file__).parent
_SHARED = (_KERNELS / "cuda", _KERNELS)

#: What None becomes: CuPy has no null pointer of its own.
_NULL = np.uintp(0)

#: What every card has room for: blocks along each axis, threads of a block, and bytes of dynamic
#: shared memory of a block that need not be asked for.
_MOST_BLOCKS = ((1 << 31) - 1, 65535, 65535)
_MOST_THREADS = 1024
_MOST_SHARED = 48 << 10

_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')
_ONCE = re.compile(r"^\s*#\s*pragma\s+once\b")
_BUILD = re.compile(r"^//\s*build:(.*)$", re.MULTILINE)

#: Names and values that the preprocessor is given.
Defines = Mapping[str, int | str]


@dataclass(frozen=True)
class Source:
    """A ``.cu`` file with the project's headers in their places.

    Attributes
    ----------
    name : str
        As compilers and checkers shall name it: ``linearity/cuda.cu``.
    code : str
        Its text. ``#line`` says where each line stands, so that errors name the file that was
        written.
    builds : tuple of dict
        The sets of defines that it names in lines such as ``// build: TERMS=5 WITH_DQ=1``, all of
        which the tests compile; one empty set if there is no such line.
    """

    name: str
    code: str
    builds: tuple[dict[str, str], ...]


def launch(
    python_file: str | Path,
    function: str,
    n_threads: int | Sequence[int],
    arguments: Sequence[Any],
    *,
    block: int | Sequence[int] = 256,
    shared_memory: int = 0,
    defines: Defines | None = None,
) -> None:
    """Run a CUDA kernel on the device where its arrays live, and do not wait for it.

    Parameters
    ----------
    python_file : str or Path
        The file that launches it, ``__file__``: the source is ``cuda.cu`` beside ``cuda.py``, and
        ``median.cu`` beside ``median_cuda.py``. Or the source itself.
    function : str
        The name of the ``extern "C" __global__`` function.
    n_threads : int or sequence of int
        Threads needed along x, or (x, y, z); whole blocks are started, so the kernel itself must
        leave out those beyond. Nothing is started if one is 0.
    arguments : sequence
        Arrays of one device, C-contiguous and of the very dtype that the kernel declares; NumPy
        scalars of the very type; None for a null pointer.
    block : int or sequence of int
        Threads of a block.
    shared_memory : int
        Dynamic shared memory of a block, in bytes; 48 kB at most.
    defines : dict, optional
        What the preprocessor is given; a ``// build:`` line of the source must name the same, so
        that the tests compile it too.

    Raises
    ------
    TypeError
        If an argument is a Python number, or an array is not contiguous.
    ValueError
        If the grid, a block or its shared memory is larger than every card has room for.
    DeviceError
        If arrays of several devices are mixed.
    """
    arrays = [value for value in arguments if not isinstance(value, np.generic)]
    xp = namespace_of(*arrays)
    _check(function, arguments)
    threads, shape = _triple(n_threads), _triple(block)
    if 0 in threads:
        return
    grid = tuple(-(-n // size) for n, size in zip(threads, shape, strict=True))
    options = OPTIONS + _options(defines)
    source = source_path(python_file)
    _check_room(f"{_name(source)}: {function}", grid, shape, shared_memory)
    with _on_device(arrays) as number:
        kernel = _kernel(xp, number, source, function, options)
        given = tuple(_NULL if value is None else value for value in arguments)
        kernel(grid, shape, given, shared_mem=shared_memory)


def source_path(python_file: str | Path) -> Path:
    """Return the source that a Python file launches; see `launch`."""
    path = Path(python_file).with_suffix(".cu")
    stem = path.stem.removesuffix("_cuda")
    return path if path.exists() or stem == path.stem else path.with_name(f"{stem}.cu")


@cache
def read_source(path: Path) -> Source:
    """Read a ``.cu`` file, and put the headers that it includes into their places.

    Compilers that keep what they compiled know it by its text alone: so that text holds all.

    Raises
    ------
    FileNotFoundError
        If the file or a header is missing.
    """
    text = path.read_text()
    builds = tuple(
        dict(word.partition("=")[::2] for word in line.split()) for line in _BUILD.findall(text)
    )
    return Source(_name(path), _inlined(path, set()), builds or ({},))


def _inlined(path: Path, seen: set[Path]) -> str:
    """Return the text of a file, and of each header at the first place that includes it."""
    seen.add(path)
    lines = [f'#line 1 "{_name(path)}"']
    for number, line in enumerate(path.read_text().splitlines(), 1):
        included = _INCLUDE.match(line)
        if included:
            header = _find_header(included[1], path)
            if header not in seen:
                lines += [_inlined(header, seen)]
            lines += [f'#line {number + 1} "{_name(path)}"']
        else:
            lines += ["" if _ONCE.match(line) else line]
    return "\n".join(lines)


def _find_header(name: str, path: Path) -> Path:
    for folder in (path.parent, *_SHARED):
        if (folder / name).is_file():
            return (folder / name).resolve()
    raise FileNotFoundError(f"{path}: there is no header {name} beside it, nor among the kernels")


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


@cache
def _kernel(xp: Any, number: int, path: Path, function: str, options: tuple[str, ...]) -> Any:
    # A compiled function belongs to one device, the current one.
    return _module(xp, number, path, options).get_function(function)


@cache
def _module(xp: Any, number: int, path: Path, options: tuple[str, ...]) -> Any:
    source = read_source(path)
    given = dict(option[2:].split("=", 1) for option in options if option.startswith("-D"))
    if given not in source.builds:
        wanted = " ".join(f"{name}={value}" for name, value in given.items()) or "no defines"
        raise ValueError(f"{source.name}: no '// build:' line names {wanted}")
    return load_module(xp, source.code, source.name, options)


def _options(defines: Defines | None) -> tuple[str, ...]:
    return tuple(f"-D{name}={value}" for name, value in sorted((defines or {}).items()))


@contextmanager
def _on_device(arrays: list[Any]) -> Iterator[int]:
    """Make the device of the arrays the current one for a while; give its number."""
    devices = {array.device.id: array.device for array in arrays if array is not None}
    if len(devices) > 1:
        raise DeviceError(f"one kernel got arrays of the devices {sorted(devices)}")
    ((number, device),) = devices.items()
    with device:
        yield number


def _check(function: str, arguments: Sequence[Any]) -> None:
    """Refuse what would reach the kernel as other bytes than were meant."""
    for place, value in enumerate(arguments):
        if isinstance(value, (bool, int, float, complex)) and not isinstance(value, np.generic):
            raise TypeError(
                f"{function}: argument {place} is a Python {type(value).__name__}; give a NumPy "
                "scalar of the type that the kernel declares"
            )
        flags = getattr(value, "flags", None)
        if flags is not None and not isinstance(value, np.generic) and not flags.c_contiguous:
            raise TypeError(f"{function}: argument {place} is an array with gaps between samples")


def _check_room(
    kernel: str, grid: tuple[int, ...], block: tuple[int, int, int], shared_memory: int
) -> None:
    """Refuse what a card would refuse, in words that do not name the kernel."""
    if any(n > most for n, most in zip(grid, _MOST_BLOCKS, strict=True)):
        raise ValueError(
            f"{kernel}: a grid of {grid} blocks; {_MOST_BLOCKS} are the most along x, y and z"
        )
    if not 0 < math.prod(block) <= _MOST_THREADS:
        raise ValueError(f"{kernel}: a block of {block} threads; {_MOST_THREADS} are the most")
    if shared_memory > _MOST_SHARED:
        raise ValueError(
            f"{kernel}: {shared_memory} bytes of shared memory; {_MOST_SHARED} are the most"
        )


def _triple(sizes: int | Sequence[int]) -> tuple[int, int, int]:
    given = (sizes,) if isinstance(sizes, int) else tuple(sizes)
    x, y, z = (*(int(size) for size in given), 1, 1)[:3]
    return x, y, z
