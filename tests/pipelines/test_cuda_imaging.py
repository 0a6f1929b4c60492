"""Imaging with ``--device cuda`` from file to product: the same as with ``--device cpu``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table
from dithered_fields import FIELDS, dithered
from image_exposures import CAMERAS, field_of
from test_cuda import assert_same_folders

from jwgpu.cli import main
from jwgpu.pipelines import Image2Pipeline
from jwgpu.steps.resample import ResampleStep

IMAGE2 = "pipelines.image2.Image2Pipeline._calibrate_once"

#: What image2 costs beside its arithmetic; change a number only with its reason.
EXPECTED = {
    "sent": {
        IMAGE2: 5,  # values, flags, error, and two variances
        "references.collection.References.load": 4,  # flat, its error and flags; area
        "wcs.pixel_map._tabulated": 3,  # the series of the map, and its functions
    },
    "fetched": {
        # the mosaic: values, error, weight, context, three variances
        "steps.base.CalibrationStep._attempt": 7,
        IMAGE2: 7,  # the calibrated image: what was sent, the variance by the flat, the area
    },
    # how many entries are there, of pixels and the tiles they fall on?
    "scalars": {"kernels.drizzle.cuda._by_tile": 1},
    "launches": {
        "evaluate": 1,  # the map of the pixels
        "place_quadrangles": 1,  # drizzle
        "list_tiles": 1,
        "add_pixels": 1,
        "finish": 1,
    },
}

OPTIONS: dict[str, list[str]] = {
    "defaults": [],
    "time as weight": ["weight_type=exptime", "pixfrac=0.7", "pixel_scale_ratio=0.6"],
    "another kernel": ["kernel=turbo", "rotation=20", "enable_ctx=false"],
    "all flags": ["propagate_dq=true", "report_var=false"],
    "splines": ["pixmap_stepsize=10", "pixmap_order=3"],
    "no errors": ["enable_err=false", "fillval=indef"],
}


def run(
    command: str,
    source: Path,
    references: str,
    folder: Path,
    *options: str,
    devices: tuple[str, ...] = ("cpu", "cuda"),
) -> None:
    """Run a command line on the cpu and on the device, each into a folder of its own."""
    for device in devices:
        where = ["--references", references, "--output-dir", str(folder / device)]
        assert main([command, str(source), *where, "--device", device, *options]) == 0


@pytest.mark.parametrize("option", OPTIONS)
def test_image2(cuda: Any, tmp_path: Path, option: str) -> None:
    field = field_of(*CAMERAS[0])
    options = [f"--steps.resample.{parameter}" for parameter in OPTIONS[option]]
    run("image2", field.rate, field.folder, tmp_path, *options)
    assert_same_folders(tmp_path / "cuda", tmp_path / "cpu")


@pytest.fixture
def counts(cuda: Any) -> Any:
    """Count what is sent, fetched, waited for and launched."""
    if "fakecupy" not in cuda.xp.__name__:
        pytest.skip("counted by what stands in for a GPU")
    cuda.xp.counts.reset()
    return cuda.xp.counts


def test_nothing_travels_waits_or_runs_but_what_must(tmp_path: Path, counts: Any) -> None:
    field = field_of(*CAMERAS[0])
    run("image2", field.rate, field.folder, tmp_path, devices=("cuda",))
    found = {kind: counts.of(kind) for kind in EXPECTED}
    assert found == EXPECTED


#: What `look` was given.
seen: list[Any] = []


def look(model: Any) -> Any:
    """Note what a hook gets: stpipe calls it by its name."""
    seen.append(model.data)
    return model


def test_a_hook_gets_a_model_with_its_arrays(cuda: Any, tmp_path: Path) -> None:
    field = field_of(*CAMERAS[0])
    seen.clear()
    Image2Pipeline.call(
        str(field.rate),
        references=field.folder,
        output_dir=str(tmp_path),
        save_results=True,
        device="cuda",
        steps={"resample": {"pre_hooks": [f"{__name__}.look"]}},
    )
    (data,) = seen
    assert isinstance(data, np.ndarray) and np.isfinite(data).any()
    assert len(list(tmp_path.glob("*_i2d.fits"))) == 1


@pytest.mark.parametrize(("single", "in_memory"), [(False, True), (True, False)])
def test_several_images(
    cuda: Any, tmp_path: Path, counts: Any, single: bool, in_memory: bool
) -> None:
    field = dithered(*FIELDS[0])
    options = [f"--in_memory={in_memory}", f"--single={single}", "--propagate_dq=true"]
    run("resample", field.association, field.folder, tmp_path, *options)
    assert_same_folders(tmp_path / "cuda", tmp_path / "cpu")
    assert counts.of("launches")["add_pixels"] == len(field.images)


def test_image3(cuda: Any, tmp_path: Path) -> None:
    field = dithered(*FIELDS[0])
    run("image3", field.association, field.folder, tmp_path)
    assert_same_folders(tmp_path / "cuda", tmp_path / "cpu")
    ours, theirs = (Table.read(tmp_path / device / "mosaic_cat.ecsv") for device in ("cuda", "cpu"))
    assert len(ours) > 10
    for name in set(theirs.colnames) - {"sky_centroid", "sky_bbox_ll", "sky_bbox_ul"}:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


def test_too_little_memory_is_the_cpu_s_part(cuda: Any, caplog: Any, monkeypatch: Any) -> None:
    field = dithered(*FIELDS[0])
    want = ResampleStep(device="cpu").run(str(field.association))

    def full(*_: Any) -> None:
        raise cuda.out_of_memory[0]("no room")

    monkeypatch.setattr("jwgpu.kernels.drizzle.cuda.drizzle", full)
    found = ResampleStep(device="cuda").run(str(field.association))
    np.testing.assert_array_equal(found.data, want.data)
    assert "has too little memory (no room): calibrating on the cpu" in caplog.text
