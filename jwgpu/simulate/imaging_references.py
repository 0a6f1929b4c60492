"""References for images: geometry, flat field and photometry, in the formats of CRDS."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from jwgpu.models import flags as dq
from jwgpu.simulate.geometry import Detector, full_frame, reference_pixels
from jwgpu.simulate.keywords import optical_elements
from jwgpu.simulate.photometry_references import abvegaoffset_model, apcorr_model
from jwgpu.simulate.settings import Settings
from jwgpu.simulate.subarrays import find_detector
from jwgpu.simulate.writing import quiet_models, save_reproducibly

_FLAT_SPREAD = 0.02  # of the response from pixel to pixel
_FLAT_ERROR = 0.003
_BAD_FLAT = 2e-4  # share of pixels without a flat field
_FACTOR = {"NIRCAM": 2.1, "NIRISS": 0.9, "MIRI": 0.45, "FGS": 1.3}  # MJy/sr per DN/s
_BEND = 2e-5  # of the distortion, in the units of pixels from the centre over 1000
_IN_ASDF = ("distortion", "filteroffset", "abvegaoffset")
_DEGREE = 4  # of the distortion
_INVERSE_DEGREE = 5

#: Shifts of filters along columns and rows, in pixels.
_SHIFTS = {"F200W": (0.0, 0.0), "F444W": (0.13, -0.21), "F770W": (-0.14, -0.62)}


def distortion_of(detector: Detector, inverse_degree: int = _INVERSE_DEGREE) -> Any:
    """Make a detector's transform from its pixels to (V2, V3), in arcsec.

    A polynomial of degree 4 bends the field by up to 1 %, as real ones do; then come scale, parity,
    rotation and the place in the focal plane. Its inverse is a fitted polynomial, good to a few
    hundredths of a pixel, as in real references.

    Parameters
    ----------
    detector : Detector
    inverse_degree : int
        Degree of the polynomials on the way back.

    Returns
    -------
    astropy.modeling.Model
        Pixels of the full detector from (0, 0).
    """
    return _transform_of(detector, inverse_degree).copy()


@cache  # an exposure asks for it several times, and the fit takes as long as all else
def _transform_of(detector: Detector, inverse_degree: int) -> Any:
    from astropy.modeling.models import AffineTransformation2D, Mapping, Polynomial2D, Shift

    centre = (detector.xsize - 1) / 2, (detector.ysize - 1) / 2
    rng = np.random.default_rng(detector.sca_number)
    bends = []
    for axis in range(2):
        polynomial = Polynomial2D(_DEGREE)
        for power in range(2, _DEGREE + 1):
            for x_power in range(power + 1):
                size = _BEND * 1000.0 ** (1 - power) * 300.0 / 2.0 ** (power - 2)
                name = f"c{x_power}_{power - x_power}"
                setattr(polynomial, name, float(rng.normal(0, 1)) * size)
        setattr(polynomial, "c1_0" if axis == 0 else "c0_1", 1.0)
        bends.append(polynomial)
    angle = np.radians(detector.v3i_yang)
    # The y axis is turned by that angle from V3; seen from behind, x runs the other way.
    matrix = detector.pixel_scale * np.array(
        [[-np.cos(angle), np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    )
    place = AffineTransformation2D(matrix, [detector.v2_ref, detector.v3_ref])
    back = AffineTransformation2D(
        np.linalg.inv(matrix), -np.linalg.inv(matrix) @ [detector.v2_ref, detector.v3_ref]
    )
    bent = Mapping((0, 1, 0, 1)) | bends[0] & bends[1]
    straight = _fit_inverse(detector, bent, centre, inverse_degree)
    forward = Shift(-centre[0]) & Shift(-centre[1]) | bent | place
    forward.inverse = back | straight | Shift(centre[0]) & Shift(centre[1])
    return forward


def filter_shift(settings: Settings) -> tuple[float, float]:
    """Return how far the exposure's filter shifts the image along columns and rows, in pixels."""
    name = optical_elements(settings).get("filter", "")
    return _SHIFTS.get(name, (0.0, 0.0)) if settings.camera.instrument != "FGS" else (0.0, 0.0)


