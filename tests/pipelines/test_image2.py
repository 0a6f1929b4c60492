"""The second pipeline of images, as a user runs it, against the official one on the same files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from image_exposures import CAMERAS, Field, field_of
from offline import answering
from products import assert_same_product
from stdatamodels.jwst import datamodels

from jwgpu.cli import main
from jwgpu.pipelines import Image2Pipeline

#: Both packages take the same map of the pixels with these; tests/steps/test_resample.py
#: says more.
SPLINES = {"pixmap_stepsize": 10.0, "pixmap_order": 3}


def run_official(source: Path, field: Field, folder: Path, **resample: Any) -> Path:
    from jwst.pipeline import Image2Pipeline

    folder.mkdir()
    pipeline = Image2Pipeline()
    pipeline.output_dir, pipeline.save_results = str(folder), True
    for name, value in resample.items():
        setattr(pipeline.resample, name, value)
    with answering(field.references):
        pipeline.run(str(source))
    return folder


def calibrate(source: Path, field: Field, folder: Path, **resample: Any) -> Path:
    options = [f"--steps.resample.{name}={value}" for name, value in resample.items()]
    where = ["--references", field.folder, "--output-dir", str(folder)]
    assert main(["image2", str(source), *where, *options]) == 0
    return folder


def assert_same_files(ours: Path, theirs: Path, suffixes: set[str]) -> None:
    names = sorted(path.name for path in theirs.iterdir())
    assert sorted(path.name for path in ours.iterdir()) == names
    assert {name.rpartition("_")[2] for name in names} == {f"{suffix}.fits" for suffix in suffixes}
    for name in names:
        # A mean near zero is the sum of large values of both signs: the last bits of the geometry
        # show (some 1e-9 pixels, from angles in degrees).
        absolute = {"SCI": 1e-5} if name.endswith("_i2d.fits") else {}
        assert_same_product(ours / name, theirs / name, **absolute)


@pytest.mark.parametrize("camera", CAMERAS[:3], ids=lambda camera: camera[1])
def test_products_are_the_official_ones(camera: Any, tmp_path: Path) -> None:
    field = field_of(*camera)
    theirs = run_official(field.rate, field, tmp_path / "theirs", **SPLINES)
    ours = calibrate(field.rate, field, tmp_path / "ours", **SPLINES)
    assert_same_files(ours, theirs, {"cal", "i2d"})
    (product,) = ours.glob("*_cal.fits")
    assert fits.getval(product, "S_PHOTOM") == "COMPLETE"


def test_series_of_images(tmp_path: Path) -> None:
    field = field_of("NIRCAM", "NRCA1", "SUB160", nints=2)
    theirs = run_official(field.rate, field, tmp_path / "theirs")
    ours = calibrate(field.rate, field, tmp_path / "ours")
    assert_same_files(ours, theirs, {"calints"})


def association_of(folder: Path, rate: Path, *products: dict[str, Any]) -> Path:
    """Write an association of copies of an exposure."""
    members = [member for product in products for member in product["members"]]
    for member in members:
        shutil.copy(rate, folder / member["expname"])
    path = folder / "two_asn.json"
    content = {"asn_type": "image2", "asn_rule": "DMSLevel2bBase", "asn_pool": "a_pool"}
    content |= {"asn_id": "a3001", "target": "none", "program": "99999"}
    path.write_text(json.dumps(content | {"products": list(products)}))
    return path


def member(name: str, kind: str = "science") -> dict[str, str]:
    return {"expname": f"{name}_rate.fits", "exptype": kind}


def test_association(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    field = field_of(*CAMERAS[0])
    monkeypatch.chdir(tmp_path)  # where the official package looks for the members
    path = association_of(
        tmp_path,
        field.rate,
        {"name": "one", "members": [member("a")]},
        {"name": "two", "members": [member("b"), member("c", "background")]},
    )
    theirs = run_official(path, field, tmp_path / "theirs", **SPLINES)
    ours = calibrate(path, field, tmp_path / "ours", **SPLINES)
    assert_same_files(ours, theirs, {"cal", "i2d"})
    assert fits.getval(ours / "two_cal.fits", "S_BKDSUB") == "COMPLETE"
    assert fits.getval(ours / "one_cal.fits", "ASNTABLE") == "two_asn.json"


def test_model_is_left_as_it_is(tmp_path: Path) -> None:
    field = field_of(*CAMERAS[0])
    with datamodels.open(str(field.rate)) as model:
        before = model.data.copy()
        (cal,) = Image2Pipeline.call(model, references=field.folder, output_dir=str(tmp_path))
        np.testing.assert_array_equal(model.data, before)
        assert model.meta.cal_step.photom is None
    assert cal.meta.cal_step.photom == "COMPLETE"
    assert not list(tmp_path.iterdir())


def test_resample_can_be_left_out(tmp_path: Path) -> None:
    field = field_of(*CAMERAS[0])
    ours = calibrate(field.rate, field, tmp_path, skip=True)
    assert [path.name.rpartition("_")[2] for path in ours.iterdir()] == ["cal.fits"]


def test_association_without_science(tmp_path: Path, capsys: Any) -> None:
    field = field_of(*CAMERAS[0])
    product = {"name": "one", "members": [member("a", "background")]}
    path = association_of(tmp_path, field.rate, product)
    assert main(["image2", str(path), "--references", field.folder]) == 1
    assert "one has no science member" in capsys.readouterr().err


def test_same_on_a_gpu(cuda: Any, tmp_path: Path) -> None:
    field = field_of(*CAMERAS[0])
    products = []
    for device in ("cpu", "cuda"):
        (cal,) = Image2Pipeline.call(
            str(field.rate),
            references=field.folder,
            output_dir=str(tmp_path),
            output_file=f"{device}_rate.fits",
            save_results=True,
            device=device,
        )
        with datamodels.open(str(tmp_path / f"{device}_i2d.fits")) as mosaic:
            products.append((cal.data, cal.err, cal.dq, mosaic.data.copy(), mosaic.err.copy()))
    for ours, theirs in zip(*products, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_failing_product_loses_only_itself(tmp_path: Path, capsys: Any) -> None:
    """Officially, the calibrated exposures are all saved at the end, or none."""
    field = field_of(*CAMERAS[0])
    names = ("one", "two", "three")
    products = [{"name": name, "members": [member(name)]} for name in names]
    path = association_of(tmp_path, field.rate, *products)
    with (tmp_path / "two_rate.fits").open("r+b") as file:
        file.truncate(60_000)
    folder = tmp_path / "out"
    assert main(["image2", str(path), "--references", field.folder, f"--output-dir={folder}"]) == 1
    assert "two_rate.fits" in capsys.readouterr().err
    assert sorted(file.name for file in folder.iterdir()) == ["one_cal.fits", "one_i2d.fits"]


def rename(models: Any) -> Any:
    for model in models:
        model.meta.target.catalog_name = "hooked"
    return models


def test_hooks_at_the_end_see_what_is_saved(tmp_path: Path) -> None:
    """They are handed all products, and what they change is saved."""
    field = field_of(*CAMERAS[0])
    products = [{"name": name, "members": [member(name)]} for name in ("one", "two")]
    path = association_of(tmp_path, field.rate, *products)
    folder = tmp_path / "out"

    Image2Pipeline.call(
        str(path),
        references=field.folder,
        output_dir=str(folder),
        save_results=True,
        post_hooks=[f"{__name__}.rename"],
        steps={"resample": {"skip": True}},
    )
    for name in ("one", "two"):
        assert fits.getval(folder / f"{name}_cal.fits", "TARGNAME") == "hooked"


def test_each_product_is_saved_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jwgpu.models import writing

    field = field_of(*CAMERAS[0])
    products = [
        {"name": "one", "members": [member("a"), member("c", "background")]},
        {"name": "two", "members": [member("b")]},
    ]
    path = association_of(tmp_path, field.rate, *products)
    saved = []
    save = writing.save_product

    def count(model: Any, path: Any) -> str:
        saved.append(Path(path).name)
        return save(model, path)

    monkeypatch.setattr(writing, "save_product", count)
    options = ["--save-bsub=true", "--steps.resample.skip=true", f"--output-dir={tmp_path}"]
    assert main(["image2", str(path), "--references", field.folder, *options]) == 0
    assert saved == ["one_bsub.fits", "one_cal.fits", "two_cal.fits"]
