"""Bad input ends with one line, an exit status, and no half-written product."""

from __future__ import annotations

import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from astropy.io import fits

from jwgpu.cli import main, messages
from jwgpu.simulate import make_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(
        tmp_path_factory.mktemp("good"), detector="NRCB1", subarray="SUB64P", ngroups=4, seed=5
    )


class Place(NamedTuple):
    """A folder with one exposure, its references, and where products go."""

    exposure: Path
    references: Path
    products: Path

    def words(self, *more: str) -> list[str]:
        return [
            "detector1",
            str(self.exposure),
            f"--references={self.references}",
            f"--output-dir={self.products}",
            "--threads=1",
            "-q",
            *more,
        ]

    def leftovers(self) -> list[str]:
        return (
            sorted(path.name for path in self.products.glob("*")) if self.products.is_dir() else []
        )


@pytest.fixture
def place(dataset, tmp_path, monkeypatch) -> Place:
    monkeypatch.setattr(messages, "debugging", False)
    exposure = tmp_path / "in" / dataset.exposure.name
    exposure.parent.mkdir()
    shutil.copy(dataset.exposure, exposure)
    references = dataset.exposure.parent / "references"
    return Place(exposure, references, tmp_path / "out")


def fails(place: Place, capsys: pytest.CaptureFixture[str], *more: str, status: int = 1) -> str:
    """Run the pipeline, check how it fails, and return the line."""
    assert main(place.words(*more)) == status
    error = capsys.readouterr().err
    lines = [line for line in error.splitlines() if line.startswith("jwgpu: error: ")]
    assert len(lines) == 1, error
    assert "Traceback" not in error
    assert "--debug" not in lines[0], "this should have been foreseen"
    assert place.leftovers() == []
    return lines[0]


def edited(change: Callable[[fits.HDUList], None]) -> Callable[[Path], None]:
    """Change a FITS file in place."""

    def edit(path: Path) -> None:
        with fits.open(path) as file:
            change(file)
            file.writeto(path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)

    return edit


def without(*keywords: str) -> Callable[[fits.HDUList], None]:
    def change(file: fits.HDUList) -> None:
        for keyword in keywords:
            del file[0].header[keyword]
        # It holds all metadata once more.
        if "ASDF" in file:
            del file["ASDF"]

    return change


def all_nan(file: fits.HDUList) -> None:
    file["SCI"].data = np.full(file["SCI"].data.shape, np.nan, np.float32)


def one_group_only(file: fits.HDUList) -> None:
    file["SCI"].data = file["SCI"].data[0, 0]


def no_science(file: fits.HDUList) -> None:
    del file["SCI"]


