"""Running exposures in blocks of given sizes, and comparing the products."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asdf
import numpy as np
import pytest
from astropy.io import fits

from jwgpu.cli import main
from jwgpu.models.ramp import Ramp
from jwgpu.models.stripes import count_superstripes
from jwgpu.runner import parts

#: Cut into blocks by patched sizes; no limit is so low.
ANY_BLOCKS = "--max-memory=1MB"


def calibrate(exposure: Path, folder: Path, *options: str, command: str = "detector1") -> Path:
    """Run a pipeline or step, and return the folder of its products."""
    references = exposure.parent / "references"
    words = [str(exposure), "--references", str(references), "--output-dir", str(folder)]
    folder.mkdir(exist_ok=True)
    assert main([command, *words, "--log-level=WARNING", *options]) == 0
    return folder


def cut(monkeypatch: pytest.MonkeyPatch, n_ints: int, n_rows: int) -> list[tuple[str, int]]:
    """Have blocks of these sizes; return the list of sections that were cut, filled on the way."""
    cuts = []

    def windows(exposure: Ramp, cutting: parts.Cutting) -> list[range]:
        ints, _, rows, _ = exposure.data.shape
        together = max(1, count_superstripes(exposure.meta))
        n, size = (rows, n_rows) if cutting.by_rows else (ints, n_ints * together)
        cuts.append((exposure.storage.who, -(-n // size)))
        return [range(first, min(first + size, n)) for first in range(0, n, size)]

    monkeypatch.setattr(parts, "windows_of", windows)
    return cuts


def assert_identical(ours: Path, theirs: Path) -> None:
    """Check that the products are the same to the bit, and their keywords, too."""
    names = sorted(path.name for path in theirs.iterdir())
    assert sorted(path.name for path in ours.iterdir()) == names
    for name in names:
        if not name.endswith(".fits"):
            assert_same_trees(ours / name, theirs / name)
            continue
        with fits.open(ours / name) as a, fits.open(theirs / name) as b:
            assert [hdu.name for hdu in a] == [hdu.name for hdu in b]
            for our, their in zip(a, b, strict=True):
                if our.name == "ASDF":
                    continue
                made_by = {"DATE", "", "COMMENT", "HISTORY"}
                keys = set(our.header) | set(their.header)
                other = {k for k in keys - made_by if our.header.get(k) != their.header.get(k)}
                assert not other, (name, our.name)
                if isinstance(our, fits.BinTableHDU):
                    assert our.data.tobytes() == their.data.tobytes()
                elif our.data is not None:
                    np.testing.assert_array_equal(our.data, their.data, err_msg=our.name)


def assert_same_trees(ours: Path, theirs: Path) -> None:
    """Check that two ASDF files hold the same values."""
    with asdf.open(ours) as a, asdf.open(theirs) as b:
        _assert_same_values(a.tree, b.tree)


def _assert_same_values(ours: Any, theirs: Any) -> None:
    if not hasattr(theirs, "items"):
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
        return
    assert set(ours) == set(theirs)
    for name in set(theirs) - {"asdf_library", "history", "date"}:
        _assert_same_values(ours[name], theirs[name])
