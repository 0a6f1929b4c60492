"""Step jump from file to product on a GPU, whole and in blocks, as on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from jwgpu.cli import main
from jwgpu.runner import parts
from jwgpu.simulate import make_dataset

PARAMETERS = {
    "defaults": [],
    "after jumps": ["--after-jump-flag-dn1=10", "--after-jump-flag-time1=40"],
    "clipped": ["--minimum-sigclip-groups=3", "--rejection-threshold=1.4"],
    "clipped together": ["--minimum-sigclip-groups=3", "--only-use-ints=false"],
    "single pass": ["--min-diffs-single-pass=2", "--flag-4-neighbors=false"],
}


@pytest.fixture(scope="module")
def exposure(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("jump")
    return make_dataset(
        folder, seed=8, instrument="NIRCAM", window=(1, 1, 64, 24), ngroups=6, nints=4
    ).exposure


def flags_of(exposure: Path, folder: Path, device: str, *options: str) -> tuple[np.ndarray, Any]:
    """Return the flags that the command gives, and the rate of jumps in the header."""
    references = str(exposure.parent / "references")
    words = ["jump", str(exposure), "--references", references, "--device", device]
    assert main([*words, "--output-dir", str(folder), "--log-level=WARNING", *options]) == 0
    (product,) = folder.glob("*.fits")
    with fits.open(product) as file:
        return file["GROUPDQ"].data.copy(), file[0].header["PRIMECRS"]


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("in_blocks", [False, True])
def test_equals_cpu(
    cuda: Any,
    exposure: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    in_blocks: bool,
) -> None:
    cuts = []

    def windows(*_: Any) -> list[range]:
        cuts.append(name)
        return [range(first, first + 8) for first in (0, 8, 16)]

    options = PARAMETERS[name]
    want, want_rate = flags_of(exposure, tmp_path / "cpu", "cpu", *options)
    if in_blocks:
        monkeypatch.setattr(parts, "windows_of", windows)
        options = [*options, "--max-memory=1MB"]
    flags, rate = flags_of(exposure, tmp_path / "cuda", "cuda", *options)
    np.testing.assert_array_equal(flags, want)
    assert (want & 4).any()
    assert rate == want_rate
    assert bool(cuts) == in_blocks
