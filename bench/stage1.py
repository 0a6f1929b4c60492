"""Every step of stage 1 beside the official one: parity, speed, memory; fills docs/stage1.md.

    python bench/stage1.py                                  # the small cases: seconds a row
    python bench/stage1.py --case full --scratch /tmp/bench # 2048 × 2048 and 1032 × 1024
    python bench/stage1.py --case nircam --steps jump,ramp_fit --no-update

Each measure is a process of its own; the packages take turns on the same file, which holds what
the step is given in the pipeline. What to measure stands in stage1_rows.py.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from stage1_rows import CASES, GROUPS, ROWS, Row

_HERE = Path(__file__).parent
PAGE = _HERE.parent / "docs" / "stage1.md"
BEGIN, END = "<!-- stage1.py: begin -->", "<!-- stage1.py: end -->"
HEAD = (
    "| step | exposure | largest difference | flags that differ | jwst s | jwgpu s | faster "
    "| jwst MB | jwgpu MB |"
)
PACKAGES = ("jwst", "jwgpu")


@dataclasses.dataclass
class Outcome:
    """What one row found; None where a package failed."""

    row: Row
    case: str
    difference: float | None = None
    flags: str = "-"
    measured: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)

    @property
    def cells(self) -> list[str]:
        """The cells of the table."""

        def shown(package: str, name: str, digits: int) -> str:
            value = self.measured.get(package, {}).get(name)
            return "-" if value is None else f"{value:.{digits}f}"

        difference = "-" if self.difference is None else f"{self.difference:.1e}"
        seconds = [self.measured.get(p, {}).get("seconds") for p in PACKAGES]
        faster = f"{seconds[0] / seconds[1]:.1f}x" if all(seconds) else "-"
        return [
            *(self.row.name, self.case, "0" if self.difference == 0 else difference, self.flags),
            *(shown(package, "seconds", 3) for package in PACKAGES),
            faster,
            *(shown(package, "memory", 0) for package in PACKAGES),
        ]


def run_python(code: list[str], log: Path) -> bool:
    """Run a Python process; return whether it ended well."""
    environment = {**os.environ, "PYTHONPATH": str(_HERE.parent)}
    with log.open("wb") as output:
        done = subprocess.run(
            [sys.executable, *code], stdout=output, stderr=subprocess.STDOUT, env=environment
        )
    return done.returncode == 0


def prepare(settings: dict[str, Any], aliases: list[str], scratch: Path) -> Path:
    """Simulate an exposure, and write what each step is given; return the folder."""
    name = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    folder = scratch / name
    folder.mkdir(parents=True, exist_ok=True)
    missing = [alias for alias in aliases if not list(folder.glob(f"{alias}_in_*.fits"))]
    if missing:
        # In a process of its own: Linux counts the memory of whoever starts a process to it.
        request = folder / "prepare.json"
        request.write_text(json.dumps([settings, missing]))
        if not run_python([__file__, "--prepare", str(request)], folder / "prepare.log"):
            print(f"no inputs for {', '.join(missing)}: see {folder / 'prepare.log'}", flush=True)
    return folder


def write_inputs(request: Path) -> None:
    """Simulate, and take the exposure through our pipeline, writing what each step is given."""
    settings, aliases = json.loads(request.read_text())
    folder = request.parent
    write = write_guider_inputs if "guider" in settings else write_ramp_inputs
    write(folder, settings, aliases)


def write_ramp_inputs(folder: Path, settings: dict[str, Any], aliases: list[str]) -> None:
    """Write what steps of the first pipeline are given; others get the count rates."""
    from jwgpu.models import reading, writing
    from jwgpu.pipelines import Detector1Pipeline
    from jwgpu.pipelines.detector1 import MID_INFRARED, NEAR_INFRARED
    from jwgpu.simulate import make_dataset

    data = make_dataset(folder, threads=os.cpu_count() or 1, **settings)
    pipeline = Detector1Pipeline()
    pipeline.references = str(folder / "references")
    model = reading.read_metadata(data.exposure)
    exposure = pipeline.load(data.exposure, model)
    order = MID_INFRARED if model.meta.instrument.name == "MIRI" else NEAR_INFRARED
    for alias in (*order, "ramp_fit", "gain_scale"):
        if alias in aliases:
            is_rate = alias == "gain_scale"
            as_model = writing.model_of_rates if is_rate else reading.model_of
            save_input(as_model(exposure), folder, alias)
        exposure = pipeline.run_step(getattr(pipeline, alias), exposure)
        if alias == "ramp_fit":
            exposure = exposure[0]
    rate = writing.model_of_rates(exposure)
    for alias in set(aliases).difference(order, ("ramp_fit", "gain_scale")):
        save_input(rate, folder, alias)


def write_guider_inputs(folder: Path, settings: dict[str, Any], aliases: list[str]) -> None:
    """Write what steps of the guider's pipeline are given."""
    from jwgpu.models import guider
    from jwgpu.pipelines import GuiderPipeline
    from jwgpu.pipelines.guider import ORDER
    from jwgpu.simulate.guider import make_guider_dataset

    mode = settings.pop("guider")
    data = make_guider_dataset(folder, mode, **settings)
    pipeline = GuiderPipeline()
    pipeline.references = str(folder / "references")
    exposure: Any = guider.open_raw(str(data.exposure))
    for alias in ORDER:
        if alias in aliases:
            save_input(guider.model_of(exposure), folder, alias)
        exposure = pipeline.run_step(getattr(pipeline, alias), exposure)


