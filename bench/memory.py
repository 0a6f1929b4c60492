"""Memory of long exposures, with and without --max-memory.

    python bench/memory.py --scale 0.1                  # a tenth of the integrations
    python bench/memory.py --case miri --max-memory 2GB,4GB

Each run is a process of its own. "Peak" is its largest resident memory; a run with a limit must
stay below that, and its products must be those of the run without, to the bit. The inputs are
simulated, which takes longer than all the rest, and kept in --scratch.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
sys.path.insert(0, str(_HERE))
from compare_jwst import Measure, measure  # noqa: E402

CASES: dict[str, dict[str, Any]] = {
    "miri": {"instrument": "MIRI", "ngroups": 100, "nints": 10},
    "tso": {
        "instrument": "NIRCAM",
        "detector": "NRCALONG",
        "subarray": "SUBGRISM256",
        "ngroups": 8,
        "nints": 200,
        "time_series": True,
    },
}
"""Exposures, as settings of `jwgpu.simulate`."""

LIMITS = {"miri": "none,4GB,2GB", "tso": "none,4GB,1GB"}
"""What the cases are run with. The rates of the time series alone are 2.1 GB."""


def settings_of(case: str, scale: float) -> dict[str, Any]:
    """Return the settings of a case with a share of its integrations, or of its groups."""
    settings = dict(CASES[case])
    name = "nints" if settings["nints"] > settings["ngroups"] else "ngroups"
    settings[name] = max(4, round(settings[name] * scale))
    return settings


def simulate(folder: Path, settings: dict[str, Any]) -> None:
    """Write a data set, integration by integration."""
    from jwgpu.simulate.streaming import long_dataset

    long_dataset(folder, threads=os.cpu_count() or 1, **settings)


def prepare(case: str, scale: float, scratch: Path) -> tuple[Path, Path]:
    """Simulate the input of a case, unless it is there; return exposure and references."""
    settings = settings_of(case, scale)
    folder = scratch / f"{case}-{settings['nints']}x{settings['ngroups']}"
    done = folder / "complete"
    if not done.exists():
        print(f"{case}: simulating {settings} …", flush=True)
        # In a process of its own: Linux counts the memory of whoever starts a process to it.
        with concurrent.futures.ProcessPoolExecutor(
            1, mp_context=multiprocessing.get_context("spawn")
        ) as pool:
            pool.submit(simulate, folder, settings).result()
        done.touch()
    (exposure,) = folder.glob("*_uncal.fits")
    return exposure, folder / "references"


def run(exposure: Path, references: Path, limit: str, options: Sequence[str]) -> Measure:
    """Calibrate with a limit (or "none"), and measure."""
    products = products_of(exposure, limit)
    products.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "jwgpu", "detector1", "--references", str(references)]
    command += ["--output-dir", str(products), *options]
    if limit != "none":
        command.append(f"--max-memory={limit}")
    return measure([*command, str(exposure)], products / "log")


def products_of(exposure: Path, limit: str) -> Path:
    """Return the folder of the products that are made with a limit."""
    return exposure.parent / f"products-{limit}"


def differences(ours: Path, theirs: Path) -> list[str]:
    """Name the arrays in which the products in two folders are not the same to the bit."""
    return [name for name in _products(theirs) if not _is_same(ours / name, theirs / name)]


def _products(folder: Path) -> Iterator[str]:
    return (path.name for path in sorted(folder.glob("*.fits")))


def _is_same(one: Path, other: Path) -> bool:
    from astropy.io import fits

    if not one.exists():
        return False
    # Mapped pages would count as memory, too.
    with fits.open(one, memmap=False) as a, fits.open(other, memmap=False) as b:
        if [hdu.name for hdu in a] != [hdu.name for hdu in b]:
            return False
        return all(
            _are_same_images(x, y)
            for x, y in zip(a, b, strict=True)
            if isinstance(x, fits.ImageHDU) and x.shape
        )


def _are_same_images(one: Any, other: Any) -> bool:
    """Compare plane by plane: Linux counts the memory of this process to those that it starts."""
    import numpy as np

    if one.shape != other.shape:
        return False
    if len(one.shape) < 3:
        return bool(np.array_equal(one.data, other.data, equal_nan=one.data.dtype.kind == "f"))
    return all(
        np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        for a, b in ((one.section[k], other.section[k]) for k in range(one.shape[0]))
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases, and print a table; return 1 where a limit or the products do not hold."""
    from jwgpu.runner.memory import bytes_of

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--case", default="all", choices=("all", *CASES))
    parser.add_argument("--scale", type=float, default=1.0, help="share of the exposure")
    parser.add_argument("--max-memory", help="limits, none first, as none,4GB [the case's own]")
    parser.add_argument("--scratch", type=Path, help="keep inputs and products here")
    parser.add_argument("--options", default="", help="more options of jwgpu detector1")
    chosen = parser.parse_args(arguments)
    failed = False
    with tempfile.TemporaryDirectory() as temporary:
        scratch = (chosen.scratch or Path(temporary)).absolute()
        print("| exposure | raw MB | max_memory | peak MB | s | CPU s | products |")
        print("|---|---:|---:|---:|---:|---:|---|")
        for case in CASES if chosen.case == "all" else [chosen.case]:
            exposure, references = prepare(case, chosen.scale, scratch)
            limits = (chosen.max_memory or LIMITS[case]).split(",")
            for limit in limits:
                taken = run(exposure, references, limit, chosen.options.split())
                words = "made" if taken.status == 0 else f"failed ({taken.status})"
                if limit != limits[0] and taken.status == 0:
                    folders = products_of(exposure, limit), products_of(exposure, limits[0])
                    words = ", ".join(differences(*folders)) or "the same"
                allowed = bytes_of(limit)
                is_exceeded = allowed is not None and taken.peak * 1e6 > allowed
                failed |= is_exceeded or words not in ("made", "the same")
                print(
                    f"| {exposure.parent.name} | {exposure.stat().st_size / 1e6:.0f} | {limit} "
                    f"| {taken.peak:.0f}{' (!)' if is_exceeded else ''} | {taken.wall:.1f} "
                    f"| {taken.cpu:.1f} | {words} |",
                    flush=True,
                )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
