"""Calibrated exposures of one field, dithered and hit by cosmic rays; made once a session."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from image_exposures import field_of
from stdatamodels.jwst import datamodels

from jwgpu.simulate.images import Pointing, struck_pixels, write_rate
from jwgpu.steps.assign_wcs import AssignWcsStep
from jwgpu.steps.flat_field import FlatFieldStep
from jwgpu.steps.photom import PhotomStep

HITS = 40


class Dithered(NamedTuple):
    """Exposures with the association of them all, and what was hit in each."""

    association: Path
    files: list[Path]
    hits: list[np.ndarray]

    def models(self):
        """Return them all, opened once; do not change them."""
        return list(_opened(self.association))


@cache
def _opened(association):
    return [datamodels.open(path) for path in sorted(association.parent.glob("*_cal.fits"))]


def calibrate(rate: Path, references: str):
    """Return an official model of count rates in surface brightness."""
    model = str(rate)
    for step in (AssignWcsStep, FlatFieldStep, PhotomStep):
        model = step(references=references).run(model)
    return model


@cache
def dithered(
    instrument: str, detector: str, subarray: str, step: float, number: int = 3
) -> Dithered:
    """Simulate exposures that are moved by so many pixels each."""
    field = field_of(instrument, detector, subarray)
    folder = field.rate.parent / f"dithered-{number}-{step}"
    scale = field.settings.camera.pixel_scale
    files, hits = [], []
    for index in range(number):
        moved = {"x": step * scale * index, "y": -step / 2 * scale * index, "roll": 0.02 * index}
        pointing = Pointing(**moved, number=index + 1)
        rate = write_rate(folder, field.settings, field.stars, pointing, cosmic_rays=HITS)
        path = rate.with_name(rate.name.replace("_rate", "_cal"))
        with calibrate(rate, field.folder) as model:
            model.save(str(path))
            shape = model.data.shape
        rate.unlink()
        files.append(path)
        mask = np.zeros(shape, bool)
        y, x, _ = struck_pixels(field.settings, shape, (index + 1, 0), HITS)
        mask[y, x] = True
        hits.append(mask)
    return Dithered(write_association(folder / "all_asn.json", files), files, hits)


def write_association(path: Path, files: list[Path]) -> Path:
    """Write the association of some files."""
    members = [{"expname": file.name, "exptype": "science"} for file in files]
    content = {"asn_type": "image3", "asn_rule": "DMS_Level3_Base", "asn_pool": "a_pool"}
    content |= {"asn_id": "a3001", "target": "none", "program": "99999"}
    content |= {"products": [{"name": "mosaic", "members": members}]}
    path.write_text(json.dumps(content))
    return path
