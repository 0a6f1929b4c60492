"""Running our first pipeline as a user does, and comparing its products with the official ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from products import assert_same_product

from jwgpu.cli import main


def calibrate(
    exposure: Path, references: Path, folder: Path, steps: dict[str, Any] | None = None, *more: str
) -> Path:
    """Run the command line on an exposure, and return the folder of its products.

    Parameters
    ----------
    exposure, references, folder
        The raw exposure, the folder of its references, and that of its products.
    steps
        Alias of a step to its parameters, as `official.detector1` takes them.
    *more
        Further options.
    """
    options = [
        f"--steps.{step}.{name}={value}"
        for step, values in (steps or {}).items()
        for name, value in values.items()
    ]
    arguments = [str(exposure), "--references", str(references), "--output-dir", str(folder)]
    assert main(["detector1", *arguments, *options, *more]) == 0
    return folder


def product(folder: Path, suffix: str) -> Path:
    """Return the one product of a kind in a folder."""
    (path,) = folder.glob(f"*_{suffix}.fits")
    return path


def assert_same_files(ours: Path, theirs: Any, **absolute: float) -> None:
    """Compare every product that either package wrote.

    Sums over reference pixels are taken in another order than officially, so that samples of
    10,000 DN differ in their last bits (1e-3 DN); a rate near zero is the small difference of such
    samples, and the Poisson variance goes with the rate.

    Parameters
    ----------
    ours, theirs
        The folder, and what `official.detector1` returned.
    **absolute
        Further tolerances, as `assert_same_product` takes them (say why).
    """
    names = sorted(path.name for path in theirs.folder.glob("*.fits"))
    assert sorted(path.name for path in ours.glob("*.fits")) == names
    for name in names:
        if name.endswith("_ramp.fits"):
            tolerances = {"SCI": 1e-3, "ZEROFRAME": 1e-3}
        else:
            tolerances = {"SCI": 1e-4, "VAR_POISSON": 2e-5}
        assert_same_product(ours / name, theirs.folder / name, **{**tolerances, **absolute})
