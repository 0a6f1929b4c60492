"""Count rates of a field of stars, seen from several pointings: input of stages 2 and 3.

The stars have places on the sky, and fall on each detector as its geometry, pointing and distortion
tell. No ramps are simulated: rates with Poisson and read noise, and their variances.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jwgpu.models import flags as dq
from jwgpu.simulate.geometry import reference_pixels
from jwgpu.simulate.imaging_references import distortion_of, filter_shift
from jwgpu.simulate.keywords import level1b_keywords
from jwgpu.simulate.scene import generator
from jwgpu.simulate.settings import Settings
from jwgpu.simulate.writing import quiet_models, save_reproducibly

_ARCSEC = 1 / 3600.0  # in degrees
_REACH = 6.0  # of a star's image, in sigma
_BAD_PIXELS = 1e-3


@dataclass(frozen=True)
class Stars:
    """A field of stars.

    Attributes
    ----------
    ra, dec : ndarray, (stars,) float64
        Places, in degrees (ICRS).
    flux : ndarray, (stars,) float64
        Count rates, in DN/s.
    sky : float
        Count rate of the sky in each pixel, in DN/s.
    """

    ra: NDArray[np.float64]
    dec: NDArray[np.float64]
    flux: NDArray[np.float64]
    sky: float = 0.5


@dataclass(frozen=True)
class Pointing:
    """Where the telescope looks, relative to the usual attitude of simulated exposures.

    Attributes
    ----------
    x, y : float
        Offset of the pointing along V2 and V3, in arcsec.
    roll : float
        Turn, in degrees.
    error : (float, float)
        What the header does not know of the offset, in arcsec.
    number : int
        Of the exposure, from 1.
    target : (float, float) or None
        Where a moving target is, in degrees; None for a fixed one.
    """

    x: float = 0.0
    y: float = 0.0
    roll: float = 0.0
    error: tuple[float, float] = field(default=(0.0, 0.0))
    number: int = 1
    target: tuple[float, float] | None = None


def stars_around(settings: Settings, n_stars: int = 200, *, margin: float = 5.0) -> Stars:
    """Scatter stars over the field of a detector, with as many faint ones as bright ones.

    Parameters
    ----------
    settings : Settings
        Its seed draws the stars.
    n_stars : int
    margin : float
        Beyond the field, in arcsec.
    """
    rng = generator(settings, 11)
    size = np.array(settings.place.shape[::-1]) * settings.camera.pixel_scale / 2 + margin
    offset = rng.uniform(-size, size, (n_stars, 2)) * _ARCSEC
    keywords = level1b_keywords(settings)
    ra, dec = keywords["meta.wcsinfo.ra_ref"], keywords["meta.wcsinfo.dec_ref"]
    place = window_centre(settings)
    offset += (place - [ra, dec]) * [np.cos(np.radians(dec)), 1]
    flux = np.exp(rng.uniform(np.log(30), np.log(3000), n_stars))
    return Stars(ra + offset[:, 0] / np.cos(np.radians(dec)), dec + offset[:, 1], flux)


def window_centre(settings: Settings) -> NDArray[np.float64]:
    """Return where the centre of the window lies on the sky, in degrees."""
    wcs = geometry(settings, Pointing())
    n_y, n_x = settings.place.shape
    return np.array(wcs((n_x - 1) / 2, (n_y - 1) / 2))


def geometry(settings: Settings, pointing: Pointing, *, true: bool = True) -> Any:
    """Return the transform of a window's pixels to the sky.

    Parameters
    ----------
    settings : Settings
    pointing : Pointing
    true : bool
        With the error of the pointing, or as the header has it.

    Returns
    -------
    astropy.modeling.Model
    """
    from astropy.modeling.models import Shift

    from jwgpu.wcs.pointing import v2v3_to_sky

    meta = _Header(_pointing_keywords(settings, pointing, true=true))
    shift = filter_shift(settings)
    start = Shift(settings.place.xstart - 1 + shift[0]) & Shift(
        settings.place.ystart - 1 + shift[1]
    )
    return start | distortion_of(settings.camera) | v2v3_to_sky(meta)


def pixels_of(transform: Any, ra: Any, dec: Any) -> tuple[Any, Any]:
    """Find the pixels that see places on the sky, exactly.

    Inverses in references are approximate; Newton's method makes an exact one of them.
    """
    x, y = transform.inverse(ra, dec)
    for _ in range(4):
        found = np.array(transform(x, y))
        along_x = np.array(transform(x + 0.5, y)) - np.array(transform(x - 0.5, y))
        along_y = np.array(transform(x, y + 0.5)) - np.array(transform(x, y - 0.5))
        miss = np.array([ra, dec]) - found
        determinant = along_x[0] * along_y[1] - along_x[1] * along_y[0]
        x = x + (miss[0] * along_y[1] - miss[1] * along_y[0]) / determinant
        y = y + (miss[1] * along_x[0] - miss[0] * along_x[1]) / determinant
    return x, y


def light(settings: Settings, stars: Stars, pointing: Pointing) -> NDArray[np.float64]:
    """Return the count rate that falls on each pixel: (y, x), in DN/s, without noise.

    A star is a Gaussian of ``settings.psf_sigma`` pixels, integrated over the pixels.
    """
    from scipy.special import erf

    n_y, n_x = settings.place.shape
    image = np.full((n_y, n_x), stars.sky)
    x, y = pixels_of(geometry(settings, pointing), stars.ra, stars.dec)
    sigma = settings.psf_sigma
    reach = int(np.ceil(_REACH * sigma))
    for x_star, y_star, flux in zip(x, y, stars.flux, strict=True):
        left, bottom = round(float(x_star)) - reach, round(float(y_star)) - reach
        columns = np.arange(max(left, 0), min(left + 2 * reach + 1, n_x))
        rows = np.arange(max(bottom, 0), min(bottom + 2 * reach + 1, n_y))
        if not len(columns) or not len(rows):
            continue
        profiles = []
        for places, centre in ((rows, y_star), (columns, x_star)):
            edges = np.append(places - 0.5, places[-1] + 0.5) - centre
            profiles.append(np.diff(erf(edges / (np.sqrt(2) * sigma))) / 2)
        image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] += flux * np.outer(*profiles)
    return image


def write_rate(
    folder: str | Path,
    settings: Settings,
    stars: Stars,
    pointing: Pointing | None = None,
    *,
    response: NDArray[np.float32] | None = None,
    noise: bool = True,
    cosmic_rays: int = 0,
) -> Path:
    """Write the count rates of one exposure, as stage 1 would.

    Parameters
    ----------
    folder : str or Path
        Made if it is not there.
    settings : Settings
        With several integrations and ``time_series``, a ``_rateints`` file.
    stars : Stars
    pointing : Pointing, optional
    response : ndarray, (y, x), optional
        Flat field that the light is multiplied by; 1 if not given.
    noise : bool
        Whether to add noise; the variances tell of it in any case.
    cosmic_rays : int
        Pixels that are hit, and that nobody has flagged.

    Returns
    -------
    Path
        The file.
    """
    from stdatamodels.jwst import datamodels

    pointing = pointing or Pointing()
    rate = light(settings, stars, pointing)
    if response is not None:
        rate *= np.where(np.isfinite(response) & (response > 0), response, 1)
    planes = settings.nints if settings.time_series else 1
    arrays = [
        _noisy(settings, rate, (pointing.number, i), noise, cosmic_rays) for i in range(planes)
    ]
    stacked = {name: np.stack([plane[name] for plane in arrays]) for name in arrays[0]}
    is_series = settings.time_series
    model_class = datamodels.CubeModel if is_series else datamodels.ImageModel
    suffix = "rateints" if is_series else "rate"
    name = f"jw09999001001_02101_{pointing.number:05d}_{settings.camera.name.lower()}_{suffix}.fits"
    path = Path(folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with quiet_models(), model_class() as model:
        for attribute, planes_of_it in stacked.items():
            setattr(model, attribute, planes_of_it if is_series else planes_of_it[0])
        for place, value in _keywords(settings, pointing).items():
            model[place] = value
        save_reproducibly(model, path)
    return path


def struck_pixels(
    settings: Settings, shape: tuple[int, ...], key: tuple[int, int], number: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return what cosmic rays hit, each pixel once.

    Parameters
    ----------
    settings : Settings
        Its seed draws the hits.
    shape : tuple of int
        Rows and columns.
    key : (int, int)
        Number of the pointing, and the integration from 0.
    number : int
        Pixels that are hit.

    Returns
    -------
    y, x : ndarray, (number,) int64
        Rows and columns.
    strength : ndarray, (number,) float64
        In standard deviations of the noise, from 20 to 100.
    """
    rng = generator(replace(settings), 13, *key)
    places = rng.choice(shape[0] * shape[1], number, replace=False)
    y, x = np.unravel_index(places, shape)
    return y, x, rng.uniform(20, 100, number)


