"""The third pipeline of images, as a user runs it, against the official one on the same files."""

from __future__ import annotations

import json
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from dithered_fields import FIELDS, Dithered, associate, dithered
from offline import answering
from products import assert_same_product
from stdatamodels.jwst import datamodels

from jwgpu.cli import main
from jwgpu.errors import InputError
from jwgpu.models.library import Library
from jwgpu.pipelines import Image3Pipeline
from jwgpu.steps.source_catalog import SourceCatalogStep

#: Both packages take the same map of the pixels with these; tests/steps/test_resample.py
#: says more.
SPLINES = {"pixmap_stepsize": 10.0, "pixmap_order": 3}
SUFFIXES = {"crf.fits", "i2d.fits", "cat.ecsv", "segm.fits"}
STATUS = ("S_TWKREG", "S_SKYMAT", "S_OUTLIR", "S_RESAMP")
#: A mean near zero is the sum of large values of both signs: the last bits of the geometry show
#: (some 1e-9 pixels, from angles in degrees). Officially some pixels that hang over the edge of
#: the output are left out.
I2D: dict[str, Any] = {"SCI": 1e-5, "border": 2}

#: Of nearly round sources: differences of axes that are nearly the same, in degrees where angles.
ROUND = {"ellipticity": 1e-5, "orientation": 0.05, "sky_orientation": 0.05}
STEPS = ("tweakreg", "skymatch", "outlier_detection", "resample", "source_catalog")


def run_official(source: Path, field: Dithered, folder: Path, options: dict[str, Any]) -> Path:
    from jwst.pipeline import Image3Pipeline

    folder.mkdir()
    pipeline = Image3Pipeline()
    pipeline.output_dir, pipeline.save_results = str(folder), True
    for name, value in options.items():
        alias, _, own = name.rpartition(".")
        setattr(getattr(pipeline, alias) if alias else pipeline, own, value)
    with answering(field.references):
        pipeline.run(str(source))
    return folder


def run_ours(source: Path, field: Dithered, folder: Path, options: dict[str, Any]) -> Path:
    words = [
        f"--steps.{name}={value}" if "." in name else f"--{name}={value}"
        for name, value in options.items()
    ]
    where = ["--references", field.folder, "--output-dir", str(folder)]
    assert main(["image3", str(source), *where, *words]) == 0
    return folder


def splines() -> dict[str, Any]:
    return {
        f"{alias}.{name}": value
        for alias in ("outlier_detection", "resample")
        for name, value in SPLINES.items()
    }


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def assert_same_files(ours: Path, theirs: Path) -> None:
    assert names_in(ours) == names_in(theirs)
    tipped = np.zeros(0, int)
    for path in theirs.glob("*_segm.fits"):
        tipped = assert_same_segments(ours / path.name, path)
    for name in names_in(theirs):
        if name.endswith(".ecsv"):
            assert_same_catalogue(ours / name, theirs / name, tipped)
        elif not name.endswith("_segm.fits"):
            assert_same_product(ours / name, theirs / name, **(I2D if "i2d" in name else {}))


def assert_same_segments(ours: Path, theirs: Path) -> np.ndarray[Any, Any]:
    """Check that the same sources are found; return those with a pixel more or less.

    The last bit of a mean may tip a pixel over the threshold.
    """
    one, other = fits.getdata(ours, "SCI"), fits.getdata(theirs, "SCI")
    assert one.dtype == other.dtype
    assert one.shape == other.shape
    differ = one != other
    assert np.count_nonzero(differ) <= 2
    assert (np.minimum(one, other)[differ] == 0).all()
    tipped = np.maximum(one, other)[differ]
    if not len(tipped):
        assert_same_product(ours, theirs)
    return tipped


