"""Every CUDA kernel under ThreadSanitizer, which sees each CUDA thread as a thread."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import jwgpu.kernels
from cudasim.building import COMPILER, has_compiler, kernel_names

pytest.importorskip("cupy", reason="no CuPy: its stand-in has no names to check against")
pytestmark = pytest.mark.skipif(not has_compiler(), reason="no g++")

HERE = Path(__file__).parent
TESTS = HERE.parent
KERNELS = Path(jwgpu.kernels.__file__).parent

PLANTED = """
import sys
import numpy as np
from cudasim import fakecupy
code = open(sys.argv[1]).read()
module = fakecupy.RawModule(code='#line 1 "planted/bugs.cu"\\n' + code)
values, out = fakecupy.asarray(np.ones(128, np.float32)), fakecupy.zeros(128, fakecupy.float32)
module.get_function(sys.argv[2])((1,), (128,), (values, out))
"""


def run_under_the_race_detector(arguments, **environment):
    """Run Python, and return what it printed and its exit status; skip where that cannot be."""
    found = subprocess.run(
        [COMPILER, "-print-file-name=libtsan.so"], capture_output=True, text=True
    )
    library = found.stdout.strip()
    if not os.path.isabs(library):
        pytest.skip("no libtsan: races cannot be looked for")
    done = subprocess.run(
        [sys.executable, *arguments],
        env={
            **os.environ,
            "LD_PRELOAD": library,
            "TSAN_OPTIONS": "exitcode=66",
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONPATH": str(TESTS),
            "CUDASIM_MODE": "tsan",
            **environment,
        },
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
    )
    output = done.stdout + done.stderr
    if "unexpected memory mapping" in output:
        pytest.skip("ThreadSanitizer cannot run here: sysctl vm.mmap_rnd_bits is above 28")
    return output, done.returncode


@pytest.mark.parametrize("name", ["racy_sum", "missing_barrier", "sum_twice"])
def test_a_planted_race_is_found(name):
    arguments = ["-c", PLANTED, str(HERE / "planted" / "bugs.cu"), name]
    output, status = run_under_the_race_detector(arguments)
    assert status == 66, output
    assert "data race planted/bugs.cu" in output


def test_a_kernel_that_is_right_has_no_race():
    arguments = ["-c", PLANTED, str(HERE / "planted" / "bugs.cu"), "right"]
    output, status = run_under_the_race_detector(arguments)
    assert status == 0, output


def test_no_kernel_has_a_race(tmp_path):
    launched = tmp_path / "launched"
    arguments = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "cudasim.racing"]
    arguments += ["-m", "races and not gpu", str(TESTS / "kernels")]
    output, status = run_under_the_race_detector(arguments, CUDASIM_LAUNCHED=str(launched))
    assert "data race" not in output, output
    assert status == 0, output
    there = {name for path in KERNELS.rglob("*.cu") for name in kernel_names(path.read_text())}
    assert there - set(launched.read_text().split()) == set(), "no test marked races runs them"
