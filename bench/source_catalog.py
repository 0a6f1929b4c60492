"""source_catalog beside the official one: CPU seconds, agreement.

    python bench/source_catalog.py                # NRCA1, 2048 x 2048, 400 stars
    python bench/source_catalog.py --stars 2500

Both packages run in this process on the same mosaic, in turn; the first run of each does not count.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

_TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(_TESTS)]

import numpy as np  # noqa: E402
from offline import official_step  # noqa: E402

RUNS = 3


def mosaic_of(folder: Path, detector: str, n_stars: int) -> tuple[Any, dict[str, str]]:
    """Simulate an exposure; return it resampled, with its references."""
    from jwgpu.simulate.images import stars_around, write_rate
    from jwgpu.simulate.imaging_references import write_imaging_references
    from jwgpu.simulate.settings import Settings
    from jwgpu.steps.assign_wcs import AssignWcsStep
    from jwgpu.steps.photom import PhotomStep
    from jwgpu.steps.resample import ResampleStep

    instrument = "MIRI" if detector == "MIRIMAGE" else "NIRCAM"
    settings = Settings(instrument=instrument, detector=detector, ngroups=5)
    written = write_imaging_references(folder / "references", instrument, detector)
    model: Any = str(write_rate(folder, settings, stars_around(settings, n_stars)))
    for step in (AssignWcsStep, PhotomStep):
        model = step(references=str(folder / "references")).run(model)
    return ResampleStep().run(model), {name: str(path) for name, path in written.items()}


def timed(name: str, function: Callable[[], Any]) -> Any:
    """Call a function several times; tell the median of the CPU and wall seconds."""
    found, seconds = None, []
    for number in range(RUNS + 1):
        start = time.process_time(), time.perf_counter()
        found = function()
        if number:
            seconds.append((time.process_time() - start[0], time.perf_counter() - start[1]))
    cpu, wall = (median(part) for part in zip(*seconds, strict=True))
    print(f"{name}: {len(found)} sources, {cpu:.2f} CPU s, {wall:.2f} s")
    return found


def compare(ours: Any, theirs: Any) -> None:
    """Tell which columns are the same to the bit, and how far the others are apart."""
    apart = {}
    for name in theirs.colnames:
        our, their = (_plain(table[name]) for table in (ours, theirs))
        if not np.array_equal(our, their, equal_nan=our.dtype.kind == "f"):
            with np.errstate(invalid="ignore"):
                apart[name] = np.nanmax(np.abs(our / their - 1))
    print(f"{len(theirs.colnames) - len(apart)} columns are the same to the bit", end="")
    print(f", {len(apart)} within {max(apart.values(), default=0):.0e}")


def _plain(column: Any) -> Any:
    if hasattr(column, "ra"):
        return np.array([column.ra.deg, column.dec.deg])
    return np.asarray(getattr(column, "value", column))


def main() -> None:
    """Run both packages."""
    from jwgpu.steps.source_catalog import SourceCatalogStep

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--detector", default="NRCA1", choices=["NRCA1", "NRCALONG", "MIRIMAGE"])
    parser.add_argument("--stars", type=int, default=400)
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        mosaic, references = mosaic_of(Path(folder), given.detector, given.stars)
        overrides = {f"override_{name}": references[name] for name in ("apcorr", "abvegaoffset")}
        ours = timed("jwgpu", lambda: SourceCatalogStep(**overrides).run(mosaic))
        theirs = timed("jwst", lambda: official_step("source_catalog", mosaic, references))
    compare(ours, theirs)


if __name__ == "__main__":
    main()
