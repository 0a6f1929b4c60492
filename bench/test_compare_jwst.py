"""The comparison itself works, on the smallest case."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import compare_jwst
import pytest


def test_a_process_is_measured(tmp_path: Path) -> None:
    code = "import time; block = bytearray(200_000_000); time.sleep(0.2)"
    taken = compare_jwst.measure([sys.executable, "-c", code], tmp_path / "log")
    assert taken.status == 0
    assert taken.wall > 0.2
    assert taken.peak > 200
    failed = compare_jwst.measure([sys.executable, "-c", "raise SystemExit(3)"], tmp_path / "log")
    assert failed.status == 3


def test_the_table_shows_the_best_of_the_good_runs() -> None:
    slow = {"wall": 12.0, "cpu": 20.0, "peak": 900.0, "status": 0}
    fast = {"wall": 10.0, "cpu": 18.0, "peak": 910.0, "status": 0}
    failed = {"wall": 0.1, "cpu": 0.1, "peak": 10.0, "status": 1}
    ours = {"wall": 1.0, "cpu": 1.5, "peak": 300.0, "status": 0}
    result = {"case": "small", "samples": 2e6, "jwst": [slow, fast], "jwgpu": [failed, ours]}
    row = compare_jwst.table([result]).splitlines()[-1]
    assert row.split(" | ")[2:] == [
        "10.00", "18.00", "900", "1.00", "1.50", "300", "10.0x", "12.0x", "3.0x |",
    ]  # fmt: skip
    result["jwgpu"] = [failed]
    assert compare_jwst.table([result]).splitlines()[-1].endswith("| - | - | - | - | - | - |")


def test_both_packages_run_on_the_small_case(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--case", "small", "--runs", "1", "--scratch", str(tmp_path)]
    status = compare_jwst.main([*words, "--json", str(tmp_path / "out.json")])
    assert status == 0, capsys.readouterr().out
    result = json.loads((tmp_path / "out.json").read_text())[0]
    for package in compare_jwst.PACKAGES:
        assert result[package][0]["wall"] > 0
        assert list((tmp_path / "small" / package).glob("*_rate.fits"))
