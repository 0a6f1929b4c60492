"""The likelihood fit with ``--device cuda``: the products are those of ``--device cpu``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from jwgpu.cli import main
from jwgpu.simulate import make_dataset

EXPOSURES: dict[str, dict[str, Any]] = {
    "nircam": {"instrument": "NIRCAM", "window": (1, 1, 128, 64), "ngroups": 6, "nints": 2},
    "averages and frame zero": {
        "instrument": "NIRCAM",
        "window": (1, 1, 64, 32),
        "ngroups": 5,
        "readpatt": "MEDIUM8",
    },
}

LIKELY = ["--steps.ramp_fit.algorithm=LIKELY", "--steps.ramp_fit.save_opt=true"]


@pytest.mark.parametrize("name", EXPOSURES)
def test_products_are_those_of_the_cpu(cuda, tmp_path, name):
    data = make_dataset(tmp_path, seed=14, **EXPOSURES[name])
    arrays = {}
    for device in ("cpu", "cuda"):
        folder = tmp_path / device
        words = ["detector1", str(data.exposure), "--references", str(tmp_path / "references")]
        words += ["--output-dir", str(folder), "--device", device]
        assert main([*words, *LIKELY]) == 0
        arrays[device] = {path.name: arrays_of(path) for path in folder.glob("*.fits")}
    assert any("likely_chisq" in name for name in arrays["cpu"])
    assert arrays["cuda"].keys() == arrays["cpu"].keys()
    for product, theirs in arrays["cpu"].items():
        ours = arrays["cuda"][product]
        assert ours.keys() == theirs.keys()
        for extension, values in theirs.items():
            np.testing.assert_array_equal(ours[extension], values, f"{product} {extension}")


def arrays_of(path: Path) -> dict[str, Any]:
    with fits.open(path) as file:
        return {
            hdu.name: np.array(hdu.data) for hdu in file if hdu.is_image and hdu.data is not None
        }
