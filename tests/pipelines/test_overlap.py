"""Several exposures on a GPU: what is read and written meanwhile, and that nothing gets lost."""

from __future__ import annotations

import threading
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits
from test_cuda import assert_same_folders

from jwgpu.cli import main
from jwgpu.errors import InputError
from jwgpu.kernels.compiled import set_threads
from jwgpu.models import behind, reading, writing
from jwgpu.pipelines import DarkPipeline
from jwgpu.pipelines.ramps import RampPipeline
from jwgpu.runner import memory
from jwgpu.simulate import make_dataset


@pytest.fixture(scope="module")
def exposures(tmp_path_factory) -> list[Path]:
    """Return three exposures that use the same references."""
    folder = tmp_path_factory.mktemp("overlap")
    settings = {"instrument": "NIRCAM", "window": (1, 1, 64, 32), "ngroups": 4}
    first = make_dataset(folder, seed=5, **settings).exposure
    others = [first.with_name(first.name.replace("02101", f"0210{k}")) for k in (2, 3)]
    for path in others:
        path.write_bytes(first.read_bytes())
    return [first, *others]


def run(exposures: list[Path], folder: Path, *options: str, command: str = "calwebb_dark") -> int:
    references = str(exposures[0].parent / "references")
    words = [command, *map(str, exposures), "--references", references]
    return main([*words, "--output-dir", str(folder), *options])


@pytest.fixture
def threads_of(monkeypatch) -> dict[str, list[tuple[str, str]]]:
    """Note which thread reads and writes what."""
    found: dict[str, list[tuple[str, str]]] = {"read": [], "write": []}

    def note(module: Any, name: str, kind: str, place: int) -> None:
        usual = getattr(module, name)

        def noted(*arguments: Any, **keywords: Any) -> Any:
            thread = threading.current_thread()
            who = "main" if thread is threading.main_thread() else "other"
            found[kind].append((Path(arguments[place]).name.split("_")[1], who))
            return usual(*arguments, **keywords)

        monkeypatch.setattr(module, name, noted)

    note(reading, "_read_arrays", "read", 0)
    note(writing, "save_product", "write", 1)
    return found


def test_the_next_is_read_and_the_last_is_written_meanwhile(cuda, exposures, tmp_path, threads_of):
    assert run(exposures, tmp_path / "cpu", "--device=cpu") == 0
    # At the start, the first one is read while libraries are imported.
    assert [who for _, who in threads_of["read"]] == ["other", "main", "main"]
    assert {who for _, who in threads_of["write"]} == {"main"}
    for found in threads_of.values():
        found.clear()
    assert run(exposures, tmp_path / "cuda", "--device=cuda") == 0
    assert (
        sorted(threads_of["read"])
        == [(name, "other") for name in ("02101001001", "02102001001", "02103001001")]
        or len(threads_of["read"]) == 3
    )
    assert {who for _, who in threads_of["read"]} == {"other"}
    assert [who for _, who in threads_of["write"]] == ["other"] * 3
    assert_same_folders(tmp_path / "cuda", tmp_path / "cpu")


def test_all_products_of_detector1_are_the_same(cuda, exposures, tmp_path):
    options = ("--save_calibrated_ramp=true",)
    assert run(exposures, tmp_path / "cpu", "--device=cpu", *options, command="detector1") == 0
    assert run(exposures, tmp_path / "cuda", "--device=cuda", *options, command="detector1") == 0
    assert len(list((tmp_path / "cuda").glob("*.fits"))) == 9
    assert_same_folders(tmp_path / "cuda", tmp_path / "cpu")


def test_without_ample_room_nothing_is_read_ahead(
    cuda, exposures, tmp_path, threads_of, monkeypatch
):
    monkeypatch.setattr(memory, "AMPLE", 1 << 40)
    assert run(exposures, tmp_path, "--device=cuda") == 0
    assert [who for _, who in threads_of["read"]].count("other") == 1


def test_what_was_read_ahead_goes_with_its_exposure(cuda, exposures, tmp_path, monkeypatch):
    kept: list[list[str]] = []

    def process(pipeline: Any, source: Any) -> Any:
        kept.append(sorted(Path(name).name for name in reading._ahead))
        raise InputError("fails before it is read")

    monkeypatch.setattr(RampPipeline, "process", process)
    assert run(exposures, tmp_path, "--device=cuda") == 1
    names = [path.name for path in exposures]
    assert kept == [names[:2], names[1:], names[2:]]


def test_with_a_limit_of_memory_nothing_is_read_ahead(
    cuda, exposures, tmp_path, threads_of, monkeypatch
):
    monkeypatch.setattr(memory, "PROCESS", 0)
    assert run(exposures, tmp_path, "--device=cuda", "--max-memory=1MB") == 0
    assert [who for _, who in threads_of["read"]].count("other") == 0


