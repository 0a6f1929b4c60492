"""``jwgpu doctor``: what works on this machine, and what to do about what does not."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from pathlib import Path

import click

import jwgpu
from jwgpu.cli import messages

#: Packages that calibration imports.
PACKAGES = (
    "numpy",
    "numba",
    "scipy",
    "astropy",
    "asdf",
    "gwcs",
    "photutils",
    "scikit-image",
    "shapely",
    "tweakwcs",
    "stpipe",
    "stdatamodels",
    "crds",
    "jsonschema",
    "pyyaml",
    "click",
    "rich",
    "matplotlib",
)

#: Memory below which a full frame with ten groups does not fit comfortably, in bytes.
LITTLE_MEMORY = 2 * 1024**3

OK, NOTE, PROBLEM = "ok", "note", "problem"


@dataclass(frozen=True)
class Finding:
    """What was found about one thing.

    Attributes
    ----------
    about
        The thing.
    state
        ``ok``, ``note`` (calibration works without it) or ``problem``.
    text
        What was found.
    advice
        What to do; empty if nothing.
    """

    about: str
    state: str
    text: str
    advice: str = ""


def python_version() -> Iterator[Finding]:
    """Name the interpreter."""
    # pip refuses to install us on an interpreter that is too old.
    yield Finding("python", OK, f"{platform.python_version()} ({sys.executable})")


def packages() -> Iterator[Finding]:
    """Check that the packages are there, in versions that we work with."""
    yield Finding("jwgpu", OK, jwgpu.__version__)
    wanted = _requirements()
    for name in PACKAGES:
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield Finding(name, PROBLEM, "not installed", f"python -m pip install {name}")
            continue
        specifier = wanted.get(name, "")
        if specifier and not _satisfies(version, specifier):
            yield Finding(
                name,
                PROBLEM,
                f"{version}, but {specifier} is needed",
                f'python -m pip install --upgrade "{name}{specifier}"',
            )
        else:
            yield Finding(name, OK, version)


def _requirements() -> dict[str, str]:
    """Return the version specifiers of our dependencies, by name."""
    try:
        lines = metadata.requires("jwgpu") or []
    except metadata.PackageNotFoundError:
        return {}
    wanted = {}
    for line in lines:
        if ";" not in line:
            name = line.split("<")[0].split(">")[0].split("=")[0].split("!")[0].strip()
            wanted[name] = line.removeprefix(name).strip()
    return wanted


def _satisfies(version: str, specifier: str) -> bool:
    """Whether a version is allowed; True where that cannot be told."""
    try:
        from packaging.specifiers import SpecifierSet
    except ImportError:
        return True
    return SpecifierSet(specifier).contains(version, prereleases=True)


def processors() -> Iterator[Finding]:
    """Count the processors that this process may use."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("processors", OK, f"{usable} usable of {os.cpu_count()}; --threads uses fewer")


def memory() -> Iterator[Finding]:
    """Check the memory that is free."""
    from jwgpu.backends import get_device

    try:
        free = get_device("cpu").free_memory()
    except (OSError, ValueError, AttributeError):
        yield Finding("memory", NOTE, "cannot be told on this system")
        return
    text = f"{free / 1024**3:.1f} GiB free"
    if free < LITTLE_MEMORY:
        yield Finding("memory", NOTE, text, "close other programs before calibrating full frames")
    else:
        yield Finding("memory", OK, text)


def kernel_cache() -> Iterator[Finding]:
    """Check where compiled kernels are kept, and whether they are there."""
    folders = _cache_folders()
    compiled = sum(len(list(folder.glob("*.nbi"))) for folder in folders if folder.is_dir())
    shown = _shortened(_common(folders))
    if not all(_can_write(folder) for folder in folders):
        yield Finding(
            "kernel cache",
            NOTE,
            f"{shown} cannot be written: kernels may be compiled again in every run",
            "set NUMBA_CACHE_DIR to a folder that can be written",
        )
    elif compiled:
        yield Finding("kernel cache", OK, f"{compiled} compiled kernels in {shown}")
    else:
        yield Finding(
            "kernel cache",
            NOTE,
            f"empty ({shown}): the first run compiles, which takes up to half a minute",
            "jwgpu demo fills it",
        )


def _cache_folders() -> list[Path]:
    """List where Numba keeps the compiled kernels."""
    package = Path(jwgpu.__file__).parent / "kernels"
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if chosen:
        root = Path(chosen)
        return [root, *(path.parent for path in root.rglob("*.nbi"))] if root.exists() else [root]
    kernels = [path.parent for path in package.glob("*/cpu.py")] or [package]
    return [folder / "__pycache__" for folder in kernels]


