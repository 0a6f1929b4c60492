from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import toy_pipeline as toy

from jwgpu.cli import main, messages
from jwgpu.references import crds_source
from jwgpu.steps import registry


class Outcome(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def jwgpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Outcome]:
    """The command in a folder of its own, with a toy as its only pipeline."""
    pipeline = registry.Entry(
        "toy1", f"{toy.__name__}:ToyPipeline", "toy pipeline", True, "calwebb_toy1"
    )
    step = registry.Entry("toy", f"{toy.__name__}:ToyStep", "toy step")
    monkeypatch.setattr(registry, "PIPELINES", (pipeline,))
    monkeypatch.setattr(registry, "ENTRIES", (pipeline, step))
    monkeypatch.setattr(messages, "debugging", False)
    # No test of the command line asks CRDS; the toy answers in its place.
    monkeypatch.setattr(crds_source, "context_in_use", lambda offline=False: "jwst_0000.pmap")
    monkeypatch.delenv("STPIPE_DISABLE_CRDS_STEPPARS", raising=False)
    monkeypatch.chdir(tmp_path)
    toy.ToyPipeline.seen.clear()

    def call(*words: str) -> Outcome:
        status = main(words)
        return Outcome(status, *capsys.readouterr())

    return call


@pytest.fixture
def exposure(tmp_path: Path) -> Callable[[str, str], str]:
    """Write what the toy takes for an exposure; the text decides what the toy does with it."""

    def write(name: str, text: str = "good") -> str:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
        return name

    return write