def _fit_inverse(detector: Detector, bent: Any, centre: tuple[float, float], degree: int) -> Any:
    from astropy.modeling.models import Mapping, Polynomial2D

    x = np.linspace(-0.5, detector.xsize - 0.5, 40) - centre[0]
    y = np.linspace(-0.5, detector.ysize - 0.5, 40) - centre[1]
    x, y = (part.ravel() for part in np.meshgrid(x, y))
    u, v = bent(x, y)
    powers = [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i)]
    basis = np.stack([(u / 1000) ** i * (v / 1000) ** j for i, j in powers], axis=1)
    found = []
    for target in (x, y):
        terms = np.linalg.lstsq(basis, target, rcond=None)[0]
        polynomial = Polynomial2D(degree)
        for (i, j), term in zip(powers, terms, strict=True):
            setattr(polynomial, f"c{i}_{j}", float(term) / 1000.0 ** (i + j))
        found.append(polynomial)
    return Mapping((0, 1, 0, 1)) | found[0] & found[1]


def write_imaging_references(
    folder: str | Path,
    instrument: str,
    detector: str,
    *,
    types: Sequence[str] | None = None,
    area: bool = True,
    changes: Sequence[str] = (),
    psf_sigma: float = 1.0,
) -> dict[str, Path]:
    """Write what stages 2 and 3 need for images of one detector.

    Parameters
    ----------
    folder : str or Path
        Made if it is not there.
    instrument, detector : str
        As in the header: ``NIRCAM``, ``NRCA1``.
    types : sequence of str, optional
        ``distortion``, ``filteroffset``, ``flat``, ``photom``, ``area``, ``apcorr``,
        ``abvegaoffset``; by default all that the instrument has.
    area : bool
        Whether PHOTOM tells the area of a pixel.
    changes : sequence of str
        How the throughput changes over time: ``linear``, ``exponential``, ``powerlaw``.
    psf_sigma : float
        Width of a star, in pixels: that of the exposures' settings.

    Returns
    -------
    dict
        Reference type to file.
    """
    from stdatamodels.jwst import datamodels

    camera = find_detector(instrument, detector)
    makers: dict[str, Any] = {
        "distortion": lambda: _distortion(camera, datamodels),
        "filteroffset": lambda: _filteroffset(camera, datamodels),
        "flat": lambda: _flat(camera, datamodels),
        "photom": lambda: _photom(camera, datamodels, area, changes),
        "area": lambda: _area(camera, datamodels),
        "apcorr": lambda: apcorr_model(camera, datamodels, psf_sigma),
        "abvegaoffset": lambda: abvegaoffset_model(camera, datamodels),
    }
    wanted = types or [name for name in makers if (instrument, name) != ("FGS", "filteroffset")]
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for reftype in wanted:
        suffix = ".asdf" if reftype in _IN_ASDF else ".fits"
        path = folder / f"jwst_{instrument}_{reftype}_{detector}_imaging{suffix}".lower()
        with quiet_models(), makers[reftype]() as model:
            _describe(model, reftype, camera)
            save_reproducibly(model, path)
        written[reftype] = path
    return written


def _describe(model: Any, reftype: str, detector: Detector) -> None:
    meta = model.meta
    meta.instrument.name = detector.instrument
    meta.instrument.detector = detector.name
    meta.reftype = reftype
    meta.pedigree = "DUMMY"
    meta.author = "jwgpu.simulate"
    meta.description = "Simulated"
    meta.useafter = "2020-01-01T00:00:00"


def _distortion(detector: Detector, models: Any) -> Any:
    from astropy import units as u

    model = models.DistortionModel(
        model=distortion_of(detector), input_units=u.pix, output_units=u.arcsec
    )
    model.meta.exposure.type = f"{detector.instrument[:3]}_IMAGE"
    return model


def _filteroffset(detector: Detector, models: Any) -> Any:
    model = models.FilteroffsetModel()
    model.filters = [
        {"filter": name, "pupil": pupil, "column_offset": shift[0], "row_offset": shift[1]}
        for name, shift in _SHIFTS.items()
        for pupil in ("CLEAR", "F200W", "N/A")
    ]
    del detector
    return model


