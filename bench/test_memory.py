"""The benchmark of memory works, on a small exposure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import memory
import pytest


def test_products_with_and_without_a_limit_are_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    small: dict[str, Any] = {"instrument": "NIRISS", "subarray": "SUB80", "ngroups": 4, "nints": 6}
    monkeypatch.setitem(memory.CASES, "small", small)
    words = ["--scratch", str(tmp_path), "--max-memory", "none,1GB"]
    # The status tells of the peak too, and a child's begins with that of the process that made it:
    # that of a test process may be larger than the limit.
    memory.main(["--case", "small", *words])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].endswith("| the same |")
    # A limit that nothing fits into is told.
    assert memory.main(["--case", "small", "--scratch", str(tmp_path), "--max-memory", "1MB"]) == 1
    assert "failed" in capsys.readouterr().out