def assert_same_catalogue(ours: Path, theirs: Path, tipped: np.ndarray[Any, Any]) -> None:
    one, other = Table.read(ours), Table.read(theirs)
    assert one.colnames == other.colnames
    assert len(one) == len(other)
    touched = [np.isin(np.asarray(other[name]), tipped) for name in ("label", "nn_label")]
    is_same = ~np.logical_or(*touched)
    for name in other.colnames:
        our, their = one[name], other[name]
        assert str(getattr(our, "unit", None)) == str(getattr(their, "unit", None)), name
        our, their = our[is_same], their[is_same]
        if isinstance(their, SkyCoord):
            assert our.separation(their).arcsec.max() < 1e-5
        elif their.dtype.kind in "fc":
            ours_of_it, theirs_of_it = np.asarray(our, float), np.asarray(their, float)
            typical = np.nanmedian(np.abs(theirs_of_it))
            atol = ROUND.get(name, 2e-5 * typical)  # some may be about 0
            np.testing.assert_allclose(ours_of_it, theirs_of_it, rtol=2e-5, atol=atol, err_msg=name)
        else:
            np.testing.assert_array_equal(our, their, err_msg=name)


@pytest.mark.parametrize("place", FIELDS, ids=lambda place: place[1])
def test_products_are_the_official_ones(place: Any, tmp_path: Path) -> None:
    field = dithered(*place)
    theirs = run_official(field.association, field, tmp_path / "theirs", splines())
    ours = run_ours(field.association, field, tmp_path / "ours", splines())
    assert_same_files(ours, theirs)
    assert {name.rpartition("_")[2] for name in names_in(ours)} == SUFFIXES
    header = fits.getheader(ours / "mosaic_i2d.fits")
    assert {header[key] for key in STATUS} == {"COMPLETE"}
    assert len(Table.read(ours / "mosaic_cat.ecsv")) > 15


def test_products_without_some_steps(tmp_path: Path) -> None:
    field = dithered(*FIELDS[0])
    left_out = ("tweakreg", "skymatch", "source_catalog")
    options = {**splines(), **{f"{alias}.skip": True for alias in left_out}}
    theirs = run_official(field.association, field, tmp_path / "theirs", options)
    ours = run_ours(field.association, field, tmp_path / "ours", options)
    assert_same_files(ours, theirs)
    header = fits.getheader(ours / "mosaic_i2d.fits")
    assert [header[key] for key in STATUS] == ["SKIPPED", "SKIPPED", "COMPLETE", "COMPLETE"]


@pytest.mark.parametrize(
    ("left_out", "suffixes"),
    [
        ({"outlier_detection"}, {"i2d.fits", "cat.ecsv", "segm.fits"}),
        ({"resample"}, {"crf.fits"}),
        ({"source_catalog", "outlier_detection"}, {"i2d.fits"}),
        (set(STEPS), set()),
    ],
    ids=lambda value: "-".join(sorted(value)) if value else "nothing",
)
def test_steps_can_be_left_out(left_out: set[str], suffixes: set[str], tmp_path: Path) -> None:
    field = dithered(*FIELDS[0])
    ours = run_ours(
        field.association, field, tmp_path / "ours", {f"{alias}.skip": True for alias in left_out}
    )
    assert {name.rpartition("_")[2] for name in names_in(ours)} == suffixes


def test_one_image(tmp_path: Path) -> None:
    field = dithered(*FIELDS[0])
    theirs = run_official(field.images[0], field, tmp_path / "theirs", splines())
    ours = run_ours(field.images[0], field, tmp_path / "ours", splines())
    assert_same_files(ours, theirs)


