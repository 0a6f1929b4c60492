"""What can be said of the CUDA sources without a GPU: they compile for all, and none is missing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cudasim import nvrtc

import jwgpu.kernels
from jwgpu.kernels import launching
from jwgpu.kernels.cuda import flags

KERNELS = Path(jwgpu.kernels.__file__).parent
#: Those that SciPy computes on the CPU, in the contract itself.
OF_A_LIBRARY = {"moving_median"}
#: Those of source_catalog, which works on the host: it shares its image with photutils.
ON_THE_HOST = {"circles", "segments", "smoothing"}
SOURCES = sorted(KERNELS.rglob("*.cu"))

BUILDS = [
    pytest.param(path, build, id=f"{path.parent.name}-{path.stem}-{'-'.join(build.values())}")
    for path in SOURCES
    for build in launching.read_source(path).builds
]

needs_nvrtc = pytest.mark.skipif(
    nvrtc.library() is None, reason="no NVRTC: install nvidia-cuda-nvrtc"
)


def compiled(path: Path, build: dict[str, str], architecture: str) -> tuple[bytes, str]:
    source = launching.read_source(path)
    defines = tuple(f"-D{name}={value}" for name, value in build.items())
    target = (f"--gpu-architecture={architecture}", "--ptxas-options=-v")
    return nvrtc.compile_source(source.code, source.name, launching.OPTIONS + defines + target)


@needs_nvrtc
@pytest.mark.parametrize("architecture", nvrtc.ARCHITECTURES)
@pytest.mark.parametrize(("path", "build"), BUILDS)
def test_it_compiles_without_warnings_or_spills(path, build, architecture):
    binary, log = compiled(path, build, architecture)
    assert binary[:4] == b"\x7fELF"
    assert "warning" not in log, log
    assert set(re.findall(r"(\d+) bytes spill", log)) == {"0"}, log


@needs_nvrtc
def test_a_warning_or_a_spill_would_be_seen():
    unused = 'extern "C" __global__ void f(float* x) { int unused; x[0] = 1.0f; }'
    options = ("--gpu-architecture=sm_80", "--ptxas-options=-v")
    assert "warning" in nvrtc.compile_source(unused, "f.cu", options)[1]
    sums = "".join(f"float a{i} = x[{i}] * x[{i + 1}];" for i in range(64))
    sums += "__syncthreads();" + "".join(f"x[{i}] = a{i};" for i in range(64))
    crowded = f'extern "C" __global__ void f(float* x) {{ {sums} }}'
    log = nvrtc.compile_source(crowded, "f.cu", (*options, "--maxrregcount=24"))[1]
    assert set(re.findall(r"(\d+) bytes spill", log)) != {"0"}


def test_every_kernel_has_its_twin():
    on_cpu = {path.parent.name for path in KERNELS.glob("*/cpu.py")}
    on_gpu = {path.parent.name for path in KERNELS.glob("*/cuda.py")}
    assert on_cpu - on_gpu == ON_THE_HOST
    assert on_gpu - on_cpu == OF_A_LIBRARY


def test_every_source_is_launched():
    for path in SOURCES:
        folder = path.parent
        launching_files = list(folder.glob("*cuda*.py"))
        assert any(launching.source_path(file) == path for file in launching_files) or any(
            f'"{path.name}"' in file.read_text() for file in launching_files
        ), f"nothing launches {path}"


def test_the_flags_of_the_header_are_those_of_the_models():
    assert flags.PATH.read_text() == flags.header()
