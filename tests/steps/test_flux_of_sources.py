"""Drizzle conserves the flux of every isolated source, area by area."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from image_exposures import CAMERAS, calibrated, field_of

from jwgpu.simulate.fields import dithers, isolated_stars
from jwgpu.simulate.images import dither_keywords, light
from jwgpu.steps.assign_wcs import AssignWcsStep
from jwgpu.steps.resample import ResampleStep

#: Pixels around a star that hold all its light, in the image and in the mosaic.
REACH = 7


def exposures(settings, folder, stars, number):
    """Images of stars alone: no sky, no noise, no flaws, equal weights."""
    models = []
    for pointing in dithers(settings, number):
        place = settings.camera.instrument, settings.camera.name, settings.place.name
        model = calibrated(*place).copy()
        for name, value in dither_keywords(settings, pointing).items():
            model[name] = value
        model = AssignWcsStep(references=folder).run(model)
        model.data = light(settings, stars, pointing).astype(np.float32)
        model.dq = np.zeros_like(model.dq)
        for name in ("err", "var_poisson", "var_rnoise", "var_flat"):
            setattr(model, name, np.ones_like(model.data))
        models.append(model)
    return models


def areas_in(mosaic, image, rows, columns):
    """Return the areas of pixels in those of the mosaic: of the quadrangles of their corners."""
    y, x = np.meshgrid(
        np.append(rows, rows[-1] + 1) - 0.5,
        np.append(columns, columns[-1] + 1) - 0.5,
        indexing="ij",
    )
    sky = image.meta.wcs(x, y, with_bounding_box=False)
    u, v = mosaic.meta.wcs.invert(*sky, with_bounding_box=False)
    # Half the product of the diagonals.
    across = (u[1:, 1:] - u[:-1, :-1]) * (v[1:, :-1] - v[:-1, 1:])
    back = (u[1:, :-1] - u[:-1, 1:]) * (v[1:, 1:] - v[:-1, :-1])
    return np.abs(across - back) / 2


def box_around(x, y, shape):
    """Return rows and columns around a place; None where they are not all in the image."""
    rows = np.arange(round(float(y)) - REACH, round(float(y)) + REACH + 1)
    columns = np.arange(round(float(x)) - REACH, round(float(x)) + REACH + 1)
    is_inside = rows[0] >= 0 and columns[0] >= 0 and rows[-1] < shape[0] and columns[-1] < shape[1]
    return (rows, columns) if is_inside else None


@pytest.mark.parametrize(
    ("camera", "number", "options"),
    [
        (CAMERAS[0], 3, {}),
        (CAMERAS[0], 2, {"pixel_scale_ratio": 0.7}),
        (CAMERAS[3], 2, {"pixfrac": 0.8}),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else str(value),
)
def test_flux_of_each_source(camera, number, options):
    field = field_of(*camera)
    settings = dataclasses.replace(field.settings, psf_sigma=1.0)
    stars = dataclasses.replace(isolated_stars(settings, 30.0), sky=0.0)
    models = exposures(settings, field.folder, stars, number)
    found = ResampleStep(weight_type="exptime", **options).run(models)
    checked = 0
    for ra, dec in zip(stars.ra, stars.dec, strict=True):
        before, counts = [], 0.0
        for model in models:
            place = box_around(*model.meta.wcs.invert(ra, dec), model.data.shape)
            if place is None:
                break
            pixels = model.data[np.ix_(*place)].astype(float)
            before.append((pixels * areas_in(found, model, *place)).sum())
            counts += pixels.sum() * model.meta.exposure.measurement_time
        x, y = found.meta.wcs.invert(ra, dec)
        reach = REACH / options.get("pixel_scale_ratio", 1.0)
        place = np.s_[
            max(round(float(y - reach)), 0) : round(float(y + reach)) + 1,
            max(round(float(x - reach)), 0) : round(float(x + reach)) + 1,
        ]
        if len(before) < len(models) or not np.isfinite(found.data[place]).all():
            continue
        image, weight = found.data[place].astype(float), found.wht[place]
        assert (image * weight).sum() == pytest.approx(counts, rel=1e-5)
        # Drops that are smaller than pixels do not cover the output evenly; that a source lies
        # on more, or on less, of them shows in the mean, though not in the sum above.
        even = 1 if options.get("pixfrac", 1.0) == 1 else 30
        assert image.sum() == pytest.approx(np.mean(before), rel=even * 1e-4)
        checked += 1
    assert checked >= 5
