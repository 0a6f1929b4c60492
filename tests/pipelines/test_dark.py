"""The pipeline of darks against the official one on the same files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from offline import answering
from products import assert_same_product

from jwgpu.cli import main

pytest_plugins = ("official",)

EXPOSURES: dict[str, dict[str, Any]] = {
    "nircam": {"instrument": "NIRCAM", "window": (1, 1, 128, 64), "ngroups": 4, "nints": 2},
    "miri": {"instrument": "MIRI", "subarray": "SUB64", "ngroups": 6, "nints": 2},
}


@pytest.mark.parametrize("case", EXPOSURES)
def test_products_are_the_official_ones(case: str, official: Any, tmp_path: Path) -> None:
    from jwst.pipeline import DarkPipeline

    data = official.dataset(seed=12, **EXPOSURES[case])
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    pipeline = DarkPipeline()
    pipeline.output_dir, pipeline.save_results = str(theirs), True
    with answering(data.references):
        pipeline.run(str(data.exposure))
    folder = str(data.exposure.parent / "references")
    arguments = [str(data.exposure), "--references", folder, "--output-dir", str(tmp_path / "ours")]
    assert main(["calwebb_dark", *arguments]) == 0
    (ours,), (expected,) = (tmp_path / "ours").iterdir(), theirs.iterdir()
    assert ours.name == expected.name
    # Reference-pixel sums are taken in another order: float32 rounding at thousands of DN.
    assert_same_product(ours, expected, SCI=1e-3)