def test_blocks_do_without_what_was_read_ahead(cuda, exposures, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr(memory, "PROCESS", 0)
    pipeline = DarkPipeline(
        device="cuda",
        references=str(exposures[0].parent / "references"),
        output_dir=str(tmp_path),
        max_memory="250KB",
    )
    reading.read_ahead(exposures[0])
    pipeline.run(str(exposures[0]))
    assert "calibrating in blocks" in caplog.text
    assert "too little" not in caplog.text
    assert not reading._ahead


def test_the_next_is_read_with_the_threads_that_are_asked_for(
    cuda, exposures, tmp_path, monkeypatch
):
    asked: list[int] = []
    usual = reading.read_ahead

    def read_ahead(path: Path, device: Any, threads: int = 1) -> None:
        asked.append(threads)
        usual(path, device, threads)

    monkeypatch.setattr(reading, "read_ahead", read_ahead)
    set_threads(0)
    assert run(exposures, tmp_path, "--device=cuda", "--threads=3") == 0
    assert asked == [1, 3, 3]


def test_a_product_that_cannot_be_written_is_told_by_its_exposure(
    cuda, exposures, tmp_path, capsys
):
    blocked = exposures[0].name.replace("_uncal", "_darkpipeline")
    (tmp_path / blocked / "in the way").mkdir(parents=True)
    assert run(exposures, tmp_path, "--device=cuda") == 1
    assert len(list(tmp_path.glob("*_darkpipeline.fits"))) == 3
    printed = capsys.readouterr().err
    assert f"{blocked}: cannot be written" in printed
    assert "1 of 3" in printed


def test_an_interrupt_leaves_whole_products(cuda, exposures, tmp_path, monkeypatch, capsys):
    usual_process, usual_save = RampPipeline.process, writing.save_product
    has_begun = threading.Event()

    def process(pipeline: Any, source: Any) -> Any:
        if Path(source).name == exposures[1].name:
            assert has_begun.wait(60)
            raise KeyboardInterrupt
        return usual_process(pipeline, source)

    def save(*arguments: Any) -> str:
        has_begun.set()
        time.sleep(0.3)
        return usual_save(*arguments)

    monkeypatch.setattr(RampPipeline, "process", process)
    monkeypatch.setattr(writing, "save_product", save)
    assert run(exposures, tmp_path, "--device=cuda") == 130
    assert "interrupted: nothing half-written" in capsys.readouterr().err
    (product,) = tmp_path.iterdir()
    with fits.open(product) as file:
        file.verify("exception")
    assert not reading._ahead


def test_a_file_that_cannot_be_read_fails_alone(cuda, exposures, tmp_path, capsys):
    broken = exposures[1].with_name("jw_broken_uncal.fits")
    broken.write_bytes(b"no FITS file")
    try:
        assert run([exposures[0], broken, exposures[2]], tmp_path, "--device=cuda") == 1
    finally:
        broken.unlink()
    assert len(list(tmp_path.glob("*.fits"))) == 2
    assert "jw_broken_uncal.fits: its metadata cannot be read" in capsys.readouterr().err


def test_references_are_sent_once(cuda, exposures, tmp_path):
    counts = getattr(cuda.xp, "counts", None)
    if counts is None:
        pytest.skip("only the stand-in counts")
    sent = []
    for files in (exposures[:1], exposures):
        counts.reset()
        assert run(files, tmp_path / str(len(files)), "--device=cuda") == 0
        sent.append(counts.of("sent")["references.collection.References.load"])
    assert sent[0] == sent[1]


def test_the_writer_keeps_the_order_and_names_what_failed():
    writer, done = behind.Writer(), []
    with behind.writing(writer):
        assert behind.current() is writer
        writer.file = "one"
        writer.do(done.append, 1)
        writer.do(int, "x")
        assert writer.failures() == []
        writer.file = "two"
        writer.do(done.append, 2)
        ((file, error),) = writer.failures()
    assert (file, type(error)) == ("one", ValueError)
    assert writer.close() == []
    assert done == [1, 2]
    assert behind.current() is None


def test_warnings_are_shown_as_before():
    """Two threads that hide some for a while undo each other's changes in any order."""
    before = warnings.filters
    shown = list(before)
    writer = behind.Writer()
    hidden, go_on = threading.Event(), threading.Event()

    def hide_for_a_while() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            hidden.set()
            go_on.wait(10)

    with behind.writing(writer):
        with warnings.catch_warnings():
            writer.do(hide_for_a_while)
            hidden.wait(10)
        go_on.set()
        assert writer.close() == []
    assert warnings.filters is before
    assert warnings.filters == shown
