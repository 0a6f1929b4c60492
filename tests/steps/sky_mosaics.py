"""Images of nothing but sky, of a level that is known, at some places on the sky."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from image_exposures import field_of
from stdatamodels.jwst import datamodels

from jwgpu.simulate.images import Pointing, dither_keywords
from jwgpu.steps.assign_wcs import AssignWcsStep

#: Side of the images, in pixels and in arcsec.
SIZE = 160
SIDE = 10.0


@cache
def _placed(x: float, y: float, roll: float, detector: str) -> Any:
    field = field_of("NIRCAM", detector, "SUB160")
    model = datamodels.open(str(field.rate))
    keywords = dither_keywords(field.settings, Pointing(x=x, y=y, roll=roll))
    for place, value in keywords.items():
        model[place] = value
    result = AssignWcsStep(references=field.folder).run(model)
    assert result.data.shape == (SIZE, SIZE)
    return result


def sky_image(
    number: int, place: tuple[float, ...], level: float, noise: float = 0.0, group: int = 0
) -> Any:
    """Return an official model of the sky.

    Parameters
    ----------
    number : int
        Of the image, which names it.
    place : (float, float) or (float, float, float)
        Offset of the pointing in arcsec, and roll in degrees.
    level, noise : float
        Of the sky; some pixels are flagged, and of any other value.
    group : int, optional
        Number of the exposure, if it is another one.
    """
    x, y, roll = (*place, 0.0)[:3]
    model = _placed(x, y, roll, "NRCALONG").copy()
    random = np.random.default_rng(number)
    data = random.normal(level, noise, model.data.shape)
    model.dq = np.where(random.random(data.shape) < 0.02, [[1], [4], [512], [513]] * 40, 0)
    data[(model.dq & 513) > 0] = 1e4
    data[random.random(data.shape) < 0.01] = np.nan
    model.data = data.astype(np.float32)
    model.meta.filename = f"sky{number}_cal.fits"
    model.meta.observation.exposure_number = str(group or number)
    return model


def sky_images(places: Any, levels: Any, noise: float = 0.0) -> list[Any]:
    """Return images at some places, of some levels; see `sky_image`."""
    each = zip(places, levels, strict=True)
    return [sky_image(k, place, level, noise) for k, (place, level) in enumerate(each, start=1)]


def lent(result: Any) -> list[Any]:
    """Return metadata and arrays of the models of a library."""
    with result:
        found = []
        for index, model in enumerate(result):
            arrays = {name: getattr(model, name) for name in ("data", "dq", "err")}
            found.append(SimpleNamespace(meta=model.meta, **arrays))
            result.shelve(model, index, modify=False)
    return found