def save_input(model: Any, folder: Path, alias: str) -> None:
    """Save what a step is given; the file's name says the class of the data model."""
    model.save(str(folder / f"{alias}_in_{type(model).__name__}.fits"))


def measure(row: Row, case: str, folder: Path, runs: int, threads: int) -> Outcome:
    """Run both packages on one row, in turn."""
    outcome = Outcome(row, case)
    given = list(folder.glob(f"{row.alias}_in_*.fits"))
    if not given:
        return outcome
    work = folder / row.name.replace(" ", "_").replace(",", "")
    for package in PACKAGES:
        results = work / package
        results.mkdir(parents=True, exist_ok=True)
        for old in results.iterdir():
            old.unlink()
        request = {
            "package": package,
            "alias": row.alias,
            "status": "dark_sub" if row.alias == "dark_current" else row.alias,
            "official": row.official,
            "pipeline": "GuiderPipeline" if "guider" in CASES[case] else "Detector1Pipeline",
            "parameters": row.parameters,
            "input": str(given[0]),
            "references": str(folder / "references"),
            "folder": str(results),
            "runs": runs,
            "threads": threads,
        }
        file = work / f"{package}.json"
        file.write_text(json.dumps(request))
        log = work / f"{package}.log"
        if run_python([str(_HERE / "stage1_worker.py"), str(file)], log):
            outcome.measured[package] = json.loads((results / "measured.json").read_text())
        else:
            last = log.read_text(errors="replace").strip().splitlines()[-1:]
            print(f"{row.name}, {case}: {package} failed: {' '.join(last)} ({log})", flush=True)
    if len(outcome.measured) == len(PACKAGES):
        compare(outcome, work)
    return outcome


def compare(outcome: Outcome, work: Path) -> None:
    """Find the largest difference of the arrays, and count the flags that differ.

    A difference is relative to the value, or to the median absolute value of its array where the
    value is less. A NaN that only one package has counts as a flag that differs.
    """
    ours = {path.name: np.load(path) for path in (work / "jwgpu").glob("*.npy")}
    theirs = {path.name: np.load(path) for path in (work / "jwst").glob("*.npy")}
    largest, flags = 0.0, 0
    notes = []
    for name in sorted(set(ours) & set(theirs)):
        mine, other = ours[name], theirs[name]
        if mine.shape != other.shape or mine.dtype.str[1:] != other.dtype.str[1:]:
            notes.append(f"{name[2:-4]}: {mine.dtype}{mine.shape}, {other.dtype}{other.shape}")
        elif mine.dtype.kind in "ui":
            flags += int(np.count_nonzero(mine != other))
        else:
            finite = np.isfinite(mine) & np.isfinite(other)
            flags += int(np.count_nonzero(np.isfinite(mine) != np.isfinite(other)))
            mine, other = (part[finite].astype(np.float64) for part in (mine, other))
            if mine.size and not np.array_equal(mine, other):
                scale = np.maximum(np.abs(other), np.median(np.abs(other)))
                error = np.abs(mine - other)
                different = error > 0
                largest = max(largest, float(np.max(error[different] / scale[different])))
    if outcome.measured["jwgpu"]["status"] != outcome.measured["jwst"]["status"]:
        notes.append(" and ".join(f"{p}: {outcome.measured[p]['status']}" for p in PACKAGES))
    only = set(ours) ^ set(theirs)
    if only:
        notes.append("only one has " + ", ".join(sorted(name[2:-4] for name in only)))
    outcome.difference = largest
    outcome.flags = "; ".join([str(flags), *notes])


