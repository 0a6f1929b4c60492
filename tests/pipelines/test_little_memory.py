"""A card that is too small for an exposure: blocks, smaller blocks, then the CPU; same products."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from jwgpu.backends.cuda import CudaDevice
from jwgpu.cli import main
from jwgpu.pipelines import Detector1Pipeline
from jwgpu.runner import memory, parts, session
from jwgpu.simulate import make_dataset

pytestmark = pytest.mark.usefixtures("cuda")


@pytest.fixture(scope="module")
def exposure(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("little")
    settings = {"instrument": "NIRCAM", "window": (1, 1, 64, 48), "ngroups": 6, "nints": 4}
    return make_dataset(folder, seed=3, **settings).exposure


@pytest.fixture(scope="module")
def whole(exposure, tmp_path_factory) -> Path:
    """Return the products of the CPU in one piece."""
    return calibrate(exposure, tmp_path_factory.mktemp("whole"), "--device=cpu")


@pytest.fixture
def cut(monkeypatch) -> list[list[range]]:
    """Return the blocks that are made."""
    made: list[list[range]] = []
    usual = parts.windows_of

    def windows(*arguments: Any) -> list[range]:
        made.append(usual(*arguments))
        return made[-1]

    monkeypatch.setattr(parts, "windows_of", windows)
    return made


def calibrate(exposure: Path, folder: Path, *options: str, command: str = "detector1") -> Path:
    references = str(exposure.parent / "references")
    words = [command, str(exposure), "--references", references, "--output-dir", str(folder)]
    assert main([*words, *options]) == 0
    return folder


def assert_same(ours: Path, theirs: Path) -> None:
    from test_cuda import assert_same_folders

    assert_same_folders(ours, theirs)


def with_room(monkeypatch: pytest.MonkeyPatch, n_bytes: int) -> None:
    """Have the card say that it has so much memory."""
    monkeypatch.setattr(CudaDevice, "free_memory", lambda self: n_bytes)


def needed() -> int:
    return memory.Size((4, 6, 48, 64)).in_one_piece(0)


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno == logging.WARNING]


def test_what_fits_is_not_cut(exposure, whole, cut, tmp_path, caplog):
    assert_same(calibrate(exposure, tmp_path, "--device=cuda"), whole)
    assert not cut
    assert not [message for message in warnings_in(caplog) if "memory" in message]


@pytest.mark.parametrize("share", [0.8, 1.1])
def test_what_does_not_fit_is_cut(exposure, whole, cut, tmp_path, monkeypatch, share):
    with_room(monkeypatch, int(share * needed() / session._SHARE))
    assert_same(calibrate(exposure, tmp_path, "--device=cuda"), whole)
    assert max(map(len, cut)) > 1


def test_max_memory_holds_on_a_card_too(exposure, whole, cut, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "PROCESS", 0)
    option = f"--max-memory={int(0.9 * needed())}"
    assert_same(calibrate(exposure, tmp_path, "--device=cuda", option), whole)
    assert max(map(len, cut)) > 1


class Full:
    """A kernel that has no room as long as it gets a whole exposure, or more than some of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, gpu: Any, largest: int) -> None:
        from jwgpu.kernels.linearity import cuda as body

        self.refused = 0
        usual = body.straighten

        def straighten(data: Any, *arguments: Any) -> Any:
            if data.shape[0] > largest:
                self.refused += 1
                raise gpu.out_of_memory[0](f"Out of memory allocating {data.nbytes:,} bytes")
            return usual(data, *arguments)

        monkeypatch.setattr(body, "straighten", straighten)