def test_moving_target(tmp_path: Path) -> None:
    field = dithered(*FIELDS[0])
    for number, path in enumerate(field.images):
        with datamodels.open(str(path)) as model:
            model.meta.target.type = "MOVING"
            model.meta.wcsinfo.mt_ra = model.meta.wcsinfo.ra_ref + 1e-5 * number
            model.meta.wcsinfo.mt_dec = model.meta.wcsinfo.dec_ref - 2e-5 * number
            model.save(str(tmp_path / path.name))
    source = associate(tmp_path, [path.name for path in field.images])
    options = {**splines(), "source_catalog.skip": True}
    theirs = run_official(source, field, tmp_path / "theirs", options)
    ours = run_ours(source, field, tmp_path / "ours", options)
    assert_same_files(ours, theirs)
    header = fits.getheader(ours / "mosaic_i2d.fits")
    assert header["S_MTWCS"] == "COMPLETE"
    assert "S_TWKREG" not in header


def test_only_science_members_count(tmp_path: Path) -> None:
    field = dithered(*FIELDS[0])
    content = json.loads(field.association.read_text())
    members = content["products"][0]["members"]
    members[1]["exptype"] = "background"
    for member in members:
        member["expname"] = str(field.images[0].parent / member["expname"])
    path = tmp_path / "fewer_asn.json"
    path.write_text(json.dumps(content))
    ours = run_ours(path, field, tmp_path / "ours", {"source_catalog.skip": True})
    assert len(list(ours.glob("*_crf.fits"))) == len(members) - 1
    assert fits.getval(ours / "mosaic_i2d.fits", "NDRIZ") == len(members) - 1
    assert fits.getval(ours / "mosaic_i2d.fits", "ASNTABLE") == "fewer_asn.json"


def test_models_are_left_as_they_are(tmp_path: Path) -> None:
    field = dithered(*FIELDS[0])
    models = [datamodels.open(str(path)) for path in field.images]
    before = [(model.data.copy(), model.dq.copy()) for model in models]
    result = Image3Pipeline.call(
        models,
        references=field.folder,
        output_dir=str(tmp_path),
        output_file="all.fits",
        save_results=True,
    )
    assert result is None
    assert (tmp_path / "all_i2d.fits").exists()
    for model, (data, dq) in zip(models, before, strict=True):
        np.testing.assert_array_equal(model.data, data)
        np.testing.assert_array_equal(model.dq, dq)
        assert model.meta.cal_step.tweakreg is None
        model.close()


def test_nothing_is_written_unless_asked_for(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    field = dithered(*FIELDS[0])
    Image3Pipeline.call(str(field.association), references=field.folder)
    assert not names_in(tmp_path)


def test_an_error_leaves_whole_products(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise InputError("no catalogue today")

    field = dithered(*FIELDS[0])
    monkeypatch.setattr(SourceCatalogStep, "correct", fail)
    words = ["--references", field.folder, "--output-dir", str(tmp_path)]
    assert main(["image3", str(field.association), *words]) == 1
    assert "no catalogue today" in capsys.readouterr().err
    assert {name.rpartition("_")[2] for name in names_in(tmp_path)} == {"crf.fits", "i2d.fits"}
    with datamodels.open(str(tmp_path / "mosaic_i2d.fits")) as model:
        assert np.isfinite(model.data).any()


def test_what_is_no_image(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("nothing")
    assert main(["image3", str(path), "--offline"]) == 1
    assert "is neither an association (.json) nor an image (.fits)" in capsys.readouterr().err


def test_images_on_disk_are_not_held(tmp_path: Path, monkeypatch: Any) -> None:
    lent: list[Any] = []
    most = 0
    field = dithered(*FIELDS[0])
    in_memory = run_ours(field.association, field, tmp_path / "memory", {})

    def borrow(self: Library, *arguments: Any) -> Any:
        nonlocal most
        image = usual(self, *arguments)
        if image.data is not None:
            lent.append(weakref.ref(image.data))
        most = max(most, sum(one() is not None for one in lent))
        return image

    usual = Library.borrow
    monkeypatch.setattr(Library, "borrow", borrow)
    on_disk = run_ours(field.association, field, tmp_path / "disk", {"in_memory": False})
    assert len(lent) > len(field.images)
    assert most <= 2
    assert_same_files(on_disk, in_memory)
