"""``--device cuda`` through the steps that take out noise and persistence: as on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from products import MADE_BY

from jwgpu.cli import main
from jwgpu.simulate import make_dataset

EXPOSURES: dict[str, dict[str, Any]] = {
    "nircam": {"instrument": "NIRCAM", "window": (1, 1, 64, 32), "ngroups": 4, "nints": 2},
    "miri": {
        "instrument": "MIRI",
        "subarray": "SUB64",
        "ngroups": 12,
        "nints": 2,
        "interference": 8.0,
    },
    "nirspec": {
        "instrument": "NIRSPEC",
        "window": (1, 1, 64, 32),
        "ngroups": 3,
        "exp_type": "NRS_FIXEDSLIT",
    },
}

CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "emicorr": ("miri", "emicorr", {}),
    "emicorr, sequential": ("miri", "emicorr", {"algorithm": "sequential"}),
    "emicorr, given frequency": (
        "miri",
        "emicorr",
        {
            "algorithm": "sequential",
            "onthefly_corr_freq": "390.625,",
            "save_intermediate_results": True,
        },
    ),
    "medians": ("nircam", "clean_flicker_noise", {"save_mask": True, "save_noise": True}),
    "medians, model": (
        "nircam",
        "clean_flicker_noise",
        {"background_method": "model", "save_background": True},
    ),
    "medians, masks": (
        "nircam",
        "clean_flicker_noise",
        {"single_mask": False, "fit_histogram": True, "background_method": "None"},
    ),
    "median image": ("nircam", "clean_flicker_noise", {"background_method": "median_image"}),
    "chosen": ("nircam", "clean_flicker_noise", {"autoparam": True}),
    "medians of columns": ("miri", "clean_flicker_noise", {"mask_science_regions": True}),
    "waves": ("nirspec", "clean_flicker_noise", {"fit_method": "fft"}),
    "windows": ("nircam", "persistence", {"persistence_time": 60, "dn_threshold": 20000}),
}

#: Rounding of float64 sums and of transforms decides the last bit of a sample now and then; a
#: histogram is fitted until a step is less than 1e-8.
ROUNDING = {"rtol": 2e-6, "atol": 2e-3}


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    made: dict[str, Any] = {}

    def dataset(name: str) -> Any:
        if name not in made:
            settings = {"flicker_noise": 6.0, "seed": 12, **EXPOSURES[name]}
            made[name] = make_dataset(tmp_path_factory.mktemp(name), **settings)
        return made[name]

    return dataset


def calibrate(exposure: Path, folder: Path, device: str, step: str, **parameters: Any) -> Path:
    """Run one step on the raw samples, which a real exposure would not do, and save all."""
    words = [step, str(exposure), "--references", str(exposure.parent / "references")]
    options = [f"--{name}={value}" for name, value in parameters.items()]
    words += ["--output-dir", str(folder), "--device", device, "--skip=false"]
    assert main([*words, *options]) == 0
    return folder


@pytest.mark.parametrize("case", CASES)
def test_products_are_the_same(cuda, datasets, tmp_path, case):
    name, step, parameters = CASES[case]
    exposure = datasets(name).exposure
    theirs, ours = (
        calibrate(exposure, tmp_path / device, device, step, **parameters)
        for device in ("cpu", "cuda")
    )
    names = sorted(path.name for path in theirs.iterdir())
    assert sorted(path.name for path in ours.iterdir()) == names
    for product in [name for name in names if name.endswith(".fits")]:
        assert_close(ours / product, theirs / product)
    headers = [fits.getheader(theirs / name) for name in names if name.endswith(".fits")]
    assert any(header.get(KEYWORDS[step]) == "COMPLETE" for header in headers)


KEYWORDS = {"emicorr": "S_MIREMI", "clean_flicker_noise": "S_CLNFNS", "persistence": "S_PERSIS"}


def assert_close(ours: Path, theirs: Path) -> None:
    with fits.open(ours) as our_file, fits.open(theirs) as their_file:
        assert [hdu.name for hdu in our_file] == [hdu.name for hdu in their_file]
        for our, their in zip(our_file, their_file, strict=True):
            if our.name == "ASDF":
                continue
            ignored = MADE_BY
            facts = [
                {k: v for k, v in hdu.header.items() if k not in ignored} for hdu in (our, their)
            ]
            assert facts[0] == facts[1]
            if our.data is None:
                continue
            assert our.data.dtype == their.data.dtype
            if isinstance(our, fits.BinTableHDU) or our.data.dtype.kind in "uib":
                np.testing.assert_array_equal(our.data, their.data, err_msg=our.name)
            else:
                np.testing.assert_allclose(our.data, their.data, err_msg=our.name, **ROUNDING)


@pytest.mark.parametrize("name", ["nircam", "miri"])
def test_whole_pipelines(cuda, datasets, tmp_path, name):
    exposure = datasets(name).exposure
    options = ["clean_flicker_noise.skip=false", "persistence.skip=false"]
    options += ["persistence.persistence_time=60"]
    for device in ("cpu", "cuda"):
        words = ["detector1", str(exposure), "--references", str(exposure.parent / "references")]
        words += [f"--steps.{option}" for option in options]
        assert main([*words, "--output-dir", str(tmp_path / device), "--device", device]) == 0
    for product in (tmp_path / "cpu").glob("*.fits"):
        assert_close(tmp_path / "cuda" / product.name, product)
        assert fits.getheader(product)["S_CLNFNS"] == "COMPLETE"
