"""Fixtures that every test may ask for."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from devices import DEVICES, GPUS, open_device

import jwgpu

# The same examples in each run, so that a run that passed passes again. To look for new ones:
# HYPOTHESIS_PROFILE=search make test
hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True)
hypothesis.settings.register_profile("search", deadline=None, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def pytest_configure() -> None:
    """Forget compiled kernels that are older than the sources that they were made of.

    Numba looks at the file of a function alone, not at those of the functions that it calls.
    """
    kernels = Path(jwgpu.__file__).parent / "kernels"
    newest = max(source.stat().st_mtime for source in kernels.rglob("*.py"))
    for index in kernels.rglob("*.nbi"):
        if index.stat().st_mtime < newest:
            index.unlink(missing_ok=True)


def pytest_collection_finish() -> None:
    """Leave what was imported out of garbage collection, which stpipe asks for in each step."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that run on a GPU: ``-m gpu``, and the others ``-m "not gpu"``."""
    for item in items:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        if "cuda" in (parameters.get("gpu"), parameters.get("device")):
            item.add_marker("gpu")


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> Any:
    """Every device in turn: ``device.send(array)``, ``device.fetch(array)``, ``device.xp``."""
    return open_device(request.param)


@pytest.fixture(params=GPUS)
def gpu(request: pytest.FixtureRequest) -> Any:
    """A device that runs CUDA kernels: on the CPU, under every check; and on a GPU, if any."""
    return open_device(request.param)


@pytest.fixture
def cuda(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A device that whole runs find under the name ``cuda``: the emulated one, and a GPU, if any.

    The emulated one checks kernels once, not in several orders: that is for their own tests.
    """
    from jwgpu.backends import cuda

    if "fakecupy" not in gpu.xp.__name__:
        yield gpu
        return
    from cudasim.fakecupy.modules import settings

    monkeypatch.setattr(cuda, "load_cupy", lambda: gpu.xp)
    monkeypatch.setattr(settings, "reorders", False)
    cuda.open_cuda.cache_clear()
    gpu.xp.counts.reset()
    yield cuda.open_cuda(0)
    cuda.open_cuda.cache_clear()