class _Header:
    """Keywords as attributes: ``meta.wcsinfo.ra_ref``."""

    filename = "simulated"

    def __init__(self, keywords: dict[str, Any]) -> None:
        self.wcsinfo = self
        for place, value in keywords.items():
            setattr(self, place.rpartition(".")[2], value)


def _pointing_keywords(
    settings: Settings, pointing: Pointing, *, true: bool = False
) -> dict[str, Any]:
    """Return the keywords of the attitude."""
    usual = level1b_keywords(settings)
    names = ("v2_ref", "v3_ref", "ra_ref", "dec_ref", "roll_ref")
    found = {f"meta.wcsinfo.{name}": usual[f"meta.wcsinfo.{name}"] for name in names}
    error = pointing.error if true else (0.0, 0.0)
    dec = found["meta.wcsinfo.dec_ref"]
    found["meta.wcsinfo.ra_ref"] += (pointing.x + error[0]) * _ARCSEC / np.cos(np.radians(dec))
    found["meta.wcsinfo.dec_ref"] += (pointing.y + error[1]) * _ARCSEC
    found["meta.wcsinfo.roll_ref"] += pointing.roll
    return {place: float(value) for place, value in found.items()}


def dither_keywords(settings: Settings, pointing: Pointing) -> dict[str, Any]:
    """Return the keywords by which one exposure of a dither differs from the usual ones."""
    keywords: dict[str, Any] = _pointing_keywords(settings, pointing)
    if pointing.target is not None:
        keywords["meta.target.type"] = "MOVING"
        keywords["meta.wcsinfo.mt_ra"], keywords["meta.wcsinfo.mt_dec"] = pointing.target
    return keywords | {
        "meta.wcsinfo.crval1": keywords["meta.wcsinfo.ra_ref"],
        "meta.wcsinfo.crval2": keywords["meta.wcsinfo.dec_ref"],
        "meta.observation.exposure_number": str(pointing.number),
        "meta.observation.obs_id": f"V09999001001P000000000210{pointing.number}",
        "meta.dither.position_number": pointing.number,
        "meta.dither.x_offset": pointing.x,
        "meta.dither.y_offset": pointing.y,
    }