def table(rows: list[list[str]]) -> str:
    """Write rows of cells as a Markdown table, in the order of `ROWS`."""
    order = {row.name: place for place, row in enumerate(ROWS)}
    cases = list(CASES)
    rows = sorted(rows, key=lambda cells: (order[cells[0]], cases.index(cells[1])))
    lines = [HEAD, "|---|---|" + "---:|" * 7]
    return "\n".join([*lines, *("| " + " | ".join(cells) + " |" for cells in rows)])


def rows_in(text: str) -> list[list[str]]:
    """Read the rows that a page has, those of steps and cases that are still measured."""
    inside = text.partition(BEGIN)[2].partition(END)[0]
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in inside.split("\n")]
    names = {row.name for row in ROWS}
    return [cells for cells in rows if cells[0] in names and cells[1] in CASES]


def update(page: Path, outcomes: list[Outcome]) -> None:
    """Put what was measured into the table of a page; other rows stay."""
    text = page.read_text()
    kept = {(cells[0], cells[1]): cells for cells in rows_in(text)}
    kept.update({(o.row.name, o.case): o.cells for o in outcomes if o.measured})
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n{table(list(kept.values()))}\n{END}{after}")


def chosen(cases: list[str], steps: str | None) -> list[tuple[Row, str]]:
    """List the rows and cases that the command line asks for."""
    names = [case for name in cases for case in GROUPS.get(name, (name,))]
    wanted = set(steps.split(",")) if steps else None
    if steps in {row.name for row in ROWS}:
        wanted = {steps}
    return [
        (row, case)
        for row in ROWS
        for case in names
        if case in row.cases and (wanted is None or bool(wanted & {row.alias, row.name}))
    ]


def main(words: list[str] | None = None) -> int:
    """Measure; return 0 if every row was compared."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    known = [*GROUPS, *(case for case in CASES if case not in GROUPS)]
    parser.add_argument("--case", action="append", choices=known, help="repeatable [small]")
    parser.add_argument("--steps", help="aliases with commas between, or the name of a row [all]")
    parser.add_argument("--runs", type=int, default=2, help="of each process; the best counts [2]")
    parser.add_argument("--threads", type=int, default=0, help="of jwgpu; 0 for one each CPU [0]")
    parser.add_argument("--scratch", type=Path, help="folder for inputs and results; kept")
    parser.add_argument("--page", type=Path, default=PAGE, help="page whose table is filled")
    parser.add_argument("--no-update", action="store_true", help="print the table only")
    parser.add_argument("--prepare", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args(words)
    if arguments.prepare:
        write_inputs(arguments.prepare)
        return 0
    rows = chosen(arguments.case or ["small"], arguments.steps)
    if not rows:
        parser.error(f"no row for {arguments.steps} on {arguments.case}; see stage1_rows.py")
    with tempfile.TemporaryDirectory(prefix="stage1-") as temporary:
        scratch = (arguments.scratch or Path(temporary)).resolve()
        outcomes = []
        for row, case in rows:
            settings = {**CASES[case], **row.settings}
            aliases = [r.alias for r, c in rows if {**CASES[c], **r.settings} == settings]
            folder = prepare(settings, sorted(set(aliases)), scratch)
            outcomes.append(measure(row, case, folder, arguments.runs, arguments.threads))
            print(" | ".join(outcomes[-1].cells), flush=True)
            if not arguments.no_update:
                update(arguments.page, outcomes)
    print(table([outcome.cells for outcome in outcomes]))
    return 0 if all(outcome.difference is not None for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
