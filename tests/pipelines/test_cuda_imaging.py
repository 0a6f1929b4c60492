"""Imaging with ``--device cuda`` from file to product: the same as with ``--device cpu``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dithered_fields import FIELDS, dithered
from image_exposures import CAMERAS, field_of
from test_cuda import assert_same_folders

from jwgpu.cli import main
from jwgpu.steps.resample import ResampleStep

#: Kernels that resampling on a device runs, one after the other.
RESAMPLING = ["evaluate", "place_quadrangles", "list_tiles", "add_pixels", "finish"]

OPTIONS: dict[str, list[str]] = {
    "defaults": [],
    "time as weight": ["weight_type=exptime", "pixfrac=0.7", "pixel_scale_ratio=0.6"],
    "another kernel": ["kernel=turbo", "rotation=20", "enable_ctx=false"],
    "all flags": ["propagate_dq=true", "report_var=false"],
    "splines": ["pixmap_stepsize=10", "pixmap_order=3"],
    "no errors": ["enable_err=false", "fillval=indef"],
}


def run(command: str, source: Path, references: str, folder: Path, *options: str) -> None:
    """Run a command line on the cpu and on the device, each into a folder of its own."""
    for device in ("cpu", "cuda"):
        where = ["--references", references, "--output-dir", str(folder / device)]
        assert main([command, str(source), *where, "--device", device, *options]) == 0


@pytest.mark.parametrize("option", OPTIONS)
def test_image2(cuda: Any, tmp_path: Path, option: str) -> None:
    field = field_of(*CAMERAS[0])
    options = [f"--steps.resample.{parameter}" for parameter in OPTIONS[option]]
    run("image2", field.rate, field.folder, tmp_path, *options)
    assert_same_folders(tmp_path / "cuda", tmp_path / "cpu")


@pytest.fixture
def launches(cuda: Any) -> Any:
    """How often kernels were launched since the test began."""
    if "fakecupy" not in cuda.xp.__name__:
        pytest.skip("launches are counted by what stands in for a GPU")
    places = cuda.xp.counts.places
    before = dict(places)
    return lambda name: places["launches", name] - before.get(("launches", name), 0)


def test_resampling_runs_on_the_device(cuda: Any, tmp_path: Path, launches: Any) -> None:
    field = field_of(*CAMERAS[0])
    run("image2", field.rate, field.folder, tmp_path)
    assert [launches(name) for name in RESAMPLING] == [1] * 5


@pytest.mark.parametrize(("single", "in_memory"), [(False, True), (True, False)])
def test_several_images(
    cuda: Any, tmp_path: Path, launches: Any, single: bool, in_memory: bool
) -> None:
    field = dithered(*FIELDS[0])
    options = [f"--in_memory={in_memory}", f"--single={single}", "--propagate_dq=true"]
    run("resample", field.association, field.folder, tmp_path, *options)
    assert_same_folders(tmp_path / "cuda", tmp_path / "cpu")
    assert launches("add_pixels") == len(field.images)


def test_too_little_memory_is_the_cpu_s_part(cuda: Any, caplog: Any, monkeypatch: Any) -> None:
    field = dithered(*FIELDS[0])
    want = ResampleStep(device="cpu").run(str(field.association))

    def full(*_: Any) -> None:
        raise cuda.out_of_memory[0]("no room")

    monkeypatch.setattr("jwgpu.kernels.drizzle.cuda.drizzle", full)
    found = ResampleStep(device="cuda").run(str(field.association))
    np.testing.assert_array_equal(found.data, want.data)
    assert "has too little memory (no room): calibrating on the cpu" in caplog.text
