"""One process of bench/stage1.py: run a step of one package on one input, and measure it.

    python bench/stage1_worker.py REQUEST.json

The request names package, alias, official class, parameters, input, references and folder; the
arrays of the result and ``measured.json`` go into the folder.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

#: Arrays of a result, by their attribute.
ARRAYS = (
    *("data", "groupdq", "pixeldq", "zeroframe"),
    *("dq", "err", "var_poisson", "var_rnoise", "var_flat"),
)


def reference_table(folder: Path) -> dict[str, str]:
    """Match reference files by their names: ``jwst_<instrument>_<reftype>_….fits``."""
    return {path.name.split("_")[2]: str(path) for path in sorted(folder.glob("jwst_*.*"))}


def prepare_ours(request: dict[str, Any]) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
    """Return how to make the input of our step, and how to run it."""
    from jwgpu.steps import registry

    pipeline_class = load(f"jwgpu.pipelines:{request['pipeline']}")
    pipeline = pipeline_class()
    is_in_pipeline = request["alias"] in pipeline.step_defs
    step: Any = None

    def fresh() -> Any:
        nonlocal step, pipeline
        pipeline = pipeline_class()  # so that references are read anew
        pipeline.references = request["references"]
        pipeline.threads = request["threads"]
        if is_in_pipeline:
            step = getattr(pipeline, request["alias"])
        else:
            step = registry.load(registry.find(request["alias"]))()
        configure(step, request)
        return step.open(request["input"]) if is_in_pipeline else opened(request["input"])

    def run(exposure: Any) -> Any:
        return pipeline.run_step(step, exposure) if is_in_pipeline else step.process(exposure)

    return fresh, run


def prepare_official(request: dict[str, Any]) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
    """Return how to make the input of the official step, and how to run it, as in a pipeline."""
    from offline import answering

    pipeline_class = load(f"jwst.pipeline:{request['pipeline']}")
    step_class = load(request["official"]) if request["official"] else None
    references = reference_table(Path(request["references"]))

    def fresh() -> Any:
        return opened(request["input"])

    def run(exposure: Any) -> Any:
        # With a parent, so that the step does not copy its input.
        parent = pipeline_class()
        step = step_class(parent=parent) if step_class else getattr(parent, request["alias"])
        configure(step, request)
        with answering(references):
            return step.run(exposure)

    return fresh, run


def load(target: str) -> Any:
    """Import ``module:Class``."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def opened(path: str) -> Any:
    """Open an official data model and read its arrays; the file's name ends in its class."""
    from stdatamodels.jwst import datamodels

    name = path.removesuffix(".fits").rpartition("_")[2]
    model = getattr(datamodels, name)(path)
    for name in ARRAYS:
        value = getattr(model, name, None)
        if isinstance(value, np.ndarray):
            # Into memory, native and writable, as an earlier step would have left it.
            setattr(model, name, np.array(value, dtype=value.dtype.newbyteorder("=")))
    return model


def configure(step: Any, request: dict[str, Any]) -> None:
    step.skip = False
    for name, value in request["parameters"].items():
        if not hasattr(step, name):
            raise AttributeError(f"{type(step).__name__} has no parameter {name!r}")
        setattr(step, name, value)


class Peak:
    """Growth of this process's resident memory within a context, in MB (Linux; else None)."""

    def __enter__(self) -> Peak:
        gc.collect()
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        self.growth: float | None = None
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
        self.before = self._status("VmRSS")
        return self

    def __exit__(self, *error: object) -> None:
        peak = self._status("VmHWM")
        if peak is not None and self.before is not None:
            self.growth = peak - self.before

    @staticmethod
    def _status(name: str) -> float | None:
        try:
            lines = Path("/proc/self/status").read_text().splitlines()
        except OSError:
            return None
        found = [line.split()[1] for line in lines if line.startswith(f"{name}:")]
        return int(found[0]) / 1024 if found else None


def main(file: str) -> None:
    request = json.loads(Path(file).read_text())
    prepare = prepare_ours if request["package"] == "jwgpu" else prepare_official
    fresh, run = prepare(request)
    seconds, memory, result = [], None, None
    for _ in range(request["runs"]):
        result = None
        exposure = fresh()
        with Peak() as peak:
            started = time.perf_counter()
            result = run(exposure)
            seconds.append(time.perf_counter() - started)
        memory = peak.growth
    folder = Path(request["folder"])
    results = list(result) if isinstance(result, (tuple, list)) else [result]
    for index, part in enumerate(results):
        for name in ARRAYS:
            value = getattr(part, name, None)
            if isinstance(value, np.ndarray):
                np.save(folder / f"{index}_{name}.npy", value)
    steps = results[0].meta.cal_step
    status = getattr(steps, request["alias"], None) or getattr(steps, request["status"], None)
    measured = {"seconds": min(seconds), "memory": memory, "status": status}
    (folder / "measured.json").write_text(json.dumps(measured))


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    main(sys.argv[1])
