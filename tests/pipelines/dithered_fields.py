"""Dithered, calibrated images of a field of stars with their association, made once a session."""

from __future__ import annotations

import atexit
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import NamedTuple

from jwgpu.associations.creation import association_from_list, write_association
from jwgpu.pipelines import Image2Pipeline
from jwgpu.simulate.fields import dithers, isolated_stars
from jwgpu.simulate.images import write_rate
from jwgpu.simulate.imaging_references import write_imaging_references
from jwgpu.simulate.settings import Settings
from jwgpu.steps.suffixes import remove_suffix

#: Detector, subarray, exposures.
FIELDS = (("NIRCAM", "NRCA1", "SUB160", 3), ("MIRI", "MIRIMAGE", "SUB256", 3))

PRODUCT = "mosaic"


class Dithered(NamedTuple):
    """Exposures of a field."""

    association: Path
    references: dict[str, str]
    folder: str  # of the references
    images: list[Path]


@cache
def _top() -> Path:
    folder = mkdtemp(prefix="jwgpu-dithered-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@cache
def dithered(instrument: str, detector: str, subarray: str, number: int) -> Dithered:
    """Simulate and calibrate exposures whose pointings their headers know to 0.02 arcsec."""
    settings = Settings(
        instrument=instrument, detector=detector, subarray=subarray, ngroups=5, seed=2
    )
    folder = _top() / f"{detector}-{subarray}-{number}"
    written = write_imaging_references(folder / "references", instrument, detector)
    stars = isolated_stars(settings, 26.0, (2000.0, 20000.0))
    images = []
    for pointing in dithers(settings, number, error=0.02):
        rate = write_rate(folder, settings, stars, pointing, cosmic_rays=20)
        Image2Pipeline.call(
            str(rate),
            references=str(folder / "references"),
            output_dir=str(folder),
            save_results=True,
            steps={"resample": {"skip": True}},
        )
        images.append(folder / rate.name.replace("_rate", "_cal"))
    association = associate(folder, [image.name for image in images])
    references = {name: str(path) for name, path in written.items()}
    return Dithered(association, references, str(folder / "references"), images)


def associate(folder: Path, names: list[str], name: str = PRODUCT) -> Path:
    """Write an association of images in a folder."""
    content = association_from_list(names, "DMS_Level3_Base", name, "o001", remove_suffix)
    path = folder / f"{name}_asn.json"
    write_association(content, str(path), "json")
    return path
