"""Synthetic exposures of every JWST detector, and the reference files that calibrate them.

>>> from jwgpu.simulate import make_dataset
>>> data = make_dataset("demo", instrument="NIRCAM", detector="NRCA1", subarray="SUB160", seed=1)
>>> data.exposure, data.references["dark"], data.truth.rate  # doctest: +SKIP

Importing this package loads NumPy only; writing files loads stdatamodels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jwgpu.simulate.exposure import Simulation, Truth
from jwgpu.simulate.references import write_references
from jwgpu.simulate.settings import Settings
from jwgpu.simulate.superstripes import simulate_exposure
from jwgpu.simulate.writing import write_exposure

__all__ = [
    "Dataset",
    "Settings",
    "Simulation",
    "Truth",
    "make_dataset",
    "simulate_exposure",
    "write_exposure",
    "write_references",
]


@dataclass(frozen=True)
class Dataset:
    """A raw exposure on disk with all that is needed to calibrate it.

    Attributes
    ----------
    exposure : Path
        The ``_uncal.fits``.
    references : dict
        Reference type to file.
    truth : Truth
        What went into the exposure.
    settings : Settings
        What was asked for.
    """

    exposure: Path
    references: dict[str, Path]
    truth: Truth
    settings: Settings


def make_dataset(
    folder: str | Path,
    *,
    threads: int = 1,
    reference_options: dict[str, Any] | None = None,
    **settings: Any,
) -> Dataset:
    """Simulate an exposure and write it with its reference files.

    Parameters
    ----------
    folder : str or Path
        The exposure goes here, the reference files into ``references`` below.
    threads : int
        Threads that simulate; the result does not depend on it.
    reference_options : dict, optional
        Options of `write_references`.
    **settings
        Fields of `Settings`: instrument, detector, subarray, readpatt, ngroups, nints, seed, …

    Returns
    -------
    Dataset
    """
    chosen = Settings(**settings)
    simulation = simulate_exposure(chosen, threads)
    exposure = write_exposure(simulation, folder)
    references = write_references(chosen, Path(folder) / "references", **(reference_options or {}))
    return Dataset(exposure, references, simulation.truth, chosen)
