"""Dithered exposures of a field of stars whose pointings are not quite what their headers say."""

from __future__ import annotations

import atexit
import json
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

from jwgpu.simulate.images import Pointing, Stars, stars_around, write_rate
from jwgpu.simulate.imaging_references import write_imaging_references
from jwgpu.simulate.settings import Settings
from jwgpu.steps.assign_wcs import AssignWcsStep
from jwgpu.steps.flat_field import FlatFieldStep
from jwgpu.steps.photom import PhotomStep

#: Pointings, and what their headers do not know of them.
POINTINGS = (
    Pointing(number=1),
    Pointing(x=0.9, y=0.4, roll=0.01, error=(0.08, -0.05), number=2),
    Pointing(x=-0.6, y=1.1, roll=-0.01, error=(-0.11, 0.06), number=3),
)


class Dithers(NamedTuple):
    """Calibrated exposures of one field."""

    settings: Settings
    stars: Stars
    paths: tuple[Path, ...]


@cache
def dithers(detector: str = "NRCALONG", subarray: str = "SUB320", n_stars: int = 160) -> Dithers:
    """Simulate and calibrate exposures of one field, once a session; do not change them."""
    instrument = {"N": "NIRCAM", "M": "MIRI"}[detector[0]]
    settings = Settings(
        instrument=instrument, detector=detector, subarray=subarray, ngroups=5, nints=1
    )
    folder = Path(mkdtemp(prefix="jwgpu-dithers-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_imaging_references(folder / "references", instrument, detector)
    stars = stars_around(settings, n_stars)
    paths = []
    for pointing in POINTINGS:
        model: Any = str(write_rate(folder, settings, stars, pointing))
        for step in (AssignWcsStep, FlatFieldStep, PhotomStep):
            model = step(references=str(folder / "references")).run(model)
        path = folder / f"dither{pointing.number}_cal.fits"
        model.save(path)
        paths.append(path)
    return Dithers(settings, stars, tuple(paths))


def write_association(folder: Path, paths: Any, **entries: Any) -> Path:
    """Write an association of exposures, which are copied beside it.

    `entries` gives a list for each key that the members shall have.
    """
    members = []
    for index, path in enumerate(paths):
        shutil.copy(path, folder / Path(path).name)
        more = {key: values[index] for key, values in entries.items()}
        members.append({"expname": Path(path).name, "exptype": "science", **more})
    content = {
        "asn_type": "None",
        "asn_rule": "DMS_Level3_Base",
        "asn_id": "o001",
        "asn_pool": "none",
        "products": [{"name": "field", "members": members}],
    }
    file = folder / "field_asn.json"
    file.write_text(json.dumps(content))
    return file
