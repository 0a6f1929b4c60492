"""``make test-gpu``: what it runs, and what it says where there is no GPU."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import on_gpu
import pytest

from jwgpu.backends import cuda
from jwgpu.errors import DeviceError

ROOT = Path(__file__).parent.parent


def nothing() -> Any:
    raise DeviceError("CuPy is not installed")


@pytest.fixture
def ran(monkeypatch):
    """Note commands instead of running them; `statuses` are their exit statuses, by a word."""
    noted = SimpleNamespace(commands=[], statuses={})

    def run(command: list[str], **options: Any) -> Any:
        assert options["cwd"] == ROOT
        noted.commands.append(command)
        found = [status for word, status in noted.statuses.items() if word in command]
        return SimpleNamespace(returncode=(found or [0])[0])

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr("jwgpu.backends.get_device", lambda name: name)
    return noted


def test_without_a_gpu_it_says_so_in_a_line(monkeypatch, capsys):
    monkeypatch.setattr(cuda, "load_cupy", nothing)
    cuda.open_cuda.cache_clear()
    assert on_gpu.main() == 2
    assert capsys.readouterr().err == "make test-gpu: device cuda: CuPy is not installed\n"


def test_everything_runs(monkeypatch, ran, capsys):
    monkeypatch.setattr(on_gpu.shutil, "which", lambda name: f"/cuda/bin/{name}")
    assert on_gpu.main() == 0
    tests, memory, races, benchmark = ran.commands
    assert tests[1:] == ["-m", "pytest", "-q", "-m", "gpu", "tests"]
    assert memory[:3] == ["/cuda/bin/compute-sanitizer", "--tool", "memcheck"]
    assert races[:3] == ["/cuda/bin/compute-sanitizer", "--tool", "racecheck"]
    assert "plain_allocator" in memory
    assert (ROOT / benchmark[-1]).is_file()
    assert capsys.readouterr().out.count("passed") == 4


def test_what_fails_or_cannot_run_is_named(monkeypatch, ran, capsys):
    monkeypatch.setattr(on_gpu.shutil, "which", lambda name: None)
    ran.statuses = {"tests": 1}
    assert on_gpu.main() == 1
    said = capsys.readouterr().out
    assert "tests: failed with status 1\n" in said
    assert "memcheck: not run: there is no compute-sanitizer" in said
    assert "benchmark: passed\n" in said


def test_make_knows_it():
    rule = re.search(r"^test-gpu:.*\n\t(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert rule is not None
    assert rule[1] == "$(BIN)/python tests/on_gpu.py"
