"""A GPU as a device: found or not, and what is said of it."""

from __future__ import annotations

import logging
import re
from types import SimpleNamespace

import numpy as np
import pytest

from jwgpu.backends import cuda, get_device
from jwgpu.backends.cpu import CpuDevice
from jwgpu.cli import doctor
from jwgpu.errors import DeviceError

fakecupy = pytest.importorskip("cudasim.fakecupy", reason="no CuPy: nothing stands in for it")


@pytest.fixture(autouse=True)
def forget_devices():
    cuda.open_cuda.cache_clear()
    yield
    cuda.open_cuda.cache_clear()


@pytest.fixture
def with_cupy(monkeypatch):
    """Put something in the place of CuPy."""

    def put(cupy):
        def load():
            if isinstance(cupy, Exception):
                raise cupy
            return cupy

        monkeypatch.setattr(cuda, "load_cupy", load)

    return put


def like_cupy(**changes):
    """Return the stand-in with other devices."""
    names = (
        "Device",
        "Event",
        "Stream",
        "alloc_pinned_memory",
        "memory",
        "runtime",
        "is_available",
    )
    parts = {name: getattr(fakecupy.cuda, name) for name in names} | changes
    names = ("RawModule", "int32", "zeros", "asarray", "get_default_memory_pool")
    return SimpleNamespace(
        cuda=SimpleNamespace(**parts), **{name: getattr(fakecupy, name) for name in names}
    )


def broken_runtime(*arguments):
    raise RuntimeError("cudaErrorInsufficientDriver:\n too old")


NO_GPU = "no GPU with a driver that fits is found; check that nvidia-smi lists it"
CASES = {
    "no driver": (lambda: like_cupy(is_available=lambda: False), NO_GPU),
    "no device": (
        lambda: like_cupy(runtime=SimpleNamespace(getDeviceCount=lambda: 0)),
        NO_GPU,
    ),
    "a library is missing": (
        lambda: ImportError("libcudart.so.13: cannot open\nshared object file"),
        r"CuPy cannot be used \(ImportError: libcudart.so.13: cannot open shared object file\); "
        r"pip install 'jwgpu\[cuda13\]'",
    ),
    "a module is missing": (
        lambda: ModuleNotFoundError("No module named 'fastrlock'"),
        r"CuPy cannot be used \(ModuleNotFoundError: No module named 'fastrlock'\)",
    ),
    "the runtime is broken": (
        lambda: like_cupy(runtime=SimpleNamespace(getDeviceCount=broken_runtime)),
        r"CuPy cannot be used \(RuntimeError: cudaErrorInsufficientDriver: too old\)",
    ),
    "no compiler": (
        lambda: SimpleNamespace(**vars(like_cupy()) | {"RawModule": broken_runtime}),
        r"no kernel can be compiled and run \(.*\); pip install 'jwgpu\[cuda13\]'",
    ),
    "too old": (
        lambda: like_cupy(Device=OldDevice),
        r"it is of compute capability 7\.0, and 7\.5 is needed",
    ),
    "wrong": (
        lambda: SimpleNamespace(**vars(like_cupy()) | {"RawModule": DoesNothing}),
        "a kernel computed 0 instead of 42; check the driver",
    ),
}


class OldDevice(fakecupy.cuda.Device):
    compute_capability = "70"


class DoesNothing:
    def __init__(self, **keywords):
        pass

    def get_function(self, name):
        return lambda *arguments: None


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_used_is_one_line_with_what_to_do(with_cupy, case):
    make, says = CASES[case]
    with_cupy(make())
    with pytest.raises(DeviceError, match=f"^device cuda: {says}") as caught:
        get_device("cuda")
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("use --device cpu")


@pytest.mark.parametrize("case", CASES)
def test_auto_falls_back_to_the_cpu_and_says_so_once(with_cupy, case, caplog):
    make, says = CASES[case]
    with_cupy(make())
    with caplog.at_level(logging.INFO, "jwgpu"):
        assert isinstance(get_device("auto"), CpuDevice)
    (record,) = caplog.records
    reason = says.partition(";")[0]
    assert re.fullmatch(f"device auto: computing on the cpu \\({reason}\\)", record.message)


def test_cupy_that_is_not_installed_is_told(monkeypatch):
    monkeypatch.setattr(cuda.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DeviceError, match=r"^device cuda: CuPy is not installed; pip install"):
        get_device("cuda")


