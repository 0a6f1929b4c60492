"""A dithered field of stars from the raw exposures on: input of all three stages, with the truth.

The stars have places and fluxes on the sky; each exposure sees them through its pointing, the
distortion, the flat field and the detector, and is read out up the ramp.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jwgpu.simulate.exposure import simulate_exposure
from jwgpu.simulate.geometry import Detector
from jwgpu.simulate.images import (
    Pointing,
    Stars,
    dither_keywords,
    geometry,
    light,
    pixels_of,
)
from jwgpu.simulate.imaging_references import write_imaging_references
from jwgpu.simulate.keywords import level1b_keywords
from jwgpu.simulate.references import write_references
from jwgpu.simulate.scene import generator
from jwgpu.simulate.settings import Settings
from jwgpu.simulate.writing import write_exposure

_ARCSEC = 1 / 3600.0  # in degrees

#: Pixels by which exposures are moved, columns and rows: whole pixels against flaws of the
#: detector, all quarters along each axis so that drizzle smears all stars alike.
_DITHER = ((0.0, 0.0), (9.25, 4.5), (-5.5, 8.75), (4.75, -7.75))


@dataclass(frozen=True)
class StarField:
    """Raw exposures of a field of stars, all that calibrates them, and the truth.

    Attributes
    ----------
    exposures : list of Path
        The ``_uncal.fits``.
    references : Path
        Folder of the references of all stages.
    stars : Stars
        Their `flux` is in DN/s of a pixel of the nominal area.
    janskys : ndarray, (stars,) float64
        Fluxes in Jy.
    settings : Settings
        Of the first exposure.
    """

    exposures: list[Path]
    references: Path
    stars: Stars
    janskys: NDArray[np.float64]
    settings: Settings


def dithers(settings: Settings, number: int, error: float = 0.0) -> list[Pointing]:
    """Return pointings that are some pixels apart.

    Parameters
    ----------
    settings : Settings
    number : int
        Of exposures.
    error : float
        Spread of what the headers do not know of the pointings, in arcsec; the first is right.
    """
    rng = generator(settings, 13)
    errors = rng.normal(0, error, (number, 2))
    errors[0] = 0.0
    turns = _turns(settings)
    found = []
    for k in range(number):
        # Further out, and an eighth of a pixel on, each time round.
        pixels = np.array(_DITHER[k % 4]) * (1 + 4 * (k // 4)) + 0.125 * (k // 4)
        x, y = turns @ pixels
        wrong = float(errors[k, 0]), float(errors[k, 1])
        found.append(Pointing(x=float(x), y=float(y), error=wrong, number=k + 1))
    return found


def _turns(settings: Settings) -> NDArray[np.float64]:
    """Return the arcsec to the east and north of a pixel's columns and rows: (2, 2)."""
    wcs = geometry(settings, Pointing())
    n_y, n_x = settings.place.shape
    x, y = (n_x - 1) / 2, (n_y - 1) / 2
    along_x = np.array(wcs(x + 0.5, y)) - np.array(wcs(x - 0.5, y))
    along_y = np.array(wcs(x, y + 0.5)) - np.array(wcs(x, y - 0.5))
    dec = np.radians(wcs(x, y)[1])
    degrees = np.stack([along_x, along_y], axis=1) * [[np.cos(dec)], [1.0]]
    arcsec: NDArray[np.float64] = degrees / _ARCSEC
    return arcsec


def isolated_stars(
    settings: Settings, distance: float = 40.0, flux: tuple[float, float] = (100.0, 3000.0)
) -> Stars:
    """Place stars in the window of a detector so that none disturbs another.

    Parameters
    ----------
    settings : Settings
        Its seed draws the stars.
    distance : float
        Typical distance of neighbours, in pixels; none are nearer than half of it.
    flux : (float, float)
        The faintest and the brightest, in DN/s.
    """
    rng = generator(settings, 14)
    n_y, n_x = settings.place.shape
    x, y = np.meshgrid(
        np.arange(distance, n_x - distance / 2, distance),
        np.arange(distance, n_y - distance / 2, distance),
    )
    x, y = x.ravel(), y.ravel()
    x = x + rng.uniform(-distance / 4, distance / 4, x.size)
    y = y + rng.uniform(-distance / 4, distance / 4, y.size)
    ra, dec = geometry(settings, Pointing())(x, y)
    fluxes = np.exp(rng.uniform(np.log(flux[0]), np.log(flux[1]), x.size))
    return Stars(np.asarray(ra), np.asarray(dec), fluxes)


