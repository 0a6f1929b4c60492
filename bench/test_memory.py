"""The benchmark of memory works, on a small exposure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
import memory
memory.CASES["small"] = {"instrument": "NIRISS", "subarray": "SUB80", "ngroups": 4, "nints": 6}
sys.exit(memory.main(["--case", "small", *sys.argv[1:]]))
"""


def benchmark(*words: str) -> tuple[int, str]:
    """Run it in a small process: the peak of a child counts that of the process that made it."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_products_with_and_without_a_limit_are_compared(tmp_path: Path) -> None:
    status, out = benchmark("--scratch", str(tmp_path), "--max-memory", "none,1GB")
    assert status == 0, out
    assert out.splitlines()[-1].endswith("| the same |")
    # A limit that nothing fits into is told.
    status, out = benchmark("--scratch", str(tmp_path), "--max-memory", "1MB")
    assert status == 1
    assert "failed" in out
