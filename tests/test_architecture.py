"""The arrows between the rooms, and what importing the package costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

#: Packages that no import of ours may bring in before they are needed.
SCIENCE = ("numpy", "numba", "scipy", "astropy", "asdf", "stpipe", "stdatamodels", "crds", "gwcs")


def imported_by(statement: str) -> set[str]:
    """Run a statement in a new interpreter and return the top-level names it imported."""
    code = f"import sys; {statement}; print(*sorted({{m.partition('.')[0] for m in sys.modules}}))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(run.stdout.splitlines()[-1].split())


def test_imports_run_downwards_only():
    """The contracts of .importlinter, imports inside functions included."""
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    run = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"], capture_output=True, text=True, cwd=ROOT
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "0 broken" in run.stdout


def test_importing_the_package_imports_no_science_library():
    assert not imported_by("import jwgpu").intersection((*SCIENCE, "click", "rich"))


def test_importing_the_pipelines_room_imports_no_science_library():
    assert not imported_by("import jwgpu.pipelines").intersection(SCIENCE)


def test_help_imports_no_science_library_and_no_rich():
    found = imported_by("from jwgpu.cli import main; main(['--help'])")
    assert "click" in found
    assert not found.intersection((*SCIENCE, "rich", "matplotlib"))


def test_the_official_package_is_never_imported():
    found = imported_by("from jwgpu.pipelines import Detector1Pipeline")
    assert not found.intersection(("jwst", "stcal", "drizzle"))
