"""Kernels are compiled as the CPU computes, and kept; NVRTC needs no GPU for that."""

from __future__ import annotations

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from jwgpu.backends import compiling
from jwgpu.errors import DeviceError
from jwgpu.kernels.launching import OPTIONS

nvrtc = pytest.importorskip("cupy", reason="no CuPy").cuda.nvrtc

CODE = """
extern "C" __global__ void multiply(float* x) { x[0] = x[0] * x[1] + x[2]; }
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("JWGPU_CACHE_DIR", str(tmp_path))
    compiling._folder.cache_clear()
    yield tmp_path / "kernels"
    compiling._folder.cache_clear()


def test_a_kernel_is_compiled_once(folder, monkeypatch):
    first = compiling.compiled(nvrtc, CODE, "one.cu", OPTIONS, 90)
    assert first.read_bytes()[:4] == b"\x7fELF"
    assert first.parent == folder
    monkeypatch.setattr(compiling, "_compile", None)
    assert compiling.compiled(nvrtc, CODE, "one.cu", OPTIONS, 90) == first
    assert list(folder.iterdir()) == [first]


def test_threads_may_compile_the_same_kernel_at_once(folder, monkeypatch):
    both, usual = threading.Barrier(2, timeout=60), os.replace

    def replace(*names):
        both.wait()
        usual(*names)

    monkeypatch.setattr(os, "replace", replace)
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda k: compiling.compiled(nvrtc, CODE, "x.cu", OPTIONS, 90), "ab"))
    assert made[0] == made[1]
    assert list(folder.iterdir()) == made[:1]


def test_without_room_nothing_is_left(folder, monkeypatch):
    def replace(*names):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(DeviceError, match=r"No space left .*set JWGPU_CACHE_DIR"):
        compiling.compiled(nvrtc, CODE, "one.cu", OPTIONS, 90)
    assert not list(folder.iterdir())


def test_what_changes_is_compiled_again():
    made = {
        compiling.compiled(nvrtc, CODE, "one.cu", OPTIONS, 90),
        compiling.compiled(nvrtc, CODE + "\n", "one.cu", OPTIONS, 90),
        compiling.compiled(nvrtc, CODE, "one.cu", (*OPTIONS, "-DN=2"), 90),
        compiling.compiled(nvrtc, CODE, "one.cu", OPTIONS, 80),
    }
    assert len(made) == 4


def test_a_gpu_newer_than_the_compiler_gets_a_text():
    newest = max(nvrtc.getSupportedArchs())
    text = compiling.compiled(nvrtc, CODE, "one.cu", OPTIONS, newest + 10).read_text()
    assert f".target sm_{newest}" in text


def test_arithmetic_is_that_of_the_cpu():
    text = compiling.compiled(nvrtc, CODE, "one.cu", OPTIONS, 999).read_text()
    assert "mul.rn.f32" in text
    assert "add.rn.f32" in text
    # neither fused nor flushed: CuPy's own way of compiling would flush denormal numbers
    assert "fma" not in text
    assert ".ftz" not in text


def test_a_gpu_older_than_the_compiler_is_told():
    with pytest.raises(DeviceError, match=r"cannot compile for compute capability 6\.1; install"):
        compiling.compiled(nvrtc, CODE, "one.cu", OPTIONS, 61)


def test_an_error_names_the_source_and_the_line():
    with pytest.raises(DeviceError, match=r'broken/cuda.cu\(2\): error: .*"y" is undefined'):
        compiling.compiled(nvrtc, CODE.replace("x[1]", "y"), "broken/cuda.cu", OPTIONS, 90)


def test_without_a_folder_it_is_for_this_process(monkeypatch, tmp_path, caplog):
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    monkeypatch.setenv("JWGPU_CACHE_DIR", str(in_the_way))
    path = compiling.compiled(nvrtc, CODE, "one.cu", OPTIONS, 90)
    assert path.exists()
    assert in_the_way not in path.parents


def test_cupy_gets_the_file(folder):
    made = []
    cuda = SimpleNamespace(nvrtc=nvrtc, Device=lambda: SimpleNamespace(compute_capability="90"))
    xp = SimpleNamespace(cuda=cuda, RawModule=lambda **keywords: made.append(keywords))
    compiling.load_module(xp, CODE, "one.cu", OPTIONS)
    ((name, path),) = made[0].items()
    assert name == "path"
    assert path.startswith(str(folder))
