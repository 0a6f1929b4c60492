"""What a GPU brings: each kernel beside a copy, detector1 in its parts, whole runs in turn.

    python bench/gpu.py                              # all of it; the report goes to docs/gpu/
    python bench/gpu.py --kernels "jump|ramp_fit" --case none
    python bench/gpu.py --case nircam,tso --packages cuda,cpu,jwst --device cuda:1

Needs a GPU, and the extra cuda12 or cuda13. A kernel's time is that of the call until the device
has done it, the host's part included, best of some; its bytes are those that a perfect kernel
reads and writes. The copy is of 1 GiB within the device's memory, in the same run.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import compare_jwst
import numpy as np

_ROOT = Path(__file__).parent.parent
FOLDER = _ROOT / "docs" / "gpu"

#: Exposures of the issue, as compare_jwst.py knows them.
EXPOSURES = ("nircam", "nircam4", "tso")
PACKAGES = ("cuda", "cpu", "jwst")
PARTS = ("load", "compute", "download", "write")

#: Of a copy's speed, what a kernel that waits for memory should reach.
_GOAL = 0.7


@dataclasses.dataclass(frozen=True)
class Timed:
    """A kernel, or a copy.

    Attributes
    ----------
    name : str
    seconds : float
    moved : int
        Bytes.
    """

    name: str
    seconds: float
    moved: int

    @property
    def speed(self) -> float:
        """Bytes moved in a second, in GB/s."""
        return self.moved / self.seconds / 1e9


def best_time(
    device: Any, run: Callable[[], Any], before: Callable[[], None], rounds: int
) -> float:
    """Return the least time of a call, in s, `before` not counted."""
    taken = []
    for _ in range(rounds):
        before()
        device.wait()
        started = time.perf_counter()
        result = run()
        device.wait()
        taken.append(time.perf_counter() - started)
        del result
    return min(taken)


def time_copy(device: Any, size: int, rounds: int) -> Timed:
    """Copy `size` bytes within the device's memory."""
    source = device.xp.zeros(size, np.uint8)
    target = device.xp.empty_like(source)

    def copy() -> None:
        target[...] = source

    return Timed("copy", best_time(device, copy, lambda: None, rounds), 2 * size)


def time_link(device: Any, size: int, rounds: int) -> list[Timed]:
    """Move `size` bytes between pinned host memory and the device, each way."""
    on_host = device.host_array((size,), np.uint8)
    on_host[:] = 1
    on_device = device.send(on_host)
    up = best_time(device, lambda: on_device.set(on_host), lambda: None, rounds)
    down = best_time(device, lambda: on_device.get(out=on_host), lambda: None, rounds)
    return [Timed("upload", up, size), Timed("download", down, size)]


def send(value: Any, device: Any) -> Any:
    """Return an array, or a dataclass of arrays, on the device."""
    if not dataclasses.is_dataclass(value):
        return device.send(value)
    arrays = {name: one for name, one in vars(value).items() if isinstance(one, np.ndarray)}
    return dataclasses.replace(value, **{name: device.send(one) for name, one in arrays.items()})


def time_kernel(case: Any, device: Any, shape: tuple[int, ...], rounds: int) -> Timed:
    """Run a case of `gpu_kernels` until it is compiled, then time it."""
    import gpu_kernels

    made = case.make(shape)
    given = {name: send(value, device) for name, value in made.items()}
    originals = {name: given[name].copy() for name in case.changed}

    def restore() -> None:
        for name, original in originals.items():
            given[name][...] = original

    moved = gpu_kernels.bytes_of(case, given, case.run(**given))
    return Timed(case.name, best_time(device, lambda: case.run(**given), restore, rounds), moved)


def kernel_table(copy: Timed, timed: list[Timed]) -> str:
    """Return a Markdown table of kernels beside the copy."""
    lines = ["| kernel | ms | MB | GB/s | of a copy |", "|---|---:|---:|---:|---:|"]
    for one in [copy, *timed]:
        cells = f"{one.seconds * 1e3:.3f} | {one.moved / 1e6:.0f} | {one.speed:.0f}"
        lines.append(f"| {one.name} | {cells} | {one.speed / copy.speed:.0%} |")
    return "\n".join(lines)