def test_a_missing_driver_is_told_without_cupy(monkeypatch):
    def no_library(name):
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(cuda.ctypes, "CDLL", no_library)
    monkeypatch.setattr(cuda.importlib, "import_module", broken_runtime)
    with pytest.raises(DeviceError, match=f"^device cuda: {NO_GPU}"):
        get_device("cuda")


def test_a_number_beyond_the_last_is_told_with_those_there(with_cupy):
    with_cupy(like_cupy(runtime=SimpleNamespace(getDeviceCount=lambda: 2)))
    with pytest.raises(DeviceError, match=r"device cuda:2: .* use one of cuda:0, cuda:1, or cpu"):
        get_device("cuda:2")


@pytest.mark.parametrize(
    ("name", "is_called"),
    [("auto", "cuda"), ("cuda", "cuda"), ("cuda:0", "cuda"), ("cuda:1", "cuda:1")],
)
def test_a_gpu_that_computes_is_taken(with_cupy, name, is_called):
    with_cupy(like_cupy(runtime=SimpleNamespace(getDeviceCount=lambda: 2)))
    assert get_device(name).name == is_called


def test_the_doctor_lets_it_prove_itself(with_cupy):
    with_cupy(like_cupy())
    fakecupy.counts.reset()
    (finding,) = doctor.graphics_card()
    assert (finding.about, finding.state) == ("cuda", "ok")
    assert "a kernel was compiled and run" in finding.text
    assert fakecupy.counts.launches == 1


def test_the_doctor_advises(with_cupy):
    with_cupy(like_cupy(is_available=lambda: False))
    (finding,) = doctor.graphics_card()
    assert (finding.about, finding.state) == ("cuda", "note")
    assert "nvidia-smi" in finding.advice


# -- memory -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (3,), (0, 4), (600, 700)])
def test_arrays_of_any_size_come_back(gpu, shape):
    array = np.ones(shape, np.float32)
    sent = gpu.send(array)
    assert isinstance(sent, gpu.xp.ndarray)
    found = gpu.fetch(sent)
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, array)


def test_without_pinned_memory_arrays_come_back(gpu, monkeypatch):
    array = np.ones((600, 700), np.float32)

    def none_left(size):
        raise gpu.xp.cuda.runtime.CUDARuntimeError(2)

    monkeypatch.setattr(gpu.xp.cuda, "alloc_pinned_memory", none_left)
    np.testing.assert_array_equal(gpu.fetch(gpu.send(array)), array)


def test_a_part_with_gaps_comes_back(gpu):
    array = np.arange(2_000_000, dtype=np.float32).reshape(1000, 2000)
    np.testing.assert_array_equal(gpu.fetch(gpu.send(array)[:, 1::2]), array[:, 1::2])


def test_host_arrays_for_transfers_are_like_any(gpu):
    array = gpu.host_array((3, 4), np.uint16)
    array[...] = 7
    np.testing.assert_array_equal(gpu.fetch(gpu.send(array)), np.full((3, 4), 7, np.uint16))


def test_memory_that_is_taken_is_not_free(gpu):
    before = gpu.free_memory()
    array = gpu.xp.ones(1_000_000, gpu.xp.float32)
    assert before - gpu.free_memory() >= array.nbytes
    del array
    gpu.give_back_memory()
    assert gpu.free_memory() >= before - 1000


def test_too_large_an_array_is_refused_as_the_device_says(gpu):
    with pytest.raises(gpu.out_of_memory):
        gpu.xp.zeros(gpu.free_memory() + (1 << 40), gpu.xp.uint8)


@pytest.mark.parametrize("shape", [(7,), (3, 5), (11, 13, 17), (1000, 1031)])
def test_an_array_is_received_in_pieces(gpu, monkeypatch, shape):
    monkeypatch.setattr(cuda, "_PIECE", 2000)
    numbers = np.random.default_rng(1).integers(0, 9, shape).astype(np.uint16)

    def fill(out, first):
        out[...] = numbers.ravel()[first : first + len(out)]

    found = gpu.receive(shape, np.float32, np.uint16, fill, lambda stored: stored * np.float32(2))
    np.testing.assert_array_equal(gpu.fetch(found), numbers * np.float32(2))


def test_arrays_of_the_host_are_not_mixed_in(gpu):
    with pytest.raises(TypeError, match="Unsupported type"):
        gpu.xp.ones(3) + np.ones(3)
