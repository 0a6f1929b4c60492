"""``jwgpu demo``: simulate an exposure, calibrate it, compare with the truth, draw a picture."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jwgpu.cli import messages
from jwgpu.cli.simulate import with_settings
from jwgpu.errors import JwgpuError
from jwgpu.steps import registry

if TYPE_CHECKING:
    from jwgpu.simulate import Dataset

#: A hit is clear if its charge is this many times the noise of a difference of two groups.
CLEAR_HIT = 10.0


@dataclass
class Calibrated:
    """What the calibration of the demo made, read back from its products.

    Attributes
    ----------
    rate, error
        DN/s, float32, shape (y, x).
    dq
        Flags, uint32, shape (y, x).
    groupdq
        Flags of the samples, uint8, shape (ints, groups, y, x).
    """

    rate: Any
    error: Any
    dq: Any
    groupdq: Any


@dataclass(frozen=True)
class Verdict:
    """How the rates compare with what went into the exposure.

    Attributes
    ----------
    usable
        Share of the pixels that may be used.
    bias
        Median of (rate - truth) / error over those.
    scatter
        Half the width of the middle 68 % of the same; 1 if the errors are right.
    hits
        Clear cosmic-ray hits on samples that may be used.
    hits_found
        Those of them that are flagged.
    """

    usable: float
    bias: float
    scatter: float
    hits: int
    hits_found: int


def judge(dataset: Dataset, made: Calibrated) -> Verdict:
    """Compare a calibration with the truth of the simulation."""
    import numpy as np

    from jwgpu.models.flags import DO_NOT_USE, JUMP_DET, SATURATED

    good = ((made.dq & DO_NOT_USE) == 0) & np.isfinite(made.rate) & (made.error > 0)
    good &= dataset.truth.rate > 0
    pull = (made.rate[good] - dataset.truth.rate[good]) / made.error[good]
    low, middle, high = np.percentile(pull, (15.87, 50, 84.13)) if pull.size else (0.0, 0.0, 0.0)
    hits = dataset.truth.cosmic_rays
    place = (hits["integration"], hits["group"], hits["y"], hits["x"])
    clear = hits["electrons"] > CLEAR_HIT * _noise(dataset, made)[hits["y"], hits["x"]]
    # The first group has no difference to the one before it; a flawed or saturated pixel no ramp.
    seen = (hits["group"] > 0) & (hits["group"] < made.groupdq.shape[1])
    place = tuple(index[clear & seen] for index in place)
    flags = made.groupdq[place]
    possible = (flags & (DO_NOT_USE | SATURATED)) == 0
    return Verdict(
        usable=float(good.mean()),
        bias=float(middle),
        scatter=float((high - low) / 2),
        hits=int(possible.sum()),
        hits_found=int((possible & ((flags & JUMP_DET) != 0)).sum()),
    )


def _noise(dataset: Dataset, made: Calibrated) -> Any:
    """Return the noise of a difference of two groups, in electrons, shape (y, x)."""
    import numpy as np

    gain, read_noise = (_image(dataset.references[name]) for name in ("gain", "readnoise"))
    flux = np.where(np.isfinite(made.rate), made.rate, 0.0).clip(min=0.0) * gain
    # The READNOISE reference holds the noise of a difference of two samples.
    return np.sqrt(flux * dataset.settings.group_time + (read_noise * gain) ** 2)


def _image(file: Path) -> Any:
    """Read the science image of a FITS file."""
    from astropy.io import fits

    return fits.getdata(file, "SCI")


def read_products(folder: Path, exposure: Path) -> Calibrated:
    """Read back what the calibration of an exposure wrote."""
    from astropy.io import fits

    root = exposure.name.removesuffix("_uncal.fits")
    with fits.open(folder / f"{root}_rate.fits") as rate:
        image, error, dq = (rate[name].data.copy() for name in ("SCI", "ERR", "DQ"))
    with fits.open(folder / f"{root}_ramp.fits") as ramp:
        return Calibrated(image, error, dq, ramp["GROUPDQ"].data.copy())


def calibrate(dataset: Dataset, folder: Path, threads: int) -> int:
    """Calibrate a simulated exposure as ``jwgpu detector1`` does."""
    from jwgpu.cli.calibrate import Request
    from jwgpu.cli.calibrate import calibrate as run

    (entry,) = (entry for entry in registry.PIPELINES if entry.alias == "detector1")
    values = {
        "references": str(dataset.exposure.parent / "references"),
        "offline": "true",
        "output_dir": str(folder),
        "threads": str(threads),
        "save_calibrated_ramp": "true",
    }
    request = Request(entry, [str(dataset.exposure)], values, ask_crds_parameters=False)
    return run(registry.load(entry), request)


@contextmanager
def told(what: str) -> Iterator[None]:
    """Tell what is done, and then how long it took."""
    click.echo(f"{what} ...")
    start = time.perf_counter()
    yield
    click.echo(f"  done in {time.perf_counter() - start:.1f} s")


@with_settings("instrument", "detector", "subarray", "readpatt", "ngroups", "nints", "seed")
@click.command("demo")
@click.option(
    "--output-dir", metavar="DIR", default="jwgpu-demo", help="where everything goes [jwgpu-demo]"
)
@click.option("--imaging", is_flag=True, help="four exposures of stars, to a mosaic and catalogue")
@click.option("--threads", type=click.IntRange(min=0), default=0, help="threads [0: all]")
@click.option("--debug", is_flag=True, help="show the traceback of an error")
def demo(output_dir: str, imaging: bool, threads: int, debug: bool, **given: Any) -> int:
    """Simulate an exposure, calibrate it and draw a picture, without network or CRDS."""
    from jwgpu.cli import picture
    from jwgpu.simulate import make_dataset

    messages.debugging = debug
    if imaging:
        from jwgpu.cli import demo_imaging

        chosen = {name: value for name, value in given.items() if value is not None}
        return demo_imaging.demo(Path(output_dir), threads, chosen)
    settings = {"subarray": "SUB320", "seed": 1} if not given.get("instrument") else {"seed": 1}
    settings |= {name: value for name, value in given.items() if value is not None}
    folder = Path(output_dir)
    with told("simulating an exposure and its reference files"):
        dataset = make_dataset(folder / "input", threads=max(threads, 1), **settings)
    with told("calibrating it: jwgpu detector1"):
        status = calibrate(dataset, folder, threads)
    if status != messages.OK:
        return status
    made = read_products(folder, dataset.exposure)
    verdict = judge(dataset, made)
    drawn = folder / "demo.png"
    try:
        picture.draw(dataset, made, verdict, drawn)
    except OSError as error:
        raise JwgpuError(messages.about(str(drawn), error)) from error
    click.echo(report(dataset, verdict, folder, drawn))
    return messages.OK


def report(dataset: Dataset, verdict: Verdict, folder: Path, drawn: Path) -> str:
    """Summarise the demo."""
    settings = dataset.settings
    products = sorted(path.name for path in folder.glob("*.fits"))
    share = verdict.hits_found / verdict.hits if verdict.hits else 1.0
    rows = {
        "exposure": f"{settings.camera.instrument} {settings.camera.name} {settings.subarray} "
        f"{settings.pattern.name}, {settings.nints} x {settings.ngroups} groups",
        "usable pixels": f"{100 * verdict.usable:.1f} %",
        "rate - truth": f"median {verdict.bias:+.2f}, spread {verdict.scatter:.2f} "
        "standard errors (a perfect pipeline: 0 and 1)",
        "cosmic rays": f"{verdict.hits_found} of {verdict.hits} clear hits flagged "
        f"({100 * share:.1f} %)",
        "products": f"{folder}: {', '.join(products)}",
        "picture": str(drawn),
    }
    width = max(map(len, rows))
    return "\n".join(f"  {name:<{width}}  {text}" for name, text in rows.items())
