"""Fixtures that every test may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from jwgpu.backends import get_device

#: Devices that a test of numbers runs on; more are added here as they come.
DEVICES = ["cpu"]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Every device in turn: ``device.send(array)``, ``device.fetch(array)``, ``device.xp``."""
    yield get_device(request.param)
