from __future__ import annotations

import numpy as np
import pytest

from jwgpu.errors import DeviceError
from jwgpu.kernels.launching import launch, read_source, source_path

SCALE = """
#include "scale.cuh"
#include "flags.cuh"
// build: FACTOR=2
// build: FACTOR=3
extern "C" __global__ void scale(float* data, unsigned char* flags, long long n)
{
    const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (i < n) {
        data[i] = scaled(data[i]);
        flags[i] |= SATURATED;
    }
}
"""
HEADER = """#pragma once
__device__ inline float scaled(float x) { return FACTOR * x; }
"""


@pytest.fixture
def python_file(tmp_path):
    (tmp_path / "cuda.cu").write_text(SCALE)
    (tmp_path / "scale.cuh").write_text(HEADER)
    return tmp_path / "cuda.py"


@pytest.mark.races
def test_a_kernel_is_read_compiled_and_run(gpu, python_file):
    data = gpu.send(np.arange(1000, dtype=np.float32))
    flags = gpu.send(np.ones(1000, np.uint8))
    arguments = (data, flags, np.int64(1000))
    launch(python_file, "scale", 1000, arguments, defines={"FACTOR": 2})
    launch(python_file, "scale", (1000, 1), arguments, block=(64, 1), defines={"FACTOR": 3})
    np.testing.assert_array_equal(gpu.fetch(data), 6 * np.arange(1000, dtype=np.float32))
    assert (gpu.fetch(flags) == 3).all()


def test_nothing_to_do_launches_nothing(gpu, python_file):
    empty = gpu.xp.empty(0, gpu.xp.float32)
    flags = gpu.xp.empty(0, gpu.xp.uint8)
    launch(python_file, "scale", 0, (empty, flags, np.int64(0)), defines={"FACTOR": 2})


def test_none_is_a_null_pointer(gpu, tmp_path):
    (tmp_path / "cuda.cu").write_text(
        'extern "C" __global__ void is_null(const float* data, int* out) { out[0] = !data; }'
    )
    out = gpu.xp.zeros(1, gpu.xp.int32)
    launch(tmp_path / "cuda.py", "is_null", 1, (None, out), block=1)
    assert gpu.fetch(out)[0] == 1


@pytest.mark.parametrize("number", [3, 3.0, True])
def test_python_numbers_are_refused(gpu, python_file, number):
    data, flags = gpu.xp.zeros(3, gpu.xp.float32), gpu.xp.zeros(3, gpu.xp.uint8)
    with pytest.raises(TypeError, match="argument 2 is a Python"):
        launch(python_file, "scale", 3, (data, flags, number), defines={"FACTOR": 2})


def test_arrays_with_gaps_are_refused(gpu, python_file):
    data, flags = gpu.xp.zeros((3, 4), gpu.xp.float32), gpu.xp.zeros(3, gpu.xp.uint8)
    with pytest.raises(TypeError, match="argument 0 is an array with gaps"):
        launch(python_file, "scale", 3, (data[:, 0], flags, np.int64(3)), defines={"FACTOR": 2})


def test_arrays_of_the_host_are_refused(gpu, python_file):
    data, flags = gpu.xp.zeros(3, gpu.xp.float32), np.zeros(3, np.uint8)
    with pytest.raises(DeviceError, match="arrays of one device are needed"):
        launch(python_file, "scale", 3, (data, flags, np.int64(3)), defines={"FACTOR": 2})


def test_defines_that_the_tests_would_not_compile_are_refused(gpu, python_file):
    data, flags = gpu.xp.zeros(3, gpu.xp.float32), gpu.xp.zeros(3, gpu.xp.uint8)
    arguments = (data, flags, np.int64(3))
    with pytest.raises(ValueError, match="FACTOR=5"):
        launch(python_file, "scale", 3, arguments, defines={"FACTOR": 5})


@pytest.mark.parametrize(
    ("n_threads", "room", "why"),
    [
        ((8, 65536), {"block": 8}, r"cuda.cu: scale: a grid of \(1, 65536, 1\) blocks"),
        ((8, 1, 65536), {"block": 8}, r"a grid of \(1, 1, 65536\) blocks"),
        (1 << 31, {"block": 1}, r"a grid of \(2147483648, 1, 1\) blocks"),
        (8, {"block": (32, 64)}, r"a block of \(32, 64, 1\) threads; 1024 are the most"),
        (8, {"shared_memory": (48 << 10) + 1}, "49153 bytes of shared memory; 49152 are the most"),
    ],
)
def test_what_no_card_has_room_for_is_refused(gpu, python_file, n_threads, room, why):
    data, flags = gpu.xp.zeros(3, gpu.xp.float32), gpu.xp.zeros(3, gpu.xp.uint8)
    arguments = (data, flags, np.int64(3))
    with pytest.raises(ValueError, match=why):
        launch(python_file, "scale", n_threads, arguments, defines={"FACTOR": 2}, **room)


def test_the_largest_grid_is_let_through(gpu, python_file):
    data, flags = gpu.xp.zeros(3, gpu.xp.float32), gpu.xp.zeros(3, gpu.xp.uint8)
    arguments = (data, flags, np.int64(3))
    launch(python_file, "scale", (8, 65535), arguments, block=8, defines={"FACTOR": 2})


def test_a_source_holds_its_headers_once_and_names_its_lines(tmp_path):
    (tmp_path / "one.cuh").write_text("#pragma once\nint one;\n")
    (tmp_path / "two.cuh").write_text('#include "one.cuh"\nint two;\n')
    path = tmp_path / "cuda.cu"
    path.write_text('#include "one.cuh"\n#include "two.cuh"\nint three;\n')
    folder = tmp_path.name
    assert read_source(path).code.splitlines() == [
        f'#line 1 "{folder}/cuda.cu"',
        f'#line 1 "{folder}/one.cuh"',
        "",
        "int one;",
        f'#line 2 "{folder}/cuda.cu"',
        f'#line 1 "{folder}/two.cuh"',
        f'#line 2 "{folder}/two.cuh"',
        "int two;",
        f'#line 3 "{folder}/cuda.cu"',
        "int three;",
    ]


def test_a_missing_header_is_named(tmp_path):
    path = tmp_path / "cuda.cu"
    path.write_text('#include "nowhere.cuh"\n')
    with pytest.raises(FileNotFoundError, match=r"no header nowhere\.cuh"):
        read_source(path)


def test_a_part_has_a_source_of_its_own(tmp_path):
    assert source_path(tmp_path / "cuda.py") == tmp_path / "cuda.cu"
    assert source_path(tmp_path / "median_cuda.py") == tmp_path / "median.cu"
    assert source_path(tmp_path / "median.cu") == tmp_path / "median.cu"
