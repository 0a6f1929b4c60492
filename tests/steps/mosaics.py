"""Mosaics of dithered exposures of a field of stars, made once a session."""

from __future__ import annotations

import atexit
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

import numpy as np

from jwgpu.simulate.images import Pointing, Stars, geometry, pixels_of, stars_around, write_rate
from jwgpu.simulate.imaging_references import write_imaging_references
from jwgpu.simulate.settings import Settings
from jwgpu.steps.assign_wcs import AssignWcsStep
from jwgpu.steps.photom import PhotomStep
from jwgpu.steps.resample import ResampleStep

#: A window of a detector of each camera: first column and row, columns and rows.
WINDOWS = {
    "NRCA1": ("NIRCAM", (701, 901, 240, 220)),
    "NIS": ("NIRISS", (301, 201, 200, 220)),
    "MIRIMAGE": ("MIRI", (501, 401, 220, 200)),
    "GUIDER1": ("FGS", (901, 1001, 200, 200)),
}

_TYPES = ("distortion", "filteroffset", "photom", "area", "apcorr", "abvegaoffset")
_DITHERS = ((0.0, 0.0), (3.3, -2.6), (-2.7, 4.4))  # in pixels


class Field(NamedTuple):
    """A mosaic of a field: an official model (do not change it), what is in it, references."""

    mosaic: Any
    settings: Settings
    stars: Stars
    references: dict[str, str]
    folder: str


@cache
def _top() -> Path:
    folder = mkdtemp(prefix="jwgpu-mosaics-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@cache
def mosaic_of(
    detector: str, n_stars: int = 150, noise: bool = True, seed: int = 3, psf_sigma: float = 1.0
) -> Field:
    """Simulate three exposures, and resample them to one image."""
    instrument, window = WINDOWS[detector]
    settings = Settings(
        instrument=instrument,
        detector=detector,
        window=window,
        ngroups=5,
        seed=seed,
        psf_sigma=psf_sigma,
    )
    folder = _top() / f"{detector}-{psf_sigma}"
    types = [name for name in _TYPES if (instrument, name) != ("FGS", "filteroffset")]
    written = write_imaging_references(
        folder, instrument, detector, types=types, psf_sigma=psf_sigma
    )
    stars = stars_around(settings, n_stars, margin=0.0)
    scale = settings.camera.pixel_scale
    images = []
    for number, (x, y) in enumerate(_DITHERS, start=1):
        pointing = Pointing(x=x * scale, y=y * scale, number=number)
        model: Any = str(write_rate(_top() / "rates", settings, stars, pointing, noise=noise))
        for step in (AssignWcsStep, PhotomStep):
            model = step(references=str(folder)).run(model)
        images.append(model)
    mosaic = ResampleStep(blendheaders=False).run(images)
    mosaic.meta.filename = f"{detector.lower()}_i2d.fits"
    names = {name: str(path) for name, path in written.items()}
    return Field(mosaic, settings, stars, names, str(folder))


def true_fluxes(field: Field) -> np.ndarray[Any, Any]:
    """Return what the stars' fluxes are in Jy.

    A count rate of a pixel becomes the brightness of a pixel of the average area; where the
    distortion makes pixels larger, the same rate is of more light.
    """
    transform = geometry(field.settings, Pointing())
    x, y = pixels_of(transform, field.stars.ra, field.stars.dec)
    along_x = np.array(transform(x + 0.5, y)) - np.array(transform(x - 0.5, y))
    along_y = np.array(transform(x, y + 0.5)) - np.array(transform(x, y - 0.5))
    degrees2 = np.abs(along_x[0] * along_y[1] - along_x[1] * along_y[0])
    areas = degrees2 * np.cos(np.radians(field.stars.dec)) * np.radians(1) ** 2
    per_rate = field.mosaic.meta.photometry.conversion_megajanskys
    return field.stars.flux * per_rate * areas * 1e6
