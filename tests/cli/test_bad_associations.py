"""Bad associations end with one line, exit status 1 as with strun, and no product."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from image_exposures import Field, calibrated, field_of
from stdatamodels.jwst import datamodels

from jwgpu.cli import main, messages
from jwgpu.simulate.images import Pointing, write_rate
from jwgpu.steps import registry
from jwgpu.steps.assign_wcs import AssignWcsStep
from jwgpu.steps.photom import PhotomStep

CAMERA = ("NIRCAM", "NRCA1", "SUB160")

#: Commands that take associations, and the suffix of their members.
COMMANDS = {"image2": "rate", "resample": "cal", "wfs_combine": "cal", "image3": "cal"}

#: Those that put several images together.
COMBINING = ("resample", "wfs_combine", "image3")


@cache
def _originals(suffix: str) -> tuple[Path, ...]:
    """Return an exposure, one of another instrument, and two of other parts of the sky."""
    field = field_of(*CAMERA)
    folder = field.rate.parent / "of associations"
    folder.mkdir(exist_ok=True)
    far, near = (
        write_rate(folder, field.settings, field.stars, Pointing(x=offset, y=offset, number=number))
        for number, offset in ((3, 36000.0), (4, 8.0))
    )
    if suffix == "rate":
        return field.rate, field_of("NIRISS", "NIS", "SUB128").rate, far, near
    good, other = (folder / f"{name}_cal.fits" for name in ("good", "other"))
    calibrated(*CAMERA).save(str(good))
    calibrated("NIRISS", "NIS", "SUB128").save(str(other))
    for rate, name in ((far, "far"), (near, "near")):
        model = AssignWcsStep(references=field.folder).run(str(rate))
        PhotomStep(references=field.folder).run(model).save(str(folder / f"{name}_cal.fits"))
    return good, other, folder / "far_cal.fits", folder / "near_cal.fits"


class Case(NamedTuple):
    """A folder with members, and how one command is run on their association."""

    command: str
    folder: Path
    field: Field
    capsys: pytest.CaptureFixture[str]

    def name(self, member: str) -> str:
        return f"{member}_{COMMANDS[self.command]}.fits"

    def entry(self, member: str, kind: str = "science") -> dict[str, str]:
        return {"expname": self.name(member), "exptype": kind}

    def write(self, *members: Any, **changes: Any) -> Path:
        """Write an association of one product."""
        level = 2 if self.command == "image2" else 3
        content: dict[str, Any] = {
            "asn_type": f"image{level}",
            "asn_rule": f"DMS_Level{level}_Base",
            "asn_pool": "none",
            "asn_id": "a3001",
            "program": "99999",
            "target": "none",
            "products": [{"name": "product", "members": list(members)}],
        }
        path = self.folder / "some_asn.json"
        path.write_text(json.dumps(content | changes))
        return path

    def refuses(self, path: Path) -> str:
        """Run the command, check how it ends, and return the line."""
        products = self.folder / "products"
        words = ["--references", self.field.folder, f"--output-dir={products}", "-q"]
        assert main([self.command, str(path), *words]) == 1
        error = self.capsys.readouterr().err
        lines = [line for line in error.splitlines() if line.startswith("jwgpu: error: ")]
        assert len(lines) == 1, error
        assert "Traceback" not in error
        assert "--debug" not in lines[0], "this should have been foreseen"
        assert "some_asn.json" in lines[0]
        assert not products.is_dir() or not list(products.iterdir())
        return lines[0]


@pytest.fixture(params=[name for name in COMMANDS if registry.find(name)])
def case(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Case:
    monkeypatch.setattr(messages, "debugging", False)
    found = Case(request.param, tmp_path, field_of(*CAMERA), capsys)
    good, *others = _originals(COMMANDS[found.command])
    members = ("a", "b", "other", "far", "near")
    for original, member in zip((good, good, *others), members, strict=True):
        (tmp_path / found.name(member)).symlink_to(original)
    return found


def test_member_outside_the_folder(case: Case) -> None:
    entry = case.entry("a") | {"expname": f"../{case.name('a')}"}
    assert f"../{case.name('a')} lies outside its folder" in case.refuses(case.write(entry))
    entry = case.entry("a") | {"expname": f"in/../../{case.name('a')}"}
    assert "lies outside its folder" in case.refuses(case.write(entry, case.entry("b")))


def test_cycle(case: Case) -> None:
    entry = {"expname": "some_asn.json", "exptype": "science"}
    assert "is the association itself" in case.refuses(case.write(case.entry("a"), entry))
    (case.folder / "other_asn.json").symlink_to(case.folder / "some_asn.json")
    entry["expname"] = "other_asn.json"
    assert "is the association itself" in case.refuses(case.write(case.entry("a"), entry))
    (case.folder / "other_asn.json").unlink()
    (case.folder / "other_asn.json").write_text("{}")
    assert "is an association as well" in case.refuses(case.write(case.entry("a"), entry))


def test_empty_product(case: Case) -> None:
    assert "has no members" in case.refuses(case.write())
    assert "has no products" in case.refuses(case.write(products=[]))
    products = [
        {"name": "one", "members": [case.entry("a"), case.entry("b")]},
        {"name": "two", "members": []},
    ]
    assert "the product two has no members" in case.refuses(case.write(products=products))


def test_mixed_instruments(case: Case) -> None:
    kind = "background" if case.command == "image2" else "science"
    line = case.refuses(case.write(case.entry("a"), case.entry("other", kind)))
    assert f"{case.name('a')} is of NIRCAM, {case.name('other')} of NIRISS" in line


def test_images_that_do_not_overlap(case: Case) -> None:
    if case.command not in COMBINING:
        pytest.skip("each image is calibrated by itself")
    line = case.refuses(case.write(case.entry("a"), case.entry("far")))
    assert "do not overlap" in line
    assert "_cal.fits" in line


def test_gap(case: Case) -> None:
    """Officially a mosaic, and here: with a warning."""
    if case.command not in ("resample", "image3"):
        pytest.skip("it makes no mosaic")
    path = case.write(case.entry("a"), case.entry("near"))
    words = ["--references", case.field.folder, f"--output-dir={case.folder / 'products'}"]
    assert main([case.command, str(path), *words]) == 0
    assert "not all images overlap: there are 2 parts" in case.capsys.readouterr().err


def test_series_of_images(case: Case) -> None:
    if case.command not in COMBINING:
        pytest.skip("it calibrates series too")
    with datamodels.open(str(case.folder / case.name("a"))) as model:
        series = datamodels.CubeModel(data=model.data[None], dq=model.dq[None], err=model.err[None])
        series.update(model)
        series.meta.wcs = model.meta.wcs
        series.save(str(case.folder / case.name("series")))
    line = case.refuses(case.write(case.entry("series"), case.entry("a")))
    assert case.name("series") in line
    assert "series" in line.replace(case.name("series"), "")


def test_missing_member(case: Case) -> None:
    line = case.refuses(case.write(case.entry("a"), case.entry("none")))
    if case.command != "image2":
        assert f"{case.name('none')} is missing" in line
    line = case.refuses(case.write(case.entry("none"), case.entry("a")))
    assert f"{case.name('none')} is missing" in line


def _truncate(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(60_000)


def _make_text(path: Path) -> None:
    path.write_text("no FITS at all")


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _lock(path: Path) -> None:
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("who runs this may read everything")


def _make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("spoil", [_truncate, _make_text, _empty, _lock, _make_folder])
def test_unreadable_member(case: Case, spoil: Callable[[Path], None]) -> None:
    shutil.copy(case.folder / case.name("a"), case.folder / case.name("bad"))
    spoil(case.folder / case.name("bad"))
    assert case.name("bad") in case.refuses(case.write(case.entry("bad"), case.entry("a")))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"products": [', "is not JSON"),
        ("", "is not JSON"),
        ("just words", "is not JSON"),
        ("[1, 2]", "is no association"),
        ("{}", "products"),
        ('{"products": {"name": "x"}}', "products"),
        ('{"asn_type": "image3", "products": [{"name": "x"}]}', "members"),
        ('{"products": [{"name": "x", "members": [{"exptype": "science"}]}]}', "expname"),
        ('{"products": [{"name": "x", "members": [{"expname": "a_cal.fits"}]}]}', "exptype"),
        ('{"products": [{"name": "x", "members": ["a_cal.fits"]}]}', "a_cal.fits"),
        ('{"products": [{"members": [{"expname": 1, "exptype": "science"}]}]}', "expname"),
    ],
)
def test_wrong_json(case: Case, text: str, words: str) -> None:
    path = case.folder / "some_asn.json"
    path.write_text(text)
    assert words in case.refuses(path)


def test_what_is_no_text(case: Case) -> None:
    path = case.folder / "some_asn.json"
    path.write_bytes(b"\xff\xfe\x00SIMPLE")
    assert "it is not text" in case.refuses(path)


def test_duplicates(case: Case) -> None:
    line = case.refuses(case.write(case.entry("a"), case.entry("a")))
    assert f"names {case.name('a')} twice as science" in line


@pytest.mark.parametrize("kind", ["sience", "psf", "background", ""])
def test_wrong_exptype(case: Case, kind: str) -> None:
    if case.command == "resample":
        pytest.skip("it takes all members, as officially")
    line = case.refuses(case.write(case.entry("a", kind), case.entry("b", kind)))
    assert kind in line
    assert "science" in line
