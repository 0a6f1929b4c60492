"""Count rates of a field of stars with their references, made once a session."""

from __future__ import annotations

import atexit
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

import numpy as np

from jwgpu.simulate.images import Pointing, Stars, stars_around, write_rate
from jwgpu.simulate.imaging_references import write_imaging_references
from jwgpu.simulate.settings import Settings

#: One detector of each camera, small enough, and one full frame.
CAMERAS = (
    ("NIRCAM", "NRCA1", "SUB160"),
    ("NIRCAM", "NRCALONG", "SUB160"),
    ("NIRISS", "NIS", "SUB128"),
    ("MIRI", "MIRIMAGE", "SUB128"),
    ("FGS", "GUIDER1", "FULL"),
)

#: Arrays of an image.
ARRAYS = ("data", "err", "dq", "var_poisson", "var_rnoise", "var_flat", "area")


class Field(NamedTuple):
    """An exposure of a field of stars."""

    settings: Settings
    stars: Stars
    rate: Path
    references: dict[str, str]
    folder: str


@cache
def _top() -> Path:
    folder = mkdtemp(prefix="jwgpu-fields-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@cache
def field_of(
    instrument: str,
    detector: str,
    subarray: str,
    nints: int = 1,
    changes: tuple[str, ...] = ("linear", "exponential", "powerlaw"),
    **settings: Any,
) -> Field:
    """Simulate the field of one detector."""
    chosen = Settings(
        instrument=instrument,
        detector=detector,
        subarray=subarray,
        ngroups=5,
        nints=nints,
        time_series=nints > 1,
        **settings,
    )
    folder = _top() / f"{detector}-{subarray}-{nints}-{len(changes)}"
    references = write_imaging_references(
        folder / "references", instrument, detector, changes=changes
    )
    stars = stars_around(chosen, 40)
    rate = write_rate(folder, chosen, stars, Pointing())
    names = {name: str(path) for name, path in references.items()}
    return Field(chosen, stars, rate, names, str(folder / "references"))


def assert_same_image(ours: Any, theirs: Any) -> None:
    """Check that two models hold the same arrays to the bit, and the same keywords."""
    for name in ARRAYS:
        our, their = getattr(ours, name), getattr(theirs, name)
        assert (our is None) == (their is None), name
        if our is not None:
            assert our.dtype == their.dtype.newbyteorder("=")
            np.testing.assert_array_equal(our, their, err_msg=name)
    for tree in ("wcsinfo", "photometry", "cal_step"):
        assert getattr(ours.meta, tree).instance == getattr(theirs.meta, tree).instance
    for name in ("bunit_data", "bunit_err"):
        assert getattr(ours.meta, name) == getattr(theirs.meta, name)


@cache
def calibrated(instrument: str, detector: str, subarray: str) -> Any:
    """Return an official model of an exposure that is ready to be resampled; do not change it."""
    from jwgpu.steps.assign_wcs import AssignWcsStep
    from jwgpu.steps.flat_field import FlatFieldStep
    from jwgpu.steps.photom import PhotomStep

    field = field_of(instrument, detector, subarray)
    model: Any = str(field.rate)
    for step in (AssignWcsStep, FlatFieldStep, PhotomStep):
        model = step(references=field.folder).run(model)
    return model