def write_uncal(
    folder: str | Path,
    settings: Settings,
    stars: Stars,
    pointing: Pointing,
    *,
    response: NDArray[np.floating] | None = None,
    threads: int = 1,
) -> Path:
    """Write a raw exposure of stars.

    Parameters
    ----------
    folder : str or Path
        Made if it is not there.
    settings : Settings
    stars : Stars
        Their fluxes hold for a pixel of the nominal area. A flat field is that of an evenly bright
        sky, so after it a star in a smaller pixel looks brighter.
    pointing : Pointing
    response : ndarray, (y, x), optional
        Flat field that the light is multiplied by; 1 if not given, and where it has no value.
    threads : int
        See `simulate_exposure`.

    Returns
    -------
    Path
        The file.
    """
    areas = pixel_areas(settings, stars, pointing)
    rate = light(settings, replace(stars, flux=stars.flux / areas), pointing)
    if response is not None:
        rate *= np.where(np.isfinite(response) & (response > 0), response, 1)
    own = replace(settings, seed=settings.seed + pointing.number - 1)
    simulation = simulate_exposure(own, threads, rate)
    name = f"jw09999001001_02101_{pointing.number:05d}_{own.camera.product_name}_uncal.fits"
    return write_exposure(simulation, folder, name, dither_keywords(settings, pointing))


def pixel_areas(settings: Settings, stars: Stars, pointing: Pointing) -> NDArray[np.float64]:
    """Return the areas of the pixels that stars fall on, relative to the nominal one: (stars,)."""
    wcs = geometry(settings, pointing)
    x, y = pixels_of(wcs, stars.ra, stars.dec)
    along_x = np.array(wcs(x + 0.5, y)) - np.array(wcs(x - 0.5, y))
    along_y = np.array(wcs(x, y + 0.5)) - np.array(wcs(x, y - 0.5))
    across = np.abs(along_x[0] * along_y[1] - along_x[1] * along_y[0])
    arcsec2 = across * np.cos(np.radians(stars.dec)) / _ARCSEC**2
    areas: NDArray[np.float64] = arcsec2 / settings.camera.pixel_scale**2
    return areas


def cut(image: NDArray[Any], settings: Settings) -> NDArray[Any]:
    """Cut the window of an exposure out of an image of the full detector, border included."""
    place = settings.place
    rows = slice(place.ystart - 1, place.ystart - 1 + place.ysize)
    return image[rows, place.xstart - 1 : place.xstart - 1 + place.xsize]


def make_field(
    folder: str | Path,
    number: int = 4,
    *,
    threads: int = 1,
    error: float = 0.0,
    distance: float = 40.0,
    flux: tuple[float, float] = (100.0, 3000.0),
    **settings: Any,
) -> StarField:
    """Simulate a dithered field of isolated stars with the references of all stages.

    Parameters
    ----------
    folder : str or Path
        The exposures go here, the references into ``references`` below.
    number : int
        Exposures.
    threads : int
        Threads that simulate; the result does not depend on it.
    error : float
        See `dithers`.
    distance, flux
        See `isolated_stars`.
    **settings
        Fields of `Settings`.

    Returns
    -------
    StarField
    """
    from astropy.io import fits

    chosen = Settings(**settings)
    camera: Detector = chosen.camera
    references = Path(folder) / "references"
    write_references(chosen, references)
    written = write_imaging_references(
        references, camera.instrument, camera.name, psf_sigma=chosen.psf_sigma
    )
    response = cut(fits.getdata(written["flat"], "SCI"), chosen)
    stars = isolated_stars(chosen, distance, flux)
    exposures = [
        write_uncal(folder, chosen, stars, pointing, response=response, threads=threads)
        for pointing in dithers(chosen, number, error)
    ]
    factor = _conversion(written["photom"], chosen)
    return StarField(exposures, references, stars, stars.flux * factor, chosen)


def _conversion(photom: Path, settings: Settings) -> float:
    """Return the flux of a star of 1 DN/s, in Jy."""
    from stdatamodels.jwst import datamodels

    keywords = level1b_keywords(settings)
    with datamodels.open(str(photom)) as model:
        table = model.phot_table
        chosen = np.ones(len(table), bool)
        for name in set(table.dtype.names or ()) & {"filter", "pupil"}:
            chosen &= table[name] == keywords[f"meta.instrument.{name}"]
        if "subarray" in (table.dtype.names or ()):
            fitting = chosen & (table["subarray"] == settings.place.name)
            chosen &= fitting if fitting.any() else table["subarray"] == "GENERIC"
        factors: Sequence[float] = table["photmjsr"][chosen]
        return float(factors[0]) * 1e6 * float(model.meta.photometry.pixelarea_steradians)
