"""The parts of bench/gpu.py that need no card; its kernels run on what stands in for one."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import compare_jwst
import gpu
import gpu_kernels
import numpy as np
import pytest
from devices import open_device

from jwgpu.backends import cuda
from jwgpu.errors import DeviceError

FACTS = {"card": "NVIDIA H100 80GB HBM3", "driver": "580.1, CUDA 13.0", "date": "2026-11-21"}


@pytest.fixture(scope="module")
def emulated() -> Any:
    from cudasim.fakecupy.modules import settings

    device = open_device("emulated")
    reorders, settings.reorders = settings.reorders, False  # other tests do that
    yield device
    settings.reorders = reorders


def test_without_a_card_it_says_so_in_a_line(monkeypatch, capsys, tmp_path):
    def nothing() -> Any:
        raise DeviceError("CuPy is not installed")

    monkeypatch.setattr(cuda, "load_cupy", nothing)
    cuda.open_cuda.cache_clear()
    assert gpu.main(["--output", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert said.err == "bench/gpu.py: device cuda: CuPy is not installed\n"
    assert not said.out
    assert not list(tmp_path.iterdir())
    assert gpu.main(["--device", "cpu", "--output", str(tmp_path)]) == 2


@pytest.mark.parametrize(
    "case", [case for case in gpu_kernels.CASES if case.small], ids=lambda case: case.name
)
def test_every_case_runs_twice_alike(emulated, case):
    """What is changed is restored: the second run has the same to do."""
    seen = []

    def run(**given: Any) -> Any:
        result = case.run(**given)
        seen.append([emulated.fetch(given[name]) for name in case.changed])
        return result

    watched = dataclasses.replace(case, run=run)
    timed = gpu.time_kernel(watched, emulated, case.small, 1)
    assert timed.seconds > 0
    assert timed.moved > 4 * np.prod(case.small[2:])
    assert len(seen) == 2
    for first, second in zip(*seen, strict=True):
        np.testing.assert_array_equal(first, second)


def test_each_byte_counts_once(emulated):
    (case,) = (case for case in gpu_kernels.CASES if case.name == "linearity")
    n = 7 * 32
    # Samples and flags of pixels are read and written; flags of samples, and of the polynomials,
    # and six coefficients are read.
    want = 2 * 3 * 4 * n + 2 * 4 * n + 3 * n + 4 * n + 6 * 4 * n
    assert gpu.time_kernel(case, emulated, (1, 3, 7, 32), 1).moved == want
    (case,) = (case for case in gpu_kernels.CASES if case.name == "likelihood_fit")
    # Ramps and flags, which are written too; flags, gain and noise; two times four planes and dq.
    want = 6 * 4 * n + 2 * 6 * n + 3 * 4 * n + 2 * 5 * 4 * n
    assert gpu.time_kernel(case, emulated, (1, 6, 7, 32), 1).moved == want


def test_copies_are_timed(emulated):
    copied = gpu.time_copy(emulated, 1 << 20, 2)
    assert copied.moved == 2 << 20
    up, down = gpu.time_link(emulated, 1 << 20, 2)
    assert (up.name, down.name, up.moved) == ("upload", "download", 1 << 20)


def test_kernels_stand_beside_the_copy():
    copied, half = gpu.Timed("copy", 1e-3, 2 * 10**9), gpu.Timed("jump", 5e-4, 5 * 10**8)
    rows = gpu.kernel_table(copied, [half]).splitlines()[2:]
    assert rows == ["| copy | 1.000 | 2000 | 2000 | 100% |", "| jump | 0.500 | 500 | 1000 | 50% |"]


def test_whole_runs_are_compared():
    found = {"nircam": {"cuda": 2.0, "cpu": 3.0, "jwst": 20.0}, "tso": {"cuda": 2.0, "cpu": None}}
    found["tso"]["jwst"] = None
    rows = gpu.whole_table(found, ["cuda", "cpu", "jwst"]).splitlines()[2:]
    assert rows == [
        "| nircam | 2.00 | 3.00 | 20.00 | 1.5x | 10.0x |",
        "| tso | 2.00 | - | - | - | - |",
    ]


def test_the_report_names_card_driver_and_date(tmp_path):
    text = gpu.report(FACTS, {"Kernels": "| a |"})
    assert text.startswith("# NVIDIA H100 80GB HBM3\n")
    assert "- driver: 580.1, CUDA 13.0\n- date: 2026-11-21\n\n## Kernels\n\n| a |\n" in text
    path = gpu.report_path(tmp_path, FACTS)
    assert path == tmp_path / "nvidia-h100-80gb-hbm3_2026-11-21.md"


def test_the_parts_of_a_run_make_up_all_of_it(tmp_path: Path) -> None:
    exposure, references, _ = compare_jwst.prepare("small", tmp_path)
    parts = gpu.time_parts(exposure, references, tmp_path, "cpu")
    assert sum(parts[name] for name in gpu.PARTS) == pytest.approx(parts["total"])
    assert all(parts[name] > 0 for name in ("load", "compute", "write"))
    assert len(list(tmp_path.glob("*_rate*.fits"))) == 2


def test_the_parts_of_a_run_on_a_device(emulated, monkeypatch, tmp_path):
    monkeypatch.setattr(cuda, "load_cupy", lambda: emulated.xp)
    cuda.open_cuda.cache_clear()
    parts = gpu.time_pipeline("small", tmp_path, "cuda", 1)
    cuda.open_cuda.cache_clear()
    assert all(parts[name] > 0 for name in (*gpu.PARTS, "upload"))
    assert len(list((tmp_path / "small" / "parts").glob("*_rate*.fits"))) == 2


def test_the_parts_are_shown():
    parts = {"load": 1.0, "compute": 2.0, "download": 0.5, "write": 0.25, "total": 3.75}
    heads, _, row = gpu.parts_table({"tso": {**parts, "upload": 0.125}}).splitlines()
    assert row == "| tso | 1.000 | 2.000 | 0.500 | 0.250 | 3.750 | 0.125 |"
    assert heads.count("|") == row.count("|")


def test_whole_processes_run_on_the_cpu(tmp_path: Path) -> None:
    seconds = gpu.time_whole("small", tmp_path, ["cpu"], "cuda", 1)
    assert seconds["cpu"] is not None
    assert list((tmp_path / "small" / "cpu").glob("*_rate.fits"))