class Stopwatch:
    """Adds up the time of calls, by name; calls within others count only there."""

    def __init__(self, wait: Callable[[], None]) -> None:
        self.wait = wait
        self.seconds: dict[str, float] = {}
        self._is_running = False

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, timed."""

        def call(*arguments: Any, **keywords: Any) -> Any:
            if self._is_running:
                return function(*arguments, **keywords)
            self._is_running = True
            self.wait()
            started = time.perf_counter()
            try:
                return function(*arguments, **keywords)
            finally:
                self.wait()
                self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started
                self._is_running = False

        return call


def time_parts(exposure: Path, references: Path, products: Path, device: str) -> dict[str, float]:
    """Calibrate an exposure in this process, and return the seconds of its parts.

    What is not reading, fetching or writing is computing; references that are not there yet are
    read then.
    """
    from jwgpu.pipelines import Detector1Pipeline

    pipeline: Any = Detector1Pipeline()
    pipeline.device, pipeline.references = device, str(references)
    pipeline.output_dir, pipeline.save_results = str(products), True
    session = pipeline.session
    watch = Stopwatch(session.device.wait)
    pipeline.load = watch.timed("load", pipeline.load)
    session.fetch = watch.timed("download", session.fetch)
    pipeline.save_model = watch.timed("write", pipeline.save_model)
    started = time.perf_counter()
    pipeline.run(str(exposure))
    session.device.wait()
    total = time.perf_counter() - started
    others = sum(watch.seconds.values())
    return {**watch.seconds, "compute": total - others, "total": total}


def time_pipeline(case: str, scratch: Path, device: str, rounds: int) -> dict[str, float]:
    """Return the parts of the best of some runs, references and kernels kept from the first on."""
    from jwgpu.backends import get_device
    from jwgpu.runner.session import keeping_references

    exposure, references, samples = compare_jwst.prepare(case, scratch)
    products = scratch / case / "parts"
    products.mkdir(parents=True, exist_ok=True)
    with keeping_references():
        runs = [time_parts(exposure, references, products, device) for _ in range(rounds + 1)]
    best = min(runs[1:], key=lambda parts: parts["total"])
    # Raw samples are of two bytes. Reading them goes on meanwhile, so it is timed by itself.
    upload, _ = time_link(get_device(device), 2 * samples, rounds)
    return {**best, "upload": upload.seconds}


def parts_table(found: dict[str, dict[str, float]]) -> str:
    """Return a Markdown table of the parts of detector1, in s."""
    names = (*PARTS, "total", "upload")
    heads = " | ".join(names[:-1]) + " | upload alone, within load"
    lines = [f"| exposure | {heads} |", "|---|" + "---:|" * len(names)]
    for case, parts in found.items():
        cells = " | ".join(f"{parts.get(name, 0.0):.3f}" for name in names)
        lines.append(f"| {case} | {cells} |")
    return "\n".join(lines)


def time_whole(
    case: str, scratch: Path, packages: list[str], device: str, rounds: int
) -> dict[str, float | None]:
    """Run whole processes in turn; return the least wall time of each, None where it failed."""
    exposure, references, _ = compare_jwst.prepare(case, scratch)
    runs: dict[str, list[dict[str, float]]] = {package: [] for package in packages}
    for _ in range(rounds):
        for package in packages:
            folder, log = scratch / case / package, scratch / case / f"{package}.log"
            ours = "jwst" if package == "jwst" else "jwgpu"
            command = compare_jwst.command_of(ours, exposure, references, folder)
            if package != "jwst":
                command[-1:-1] = ["--device", device if package == "cuda" else "cpu"]
            runs[package].append(dataclasses.asdict(compare_jwst.measure(command, log)))
    return {package: compare_jwst.best(taken, "wall") for package, taken in runs.items()}


def whole_table(found: dict[str, dict[str, float | None]], packages: list[str]) -> str:
    """Return a Markdown table of whole processes, in s, and how much faster the GPU is."""
    others = [package for package in packages if package != "cuda"]
    heads = [*(f"{package} s" for package in packages), *(f"cuda against {one}" for one in others)]
    lines = ["| exposure | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
    for case, seconds in found.items():
        cells = [f"{s:.2f}" if (s := seconds[package]) else "-" for package in packages]
        ours = seconds.get("cuda")
        cells += [f"{s / ours:.1f}x" if (s := seconds[one]) and ours else "-" for one in others]
        lines.append(f"| {case} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def describe(device: Any) -> dict[str, str]:
    """Return what was measured, on what, and when."""
    import cupy

    import jwgpu

    runtime = cupy.cuda.runtime
    facts = runtime.getDeviceProperties(device.number)
    commit = ["git", "-C", str(_ROOT), "describe", "--always", "--dirty"]
    done = subprocess.run(commit, capture_output=True, text=True, check=False)
    return {
        "card": facts["name"].decode(),
        "memory": f"{facts['totalGlobalMem'] / 2**30:.0f} GiB",
        "driver": _driver(device.number) + f", CUDA {_version(runtime.driverGetVersion())}",
        "runtime": f"CUDA {_version(runtime.runtimeGetVersion())}, CuPy {cupy.__version__}",
        "host": f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}",
        "jwgpu": f"{jwgpu.__version__} {done.stdout.strip()}".strip(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _driver(number: int) -> str:
    """Return the version of the driver, which CUDA itself does not tell."""
    words = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", f"-i{number}"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def report(facts: dict[str, str], sections: dict[str, str]) -> str:
    """Return the report, in Markdown."""
    lines = [f"# {facts['card']}", "", "    python bench/gpu.py", ""]
    lines += [f"- {name}: {value}" for name, value in facts.items()]
    for title, text in sections.items():
        lines += ["", f"## {title}", "", text]
    return "\n".join(lines) + "\n"


def report_path(folder: Path, facts: dict[str, str]) -> Path:
    """Return where the report goes: a file for each card and day."""
    card = re.sub(r"[^a-z0-9]+", "-", facts["card"].lower()).strip("-")
    return folder / f"{card}_{facts['date']}.md"


def measure(device: Any, arguments: argparse.Namespace, scratch: Path) -> dict[str, str]:
    """Measure what is asked for; return tables by their titles."""
    import gpu_kernels

    rounds, sections = arguments.runs, {}
    copy = time_copy(device, 1 << 30, rounds)
    link = time_link(device, 1 << 28, rounds)
    wanted = re.compile(arguments.kernels)
    timed = []
    for case in gpu_kernels.CASES:
        if wanted.search(case.name):
            timed.append(time_kernel(case, device, case.shape, rounds))
            device.give_back_memory()
            print(f"{case.name}: {timed[-1].seconds * 1e3:.3f} ms", flush=True)
    sections[f"Kernels (goal: {_GOAL:.0%} of a copy where memory is what is waited for)"] = (
        kernel_table(copy, timed)
    )
    sections["Between host and device, pinned memory"] = "\n".join(
        f"- {one.name}: {one.speed:.1f} GB/s" for one in link
    )
    cases = [case for case in arguments.case.split(",") if case != "none"]
    packages = arguments.packages.split(",")
    parts, whole = {}, {}
    for case in cases:
        parts[case] = time_pipeline(case, scratch, device.name, rounds)
        device.give_back_memory()
        whole[case] = time_whole(case, scratch, packages, device.name, 2)
        print(f"{case}: {parts[case]['total']:.2f} s, whole {whole[case]}", flush=True)
    if cases:
        sections["detector1 in one process that has its references, s"] = parts_table(parts)
        sections["detector1, whole processes in turn"] = whole_table(whole, packages)
    return sections


def main(words: list[str] | None = None) -> int:
    """Measure and write the report; return 0, or 2 if there is no GPU to measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda", help="cuda, or cuda:1")
    parser.add_argument("--kernels", default="", help="regular expression of their names")
    parser.add_argument("--case", default=",".join(EXPOSURES), help="exposures, or none")
    parser.add_argument("--packages", default=",".join(PACKAGES), help="of the whole runs")
    parser.add_argument("--runs", type=int, default=5, help="rounds of each (default 5)")
    parser.add_argument("--scratch", type=Path, help="folder for inputs and products; kept")
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder of the report")
    arguments = parser.parse_args(words)
    unknown = set(arguments.case.split(",")) - {*compare_jwst.CASES, "none"}
    unknown |= set(arguments.packages.split(",")) - {*PACKAGES}
    if unknown:
        parser.error(f"there is no exposure or package {', '.join(sorted(unknown))}")

    from jwgpu.backends import get_device
    from jwgpu.errors import DeviceError

    try:
        device = get_device(arguments.device)
    except DeviceError as error:
        why = str(error).removesuffix(", or use --device cpu")
        print(f"bench/gpu.py: {why}", file=sys.stderr)
        return 2
    if device.xp is np:
        print("bench/gpu.py: --device cpu is no GPU; give cuda or cuda:1", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="gpu-") as temporary:
        scratch = (arguments.scratch or Path(temporary)).resolve()
        sections = measure(device, arguments, scratch)
    facts = describe(device)
    path = report_path(arguments.output, facts)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(report(facts, sections))
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
