"""``--device cuda`` from file to product: the same as ``--device cpu``.

Where there is no GPU, arrays and kernels are those that stand in for one; they refuse what a GPU
would refuse.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from products import MADE_BY

from jwgpu.cli import main
from jwgpu.pipelines import Detector1Pipeline
from jwgpu.simulate import make_dataset
from jwgpu.simulate.guider import MODES, make_guider_dataset
from jwgpu.steps.jump import JumpStep

EXPOSURES: dict[str, dict[str, Any]] = {
    "nircam": {"instrument": "NIRCAM", "window": (1, 1, 128, 64), "ngroups": 5, "nints": 2},
    "nircam-stripes": {
        "instrument": "NIRCAM",
        "detector": "NRCALONG",
        "subarray": "SUBGRISM64",
        "ngroups": 3,
    },
    "nircam-one-group": {
        "instrument": "NIRCAM",
        "window": (1, 1, 64, 32),
        "ngroups": 1,
        "nints": 2,
    },
    "niriss": {"instrument": "NIRISS", "subarray": "SUB80", "ngroups": 4, "nints": 2},
    "nirspec-averaged": {
        "instrument": "NIRSPEC",
        "window": (1, 1, 128, 64),
        "readpatt": "NRS",
        "ngroups": 4,
    },
    "miri": {"instrument": "MIRI", "subarray": "SUB64", "ngroups": 8, "nints": 2},
    "miri-emi": {"instrument": "MIRI", "subarray": "MASK1550", "ngroups": 8},
}


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """Simulate each exposure once."""
    made: dict[str, Any] = {}

    def dataset(name: str) -> Any:
        if name not in made:
            made[name] = make_dataset(tmp_path_factory.mktemp(name), seed=12, **EXPOSURES[name])
        return made[name]

    return dataset


def calibrate(command: str, exposure: Path, folder: Path, device: str, *options: str) -> Path:
    """Run the command line, and return the folder of its products."""
    references = ["--references", str(exposure.parent / "references")]
    words = [command, str(exposure), *references, "--output-dir", str(folder), "--device", device]
    assert main([*words, *options]) == 0
    return folder


def assert_same_folders(ours: Path, theirs: Path) -> None:
    names = sorted(path.name for path in theirs.glob("*.fits"))
    assert names
    assert sorted(path.name for path in ours.glob("*.fits")) == names
    for name in names:
        assert_identical(ours / name, theirs / name)


def assert_identical(ours: Path, theirs: Path) -> None:
    """Compare two products bit for bit, but for when they were made."""
    with fits.open(ours) as our_file, fits.open(theirs) as their_file:
        assert [hdu.name for hdu in our_file] == [hdu.name for hdu in their_file]
        for our, their in zip(our_file, their_file, strict=True):
            if our.name == "ASDF":
                continue
            assert facts(our.header) == facts(their.header), our.name
            if our.data is None:
                continue
            assert our.data.dtype == their.data.dtype
            columns = set(our.data.dtype.names or ())
            if not columns & MADE_BY:
                np.testing.assert_array_equal(our.data, their.data, err_msg=our.name)
                continue
            for name in columns - MADE_BY:
                np.testing.assert_array_equal(our.data[name], their.data[name], err_msg=name)


def facts(header: Any) -> dict[str, Any]:
    return {key: value for key, value in header.items() if key not in MADE_BY}


@pytest.mark.parametrize("name", EXPOSURES)
def test_detector1(cuda, datasets, tmp_path, name):
    data = datasets(name)
    theirs = calibrate("detector1", data.exposure, tmp_path / "cpu", "cpu")
    ours = calibrate("detector1", data.exposure, tmp_path / "cuda", "cuda")
    assert_same_folders(ours, theirs)


#: Options that reach other kernels than the defaults.
OPTIONS: dict[str, tuple[str, list[str]]] = {
    "likelihood": ("nircam", ["ramp_fit.algorithm=LIKELY"]),
    "segments": ("nircam", ["ramp_fit.save_opt=true"]),
    "snowballs": ("nircam", ["jump.expand_large_events=true"]),
    "showers": ("miri", ["jump.find_showers=true"]),
    "after jumps": (
        "nircam",
        ["jump.after_jump_flag_dn1=10", "jump.after_jump_flag_time1=20"],
    ),
    "flicker noise": (
        "nircam",
        [
            "clean_flicker_noise.skip=false",
            "clean_flicker_noise.fit_by_channel=true",
            "clean_flicker_noise.save_mask=true",
            "clean_flicker_noise.save_background=true",
            "clean_flicker_noise.save_noise=true",
        ],
    ),
    "charge migration": (
        "niriss",
        ["charge_migration.skip=false", "charge_migration.signal_threshold=3000"],
    ),
    "products of steps": ("nircam", ["saturation.save_results=true", "jump.save_results=true"]),
    "first frame": ("miri", ["firstframe.skip=false", "rscd.skip=false"]),
    "emi": ("miri-emi", []),
    "emi, one after the other": ("miri-emi", ["emicorr.algorithm=sequential"]),
}


@pytest.mark.filterwarnings("ignore:firstframe is deprecated")
@pytest.mark.parametrize("option", OPTIONS)
def test_options_of_detector1(cuda, datasets, tmp_path, option):
    name, parameters = OPTIONS[option]
    options = [f"--steps.{parameter}" for parameter in parameters]
    theirs = calibrate("detector1", datasets(name).exposure, tmp_path / "cpu", "cpu", *options)
    ours = calibrate("detector1", datasets(name).exposure, tmp_path / "cuda", "cuda", *options)
    assert_same_folders(ours, theirs)


@pytest.mark.parametrize("name", ["nircam", "miri"])
def test_darks(cuda, datasets, tmp_path, name):
    data = datasets(name)
    theirs = calibrate("calwebb_dark", data.exposure, tmp_path / "cpu", "cpu")
    ours = calibrate("calwebb_dark", data.exposure, tmp_path / "cuda", "cuda")
    assert_same_folders(ours, theirs)


@pytest.mark.parametrize("mode", MODES)
def test_guider(cuda, tmp_path, mode):
    window = {"FGS_ID-IMAGE": (5, 13, 48, 40), "FGS_ID-STACK": (5, 13, 48, 45)}
    nints = 2 if "ID-" in mode else 9
    data = make_guider_dataset(
        tmp_path, mode, seed=6, window=window.get(mode, (1009, 1009, 16, 12)), nints=nints
    )
    theirs = calibrate("guider", data.exposure, tmp_path / "cpu", "cpu")
    assert_same_folders(calibrate("guider", data.exposure, tmp_path / "cuda", "cuda"), theirs)


STEPS = ["dq_init", "saturation", "ipc", "superbias", "refpix", "linearity", "dark_current", "jump"]


def test_single_steps_one_after_the_other(cuda, datasets, tmp_path):
    before = {"cpu": datasets("nircam").exposure, "cuda": datasets("nircam").exposure}
    references = str(before["cpu"].parent / "references")
    for step in STEPS:
        for device, exposure in before.items():
            folder = tmp_path / device / step
            words = [step, str(exposure), "--references", references, "--device", device]
            assert main([*words, "--output-dir", str(folder)]) == 0
        folders = {device: tmp_path / device / step for device in before}
        assert_same_folders(folders["cuda"], folders["cpu"])
        before = {device: next(folder.glob("*.fits")) for device, folder in folders.items()}


def test_a_step_is_called_with_a_model(cuda, datasets):
    from stdatamodels.jwst import datamodels

    data = datasets("nircam")
    options = {"references": str(data.exposure.parent / "references")}
    with datamodels.open(data.exposure) as model:
        samples = model.data.copy()
        theirs = JumpStep.call(model, device="cpu", **options)
        ours = JumpStep.call(model, device="cuda", **options)
        assert type(ours) is type(theirs)
        assert isinstance(ours.groupdq, np.ndarray)
        np.testing.assert_array_equal(ours.groupdq, theirs.groupdq)
        np.testing.assert_array_equal(model.data, samples)


#: What `look` was given.
seen: list[tuple[type, float]] = []


def look(model: Any) -> Any:
    """Note what a hook gets: stpipe calls it by its name."""
    seen.append((type(model.data), float(model.data.mean())))
    return model


def test_hooks_and_products_of_steps_see_the_host(cuda, datasets, tmp_path):
    data = datasets("nircam")
    hooks = [f"{__name__}.look"]
    steps = {
        "superbias": {"post_hooks": hooks},
        "linearity": {"pre_hooks": hooks, "save_results": True, "output_dir": str(tmp_path)},
    }
    seen.clear()
    results = {}
    for device in ("cpu", "cuda"):
        results[device] = Detector1Pipeline.call(
            str(data.exposure),
            device=device,
            references=str(data.exposure.parent / "references"),
            output_dir=str(tmp_path),
            steps=steps,
        )
    assert [kind for kind, _ in seen] == [np.ndarray] * 4
    assert seen[:2] == seen[2:]
    np.testing.assert_array_equal(results["cuda"].data, results["cpu"].data)


def test_auto_takes_the_gpu(cuda, datasets, tmp_path):
    data = datasets("nircam-one-group")
    calibrate("calwebb_dark", data.exposure, tmp_path, "auto")
    counts = getattr(cuda.xp, "counts", None)
    if counts is not None:
        assert counts.launches > 1
