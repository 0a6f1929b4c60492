"""image2 and resample of one full frame beside the official ones: CPU seconds, agreement.

    python bench/imaging.py            # NRCA1, 2048 x 2048, simulated
    python bench/imaging.py --detector MIRIMAGE

Both packages run in this process, one after the other, on the same file; each is run once before
on a small image, so that imports and compiling do not count.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(_TESTS), str(_TESTS / "steps")]

import numpy as np  # noqa: E402
from image_exposures import calibrated, field_of  # noqa: E402
from offline import answering, official_step  # noqa: E402

INSTRUMENTS = {"NRCA1": "NIRCAM", "NRCALONG": "NIRCAM", "MIRIMAGE": "MIRI", "NIS": "NIRISS"}
SMALL = {"NIRCAM": "SUB160", "MIRI": "SUB128", "NIRISS": "SUB128"}


def timed(what: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function, and tell how many CPU and wall seconds it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = function(*arguments)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(f"{what}: {cpu:.2f} CPU s, {wall:.2f} s")
    return result


def image2(field: Any, folder: Path, is_ours: bool) -> Any:
    """Run a pipeline on the count rates of a field, and save its products."""
    folder.mkdir(exist_ok=True)
    if is_ours:
        from jwgpu.pipelines import Image2Pipeline

        return Image2Pipeline.call(
            str(field.rate), references=field.folder, output_dir=str(folder), save_results=True
        )
    from jwst.pipeline import Image2Pipeline as Official

    pipeline = Official()
    pipeline.output_dir, pipeline.save_results = str(folder), True
    with answering(field.references):
        return pipeline.run(str(field.rate))


def compare(ours: Any, theirs: Any) -> None:
    """Tell how far two resampled images are apart."""
    for name in ("data", "err", "wht", "var_poisson", "var_rnoise", "var_flat"):
        our, their = getattr(ours, name), getattr(theirs, name)
        scale = theirs.err if name == "data" else np.nanmedian(np.abs(their))
        same = np.array_equal(np.isnan(our), np.isnan(their))
        what = "of its error" if name == "data" else "of the median"
        print(f"  {name}: NaN {'alike' if same else 'differ'}, ", end="")
        print(f"largest difference {np.nanmax(np.abs(our - their) / scale):.1e} {what}")
    print(f"  con: {np.count_nonzero(ours.con != theirs.con)} pixels differ")


def main() -> None:
    """Run both packages on one detector."""
    from jwgpu.steps.resample import ResampleStep

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--detector", default="NRCA1", choices=INSTRUMENTS)
    detector = parser.parse_args().detector
    instrument = INSTRUMENTS[detector]
    logging.disable(logging.WARNING)
    for subarray in (SMALL[instrument], "FULL"):
        field = field_of(instrument, detector, subarray)
        model = calibrated(instrument, detector, subarray)
        results = {}
        with tempfile.TemporaryDirectory() as folder:
            for name in ("jwgpu", "jwst"):
                is_ours = name == "jwgpu"
                step = ResampleStep().run if is_ours else _official
                results[name] = timed(f"{subarray} resample {name}", step, model)
                products = Path(folder) / name
                timed(f"{subarray} image2 {name}", image2, field, products, is_ours)
        compare(results["jwgpu"], results["jwst"])


def _official(model: Any) -> Any:
    return official_step("resample", model, {})


if __name__ == "__main__":
    main()
