"""The project's own files agree with each other."""

from __future__ import annotations

import subprocess
import sys
import time
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from stpipe import entry_points, utilities

import jwgpu
from jwgpu.steps import registry

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_version_is_the_installed_one():
    assert metadata.version("jwgpu") == jwgpu.__version__


def test_the_command_and_the_entry_point_are_installed():
    scripts = {
        script.name: script.value for script in metadata.entry_points(group="console_scripts")
    }
    assert scripts["jwgpu"] == PROJECT["scripts"]["jwgpu"]


def test_the_official_package_is_for_tests_only():
    names = " ".join(PROJECT["dependencies"])
    assert "jwst" not in names
    assert "stcal" not in names
    assert "jwst==3.0.*" in PROJECT["optional-dependencies"]["test"]


def test_every_dependency_has_its_reason():
    text = (ROOT / "docs" / "design" / "dependencies.md").read_text()
    for requirement in PROJECT["dependencies"]:
        name = requirement.partition(">")[0]
        assert f"**{name}**" in text, name


@pytest.mark.parametrize("entry", registry.ENTRIES, ids=lambda entry: entry.alias)
def test_every_entry_leads_to_a_class_of_that_alias(entry):
    loaded = registry.load(entry)
    assert loaded.class_alias == (entry.official_alias or entry.alias)


@pytest.mark.parametrize("entry", registry.ENTRIES, ids=lambda entry: entry.alias)
def test_names_find_their_entry(entry):
    for name in (entry.alias, entry.alias.replace("_", "-"), entry.class_path, entry.target):
        assert registry.find(name) is entry
    assert registry.find("no_such_step") is None


@pytest.mark.parametrize("entry", registry.PIPELINES, ids=lambda entry: entry.alias)
def test_every_step_of_a_pipeline_has_an_entry(entry):
    aliases = {entry.official_alias or entry.alias for entry in registry.STEPS}
    assert set(registry.load(entry).step_defs) <= aliases


def test_official_names_stay_the_official_packages():
    """``strun calwebb_detector1`` runs the official pipeline where both packages are installed."""
    ours = {info.class_alias for info in entry_points.get_steps() if info.package_name == "jwgpu"}
    theirs = {info.class_alias for info in entry_points.get_steps() if info.package_name == "jwst"}
    assert ours
    assert not ours & theirs
    name = utilities.resolve_step_class_alias("calwebb_detector1")
    assert name == "jwst.pipeline.Detector1Pipeline"
    name = utilities.resolve_step_class_alias("jwgpu_detector1")
    assert name == "jwgpu.pipelines.detector1.Detector1Pipeline"


def test_help_answers_quickly(record_property):
    """Measured: 0.07 s; the bound only catches a library imported by mistake."""
    command = [sys.executable, "-m", "jwgpu", "--help"]
    times = []
    for _ in range(3):
        start = time.perf_counter()
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        times.append(time.perf_counter() - start)
    record_property("help_seconds", min(times))
    assert "detector1" in run.stdout
    assert min(times) < 1.0
