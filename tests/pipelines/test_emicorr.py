"""The first pipeline with emicorr and persistence switched on, against the official one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from products import assert_same_product
from stdatamodels.jwst import datamodels

from jwgpu.cli import main

pytest_plugins = ("official",)

MIRI: dict[str, Any] = {
    "instrument": "MIRI",
    "subarray": "SUB64",
    "ngroups": 12,
    "nints": 2,
    "interference": 8.0,
}
NIRCAM: dict[str, Any] = {
    "instrument": "NIRCAM",
    "window": (1, 1, 96, 64),
    "ngroups": 5,
    "nints": 2,
}

CASES: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "joint": (MIRI, "emicorr", {}),
    "each integration": (MIRI, "emicorr", {"fit_ints_separately": True}),
    "sequential": (MIRI, "emicorr", {"algorithm": "sequential"}),
    "on the fly": (MIRI, "emicorr", {"onthefly_corr_freq": [390.625, 218.52055]}),
    "windows": (NIRCAM, "persistence", {"persistence_time": 60}),
    "windows that are not used": (
        NIRCAM,
        "persistence",
        {"persistence_time": 60, "persistence_dnu": True},
    ),
}


def calibrate(data: Any, folder: Path, *options: str) -> Path:
    references = str(data.exposure.parent / "references")
    arguments = [str(data.exposure), "--references", references, "--output-dir", str(folder)]
    assert main(["detector1", *arguments, *options]) == 0
    return folder


def product(folder: Path, suffix: str) -> Path:
    (path,) = folder.glob(f"*_{suffix}.fits")
    return path


def text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


@pytest.mark.parametrize("case", CASES)
def test_products_are_the_official_ones(case: str, official: Any, tmp_path: Path) -> None:
    settings, step, parameters = CASES[case]
    data = official.dataset(seed=13, **settings)
    theirs = official.detector1(
        data.exposure, data.references, {step: {"skip": False, **parameters}}
    )
    options = [f"--steps.{step}.{key}={text(value)}" for key, value in parameters.items()]
    ours = calibrate(data, tmp_path, f"--steps.{step}.skip=false", *options)
    # Waves and reference pixels are summed in another order: float32 rounding of the samples.
    for suffix in ("rate", "rateints"):
        expected = getattr(theirs, suffix)
        assert_same_product(product(ours, suffix), expected, SCI=1e-3, VAR_POISSON=2e-5, ERR=1e-4)


@pytest.mark.parametrize("algorithm", ["joint", "sequential"])
def test_simulated_interference_is_removed(algorithm: str, official: Any, tmp_path: Path) -> None:
    facts = {**MIRI, "ngroups": 40, "n_stars": 3, "cosmic_rays": 0.0}
    data = official.dataset(seed=14, **facts)
    clean = official.dataset(seed=14, **{**facts, "interference": 0.0})
    words = ["--steps.emicorr.skip=false", f"--steps.emicorr.algorithm={algorithm}"]
    cases = {
        "clean": calibrate(clean, tmp_path / "clean"),
        "disturbed": calibrate(data, tmp_path / "disturbed"),
        "corrected": calibrate(data, tmp_path / "corrected", *words),
    }
    rates = {}
    for name, folder in cases.items():
        with datamodels.open(product(folder, "rateints")) as model:
            rates[name] = np.where(model.dq & 1, np.nan, model.data)
    before = np.nanstd(rates["disturbed"] - rates["clean"])
    after = np.nanstd(rates["corrected"] - rates["clean"])
    assert after < 0.35 * before


def test_traps_are_followed_through_the_pipeline(official: Any, tmp_path: Path) -> None:
    """What one exposure leaves is given to the next."""
    data = official.dataset(seed=13, **NIRCAM)
    words = ["--steps.persistence.skip=false", "--steps.persistence.model=traps"]
    for reftype, model in trap_references().items():
        model.meta.reftype = reftype.upper()
        model.meta.instrument.name, model.meta.instrument.detector = "NIRCAM", "NRCA1"
        model.save(tmp_path / f"{reftype}.fits")
        words.append(f"--steps.persistence.override_{reftype}={tmp_path / reftype}.fits")
    first = calibrate(data, tmp_path / "first", *words)
    before = product(first, "trapsfilled")
    assert sorted(path.name.split("_")[-1] for path in first.iterdir()) == [
        "rate.fits",
        "rateints.fits",
        "trapsfilled.fits",
    ]
    with datamodels.open(before) as model:
        assert model.data.max() > 0
        model.meta.exposure.end_time = 59800.4999
        model.save(before)
    words.append(f"--steps.persistence.input_trapsfilled={before}")
    second = calibrate(data, tmp_path / "second", *words)
    with (
        datamodels.open(product(first, "rate")) as one,
        datamodels.open(product(second, "rate")) as two,
    ):
        assert two.meta.cal_step.persistence == "COMPLETE"
        assert np.nanmedian(two.data - one.data) < 0


def trap_references() -> dict[str, Any]:
    parameters = datamodels.TrapParsModel()
    dtype = parameters.get_dtype("trappars_table")
    parameters.trappars_table = np.array([(180.0, -0.0004, 60.0, -0.005)], dtype=dtype)
    density = datamodels.TrapDensityModel(data=np.ones((64, 96), np.float32))
    saturation = datamodels.PersistenceSatModel(data=np.full((64, 96), 6e4, np.float32))
    for model in (density, saturation):
        model.meta.subarray.xstart = model.meta.subarray.ystart = 1
        model.meta.subarray.xsize, model.meta.subarray.ysize = 96, 64
    return {"trapdensity": density, "trappars": parameters, "persat": saturation}
