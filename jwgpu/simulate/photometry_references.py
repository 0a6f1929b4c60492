"""References for the photometry of sources: aperture corrections, and offsets of magnitudes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jwgpu.simulate.geometry import Detector

_ENCLOSED = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
_SKY = (12.0, 18.0)  # radii of the ring of sky, in pixels
_STEPS = 200  # of the profile, in a pixel
_OFFSET = {"F200W": 1.7, "F444W": 3.2, "F770W": 4.3}  # AB minus Vega magnitude


def aperture_radii(
    psf_sigma: float, pixfrac: float = 1.0, pixel_scale_ratio: float = 1.0
) -> NDArray[np.float64]:
    """Return the radii that hold given shares of a star's light in a mosaic.

    An aperture sees a simulated star, a Gaussian, behind four boxes: the pixel of the detector that
    collected its light, the drop that the pixel was shrunk to, the pixel of the output that caught
    shares of drops, and that pixel once more, within which the image counts as constant. Over
    all places of a star within its pixel this is their convolution.

    Parameters
    ----------
    psf_sigma : float
        Width of the Gaussian, in pixels of the detector.
    pixfrac : float
        Side of the drop, in these pixels.
    pixel_scale_ratio : float
        Side of a pixel of the output, in these pixels.

    Returns
    -------
    ndarray, (shares,) float64
        In pixels of the detector, for shares of 20, 30, … 80 %.
    """
    step = 1 / _STEPS
    reach = 8 * psf_sigma + 4
    places = (np.arange(-round(reach * _STEPS), round(reach * _STEPS)) + 0.5) * step
    profile = np.exp(-0.5 * (places / psf_sigma) ** 2)
    for side in (1.0, pixfrac, pixel_scale_ratio, pixel_scale_ratio):
        distance = np.abs(np.arange(-_STEPS, _STEPS + 1) * step)
        box = np.clip((side / 2 - distance) / step + 0.5, 0, 1)  # the share of each step within
        profile = np.convolve(profile, box, mode="same")
    profile /= profile.sum()
    within = np.concatenate([[0.0], np.cumsum(profile)])
    edges = np.concatenate([[places[0] - step / 2], places + step / 2])
    radii = np.arange(0, reach, 0.01)
    shares = []
    for radius in radii:
        half = np.sqrt(np.maximum(radius**2 - places**2, 0))
        slab = np.interp(half, edges, within) - np.interp(-half, edges, within)
        shares.append(np.sum(profile * slab))
    return np.asarray(np.interp(_ENCLOSED, shares, radii))


def apcorr_model(detector: Detector, models: Any, psf_sigma: float) -> Any:
    """Make an APCORR reference: for each filter a radius for each share of the light.

    Parameters
    ----------
    detector : Detector
    models : module
        `stdatamodels.jwst.datamodels`.
    psf_sigma : float
        Width of a star, in pixels.

    Returns
    -------
    JwstDataModel
    """
    classes = {
        "NIRCAM": models.NrcImgApcorrModel,
        "NIRISS": models.NisImgApcorrModel,
        "MIRI": models.MirImgApcorrModel,
        "FGS": models.FgsImgApcorrModel,
    }
    model = classes[detector.instrument]()
    radii = aperture_radii(psf_sigma)
    rows = [
        (*chosen_by, share, radius, 1 / share, *_SKY)
        for chosen_by in _rows(detector)
        for share, radius in zip(_ENCLOSED, radii, strict=True)
    ]
    model.apcorr_table = np.array(rows, model.get_dtype("apcorr_table"))
    kind = {"NIRCAM": "NRC", "NIRISS": "NIS", "MIRI": "MIR", "FGS": "FGS"}[detector.instrument]
    model.meta.exposure.type = f"{kind}_IMAGE"
    return model


def abvegaoffset_model(detector: Detector, models: Any) -> Any:
    """Make an ABVEGAOFFSET reference; see `apcorr_model`."""
    from astropy.table import Table

    model = models.ABVegaOffsetModel()
    if detector.instrument == "FGS":
        names: list[tuple[str, ...]] = [("GUIDER1",), ("GUIDER2",)]
        columns = {"detector": [name for (name,) in names]}
    elif detector.instrument == "MIRI":
        names = sorted({(name,) for name, _ in _rows(detector)})
        columns = {"filter": [name for (name,) in names]}
    else:
        names = _rows(detector)
        columns = {"filter": [name for name, _ in names], "pupil": [name for _, name in names]}
    offsets = [next((_OFFSET[part] for part in row if part in _OFFSET), 0.5) for row in names]
    table = Table({**columns, "abvega_offset": np.array(offsets, np.float32)})
    model.abvega_offset = table
    return model


def _rows(detector: Detector) -> list[tuple[str, ...]]:
    """Return what the rows are chosen by: filter and pupil, or filter and subarray."""
    if detector.instrument == "FGS":
        return [()]
    if detector.instrument == "MIRI":
        subarrays = ("FULL", "BRIGHTSKY", "SUB256", "SUB128", "SUB64")
        return [(name, part) for name in ("F560W", "F770W", "F1000W") for part in subarrays]
    filters = ("F090W", "F200W", "F444W", "CLEAR")
    return [(name, pupil) for name in filters for pupil in ("CLEAR", "F200W", "F090W")]
