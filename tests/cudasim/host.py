"""CUDA kernels that run on the host, called as `cupy.RawModule` calls them."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cudasim.building import KernelError, build, runtime

#: Orders in which the threads of a block take their turns; in the last, one warp lags behind.
ORDERS = {"forward": 0, "reverse": 1, "random": 2}

#: Modes in which arrays lie in buffers of their own, between pages that cannot be touched.
_GUARDED = ("checked", "tsan")


class HostModule:
    """A CUDA source compiled for the host.

    Parameters
    ----------
    code : str
        CUDA C++, without includes.
    options : tuple of str
        As for NVRTC.
    mode : str
        One of `building.MODES`.
    """

    def __init__(self, code: str, options: tuple[str, ...] = (), mode: str = "checked") -> None:
        self.mode = mode
        self.runtime = runtime()
        self.path = build(code, options, mode)
        self.library = ctypes.CDLL(str(self.path))

    def get_function(self, name: str) -> HostKernel:
        """Return one of its kernels."""
        return HostKernel(self, name)


class HostKernel:
    """A kernel that runs on the host.

    Attributes
    ----------
    signature : list of str
        One word an argument: ``*cf4`` is ``const float*``, ``i8`` is ``long long``.
    """

    def __init__(self, module: HostModule, name: str) -> None:
        self.module, self.name = module, name
        self._launch = getattr(module.library, f"cudasim_launch_{name}")
        text = ctypes.create_string_buffer(4096)
        getattr(module.library, f"cudasim_signature_{name}")(text)
        self.signature = text.value.decode().split()

    def __call__(
        self,
        grid: Sequence[int],
        block: Sequence[int],
        arguments: Sequence[Any],
        shared_mem: int = 0,
        *,
        order: str = "forward",
        seed: int = 1,
        workers: int = 1,
    ) -> None:
        """Run it to its end.

        Parameters
        ----------
        grid, block : sequence of int
            Blocks of the grid, and threads of a block.
        arguments : sequence
            NumPy arrays, NumPy scalars, None.
        shared_mem : int
            Dynamic shared memory of a block, in bytes.
        order : str
            One of `ORDERS`.
        seed : int
            For the random order.
        workers : int
            Blocks that run at the same time.

        Raises
        ------
        TypeError
            If the arguments are not what the kernel declares.
        KernelError
            If the kernel does what is forbidden.
        """
        guarded = self.module.mode in _GUARDED
        memory = _Memory(self.module.runtime, guarded)
        try:
            pointers = [self._pass(memory, place, value) for place, value in enumerate(arguments)]
            if len(arguments) != len(self.signature):
                raise TypeError(
                    f"{self.name} takes {len(self.signature)} arguments, got {len(arguments)}"
                )
            self._set("order", ORDERS[order])
            self._set("seed", seed)
            self._set("workers", workers)
            self._set("poison", 1)
            self._run(grid, block, shared_mem, pointers)
        finally:
            problem = memory.give_back()
        if problem:
            raise KernelError(f"{self.name}: {problem}")

    def _run(
        self, grid: Sequence[int], block: Sequence[int], shared_mem: int, pointers: list[Any]
    ) -> None:
        error = ctypes.create_string_buffer(1024)
        addresses = (ctypes.c_void_p * len(pointers))(*(ctypes.addressof(box) for box in pointers))
        size = ctypes.c_size_t
        if self._launch(
            _dim3(grid), _dim3(block), size(shared_mem), addresses, error, size(len(error))
        ):
            raise KernelError(f"{self.name}: {self._with_line(error.value.decode())}")

    def _pass(self, memory: _Memory, place: int, value: Any) -> Any:
        """Return a C variable that holds an argument, after a look at its type."""
        if place >= len(self.signature):
            return ctypes.c_void_p(None)
        declared = self.signature[place]
        what = f"{self.name}: argument {place}"
        if not declared.startswith("*"):
            wanted = np.dtype(declared.replace("b1", "?"))
            if not isinstance(value, np.generic) or value.dtype != wanted:
                raise TypeError(f"{what} must be numpy.{wanted}, got {type(value).__name__}")
            return ctypes.create_string_buffer(value.tobytes(), wanted.itemsize)
        if value is None or (isinstance(value, np.uintp) and value == 0):
            return ctypes.c_void_p(None)
        wanted = np.dtype(declared[-2:].replace("b1", "?").replace("V1", "u1"))
        if not isinstance(value, np.ndarray) or value.dtype != wanted:
            found = getattr(value, "dtype", type(value).__name__)
            raise TypeError(f"{what} must be an array of {wanted}, got {found}")
        if not value.flags.c_contiguous:
            raise TypeError(f"{what} has gaps between its samples")
        return ctypes.c_void_p(memory.lend(place, value, is_const=declared[1] == "c"))

    def _set(self, name: str, value: int) -> None:
        ctypes.c_int.in_dll(self.module.runtime, f"cudasim_{name}").value = value

    def _with_line(self, message: str) -> str:
        """Replace the address at the end of a message by file and line."""
        address = re.search(r" @([0-9a-f]+)$", message)
        if address is None:
            return message
        found = subprocess.run(
            ["addr2line", "-e", str(self.module.path), address[1]], capture_output=True, text=True
        )
        line = found.stdout.split(" (")[0].strip()
        return f"{message[: address.start()]} at {'/'.join(line.split(os.sep)[-2:])}"


@dataclass
class _Loan:
    pointer: int
    array: np.ndarray
    place: int
    is_const: bool


class _Memory:
    """What the arrays of one launch lie in: themselves, or guarded copies."""

    def __init__(self, runtime: ctypes.CDLL, guarded: bool) -> None:
        self.runtime, self.guarded = runtime, guarded
        self.loans: list[_Loan] = []

    def lend(self, place: int, array: np.ndarray, *, is_const: bool) -> int:
        """Return the address at which the kernel finds an array."""
        start, stop = array.ctypes.data, array.ctypes.data + array.nbytes
        if not self.guarded or not array.nbytes:
            return start
        for loan in self.loans:
            other = loan.array.ctypes.data
            if (start, stop) == (other, other + loan.array.nbytes):
                loan.is_const &= is_const
                return loan.pointer
            if start < other + loan.array.nbytes and other < stop:
                raise KernelError(
                    f"arguments {loan.place} and {place} share a part of their memory"
                )
        name = f"argument {place} ({array.dtype}{list(array.shape)})".encode()
        pointer = self.runtime.cudasim_alloc(array.nbytes, max(16, array.itemsize), name)
        ctypes.memmove(pointer, array.ctypes.data, array.nbytes)
        self.loans.append(_Loan(pointer, array, place, is_const))
        return pointer

    def give_back(self) -> str:
        """Copy the results into the arrays, and return what is wrong with them, if anything."""
        problem = ""
        for loan in self.loans:
            array = loan.array
            held = (ctypes.c_char * array.nbytes).from_address(loan.pointer)
            if not loan.is_const:
                ctypes.memmove(array.ctypes.data, loan.pointer, array.nbytes)
            elif bytes(held) != array.tobytes():
                problem = f"argument {loan.place} is const and was written"
            if self.runtime.cudasim_free(loan.pointer) == 1:
                problem = f"wrote outside argument {loan.place}"
        return problem


def _dim3(sizes: Sequence[int]) -> Any:
    return (ctypes.c_uint * 3)(*(*sizes, 1, 1)[:3])
