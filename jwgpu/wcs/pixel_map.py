"""Where the pixels of one image fall on another.

Evaluating a geometry on each of four million pixels takes seconds. But a way from one detector
to the sky and back to pixels is smooth: a few hundred points tell a Chebyshev series that
gives all the others, better than the rounding of angles in degrees lets them be computed.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.errors import ParameterError
from jwgpu.kernels.pixel_map import Series, evaluate

log = logging.getLogger(__name__)

#: Largest difference from the exact map, in pixels, that is put up with: about that by which
#: rounding in single precision changes how much of a pixel falls on another.
TOLERANCE = 2e-7

#: Sum of the terms of the series that are left out, in pixels.
_LEFT_OUT = 2e-8

#: Points along each axis that the series is found from, one after another.
_NODES = (16, 32, 64)

#: Points, at random, where it is checked.
_CHECKS = 256

#: Fewest points of a coarse grid along an axis, as officially.
_FEWEST = 10

#: First and last column, first and last row.
Window = tuple[int, int, int, int]
Exact = Callable[[Any, Any], Any]


def pixel_map(
    wcs_in: Any,
    wcs_out: Any,
    shape: tuple[int, int],
    step: float = 1.0,
    order: int = 1,
    xp: Any = np,
    may_be_series: bool = False,
) -> Any:
    """Return where the centre of each pixel of an image falls on another.

    Parameters
    ----------
    wcs_in, wcs_out : gwcs.WCS
        Geometries of both images; left as they are.
    shape : (int, int)
        Rows and columns of the first image.
    step : float
        Beyond 1: evaluate only on a grid of this spacing, in pixels, and put splines through, as
        the official package does where it is asked to. Else the map is exact to `TOLERANCE`.
    order : int
        Of the splines, 1 or 3.
    xp : module
        Array namespace of the map.
    may_be_series : bool
        Return a `jwgpu.kernels.pixel_map.Series` where one gives the whole map.

    Returns
    -------
    array, (y, x, 2) float64, or Series
        Column and row, from 0; NaN outside of the bounding box of `wcs_in`.

    Raises
    ------
    ParameterError
        If step or order make no sense.
    """
    if not step > 0:
        raise ParameterError(f"pixmap_stepsize={step}: it must be positive")
    window = window_of(wcs_in, shape)
    width, height = window[1] - window[0] + 1, window[3] - window[2] + 1
    with _exact(wcs_in, wcs_out) as exact:
        if width < 2 or height < 2:
            return xp.asarray(_everywhere(exact, shape))
        if step == 1 or max(width, height) <= _FEWEST:
            return _by_series(exact, shape, window, xp, may_be_series)
        if order not in (1, 3):
            raise ParameterError(f"pixmap_order={order}: it must be 1 or 3")
        return xp.asarray(_by_splines(exact, shape, window, step, order))


def window_of(wcs: Any, shape: tuple[int, int]) -> Window:
    """Return the pixels whose centres lie in the bounding box of a geometry."""
    n_y, n_x = shape
    box = getattr(wcs, "bounding_box", None)
    if box is None:
        return 0, n_x - 1, 0, n_y - 1
    (left, right), (bottom, top) = box.bounding_box(order="F")
    return (
        max(0, math.ceil(left)),
        min(n_x - 1, math.floor(right)),
        max(0, math.ceil(bottom)),
        min(n_y - 1, math.floor(top)),
    )


@contextmanager
def _exact(wcs_in: Any, wcs_out: Any) -> Any:
    """Give the exact way, without the bounding box of the second geometry."""
    box = wcs_out.bounding_box
    wcs_out.bounding_box = None

    def exact(x: Any, y: Any) -> Any:
        return np.array(wcs_out.world_to_pixel_values(*wcs_in.pixel_to_world_values(x, y)))

    try:
        yield exact
    finally:
        if box is not None:
            wcs_out.bounding_box = box


def _everywhere(exact: Exact, shape: tuple[int, int]) -> Any:
    y, x = np.indices(shape, dtype=np.float64)
    return np.ascontiguousarray(np.moveaxis(exact(x, y), 0, -1))


def _by_series(
    exact: Exact, shape: tuple[int, int], window: Window, xp: Any, may_be_series: bool
) -> Any:
    """Find a Chebyshev series that is good enough, and evaluate it if it has to be."""
    left, right, bottom, top = window
    random = np.random.default_rng(0)
    x, y = random.uniform(left, right, _CHECKS), random.uniform(bottom, top, _CHECKS)
    truth = exact(x, y)
    for n_nodes in _NODES:
        if n_nodes**2 * 2 > (right - left + 1) * (top - bottom + 1):
            break
        coefficients = _series(exact, window, n_nodes)
        if not np.isfinite(coefficients).all():
            break
        n_terms = coefficients.shape[-1]
        functions = [
            _chebyshev(y, bottom, top, n_terms),
            _chebyshev(x, left, right, n_terms),
        ]
        found = np.einsum("aji,nj,ni->an", coefficients, *functions)
        if np.abs(found - truth).max() <= TOLERANCE:
            series = _tabulated(coefficients, window, xp)
            is_whole = window == (0, shape[1] - 1, 0, shape[0] - 1)
            return series if may_be_series and is_whole else _evaluate(series, shape, window, xp)
    log.info("the map of the pixels is not smooth, or small: it is evaluated for each of them")
    return xp.asarray(_everywhere(exact, shape))


def _chebyshev(places: Any, low: float, high: float, n_terms: int) -> Any:
    """Return the Chebyshev polynomials between `low` and `high`, (places, terms)."""
    return np.polynomial.chebyshev.chebvander((2 * places - low - high) / (high - low), n_terms - 1)


def _series(exact: Exact, window: Window, n_nodes: int) -> Any:
    """Return the coefficients, (2, terms, terms), without those that add nothing."""
    left, right, bottom, top = window
    angles = np.pi * (np.arange(n_nodes) + 0.5) / n_nodes
    x = (left + right + (right - left) * np.cos(angles)) / 2
    y = (bottom + top + (top - bottom) * np.cos(angles)) / 2
    values = exact(*np.meshgrid(x, y))
    # The discrete orthogonality of the polynomials at their nodes.
    weights = np.cos(np.outer(np.arange(n_nodes), angles)) * 2 / n_nodes
    weights[0] /= 2
    coefficients = np.einsum("jn,anm,im->aji", weights, values, weights)
    n_terms, left_out = n_nodes, 0.0
    while n_terms > 2:
        edge = np.abs(coefficients[:, n_terms - 1, :n_terms]).sum(axis=-1)
        edge += np.abs(coefficients[:, : n_terms - 1, n_terms - 1]).sum(axis=-1)
        left_out += edge.max()
        if not left_out <= _LEFT_OUT:
            break
        n_terms -= 1
    return np.ascontiguousarray(coefficients[:, :n_terms, :n_terms])


def _tabulated(coefficients: Any, window: Window, xp: Any) -> Series:
    """Return a series with the polynomials at all pixels of the window."""
    left, right, bottom, top = window
    n_terms = coefficients.shape[-1]
    along_y = _chebyshev(np.arange(bottom, top + 1.0), bottom, top, n_terms)
    along_x = _chebyshev(np.arange(left, right + 1.0), left, right, n_terms)
    tables = (
        coefficients,
        np.ascontiguousarray(along_y),
        np.ascontiguousarray(along_x.T),
    )
    return Series(*map(xp.asarray, tables))


def _evaluate(series: Series, shape: tuple[int, int], window: Window, xp: Any) -> Any:
    inside = xp.empty((len(series.along_y), series.along_x.shape[1], 2))
    evaluate(*series, inside)
    return _put_into(inside, shape, window)


def _by_splines(
    exact: Exact, shape: tuple[int, int], window: Window, step: float, order: int
) -> Any:
    """Evaluate on a coarse grid, and put splines through."""
    from scipy.interpolate import RectBivariateSpline

    left, right, bottom, top = window
    x = np.linspace(left, right, _points(right - left + 1, step))
    y = np.linspace(bottom, top, _points(top - bottom + 1, step))
    values = exact(*np.meshgrid(x, y))
    if not np.isfinite(values).all():
        return _everywhere(exact, shape)
    rows, columns = np.arange(bottom, top + 1), np.arange(left, right + 1)
    inside = np.stack(
        [RectBivariateSpline(y, x, one, kx=order, ky=order)(rows, columns) for one in values],
        axis=-1,
    )
    return _put_into(inside, shape, window)


def _points(n_pixels: int, step: float) -> int:
    return max(math.ceil(n_pixels / step), min(_FEWEST, n_pixels))


def _put_into(inside: Any, shape: tuple[int, int], window: Window) -> Any:
    """Return the whole map, NaN outside of the window."""
    if inside.shape[:2] == shape:
        return inside
    left, right, bottom, top = window
    whole = namespace_of(inside).full((*shape, 2), np.nan)
    whole[bottom : top + 1, left : right + 1] = inside
    return whole
