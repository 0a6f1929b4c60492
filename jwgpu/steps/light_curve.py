"""How bright the source of an imaging time series is in each integration: aperture photometry.

What tso_photometry of release 3.0 measures with default parameters, as far as the brightness goes:
the place of the source is its center of mass, found in a large box around the planned place and
then in a small one around the median of all integrations.

Sums over a box are in the library's order: on a GPU their last bit may differ from the CPU's.
"""

from __future__ import annotations

import logging
import math
from typing import Any

from jwgpu.backends import namespace_of
from jwgpu.kernels.moving_median import middle
from jwgpu.models.flags import DO_NOT_USE
from jwgpu.models.rates import Rates

log = logging.getLogger(__name__)

#: Pixels: radius of the aperture, of what is left out of the background, and sides of both boxes.
_RADIUS = 3.0
_SOURCE_RADIUS = 4.0
_SEARCH_BOX, _FIT_BOX = 41, 11

#: A box whose sum is less has no center.
_NO_LIGHT = 1e-30

#: With this pupil and subarray the image of the source is larger than what is read.
_WHOLE_IMAGE = ("WLP8", "SUB64P")


def light_curve(rates: Rates, gain: Any) -> Any:
    """Return the light in the aperture: (ints,) float32.

    Parameters
    ----------
    rates : Rates
        Of each integration, (ints, y, x). Not changed.
    gain : array, (y, x) float32
        In electrons per DN, for rates in DN/s.

    Raises
    ------
    ValueError
        If a keyword is missing that says where the source is, or what the units are.
    """
    xp = namespace_of(rates.data, gain)
    meta = rates.meta
    planned = [getattr(meta.wcsinfo, f"siaf_{axis}ref_sci") for axis in "yx"]
    for value, keyword in zip(planned, ("YREF_SCI", "XREF_SCI"), strict=True):
        if value is None:
            raise ValueError(f"keyword {keyword} is missing, which says where the source is")
    if meta.bunit_data is None or meta.bunit_err is None:
        raise ValueError("keyword BUNIT is missing")
    images = _light(xp, rates, gain)
    if (meta.instrument.pupil, meta.subarray.name) == _WHOLE_IMAGE:
        return xp.nansum(images, axis=(1, 2))
    place = _place_of_source(xp, images, rates.dq, [float(value) - 1 for value in planned])
    log.info("the source is at x, y = %.2f, %.2f", place[1], place[0])
    return _in_aperture(xp, images, place)


def _light(xp: Any, rates: Rates, gain: Any) -> Any:
    """Return images in electrons or Jy; others stay as they are."""
    if rates.meta.bunit_data == "MJy/sr":
        return rates.data * xp.float32(1e6 * rates.meta.photometry.pixelarea_steradians)
    if rates.meta.bunit_data == "DN/s":
        return rates.data * (xp.float32(rates.meta.exposure.integration_time) * gain)
    return rates.data


def _place_of_source(xp: Any, images: Any, dq: Any, planned: list[float]) -> list[float]:
    """Return row and column of the source, both counted from 0."""
    is_bad = ((dq & xp.uint32(DO_NOT_USE)) != 0) | xp.isnan(images)
    place = planned
    for size in (_SEARCH_BOX, _FIT_BOX):
        found = _centers(xp, images, is_bad, place, size)
        if found is None or not all(math.isfinite(value) for value in found):
            log.warning("the source is not found: it is taken to be where it was planned")
            return planned
        place = found
    return place


def _centers(
    xp: Any, images: Any, is_bad: Any, place: list[float], size: int
) -> list[float] | None:
    """Return the median of the centers of mass in a box; None if the box lies beside the image."""
    shape = images.shape[1:]
    if any(not 0 <= value <= n - 1 for value, n in zip(place, shape, strict=True)):
        return None
    y, x = (xp.arange(n, dtype=xp.float64) for n in shape)
    across, along = x[None, :] - place[1], y[:, None] - place[0]
    # Products: powers round otherwise on a GPU, and a pixel may lie right on the circle.
    is_source = across * across + along * along < _SOURCE_RADIUS**2
    rows, columns = (_box(value, size, n) for value, n in zip(place, shape, strict=True))
    centers = []
    for i in range(images.shape[0]):
        image, bad = images[i], is_bad[i]
        level = middle(xp.where(is_source, xp.float32(xp.nan), image).reshape(-1))
        here = bad[rows, columns]
        light = xp.where(here, xp.float32(0), image[rows, columns] - level)
        light = light.astype(xp.float64)
        total = xp.sum(light)
        total = xp.where(xp.all(here) | (abs(total) < _NO_LIGHT), xp.nan, total)
        centers.append(
            xp.stack(
                [
                    xp.sum(y[rows][:, None] * light) / total,
                    xp.sum(x[columns][None, :] * light) / total,
                ]
            )
        )
    found = xp.stack(centers)
    # What is beside the image is no center, in either direction.
    limits = xp.asarray([float(n) for n in shape])
    is_inside = xp.all((found >= 0) & (found < limits), axis=1)[:, None]
    place_of_all = middle(xp.where(is_inside, found, xp.nan).T)
    return [float(place_of_all[0]), float(place_of_all[1])]


def _box(place: float, size: int, n: int) -> slice:
    """Return a box around a place along one axis of `n` pixels, as far as it lies on the image."""
    return slice(max(math.ceil(place - size / 2), 0), min(math.ceil(place + size / 2), n))


def _in_aperture(xp: Any, images: Any, place: list[float]) -> Any:
    """Return the sums within the aperture; pixels at its edge count by their area inside."""
    rows, columns = (
        slice(max(math.floor(c - _RADIUS + 0.5), 0), min(math.ceil(c + _RADIUS + 0.5), n))
        for c, n in zip(place, images.shape[1:], strict=True)
    )
    areas = [
        [
            circle_in_pixel(x - place[1], y - place[0], _RADIUS)
            for x in range(columns.start, columns.stop)
        ]
        for y in range(rows.start, rows.stop)
    ]
    weights = xp.asarray(areas, dtype=xp.float32)
    light = images[:, rows, columns]
    is_good = xp.isfinite(light) & (weights > 0)
    sums = xp.sum(xp.where(is_good, light, xp.float32(0)) * weights, axis=(1, 2))
    return xp.where(xp.any(is_good, axis=(1, 2)), sums, xp.float32(xp.nan))


def circle_in_pixel(x: float, y: float, radius: float) -> float:
    """Return the area that a circle around the origin has in common with a pixel.

    Parameters
    ----------
    x, y : float
        Middle of the pixel, whose sides are 1.
    radius : float
    """

    def corner(a: float, b: float) -> float:
        """Return the area, with a sign, in common with the rectangle from the origin to (a, b)."""
        sign = math.copysign(1.0, a) * math.copysign(1.0, b)
        a, b = min(abs(a), radius), min(abs(b), radius)
        if a * a + b * b <= radius * radius:
            return sign * a * b
        # Under the circle from where it is lower than b, up to a.
        start = math.sqrt(radius * radius - b * b)

        def under(t: float) -> float:
            root = math.sqrt(max(radius * radius - t * t, 0.0))
            return 0.5 * (t * root + radius * radius * math.asin(min(t / radius, 1.0)))

        return sign * (start * b + under(a) - under(start))

    left, right, low, high = x - 0.5, x + 0.5, y - 0.5, y + 0.5
    area = corner(right, high) - corner(left, high) - corner(right, low) + corner(left, low)
    return max(area, 0.0)
