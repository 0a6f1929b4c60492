"""A GPU as a device: CuPy arrays."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import math
import os
from collections.abc import Callable
from functools import cache, cached_property
from typing import Any

import numpy as np

from jwgpu.backends.compiling import load_module
from jwgpu.backends.kept import forget_kept
from jwgpu.errors import DeviceError

#: What brings all that is needed beside the driver.
_INSTALL = "pip install 'jwgpu[cuda13]' (or 'jwgpu[cuda12]' for a driver of CUDA 12)"

_NO_GPU = (
    "no GPU with a driver that fits is found; check that nvidia-smi lists it and that "
    "CUDA_VISIBLE_DEVICES does not hide it"
)

#: The oldest GPUs that kernels are compiled for: compute capability 7.5, Turing (2018).
_OLDEST = 75

#: Bytes of arrays that are fetched into pinned memory: faster, but dear to get, and kept.
_PINNED = range(1 << 20, 256 << 20)

#: Bytes that travel at a time where an array is decoded on the way.
_PIECE = 32 << 20

#: A kernel that shows that kernels can be compiled and run.
_PROOF = 'extern "C" __global__ void prove(int* out) { out[0] = 42; }'


class CudaDevice:
    """The memory and the kernels of one GPU.

    Parameters
    ----------
    xp : module
        CuPy, or what stands in for it.
    number : int
        Which GPU, from 0.

    Attributes
    ----------
    name : str
        ``cuda``, or ``cuda:1`` for all but the first.
    out_of_memory : tuple of type
        What is raised where it has no room for an array.
    """

    def __init__(self, xp: Any, number: int = 0) -> None:
        self.xp = xp
        self.number = number
        self.name = f"cuda:{number}" if number else "cuda"
        self.out_of_memory: tuple[type[BaseException], ...] = (xp.cuda.memory.OutOfMemoryError,)

    def use(self) -> None:
        """Let this thread make its new arrays here."""
        self.xp.cuda.Device(self.number).use()

    def send(self, array: Any) -> Any:
        """Return a copy of a host array on this device."""
        with self.xp.cuda.Device(self.number):
            return self.xp.asarray(array)

    def fetch(self, array: Any) -> Any:
        """Return a copy of an array of this device on the host."""
        with self.xp.cuda.Device(self.number):
            if array.nbytes not in _PINNED:
                return array.get()
            try:
                out = self.host_array(array.shape, array.dtype)
            except self.xp.cuda.runtime.CUDARuntimeError:  # the host has none left
                return array.get()
            return array.get(out=out)

    def host_array(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return a host array that this device reads and writes directly: pinned memory.

        Its memory is kept for the next one when it goes.
        """
        size = math.prod(shape) * np.dtype(dtype).itemsize
        memory = self.xp.cuda.alloc_pinned_memory(max(size, 1))
        return np.frombuffer(memory, np.uint8, size).view(dtype).reshape(shape)

    def receive(
        self,
        shape: tuple[int, ...],
        dtype: Any,
        stored_dtype: Any,
        fill: Callable[[Any, int], None],
        decode: Callable[[Any], Any],
    ) -> Any:
        """Return an array made of numbers that the host gets piece by piece.

        While a piece travels and is decoded, the host fills the next one.

        Parameters
        ----------
        shape : tuple of int
        dtype : dtype
            Of the array.
        stored_dtype : dtype
            Of the numbers that travel.
        fill : callable
            Fills a host array with those from a place on: ``fill(host_array, first)``.
        decode : callable
            Makes values of them, on the device.
        """
        n = math.prod(shape)
        with self.xp.cuda.Device(self.number):
            # Its memory may still be in use by what was given to the device before: the upload
            # waits for that, on the device. (What a stream frees, CuPy gives to that stream again.)
            out = self.xp.empty(n, dtype)
            given_before = self.xp.cuda.Event(disable_timing=True)
            given_before.record()
            with self._upload_stream as stream:
                stream.wait_event(given_before)
                self._receive_pieces(out, np.dtype(stored_dtype), fill, decode, stream)
                stream.synchronize()
        return out.reshape(shape)

    def _receive_pieces(
        self,
        out: Any,
        stored_dtype: Any,
        fill: Callable[[Any, int], None],
        decode: Callable[[Any], Any],
        stream: Any,
    ) -> None:
        n = out.size
        at_once = min(n, _PIECE // stored_dtype.itemsize)
        slots = [_Slot(self, at_once, stored_dtype) for _ in range(2 if at_once < n else 1)]
        for k, first in enumerate(range(0, n, at_once)):
            slot = slots[k % 2]
            number = min(at_once, n - first)
            slot.decoded.synchronize()
            fill(slot.on_host[:number], first)
            slot.on_device[:number].set(slot.on_host[:number])
            out[first : first + number] = decode(slot.on_device[:number])
            slot.decoded.record(stream)

    @cached_property
    def _upload_stream(self) -> Any:
        # One for good: CuPy keeps memory for each.
        return self.xp.cuda.Stream(non_blocking=True)

    def free_memory(self) -> int:
        """Return the bytes that can still be allocated."""
        with self.xp.cuda.Device(self.number) as device:
            kept = self.xp.get_default_memory_pool().free_bytes()
            return int(device.mem_info[0] + kept)

    def give_back_memory(self) -> None:
        """Give back what is kept for later arrays, so that one large array may take its place.

        Tables that kernels keep are forgotten, too, on every device.
        """
        forget_kept()
        with self.xp.cuda.Device(self.number):
            self.xp.get_default_memory_pool().free_all_blocks()

    def wait(self) -> None:
        """Return when all work given to this device is done."""
        self.xp.cuda.Device(self.number).synchronize()

    def prove(self) -> None:
        """Compile and run a kernel.

        Raises
        ------
        DeviceError
            If that cannot be done.
        """
        try:
            with self.xp.cuda.Device(self.number):
                out = self.xp.zeros(1, self.xp.int32)
                module = load_module(self.xp, _PROOF, "proof.cu", ())
                module.get_function("prove")((1,), (1,), (out,))
                found = int(out[0])
        except Exception as error:  # of the driver, the runtime, the compiler or the loader
            raise DeviceError(
                f"device {self.name}: no kernel can be compiled and run ({_one_line(error)}); "
                f"{_INSTALL}, or use --device cpu"
            ) from None
        if found != 42:
            raise DeviceError(
                f"device {self.name}: a kernel computed {found} instead of 42; check the driver, "
                "or use --device cpu"
            )


class _Slot:
    """Where a piece is on its way: in pinned memory, and on the device."""

    def __init__(self, device: CudaDevice, n: int, dtype: Any) -> None:
        self.on_host = device.host_array((n,), dtype)
        self.on_device = device.xp.empty(n, dtype)
        self.decoded = device.xp.cuda.Event(disable_timing=True)


def load_cupy() -> Any:
    """Import CuPy, where there is a driver; whatever importing it raises is passed on.

    Raises
    ------
    DeviceError
        If CuPy is not installed, or there is no driver (CuPy takes longer to tell that).
    """
    if importlib.util.find_spec("cupy") is None:
        raise DeviceError(f"CuPy is not installed; {_INSTALL}")
    try:
        ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        raise DeviceError(_NO_GPU) from None
    return importlib.import_module("cupy")


@cache
def open_cuda(number: int) -> CudaDevice:
    """Return a GPU that has proved that it can compute.

    Raises
    ------
    DeviceError
        If there is none of this number, or it cannot be used; the message says what to do.
    """
    name = f"cuda:{number}" if number else "cuda"
    try:
        xp = load_cupy()
        is_available = xp.cuda.is_available()
        n_devices = xp.cuda.runtime.getDeviceCount() if is_available else 0
    except DeviceError as why:
        raise DeviceError(f"device {name}: {why}, or use --device cpu") from None
    except Exception as error:  # libraries that are missing or do not fit raise all kinds
        raise DeviceError(
            f"device {name}: CuPy cannot be used ({_one_line(error)}); {_INSTALL}, or use "
            "--device cpu"
        ) from None
    if not n_devices:
        raise DeviceError(f"device {name}: {_NO_GPU}, or use --device cpu")
    if number >= n_devices:
        there = ", ".join(f"cuda:{i}" for i in range(n_devices))
        raise DeviceError(f"device {name}: there is no such GPU; use one of {there}, or cpu")
    device = CudaDevice(xp, number)
    capability = int(xp.cuda.Device(number).compute_capability)
    if capability < _OLDEST:
        raise DeviceError(
            f"device {name}: it is of compute capability {capability / 10:.1f}, and "
            f"{_OLDEST / 10:.1f} is needed; use --device cpu"
        )
    device.prove()
    return device


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:150]