def truncate(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def replace_by_text(path: Path) -> None:
    path.write_text("this is not FITS\n" * 200)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def remove(path: Path) -> None:
    path.unlink()


# What is done to the exposure, and a word that the message must hold.
BROKEN = {
    "not FITS": (replace_by_text, "FITS"),
    "empty": (empty, ""),
    "truncated": (truncate, ""),
    "not there": (remove, "no such file"),
    "no SCI": (edited(no_science), "SCI"),
    "SCI of two dimensions": (edited(one_group_only), "SCI"),
    "SCI all NaN": (edited(all_nan), "finite"),
    "no NGROUPS": (edited(without("NGROUPS")), "NGROUPS"),
    "no SUBARRAY": (edited(without("SUBARRAY")), "SUBARRAY"),
    "no READPATT": (edited(without("READPATT")), "READPATT"),
    "no INSTRUME": (edited(without("INSTRUME")), "INSTRUME"),
    "no DETECTOR": (edited(without("DETECTOR")), "DETECTOR"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_exposure(place, capsys, name):
    breaks, word = BROKEN[name]
    breaks(place.exposure)
    line = fails(place, capsys)
    assert place.exposure.name in line
    assert word in line


def test_exposure_that_the_pipeline_does_not_take(place, capsys):
    def guider(file: fits.HDUList) -> None:
        file[0].header["INSTRUME"] = "FGS"
        file[0].header["DETECTOR"] = "GUIDER1"
        file[0].header["EXP_TYPE"] = "FGS_ACQ1"

    edited(guider)(place.exposure)
    line = fails(place, capsys, status=64)
    assert "FGS_ACQ1" in line


def test_missing_reference(place, capsys, tmp_path):
    shutil.copytree(place.references, tmp_path / "refs")
    for file in (tmp_path / "refs").glob("*superbias*"):
        file.unlink()
    line = fails(place._replace(references=tmp_path / "refs"), capsys)
    assert "superbias" in line.lower()


def test_no_folder_of_references(place, capsys, tmp_path):
    line = fails(place._replace(references=tmp_path / "nowhere"), capsys)
    assert "nowhere" in line


def broken_superbias(place: Place, folder: Path, change: Callable[[fits.HDUList], None]) -> str:
    (file,) = place.references.glob("*superbias*.fits")
    copy = folder / "broken_superbias.fits"
    shutil.copy(file, copy)
    edited(change)(copy)
    return f"--steps.superbias.override_superbias={copy}"


def smaller(file: fits.HDUList) -> None:
    for name in ("SCI", "ERR", "DQ"):
        if name in file:
            file[name].data = file[name].data[:-5, :-7].copy()


def of_another_instrument(file: fits.HDUList) -> None:
    file[0].header["INSTRUME"] = "MIRI"


@pytest.mark.parametrize("change", [smaller, of_another_instrument, no_science])
def test_wrong_reference(place, capsys, tmp_path, change):
    line = fails(place, capsys, broken_superbias(place, tmp_path, change))
    assert "broken_superbias.fits" in line


def test_override_that_is_not_there(place, capsys):
    line = fails(place, capsys, "--steps.superbias.override_superbias=none.fits")
    assert "none.fits" in line


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("--steps.jump.rejection_threshold=-1", "too small"),
        ("--steps.jmp.rejection_threshold=4", "no option"),
        ("--steps.jump.rejection_treshold=4", "did you mean --steps.jump.rejection_threshold"),
        ("--rejection_threshold=4", "did you mean --steps.jump.rejection_threshold"),
        ("--steps.ramp_fit.algorithm=MAGIC", "give one of"),
    ],
)
def test_wrong_option(place, capsys, word, text):
    assert text in fails(place, capsys, word, status=2)


@pytest.mark.parametrize("device", ["cuda", "tpu"])
def test_device_that_is_not_there(place, capsys, device):
    assert device in fails(place, capsys, f"--device={device}")


def test_output_folder_that_cannot_be_made(place, capsys, tmp_path):
    (tmp_path / "file").write_text("in the way")
    line = fails(place._replace(products=tmp_path / "file" / "out"), capsys)
    assert "out" in line


def command(place: Place, *more: str) -> list[str]:
    return [sys.executable, "-m", "jwgpu", *place.words(*more)]


def test_disk_full(place):
    """A limit on the size of a file stands in for a full disk."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    run = subprocess.run(command(place), capture_output=True, text=True, preexec_fn=limit)
    assert run.returncode == 1, run.stderr
    assert run.stderr.count("jwgpu: error:") == 1
    assert "Traceback" not in run.stderr
    assert place.leftovers() == []


def test_interrupt_leaves_nothing_half_written(place):
    process = subprocess.Popen(command(place, "-v"), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    # The first log line tells that the run has begun.
    process.stderr.readline()
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    status = process.wait(timeout=60)
    assert status in (0, 130)
    if status == 130:
        assert "jwgpu: error: interrupted" in rest
        assert "Traceback" not in rest
    assert not [name for name in place.leftovers() if not name.endswith(("rate.fits", "ints.fits"))]


def test_a_good_exposure_after_a_bad_one(place, capsys, tmp_path):
    bad = place.exposure.with_name("bad_uncal.fits")
    bad.write_text("not FITS")
    words = place.words()
    words[1] = str(place.exposure.parent)
    assert main(words) == 1
    error = capsys.readouterr().err
    assert "1 of 2 inputs failed" in error
    root = place.exposure.name.removesuffix("_uncal.fits")
    assert place.leftovers() == [f"{root}_rate.fits", f"{root}_rateints.fits"]
