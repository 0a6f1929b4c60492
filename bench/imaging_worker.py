"""One process of bench/imaging.py: a pipeline of one package on one input, timed step by step.

    python bench/imaging_worker.py jwst image3 mosaic_asn.json --references DIR --output-dir DIR

Ours is run as its command, the official one as a user of Python calls it. What each step takes goes
into ``measured.json`` in the output folder; ``NAME=VALUE`` sets a parameter, ``STEP.NAME=VALUE``
one of a step.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

CLASSES = {"image2": "Image2Pipeline", "image3": "Image3Pipeline"}


class Clock:
    """CPU and wall seconds of each step."""

    def __init__(self) -> None:
        self.steps: dict[str, list[float]] = {}
        self._running: dict[str, tuple[float, float]] = {}

    @contextmanager
    def timing(self, name: str) -> Iterator[None]:
        """Count what happens within to a step."""
        self.start_step(name)
        try:
            yield
        finally:
            self.finish_step(name, 0.0)

    # As an observer of our runs, and as their display.

    def current_step(self) -> None:
        """Tell log lines of no step."""

    def start_exposure(self, name: str, steps: Any) -> None:
        """Take note of nothing."""

    def finish_exposure(self, name: str) -> None:
        """Take note of nothing."""

    def start_step(self, name: str) -> None:
        """Begin a step."""
        self._running[name] = time.process_time(), time.perf_counter()

    def finish_step(self, name: str, seconds: float) -> None:
        """Add what a step took."""
        if name not in self._running:
            return
        cpu, wall = self._running.pop(name)
        taken = self.steps.setdefault(name, [0.0, 0.0])
        taken[0] += time.process_time() - cpu
        taken[1] += time.perf_counter() - wall


def run_ours(name: str, source: str, settings: argparse.Namespace, clock: Clock) -> None:
    """Run our command, with a clock in place of the progress display."""
    from jwgpu.cli import main as command
    from jwgpu.cli import progress
    from jwgpu.runner.progress import observed_by

    @contextmanager
    def shown(*_: Any) -> Iterator[Clock]:
        with observed_by(clock):
            yield clock

    progress.shown = shown
    words = [
        f"--{'steps.' if '.' in word.partition('=')[0] else ''}{word}" for word in settings.set
    ]
    where = ["--references", str(settings.references), "--output-dir", str(settings.output_dir)]
    status = command([name, source, *where, "--log-level", "warning", *words])
    if status:
        sys.exit(status)


def run_theirs(name: str, source: str, settings: argparse.Namespace, clock: Clock) -> None:
    """Run the official pipeline."""
    logging.disable(logging.INFO)
    from jwst import pipeline as official
    from offline import answering

    parameters, steps = sorted_out(settings.set)
    pipeline = getattr(official, CLASSES[name])()
    pipeline.output_dir, pipeline.save_results = str(settings.output_dir), True
    for key, value in parameters.items():
        setattr(pipeline, key, value)
    for alias, values in steps.items():
        for key, value in values.items():
            setattr(getattr(pipeline, alias), key, value)
    for alias in pipeline.step_defs:
        watch(getattr(pipeline, alias), alias, clock)
    found = sorted(settings.references.glob("jwst_*.*"))
    with answering({path.name.split("_")[2]: str(path) for path in found}):
        pipeline.run(source)


def watch(step: Any, alias: str, clock: Clock) -> None:
    """Time a step of the official pipeline each time that it runs."""
    usual = step.run

    def run(*arguments: Any) -> Any:
        with clock.timing(alias):
            return usual(*arguments)

    step.run = run


def sorted_out(words: list[str]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Sort ``NAME=VALUE`` into the parameters of the pipeline and those of its steps."""
    parameters: dict[str, Any] = {}
    steps: dict[str, dict[str, Any]] = {}
    for word in words:
        name, _, text = word.partition("=")
        try:
            value = json.loads(text.lower())
        except ValueError:
            value = text
        alias, dot, own = name.rpartition(".")
        if dot:
            steps.setdefault(alias, {})[own] = value
        else:
            parameters[name] = value
    return parameters, steps


def main() -> None:
    """Run one pipeline."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("package", choices=("jwgpu", "jwst"))
    parser.add_argument("pipeline", choices=CLASSES)
    parser.add_argument("source")
    parser.add_argument("--references", type=Path, required=True)
    parser.add_argument("--output-dir", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    settings = parser.parse_args()
    settings.output_dir.mkdir(parents=True, exist_ok=True)
    clock = Clock()
    run = run_ours if settings.package == "jwgpu" else run_theirs
    run(settings.pipeline, settings.source, settings, clock)
    (settings.output_dir / "measured.json").write_text(json.dumps(clock.steps, indent=1) + "\n")


if __name__ == "__main__":
    main()