def _common(folders: list[Path]) -> Path:
    """Return the folder that holds them all."""
    return Path(os.path.commonpath([str(folder.absolute()) for folder in folders]))


def _can_write(folder: Path) -> bool:
    """Whether a folder, or the nearest one above it that exists, can be written."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return os.access(folder, os.W_OK)


def _shortened(path: Path) -> str:
    """Write a path with ~ for the home folder."""
    home = str(Path.home())
    text = str(path)
    return f"~{text[len(home) :]}" if text.startswith(home + os.sep) else text


def crds() -> Iterator[Finding]:
    """Check the environment of CRDS, without asking the network."""
    folder = os.environ.get("CRDS_PATH")
    server = os.environ.get("CRDS_SERVER_URL")
    without = "calibrate with --references DIR, or set it"
    if not server:
        yield Finding(
            "CRDS server",
            NOTE,
            "CRDS_SERVER_URL is not set",
            f"{without}: export CRDS_SERVER_URL=https://jwst-crds.stsci.edu",
        )
    else:
        yield Finding("CRDS server", OK, f"{server} (not asked)")
    if not folder:
        yield Finding(
            "CRDS cache",
            NOTE,
            "CRDS_PATH is not set",
            f"{without}: export CRDS_PATH=$HOME/crds_cache",
        )
        return
    path = Path(folder).expanduser()
    if not _can_write(path):
        yield Finding(
            "CRDS cache",
            PROBLEM if server else NOTE,
            f"{folder} cannot be written",
            "set CRDS_PATH to a folder that can be written",
        )
    elif not (path / "config" / "jwst").is_dir():
        yield Finding("CRDS cache", NOTE, f"{folder} is empty: references will be downloaded")
    else:
        references = path / "references" / "jwst"
        number = sum(1 for file in references.rglob("*") if file.suffix in (".fits", ".asdf"))
        context = os.environ.get("CRDS_CONTEXT", "the server's")
        yield Finding("CRDS cache", OK, f"{folder}: {number} references, context: {context}")


def graphics_card(name: str = "auto") -> Iterator[Finding]:
    """Let a graphics card prove that it can compute, or pass on what the backend says.

    Parameters
    ----------
    name
        The device that is wanted: without one that was named, calibration works.
    """
    from jwgpu.backends import get_device
    from jwgpu.errors import DeviceError

    try:
        device = get_device("cuda" if name == "auto" else name)
    except DeviceError as error:
        what, _, advice = str(error).partition(": ")[2].partition(";")
        state = NOTE if name == "auto" else PROBLEM
        yield Finding("cuda", state, what.strip(), advice.strip() or "use --device cpu")
    else:
        free = device.free_memory() / 1024**3
        yield Finding(device.name, OK, f"a kernel was compiled and run; {free:.1f} GiB free")


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    python_version,
    packages,
    processors,
    memory,
    kernel_cache,
    crds,
)


def examine(device: str = "auto") -> list[Finding]:
    """Run every check; one that fails is a finding as well."""
    findings: list[Finding] = []
    checks: list[Callable[[], Iterator[Finding]]] = list(CHECKS)
    if device != "cpu":
        checks.append(partial(graphics_card, device))
    for check in checks:
        try:
            findings += check()
        except Exception as error:
            name = getattr(check, "__name__", "cuda").replace("_", " ")
            findings.append(
                Finding(name, PROBLEM, messages.one_line(f"{type(error).__name__}: {error}"))
            )
    return findings


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="print the findings as JSON")
@click.option(
    "--device",
    default="auto",
    show_default=True,
    help="auto, cpu, cuda or cuda:N: what calibration shall run on; one named must work",
)
def doctor(as_json: bool, device: str) -> int:
    """Tell what works on this machine, and what to do about what does not.

    The exit status is 1 if there is a problem that keeps jwgpu from calibrating.
    """
    findings = examine(device)
    problems = [finding for finding in findings if finding.state == PROBLEM]
    if as_json:
        import json

        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        width = max(len(finding.about) for finding in findings)
        for finding in findings:
            click.echo(f"{finding.state:>7}  {finding.about:<{width}}  {finding.text}")
            if finding.advice:
                click.echo(f"{'':>7}  {'':<{width}}  -> {finding.advice}")
        verdict = f"{len(problems)} to solve" if problems else "jwgpu can calibrate here"
        click.echo(f"\n{verdict}")
    return messages.FAILED if problems else messages.OK
