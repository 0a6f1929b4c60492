"""image2 and image3 beside the official ones: time of each step, memory, agreement.

    python bench/imaging.py                              # 4 dithered NRCA1 full frames
    python bench/imaging.py --exposures 8 --runs 2
    python bench/imaging.py --detector MIRIMAGE
    python bench/imaging.py --memory 2,4,8               # peak of image3 against the exposures
    python bench/imaging.py --subarray SUB320            # small, to try it

Each run is a process of its own, imports included, and the packages take turns. Inputs are
simulated count rates of one field of stars, calibrated by jwgpu for image3. "CPU" and "wall" are
seconds, the least of the runs; "peak" is the largest resident memory.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import multiprocessing
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE), str(_HERE.parent / "tests")]

from compare_jwst import Measure, measure  # noqa: E402

INSTRUMENTS = {"NRCA1": "NIRCAM", "NRCALONG": "NIRCAM", "MIRIMAGE": "MIRI", "NIS": "NIRISS"}
PACKAGES = ("jwst", "jwgpu")

#: Pixels between stars; cosmic rays that nobody has flagged, as a share of the pixels.
_DISTANCE = 80.0
_COSMIC_RAYS = 2e-4


@dataclass(frozen=True)
class Input:
    """What the pipelines are given."""

    rate: Path
    association: Path
    references: Path


def simulate(folder: Path, detector: str, subarray: str, number: int) -> None:
    """Write count rates, calibrate them, and write their association."""
    import logging

    from jwgpu.associations.creation import association_from_list, write_association
    from jwgpu.pipelines import Image2Pipeline
    from jwgpu.simulate.fields import dithers, isolated_stars
    from jwgpu.simulate.images import write_rate
    from jwgpu.simulate.imaging_references import write_imaging_references
    from jwgpu.simulate.settings import Settings
    from jwgpu.steps.suffixes import remove_suffix

    settings = Settings(
        instrument=INSTRUMENTS[detector], detector=detector, subarray=subarray, ngroups=8
    )
    logging.disable(logging.WARNING)
    references = folder / "references"
    write_imaging_references(references, INSTRUMENTS[detector], detector)
    pixels = settings.place.xsize * settings.place.ysize
    distance = _DISTANCE if pixels > 1 << 19 else 40.0
    stars = isolated_stars(settings, distance)
    names = []
    for pointing in dithers(settings, number, 0.01):
        rate = write_rate(folder, settings, stars, pointing, cosmic_rays=int(_COSMIC_RAYS * pixels))
        Image2Pipeline.call(
            str(rate),
            references=str(references),
            output_dir=str(folder),
            save_results=True,
            steps={"resample": {"skip": True}},
        )
        names.append(rate.name.replace("_rate", "_cal"))
        if pointing.number > 1:
            rate.unlink()
    content = association_from_list(names, "DMS_Level3_Base", "mosaic", "o001", remove_suffix)
    write_association(content, str(folder / "mosaic_asn.json"), "json")


def prepare(scratch: Path, detector: str, subarray: str, number: int) -> Input:
    """Simulate an input, unless it is there."""
    folder = scratch / f"{detector}-{subarray}-{number}".lower()
    done = folder / "complete"
    if not done.exists():
        print(f"simulating {number} exposures of {detector} {subarray} …", flush=True)
        # In a process of its own: Linux counts the memory of whoever starts a process to it.
        with concurrent.futures.ProcessPoolExecutor(
            1, mp_context=multiprocessing.get_context("spawn")
        ) as pool:
            pool.submit(simulate, folder, detector, subarray, number).result()
        done.touch()
    (rate,) = folder.glob("*_rate.fits")
    return Input(rate, folder / "mosaic_asn.json", folder / "references")


def run(package: str, pipeline: str, given: Input, products: Path, *options: str) -> Measure:
    """Run one pipeline of one package in a process of its own; its products stay in a folder."""
    shutil.rmtree(products, ignore_errors=True)
    products.mkdir(parents=True)
    source = given.rate if pipeline == "image2" else given.association
    command = [sys.executable, str(_HERE / "imaging_worker.py"), package, pipeline, str(source)]
    command += ["--references", str(given.references), "--output-dir", str(products)]
    for option in options:
        command += ["--set", option]
    log = products / "log"
    taken = measure(command, log)
    if taken.status:
        last = log.read_text(errors="replace").strip().splitlines()[-1:]
        print(f"{pipeline} of {package} ended with {taken.status}: {' '.join(last)}", flush=True)
    return taken


def steps_of(products: Path) -> dict[str, list[float]]:
    """Return CPU and wall seconds of each step of a run."""
    path = products / "measured.json"
    found: dict[str, list[float]] = json.loads(path.read_text()) if path.exists() else {}
    return found


def compare(pipeline: str, given: Input, runs: int, scratch: Path, *options: str) -> bool:
    """Run the packages in turn, and print a table; return whether all ended well."""
    taken: dict[str, list[Measure]] = {package: [] for package in PACKAGES}
    steps: dict[str, list[dict[str, list[float]]]] = {package: [] for package in PACKAGES}
    for _ in range(runs):
        for package in PACKAGES:
            products = scratch / f"{pipeline}-{package}"
            taken[package].append(run(package, pipeline, given, products, *options))
            steps[package].append(steps_of(products))
    least = {
        package: [min(getattr(one, name) for one in found) for name in ("cpu", "wall", "peak")]
        for package, found in taken.items()
    }
    print(f"\n| {pipeline} | jwst CPU s | jwst wall s | jwgpu CPU s | jwgpu wall s | faster |")
    print("|---|---:|---:|---:|---:|---:|")
    for alias in dict.fromkeys(name for found in steps["jwst"] for name in found):
        _row(alias, *(_least_of(steps[package], alias) for package in PACKAGES))
    _row("whole process", least["jwst"][:2], least["jwgpu"][:2])
    peaks = least["jwst"][2], least["jwgpu"][2]
    print(f"\npeak memory: jwst {peaks[0]:.0f} MB, jwgpu {peaks[1]:.0f} MB, ", end="")
    print(f"{peaks[0] / peaks[1]:.1f}x less")
    folders = [scratch / f"{pipeline}-{package}" for package in ("jwgpu", "jwst")]
    for line in differences(*folders):
        print(f"  {line}")
    return all(one.status == 0 for found in taken.values() for one in found)


def _least_of(runs: list[dict[str, list[float]]], alias: str) -> list[float]:
    found = [one[alias] for one in runs if alias in one]
    return [min(one[k] for one in found) for k in range(2)] if found else [float("nan")] * 2


def _row(name: str, theirs: list[float], ours: list[float]) -> None:
    numbers = [*theirs, *ours]
    ratio = theirs[1] / ours[1] if ours[1] else float("nan")
    print(f"| {name} | " + " | ".join(f"{n:.2f}" for n in numbers) + f" | {ratio:.1f}x |")


def differences(ours: Path, theirs: Path) -> list[str]:
    """Say how far the products of the packages are apart.

    SCI in units of its error, else relative to the value, or to the typical one if that is larger.
    """
    import numpy as np
    from astropy.io import fits
    from astropy.table import Table

    lines = []
    names = sorted(path.name for path in theirs.glob("*.fits"))
    for name in names:
        if not (ours / name).exists():
            lines.append(f"{name}: is missing")
            continue
        said = []
        with fits.open(ours / name) as one, fits.open(theirs / name) as other:
            errors = other["ERR"].data if "ERR" in other else None
            for hdu in other[1:]:
                if not isinstance(hdu, fits.ImageHDU) or hdu.name not in one:
                    continue
                our, their = one[hdu.name].data, hdu.data
                if our.shape != their.shape:
                    said.append(f"{hdu.name} {our.shape} for {their.shape}")
                elif our.dtype.kind in "iu":
                    said.append(f"{hdu.name} {np.count_nonzero(our != their)} differ")
                else:
                    gaps = np.count_nonzero(np.isnan(our) != np.isnan(their))
                    typical = np.nanmedian(np.abs(their))
                    scale = errors if hdu.name == "SCI" else np.maximum(np.abs(their), typical)
                    with np.errstate(invalid="ignore", divide="ignore"):
                        worst = np.nanmax(np.abs(our - their) / scale)
                    said.append(f"{hdu.name} {worst:.0e}" + (f" ({gaps} NaN)" if gaps else ""))
        lines.append(f"{name}: {', '.join(said)}")
    for path in sorted(theirs.glob("*.ecsv")):
        ours_too = (ours / path.name).exists()
        counts = [len(Table.read(one / path.name)) for one in (ours, theirs) if ours_too]
        lines.append(f"{path.name}: {' and '.join(map(str, counts)) or 'is missing'} sources")
    return lines


def curve(numbers: list[int], detector: str, subarray: str, scratch: Path, only: str) -> bool:
    """Print the peak memory of image3 against the number of exposures."""
    print("\n| image3 of | in_memory | package | peak MB | CPU s | wall s |")
    print("|---|---|---|---:|---:|---:|")
    ended_well = True
    for number in numbers:
        given = prepare(scratch, detector, subarray, number)
        for in_memory in ("true", "false"):
            for package in PACKAGES if only == "both" else (only,):
                products = scratch / "curve"
                one = run(package, "image3", given, products, f"in_memory={in_memory}")
                ended_well &= one.status == 0
                numbers_of_it = f"{one.peak:.0f} | {one.cpu:.1f} | {one.wall:.1f}"
                print(f"| {number} | {in_memory} | {package} | {numbers_of_it} |", flush=True)
    return ended_well


def main() -> int:
    """Run what is asked for; return 0 if every run ended well."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--detector", default="NRCA1", choices=INSTRUMENTS)
    parser.add_argument("--subarray", default="FULL")
    parser.add_argument("--exposures", type=int, default=4, help="of image3 (default 4)")
    parser.add_argument("--runs", type=int, default=1, help="of each package (default 1)")
    parser.add_argument("--pipeline", choices=("image2", "image3", "both"), default="both")
    parser.add_argument("--memory", help="numbers of exposures, as 2,4,8: peaks of image3 only")
    parser.add_argument("--only", choices=(*PACKAGES, "both"), default="both", help="for --memory")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--scratch", type=Path, help="folder for inputs and products; kept")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="imaging-") as temporary:
        scratch = (chosen.scratch or Path(temporary)).resolve()
        scratch.mkdir(parents=True, exist_ok=True)
        place = chosen.detector, chosen.subarray
        if chosen.memory:
            numbers = [int(word) for word in chosen.memory.split(",")]
            return 0 if curve(numbers, *place, scratch, chosen.only) else 1
        given = prepare(scratch, *place, chosen.exposures)
        pipelines = ("image2", "image3") if chosen.pipeline == "both" else (chosen.pipeline,)
        print(f"{chosen.detector} {chosen.subarray}, image3 of {chosen.exposures} exposures")
        found = [compare(name, given, chosen.runs, scratch, *chosen.set) for name in pipelines]
    return 0 if all(found) else 1


if __name__ == "__main__":
    sys.exit(main())
