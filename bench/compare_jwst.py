"""Compare jwgpu with the official jwst package: whole processes, same files, in turn.

    python bench/compare_jwst.py --case nircam --runs 3
    python bench/compare_jwst.py --case all --json table.json

Each run is a process of its own, imports included; the two packages take turns, so that a busy
moment of the machine harms both. Inputs are simulated. "Wall" and "CPU" are seconds, "peak" is
the largest resident memory of the process; the table shows the least of the runs.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CASES: dict[str, dict[str, Any]] = {
    "nircam": {"instrument": "NIRCAM", "detector": "NRCA1", "ngroups": 10},
    "nircam4": {"instrument": "NIRCAM", "detector": "NRCA1", "ngroups": 10, "nints": 4},
    "tso": {
        "instrument": "NIRCAM",
        "detector": "NRCALONG",
        "subarray": "SUBGRISM256",
        "ngroups": 8,
        "nints": 50,
        "time_series": True,
    },
    "miri": {"instrument": "MIRI", "detector": "MIRIMAGE", "ngroups": 40, "nints": 2},
    "small": {"instrument": "NIRCAM", "detector": "NRCB1", "subarray": "SUB160", "ngroups": 5},
}
"""Exposures to compare on, as settings of `jwgpu.simulate`."""

PACKAGES = ("jwst", "jwgpu")
_HERE = Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class Measure:
    """What one process took."""

    wall: float  # s
    cpu: float  # s, of it and its children, user and system
    peak: float  # MB, resident
    status: int


def measure(command: list[str], log: Path) -> Measure:
    """Run a command to its end and measure it; its output goes to a log file."""
    environment = {**os.environ, "PYTHONPATH": str(_HERE.parent)}
    with log.open("wb") as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        _, state, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(state)
    # Linux counts ru_maxrss in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    cpu = usage.ru_utime + usage.ru_stime
    return Measure(wall, cpu, usage.ru_maxrss * unit / 1e6, process.returncode)


def command_of(package: str, exposure: Path, references: Path, products: Path) -> list[str]:
    """Return the command line by which a package calibrates an exposure."""
    if package == "jwst":
        start = [sys.executable, str(_HERE / "official_run.py")]
    else:
        start = [sys.executable, "-m", "jwgpu", "detector1"]
    options = ["--references", str(references), "--output-dir", str(products)]
    return [*start, *options, str(exposure)]


def simulate(folder: Path, settings: dict[str, Any]) -> None:
    """Write a data set."""
    from jwgpu.simulate import make_dataset

    make_dataset(folder, threads=os.cpu_count() or 1, **settings)


def prepare(case: str, scratch: Path) -> tuple[Path, Path, int]:
    """Simulate a case's input, unless it is there.

    Returns
    -------
    exposure, references : Path
    samples : int
        Of the raw ramp.
    """
    from jwgpu.simulate.keywords import file_root
    from jwgpu.simulate.settings import Settings

    folder = scratch / case
    settings = Settings(**CASES[case])
    rows, columns = settings.place.shape
    samples = settings.nints * settings.ngroups * rows * columns
    exposure = folder / (file_root(settings) + "_uncal.fits")
    done = folder / "complete"
    if not done.exists():
        print(f"{case}: simulating {samples / 1e6:.1f} million samples …", flush=True)
        # In a process of its own: Linux counts the memory of whoever starts a process to it.
        with concurrent.futures.ProcessPoolExecutor(
            1, mp_context=multiprocessing.get_context("spawn")
        ) as pool:
            pool.submit(simulate, folder, CASES[case]).result()
        done.touch()
    return exposure, folder / "references", samples


def compare(case: str, runs: int, scratch: Path, packages: tuple[str, ...]) -> dict[str, Any]:
    """Run the packages in turn on one case.

    Returns
    -------
    dict
        ``samples`` and, by package, a list of the runs' measures.
    """
    exposure, references, samples = prepare(case, scratch)
    result: dict[str, Any] = {"case": case, "samples": samples}
    for package in packages:
        result[package] = []
    for run in range(runs):
        for package in packages:
            products = scratch / case / package
            log = scratch / case / f"{package}_{run}.log"
            command = command_of(package, exposure, references, products)
            taken = measure(command, log)
            if taken.status:
                last = log.read_text(errors="replace").strip().splitlines()[-1:]
                print(f"{case}: {package} ended with {taken.status}: {' '.join(last)} ({log})")
            result[package].append(dataclasses.asdict(taken))
    return result


def best(runs: list[dict[str, float]], name: str) -> float | None:
    """Return the least of the runs that ended well."""
    good = [run[name] for run in runs if run["status"] == 0]
    return min(good) if good else None


def table(results: list[dict[str, Any]]) -> str:
    """Write the measures and their ratios as a Markdown table."""
    lines = [
        "| case | Msamples | jwst wall s | jwst CPU s | jwst peak MB | jwgpu wall s "
        "| jwgpu CPU s | jwgpu peak MB | faster | less CPU | peak ratio |",
        "|---|" + "---:|" * 10,
    ]
    for result in results:
        cells = [result["case"], f"{result['samples'] / 1e6:.1f}"]
        found: dict[str, dict[str, float | None]] = {}
        for package in PACKAGES:
            runs = result.get(package, [])
            found[package] = {name: best(runs, name) for name in ("wall", "cpu", "peak")}
            for name, digits in (("wall", 2), ("cpu", 2), ("peak", 0)):
                value = found[package][name]
                cells.append("-" if value is None else f"{value:.{digits}f}")
        for name in ("wall", "cpu", "peak"):
            theirs, ours = found["jwst"][name], found["jwgpu"][name]
            cells.append("-" if theirs is None or ours is None else f"{theirs / ours:.1f}x")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(words: list[str] | None = None) -> int:
    """Compare; return 0 if every run ended well."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--case", action="append", choices=[*CASES, "all"], help="repeatable")
    parser.add_argument("--runs", type=int, default=2, help="of each package (default 2)")
    parser.add_argument("--scratch", type=Path, help="folder for inputs and products; kept")
    parser.add_argument("--json", type=Path, help="write every measure to this file")
    parser.add_argument("--only", choices=PACKAGES, help="run one package alone")
    arguments = parser.parse_args(words)
    cases = arguments.case or ["small"]
    if "all" in cases:
        cases = list(CASES)
    packages = (arguments.only,) if arguments.only else PACKAGES

    with tempfile.TemporaryDirectory(prefix="compare-") as temporary:
        scratch = (arguments.scratch or Path(temporary)).resolve()
        scratch.mkdir(parents=True, exist_ok=True)
        results = [compare(case, arguments.runs, scratch, packages) for case in cases]
    print(table(results))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    ended_well = all(run["status"] == 0 for r in results for p in packages for run in r[p])
    return 0 if ended_well else 1


if __name__ == "__main__":
    sys.exit(main())
