"""Fixtures that every test may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import jwgpu
from jwgpu.backends import get_device

#: Devices that a test of numbers runs on; more are added here as they come.
DEVICES = ["cpu"]


def pytest_configure() -> None:
    """Forget compiled kernels that are older than the sources that they were made of.

    Numba looks at the file of a function alone, not at those of the functions that it calls.
    """
    kernels = Path(jwgpu.__file__).parent / "kernels"
    newest = max(source.stat().st_mtime for source in kernels.rglob("*.py"))
    for index in kernels.rglob("*.nbi"):
        if index.stat().st_mtime < newest:
            index.unlink(missing_ok=True)


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Every device in turn: ``device.send(array)``, ``device.fetch(array)``, ``device.xp``."""
    yield get_device(request.param)