def _keywords(settings: Settings, pointing: Pointing) -> dict[str, Any]:
    return {
        **level1b_keywords(settings),
        **dither_keywords(settings, pointing),
        "meta.filetype": "countrate",
        "meta.bunit_data": "DN/s",
        "meta.bunit_err": "DN/s",
        "meta.cal_step.ramp_fit": "COMPLETE",
    }


def _noisy(
    settings: Settings,
    rate: NDArray[np.float64],
    key: tuple[int, int],
    noise: bool,
    cosmic_rays: int,
) -> dict[str, Any]:
    """Return the arrays of one integration."""
    rng = generator(replace(settings), 12, *key)
    camera = settings.camera
    seconds = settings.integration_time
    var_poisson = np.maximum(rate, 0) / (camera.gain * seconds)
    var_rnoise = np.full(rate.shape, 12 * (camera.read_noise / camera.gain / seconds) ** 2)
    data = rate.copy()
    if noise:
        data += rng.normal(0, 1, rate.shape) * np.sqrt(var_poisson + var_rnoise)
    flags = np.zeros(rate.shape, np.uint32)
    bad = rng.random(rate.shape) < _BAD_PIXELS
    border = reference_pixels(camera, settings.place)
    flags[bad] |= np.uint32(dq.DO_NOT_USE | dq.DEAD)
    flags[border] |= np.uint32(dq.DO_NOT_USE | dq.REFERENCE_PIXEL)
    y, x, strength = struck_pixels(settings, rate.shape, key, cosmic_rays)
    data[y, x] += strength * np.sqrt(var_poisson[y, x] + var_rnoise[y, x])
    invalid = (flags & dq.DO_NOT_USE) != 0
    arrays = {
        "data": data,
        "err": np.sqrt(var_poisson + var_rnoise),
        "var_poisson": var_poisson,
        "var_rnoise": var_rnoise,
    }
    for array in arrays.values():
        array[invalid] = np.nan
    found: dict[str, Any] = {name: array.astype(np.float32) for name, array in arrays.items()}
    return {**found, "dq": flags}
