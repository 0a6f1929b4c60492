"""Step jump with snowballs and showers on a GPU, from file to product, as on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from jwgpu.cli import main
from jwgpu.simulate import make_dataset

CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "snowballs": (
        {"instrument": "NIRCAM", "window": (1, 1, 96, 64), "ngroups": 5, "snowballs": 8},
        ["--expand-large-events=true", "--edge-size=5", "--snowball-time-masked-next-int=30"],
    ),
    "showers": (
        {"instrument": "MIRI", "window": (1, 1, 96, 64), "ngroups": 8, "showers": 6},
        ["--find-showers=true", "--extend-min-area=40", "--time-masked-after-shower=8"],
    ),
}


def product_of(exposure: Path, folder: Path, *options: str) -> tuple[np.ndarray, list[Any]]:
    """Return the flags that the command gives, and the rates in the header."""
    words = ["jump", str(exposure), "--references", str(exposure.parent / "references")]
    assert main([*words, "--output-dir", str(folder), "--log-level=WARNING", *options]) == 0
    (product,) = folder.glob("*.fits")
    with fits.open(product) as file:
        rates = [file[0].header[key] for key in ("PRIMECRS", "EXTNCRS")]
        return file["GROUPDQ"].data.copy(), rates


@pytest.mark.parametrize("case", CASES)
def test_equals_cpu(cuda: Any, case: str, tmp_path: Path) -> None:
    settings, options = CASES[case]
    exposure = make_dataset(tmp_path, seed=4, nints=2, **settings).exposure
    want, rates = product_of(exposure, tmp_path / "cpu", "--device=cpu", *options)
    without, _ = product_of(exposure, tmp_path / "without", "--device=cpu")
    assert (want != without).any()
    assert rates[1] > 0
    found, found_rates = product_of(exposure, tmp_path / "cuda", "--device=cuda", *options)
    np.testing.assert_array_equal(found, want)
    assert found_rates == rates
