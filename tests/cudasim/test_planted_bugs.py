"""The emulator finds what a GPU would not tell: each kernel here has one bug."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from cudasim.building import KernelError, has_compiler

pytest.importorskip("cupy", reason="no CuPy: its stand-in has no names to check against")
pytestmark = pytest.mark.skipif(not has_compiler(), reason="no g++")

SOURCE = Path(__file__).parent / "planted" / "bugs.cu"


@dataclass
class Case:
    """A launch, and what the emulator must say of it."""

    name: str
    says: str
    arguments: tuple = ()
    grid: int = 1
    block: int = 32
    shared_memory: int = 0


def ones(n, dtype=np.float32):
    return np.ones(n, dtype)


def line_of_bug(kernel):
    """Return the number of the line that a kernel's bug is marked in; 0 if it is a missing line."""
    lines = SOURCE.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if f"void {kernel}(" in line)
    stop = next(i for i, line in enumerate(lines) if i > start and line == "}")
    return next((i + 1 for i in range(start, stop) if "// BUG" in lines[i]), 0)


CASES = [
    Case(
        "write_past_the_end",
        r"0 bytes past the end of 'argument 0 \(float32\[1024\]\)' in block \(4,0,0\) "
        r"thread \(0,0,0\) at BUG",
        (ones(1024), np.int32(1024)),
        grid=5,
        block=256,
    ),
    Case(
        "read_before_the_start",
        r"before the start of 'argument 0.*BUG",
        (ones(1024), ones(1024), np.int32(1024)),
        grid=4,
        block=256,
    ),
    Case(
        "read_far_beyond",
        r"illegal address .*BUG",
        (ones(32), ones(32), np.int64(3 << 32)),
    ),
    Case("shared_past_the_end", r"undefined behaviour.*BUG", (ones(64),), block=64),
    Case("local_past_the_end", r"undefined behaviour.*BUG", (ones(32), np.int32(8))),
    Case(
        "too_little_dynamic_shared",
        r"0 bytes past the end of 'dynamic shared memory'.*BUG",
        (ones(64), np.int32(64)),
        block=64,
        shared_memory=128,
    ),
    Case(
        "missing_barrier",
        "argument 1 depends on the order",
        (np.arange(128, dtype=np.float32), ones(128)),
        block=128,
    ),
    Case(
        "sum_twice",
        "argument 1 depends on the order",
        (np.arange(256, dtype=np.float32), ones(2)),
        block=256,
    ),
    Case("blocks_race", "argument 0 depends on the order", (ones(1),), grid=8),
    Case("divergent_barrier", r"barrier divergence: .*BUG .* at line \d+ by", (ones(32),)),
    Case("part_of_a_warp", r"deadlock: .*waits for its warp at .*BUG", (ones(32),)),
    Case(
        "index_of_nan",
        r"undefined behaviour.*BUG",
        (np.full(32, np.nan, np.float32), ones(32), np.int32(32)),
    ),
    Case(
        "int_overflow",
        r"undefined behaviour.*BUG",
        (ones(1), np.int32(70000), np.int32(70000)),
        block=1,
    ),
    Case(
        "shift_too_far",
        r"undefined behaviour.*BUG",
        (ones(1, np.uint32), np.int32(32)),
        block=1,
    ),
    Case("misaligned", r"undefined behaviour.*BUG", (ones(8),), block=1),
    Case(
        "divide_by_zero",
        r"(division by zero|undefined behaviour).*BUG",
        (ones(1, np.int32), np.int32(0)),
        block=1,
    ),
    Case("write_to_const", "argument 0 is const and was written", (ones(4),), block=1),
    Case("huge_local_array", r"stack overflow.*BUG", (ones(32),)),
    Case("right", "invalid launch configuration", (ones(2048), ones(1)), block=2048),
    Case("right", "invalid launch configuration", (ones(32), ones(1)), shared_memory=300_000),
]


@pytest.fixture(scope="module")
def module():
    from cudasim.fakecupy import RawModule

    code = f'#line 1 "planted/{SOURCE.name}"\n{SOURCE.read_text()}'
    return RawModule(code=code)


def run(module, name, arguments, grid=1, block=32, shared_memory=0):
    from cudasim import fakecupy

    sent = tuple(
        fakecupy.asarray(value) if isinstance(value, np.ndarray) else value for value in arguments
    )
    kernel = module.get_function(name)
    kernel.max_dynamic_shared_size_bytes = 1 << 20
    kernel((grid,), (block,), sent, shared_mem=shared_memory)
    return [value.get() for value in sent if isinstance(value, fakecupy.ndarray)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_bug_is_found_and_named(module, case):
    line = rf"planted/bugs\.cu:{line_of_bug(case.name)}"
    with pytest.raises(KernelError, match=case.says.replace("BUG", line)):
        run(module, case.name, case.arguments, case.grid, case.block, case.shared_memory)


def test_shared_memory_that_is_not_set_holds_nan(module):
    (out,) = run(module, "shared_not_set", (ones(32),))
    assert np.isnan(out[31])
    assert (out[:31] == 1).all()


@pytest.mark.parametrize("block", [32, 96, 1024])
def test_a_kernel_that_is_right_passes(module, block):
    values = np.arange(block, dtype=np.float32)
    assert run(module, "right", (values, ones(1)), block=block)[1][0] == values.sum()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((ones(32, np.float64), ones(1)), "argument 0 must be an array of float32, got float64"),
        ((None,), "right takes 2 arguments, got 1"),
        ((ones(32), np.float32(1)), "argument 1 must be an array of float32, got float32"),
    ],
)
def test_arguments_that_the_kernel_does_not_declare_are_refused(module, arguments, says):
    with pytest.raises(TypeError, match=says):
        run(module, "right", arguments)


@pytest.mark.parametrize("number", [np.int64(1), 1, np.uint32(1), np.float32(1)])
def test_numbers_of_another_type_are_refused(module, number):
    with pytest.raises(TypeError, match=r"argument 1 must be numpy\.int32"):
        run(module, "write_past_the_end", (ones(32), number))


def test_arguments_that_overlap_in_part_are_refused(module):
    from cudasim import fakecupy

    values = fakecupy.zeros(40, fakecupy.float32)
    kernel = module.get_function("read_before_the_start")
    with pytest.raises(KernelError, match="arguments 0 and 1 share a part of their memory"):
        kernel((1,), (32,), (values[:32], values[8:], np.int32(0)))


def test_a_kernel_that_is_not_there_is_not_found(module):
    with pytest.raises(AttributeError, match="nowhere"):
        module.get_function("nowhere")


@pytest.mark.parametrize("mode", ["checked", "fast", "fma"])
def test_blocks_may_run_at_the_same_time(module, monkeypatch, mode):
    from cudasim.fakecupy.modules import settings

    if mode == "fma" and platform.machine() != "x86_64":
        pytest.skip("fused multiply-adds are asked of x86-64")
    monkeypatch.setattr(settings, "mode", mode)
    monkeypatch.setattr(settings, "workers", 3)
    values = np.arange(500, dtype=np.float32)
    arguments = (np.zeros(500, np.float32), np.int32(499))
    (out,) = run(module, "write_past_the_end", arguments, grid=16, block=32)
    assert out.all()
    assert run(module, "right", (values[:128], ones(1)), block=128)[1][0] == values[:128].sum()