@pytest.mark.parametrize(("largest", "refused"), [(1, 1), (0, 3)])
def test_out_of_memory_makes_smaller_blocks_and_then_takes_the_cpu(
    cuda, exposure, whole, cut, tmp_path, monkeypatch, capsys, largest, refused
):
    full = Full(monkeypatch, cuda, largest)
    monkeypatch.setattr(memory, "AMPLE", 0)
    assert_same(calibrate(exposure, tmp_path, "--device=cuda"), whole)
    assert full.refused == refused
    printed = capsys.readouterr().err
    assert printed.count("trying again in smaller blocks") == min(refused, 2)
    assert printed.count("calibrating on the cpu") == (refused == 3)
    assert "cuda has too little memory (Out of memory allocating" in printed


def test_a_model_is_calibrated_by_the_cpu_where_it_does_not_fit(
    cuda, exposure, monkeypatch, tmp_path, caplog
):
    from stdatamodels.jwst import datamodels

    options = {
        "references": str(exposure.parent / "references"),
        "output_dir": str(tmp_path),
    }
    with datamodels.open(exposure) as model:
        samples = model.data.copy()
        want = Detector1Pipeline.call(model, device="cpu", **options)
        full = Full(monkeypatch, cuda, 0)
        found = Detector1Pipeline.call(model, device="cuda", **options)
        np.testing.assert_array_equal(model.data, samples)
    np.testing.assert_array_equal(found.data, want.data)
    assert found.meta.cal_step.linearity == "COMPLETE"
    # A model is in memory already: it is never cut.
    assert full.refused == 2
    assert "smaller blocks" not in caplog.text


def test_a_step_by_itself_goes_on_as_well(cuda, exposure, tmp_path, monkeypatch, capsys):
    theirs = calibrate(exposure, tmp_path / "cpu", "--device=cpu", command="linearity")
    Full(monkeypatch, cuda, 0)
    ours = calibrate(exposure, tmp_path / "cuda", "--device=cuda", command="linearity")
    assert_same(ours, theirs)
    assert "calibrating on the cpu" in capsys.readouterr().err


def test_the_next_exposure_begins_on_the_card_again(cuda, exposure, tmp_path, monkeypatch):
    full = Full(monkeypatch, cuda, 0)
    pipeline = Detector1Pipeline(
        device="cuda",
        references=str(exposure.parent / "references"),
        output_dir=str(tmp_path),
    )
    for _ in range(2):
        pipeline.run(str(exposure))
    assert full.refused == 6
    assert pipeline.session.device.name == "cuda"


def test_nothing_is_left_on_the_card(cuda, exposure, tmp_path, monkeypatch):
    pool = cuda.xp.get_default_memory_pool()
    Full(monkeypatch, cuda, 0)
    before = pool.used_bytes()
    calibrate(exposure, tmp_path, "--device=cuda")
    assert pool.used_bytes() <= before


def test_errors_of_another_kind_are_not_tried_again(cuda, exposure, tmp_path, monkeypatch, capsys):
    from jwgpu.kernels.linearity import cuda as body

    calls = []

    def broken(*arguments: Any) -> None:
        calls.append(arguments)
        raise MemoryError("of the host")

    monkeypatch.setattr(body, "straighten", broken)
    references = str(exposure.parent / "references")
    words = [str(exposure), "--references", references, "--output-dir", str(tmp_path)]
    assert main(["detector1", *words, "--device=cuda"]) == 1
    assert len(calls) == 1
    assert "cpu" not in capsys.readouterr().err


def test_a_limit_of_the_host_is_not_called_the_cards(cuda, caplog):
    """--max-memory may be what is too little."""
    from jwgpu.errors import TooLittleMemoryError
    from jwgpu.runner.session import Session

    session = Session(cuda, SimpleNamespace(forget=lambda: None))
    tried = []

    def attempt() -> str:
        tried.append(session.device.name)
        if len(tried) == 1:
            raise TooLittleMemoryError("a_uncal.fits: max_memory=500MB is too little")
        return "done"

    assert session.where_there_is_room(attempt) == "done"
    assert tried == [cuda.name, "cpu"]
    assert "cannot take it (a_uncal.fits: max_memory=500MB is too little)" in caplog.text
    assert "has too little memory" not in caplog.text
