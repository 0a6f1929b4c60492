"""The real pipeline through the command line, through strun, and with official parameter files."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from astropy.io import fits
from offline import write_stub_cache

from jwgpu.cli import main, messages
from jwgpu.simulate import make_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(
        tmp_path_factory.mktemp("good"), detector="NRCB1", subarray="SUB64P", ngroups=4, seed=7
    )


@pytest.fixture(autouse=True)
def no_debugging(monkeypatch):
    monkeypatch.setattr(messages, "debugging", False)


def calibrate(dataset, folder: Path, *words: str) -> int:
    references = dataset.exposure.parent / "references"
    place = [f"--references={references}", f"--output-dir={folder}", "--threads=1", "-q"]
    return main([words[0], str(dataset.exposure), *place, *words[1:]])


def products(folder: Path) -> list[str]:
    return sorted(path.stem.rpartition("_")[2] for path in folder.glob("*.fits"))


def status_keywords(folder: Path, suffix: str) -> dict[str, str]:
    (file,) = folder.glob(f"*_{suffix}.fits")
    header = fits.getheader(file)
    return {key: header[key] for key in header if key.startswith("S_")}


def test_products(dataset, tmp_path):
    assert calibrate(dataset, tmp_path, "detector1") == 0
    assert products(tmp_path) == ["rate", "rateints"]
    assert status_keywords(tmp_path, "rate")["S_JUMP"] == "COMPLETE"


def test_options_reach_the_steps(dataset, tmp_path):
    words = ["--save_calibrated_ramp", "--steps.jump.skip=true", "--steps.dark-current.skip=true"]
    assert calibrate(dataset, tmp_path, "detector1", *words) == 0
    assert products(tmp_path) == ["ramp", "rate", "rateints"]
    status = status_keywords(tmp_path, "rate")
    assert (status["S_JUMP"], status["S_DARK"], status["S_LINEAR"]) == (
        "SKIPPED",
        "SKIPPED",
        "COMPLETE",
    )


def test_a_step_alone(dataset, tmp_path):
    assert calibrate(dataset, tmp_path, "dq_init") == 0
    assert status_keywords(tmp_path, "dqinitstep") == {"S_DQINIT": "COMPLETE"}


def test_parameter_file_of_the_official_package(dataset, tmp_path):
    """What jwst saves is read as it is, its own class name included."""
    from jwst.pipeline import Detector1Pipeline

    official = Detector1Pipeline()
    official.jump.rejection_threshold = 7.0
    official.linearity.skip = True
    official.emicorr.algorithm = "sequential"
    official.export_config(tmp_path / "pars.asdf", include_metadata=True)
    mine = tmp_path / "mine.asdf"
    words = [str(tmp_path / "pars.asdf"), "--save-parameters", str(mine)]
    assert calibrate(dataset, tmp_path / "out", *words) == 0
    assert status_keywords(tmp_path / "out", "rate")["S_LINEAR"] == "SKIPPED"
    assert "rejection_threshold: 7.0" in mine.read_text()


def test_every_official_parameter_is_taken_with_the_same_default():
    """Where the two differ, the difference is named here."""
    from jwst.pipeline import Detector1Pipeline as Official

    from jwgpu.cli.parameters import parameters_of
    from jwgpu.pipelines import Detector1Pipeline

    ours = {parameter.path: parameter for parameter in parameters_of(Detector1Pipeline)}
    theirs = {parameter.path: parameter for parameter in parameters_of(Official)}
    run = {"device", "references", "threads", "offline", "max_memory"}
    # The older model of persistence, which release 3.0 has no more.
    traps = ("model", "input_trapsfilled", "flag_pers_cutoff", "save_trapsfilled")
    traps += ("override_trapdensity", "override_trappars", "override_persat")
    assert set(ours) - set(theirs) == run | {f"steps.persistence.{name}" for name in traps}
    assert set(theirs) <= set(ours)
    different = {
        path: (ours[path].default, theirs[path].default)
        for path in set(ours) & set(theirs)
        if same(ours[path].default) != same(theirs[path].default)
    }
    assert not different


def same(default: str) -> str | float:
    """Return a default as a number where it is one."""
    try:
        return float(default)
    except ValueError:
        return default


def test_strun(dataset, tmp_path):
    """The same through strun, which knows nothing of us but the class."""
    environment = {**os.environ, **write_stub_cache(tmp_path / "crds")}
    references = dataset.exposure.parent / "references"
    command = [
        str(Path(sys.executable).with_name("strun")),
        "jwgpu.pipelines.Detector1Pipeline",
        str(dataset.exposure),
        f"--references={references}",
        f"--output_dir={tmp_path / 'out'}",
        "--steps.jump.skip=true",
    ]
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr
    assert products(tmp_path / "out") == ["rate", "rateints"]
    assert status_keywords(tmp_path / "out", "rate")["S_JUMP"] == "SKIPPED"


def test_the_number_of_threads_changes_nothing(dataset, tmp_path):
    for threads in ("1", "3"):
        folder = tmp_path / threads
        assert calibrate(dataset, folder, "detector1", "--threads", threads) == 0
    for suffix in ("rate", "rateints"):
        (one,) = (tmp_path / "1").glob(f"*_{suffix}.fits")
        (three,) = (tmp_path / "3").glob(f"*_{suffix}.fits")
        for name in ("SCI", "ERR", "DQ", "VAR_POISSON", "VAR_RNOISE"):
            assert fits.getdata(one, name).tobytes() == fits.getdata(three, name).tobytes()


def test_logging_is_as_before_afterwards(dataset, tmp_path):
    logger = logging.getLogger("jwgpu")
    before = (logger.level, list(logger.handlers), logger.propagate)
    assert calibrate(dataset, tmp_path, "dq_init") == 0
    assert (logger.level, list(logger.handlers), logger.propagate) == before
