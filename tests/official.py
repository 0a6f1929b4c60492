"""The fixture `official`: the official ``jwst`` package, to compare its results with ours.

It works offline (see ``offline.py``) and remembers what it has run::

    pytest_plugins = ("official",)          # once, in the test module or in conftest.py

    def test_something(official):
        data = official.dataset(instrument="NIRCAM", window=(1, 1, 128, 64), ngroups=5)
        theirs = official.detector1(data.exposure, data.references)
        theirs.rate, theirs.rateints        # paths of FITS files
        ramp = official.step("dq_init", data.exposure, data.references)
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from offline import Parameters, Products, References, official_detector1, official_step

from jwgpu.simulate import Dataset, make_dataset

__all__ = ["Official", "official", "official_detector1", "official_step"]


class Official:
    """The official package, with a memory of what it has run in this session."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._datasets: dict[str, Dataset] = {}
        self._products: dict[str, Products] = {}

    def dataset(
        self, *, reference_options: dict[str, Any] | None = None, **settings: Any
    ) -> Dataset:
        """Simulate a data set, or return the one simulated before with the same settings."""
        key = json.dumps([reference_options, settings], sort_keys=True, default=str)
        if key not in self._datasets:
            folder = self.folder / f"data{len(self._datasets)}"
            self._datasets[key] = make_dataset(
                folder, reference_options=reference_options, **settings
            )
        return self._datasets[key]

    def detector1(
        self,
        exposure: str | Path,
        references: References,
        steps: Parameters | None = None,
        **parameters: Any,
    ) -> Products:
        """Run the first pipeline, or return what it wrote before from the same input."""
        key = json.dumps(
            [str(exposure), os.stat(exposure).st_mtime_ns, references, steps, parameters],
            sort_keys=True,
            default=str,
        )
        if key not in self._products:
            folder = self.folder / f"official{len(self._products)}"
            self._products[key] = official_detector1(
                exposure, references, folder, steps, **parameters
            )
        return self._products[key]

    def step(self, alias: str, exposure: Any, references: References, **parameters: Any) -> Any:
        """Run one step; its result is not remembered, for the caller may change it."""
        return official_step(alias, exposure, references, **parameters)


@pytest.fixture(scope="session")
def official(tmp_path_factory: pytest.TempPathFactory) -> Official:
    """Return the official package, ready to run offline, for the whole session."""
    return Official(tmp_path_factory.mktemp("official"))
