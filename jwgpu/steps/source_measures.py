"""Photometry in apertures, and other measures of sources."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jwgpu.kernels.circles import clip_rings, sum_circles
from jwgpu.steps.apertures import Apertures
from jwgpu.steps.source_columns import concentrations

#: Places where nothing is: for sources without a place.
_NOWHERE = -1000.0

_ZERO_POINT = 8.9  # AB magnitude of 1 Jy


def magnitudes(flux: Any, err: Any) -> tuple[Any, Any]:
    """Return AB magnitudes and their errors; NaN for negative fluxes.

    Parameters
    ----------
    flux, err : Quantity, (sources,)
        In Jy. The errors may be one NaN.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        found = -2.5 * np.log10(flux.value) + _ZERO_POINT
        if np.all(np.isnan(err)):
            uncertain = np.full_like(found, np.nan)
        else:
            uncertain = 2.5 * np.log10(1.0 + (err.value / flux.value))
    is_negative = flux.value < 0
    found[is_negative] = np.nan
    uncertain[is_negative] = np.nan
    return found, uncertain


def photometry(data: Any, err: Any, places: Any, apertures: Apertures) -> dict[str, Any]:
    """Measure what is in circles around sources, above what is in a ring.

    Parameters
    ----------
    data, err : array, (y, x) float32
        In Jy.
    places : array, (sources, 2) float64
        Column and row, in pixels from 0.
    apertures : Apertures

    Returns
    -------
    dict
        Columns of a catalogue: fluxes in Jy, and their ratios.
    """
    import astropy.units as u

    median, spread, count = clip_rings(data, places, apertures.inner, apertures.outer)
    with np.errstate(divide="ignore", invalid="ignore"):
        uncertain = np.sqrt(np.pi / (2.0 * count)) * spread
    values = {"aper_bkg_flux": median * u.Jy, "aper_bkg_flux_err": uncertain * u.Jy}
    sums, errors = sum_circles(data, err**2, places, apertures.radii.astype(float))
    fluxes = []
    for number, (energy, radius) in enumerate(
        zip(apertures.energies, apertures.radii, strict=True)
    ):
        fluxes.append(sums[number] - median * (np.pi * float(radius) ** 2))
        values[f"aper{energy}_flux"] = fluxes[-1] * u.Jy
        values[f"aper{energy}_flux_err"] = errors[number] * u.Jy
    last = f"aper{apertures.energies[-1]}_flux"
    for suffix in ("", "_err"):
        values[f"aper_total_flux{suffix}"] = apertures.corrections[-1] * values[last + suffix]
    with np.errstate(divide="ignore", invalid="ignore"):
        for name, (large, small) in concentrations(apertures.energies).items():
            values[name] = fluxes[large] / fluxes[small]
    return values


def finite_places(x: Any, y: Any) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return places as (sources, 2), far outside where there is none, and where that is so."""
    places = np.transpose((x, y)).astype(float)
    is_bad = ~np.isfinite(places)
    places[is_bad] = _NOWHERE
    return places, is_bad.any(axis=1)


def neighbours(labels: Any, places: Any, is_nowhere: Any) -> tuple[Any, Any]:
    """Return label and distance of each source's nearest neighbour; -1 and NaN if it has none."""
    from scipy.spatial import KDTree

    if len(places) == 1:
        return -1, np.array([np.nan])
    found, nearest = KDTree(places).query(places, k=[2])
    label, distance = labels[nearest[:, 0]], found[:, 0]
    label[is_nowhere] = -1
    distance[is_nowhere] = np.nan
    return label, distance


def sharpness_and_roundness(image: Any, places: Any, fwhm: float) -> tuple[Any, Any]:
    """Return two statistics of the DAOFIND algorithm.

    Parameters
    ----------
    image : array, (y, x) float32
    places : array, (sources, 2) float64
        Column and row.
    fwhm : float
        Width of a star, in pixels.

    Returns
    -------
    sharpness : array, (sources,)
        Height above the surroundings over that of the best Gaussian.
    roundness : array, (sources,)
        Asymmetry of the quadrants; 0 is round.

    References
    ----------
    Stetson 1987, PASP 99, 191.
    """
    from scipy import ndimage

    kernel, is_within = _lowered_gaussian(fwhm)
    half = len(kernel) // 2
    near, is_inside = _cutouts(image, places, 2 * half)
    smooth = ndimage.convolve(near, kernel[None], mode="constant", cval=0.0)
    inner = np.s_[:, half:-half, half:-half]
    near, smooth = near[inner], np.where(is_inside, smooth, near.dtype.type(0))[inner]
    peak, smooth_peak = near[:, half, half], smooth[:, half, half].copy()
    around = (np.sum(near * is_within, axis=(1, 2)) - peak) / (is_within.sum() - 1)
    smooth[:, half, half] = 0.0
    quadrants = (
        smooth[:, : half + 1, half + 1 :],
        smooth[:, :half, : half + 1],
        smooth[:, half:, :half],
        smooth[:, half + 1 :, half:],
    )
    first, second, third, fourth = (part.sum(axis=(1, 2)) for part in quadrants)
    asymmetry = -first + second - third + fourth
    whole = np.abs(smooth).sum(axis=(1, 2))
    whole[whole == 0] = np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        return (peak - around) / smooth_peak, 2.0 * asymmetry / whole


def _lowered_gaussian(fwhm: float) -> tuple[Any, Any]:
    """Return a Gaussian lowered to a sum of zero within a circle, and that circle."""
    from astropy.convolution import Gaussian2DKernel
    from astropy.stats import gaussian_fwhm_to_sigma

    sigma = fwhm * gaussian_fwhm_to_sigma
    radius = max(2.0, 1.5 * sigma)
    half = int(radius)
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    is_within = (np.sqrt(x**2 + y**2) <= radius).astype(int)
    size = 2 * half + 1
    kernel = Gaussian2DKernel(sigma, x_size=size, y_size=size).array
    kernel = kernel / np.max(kernel) * is_within
    n = is_within.sum()
    power = np.sum(kernel**2) - np.sum(kernel) ** 2 / n
    return (kernel - kernel.sum() / n) / power * is_within, is_within


def _cutouts(image: Any, places: Any, half: int) -> tuple[Any, Any]:
    """Return squares around places, (sources, 2 half + 1, 2 half + 1), and what is in the image.

    Outside they are 0.
    """
    offsets = np.arange(-half, half + 1)
    middle = np.ceil(places - 0.5).astype(int)
    columns = middle[:, 0, None] + offsets
    rows = middle[:, 1, None] + offsets
    n_rows, n_columns = image.shape
    is_inside = ((rows >= 0) & (rows < n_rows))[:, :, None] & (
        (columns >= 0) & (columns < n_columns)
    )[:, None, :]
    rows, columns = rows.clip(0, n_rows - 1), columns.clip(0, n_columns - 1)
    values = image[rows[:, :, None], columns[:, None, :]]
    return np.where(is_inside, values, image.dtype.type(0)), is_inside