def _flat(detector: Detector, models: Any) -> Any:
    rng = np.random.default_rng([detector.sca_number, 1])
    shape = detector.ysize, detector.xsize
    response = rng.normal(1, _FLAT_SPREAD, shape).astype(np.float32)
    flags = np.zeros(shape, np.uint32)
    # All that a flat field may say: no value, none of use, a flag of its own.
    for number, flag in enumerate((dq.NO_FLAT_FIELD, dq.UNRELIABLE_FLAT, 0, 0)):
        chosen = rng.random(shape) < _BAD_FLAT
        flags[chosen] |= np.uint32(flag)
        if number >= 2:
            response[chosen] = (np.nan, 0.0)[number - 2]
    camera = Settings(instrument=detector.instrument, detector=detector.name).camera
    border = reference_pixels(camera, full_frame(camera))
    response[border] = 1.0
    flags[border] |= np.uint32(dq.NO_FLAT_FIELD)
    model = models.FlatModel(data=response, dq=flags)
    model.err = np.full(shape, _FLAT_ERROR, np.float32)
    return model


def _areas(detector: Detector) -> tuple[float, float]:
    arcsec2 = detector.pixel_scale**2
    return arcsec2 * (np.pi / (180 * 3600)) ** 2, arcsec2


def _photom(detector: Detector, models: Any, area: bool, changes: Sequence[str]) -> Any:
    classes = {
        "NIRCAM": models.NrcImgPhotomModel,
        "NIRISS": models.NisImgPhotomModel,
        "MIRI": models.MirImgPhotomModel,
        "FGS": models.FgsImgPhotomModel,
    }
    model = classes[detector.instrument]()
    dtype = model.get_dtype("phot_table")
    rows = _photom_rows(detector, dtype.names)
    table = np.zeros(len(rows), dtype)
    for place, row in enumerate(rows):
        for name, value in row.items():
            table[name][place] = value
        table["photmjsr"][place] = _FACTOR[detector.instrument] * (1 + 0.1 * place)
        table["uncertainty"][place] = 0.01
    model.phot_table = table
    coefficients = {
        "linear": {"t0": 59700.0, "lossperyear": 0.01},
        "exponential": {"t0": 59700.0, "amplitude": 0.05, "tau": 200.0, "const": 0.95},
        "powerlaw": {"t0": 59700.0, "year1value": 0.97, "tsoft": 1.0, "alpha": -0.01},
    }
    for kind in changes:
        name = f"timecoeff_{kind}"
        values = np.zeros(len(rows), model.get_dtype(name))
        for column, number in coefficients[kind].items():
            values[column] = number
        for column in set(values.dtype.names) & {"filter", "pupil", "subarray"}:
            values[column] = table[column]
        setattr(model, name, values)
    if area:
        steradian, arcsec2 = _areas(detector)
        model.meta.photometry.pixelarea_steradians = steradian
        model.meta.photometry.pixelarea_arcsecsq = arcsec2
    return model


def _photom_rows(detector: Detector, columns: Sequence[str]) -> list[dict[str, str]]:
    if detector.instrument == "FGS":
        return [{}]
    if detector.instrument == "MIRI":
        return [
            {"filter": name, "subarray": subarray}
            for name in ("F560W", "F770W", "F1000W")
            for subarray in ("FULL", "GENERIC")
        ]
    rows = [
        {"filter": name, "pupil": pupil}
        for name in ("F090W", "F200W", "F444W", "CLEAR")
        for pupil in ("CLEAR", "F200W", "F090W")
    ]
    if "subarray" in columns:
        rows = [{**row, "subarray": subarray} for row in rows for subarray in ("FULL", "SUB160")]
    return rows


def _area(detector: Detector, models: Any) -> Any:
    y, x = np.mgrid[: detector.ysize, : detector.xsize].astype(np.float32)
    areas = 1 + 2e-5 * (x - detector.xsize / 2) - 1e-5 * (y - detector.ysize / 2)
    model = models.PixelAreaModel(data=areas.astype(np.float32))
    steradian, arcsec2 = _areas(detector)
    model.meta.photometry.pixelarea_steradians = steradian
    model.meta.photometry.pixelarea_arcsecsq = arcsec2
    return model
