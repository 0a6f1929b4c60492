"""How far two dithered images of one star are apart, by what they show: for wfs_combine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jwgpu.errors import InputError
from jwgpu.models.flags import DO_NOT_USE
from jwgpu.models.images import Image

#: Width of the filter, in pixels, whose result is subtracted before images are compared.
_BROAD = 5

#: What of a triangle a place on its edge may be outside, by rounding.
_ON_EDGE = 1e-9

#: Pixels on either side of the highest correlation that its centre is measured in.
_REACH = 3


@dataclass(frozen=True)
class Sizes:
    """What is looked at.

    Attributes
    ----------
    psf : int
        Pixels on either side of the star.
    blur : int
        How much the image is smoothed to find the star: the kernel's half width, and twice the
        square of its sigma, in pixels.
    box : int
        Pixels on either side of a bad one that its value is interpolated from.
    """

    psf: int = 100
    blur: int = 10
    box: int = 2


def residual_offset(
    first: Image, second: Image, offset: tuple[int, int], sizes: Sizes
) -> tuple[float, float]:
    """Measure what an offset leaves between two images.

    The star is found in the first image; around it, both are compared.

    Parameters
    ----------
    first, second : Image
        Of the same shape, without NaN.
    offset : (int, int)
        Columns and rows from the first image's star to the second one's, as known.
    sizes : Sizes

    Returns
    -------
    x, y : float
        What is to be added to `offset`, in pixels.

    Raises
    ------
    InputError
        If there is no star, or the images cannot be compared around it.
    """
    window = _around(find_star(first, sizes.blur), sizes.psf, first.data.shape)
    cuts = [
        filled(image.data[window].copy(), (image.dq[window] & DO_NOT_USE) != 0, sizes.box)
        for image in (first, second)
    ]
    x, y = offset
    n_y, n_x = cuts[0].shape
    if abs(x) >= n_x or abs(y) >= n_y:
        raise InputError(
            f"{second.meta.filename}: shows nothing of what is around the star of "
            f"{first.meta.filename}: {x} columns and {y} rows apart; enlarge psf_size"
        )
    common = (
        cuts[0][_overlap(-y, n_y), _overlap(-x, n_x)],
        cuts[1][_overlap(y, n_y), _overlap(x, n_x)],
    )
    n_y, n_x = common[0].shape
    # Quirk: one past the middle, and without the last row and column.
    inner = _span(n_y / 2 + 1, sizes.psf, n_y - 1), _span(n_x / 2 + 1, sizes.psf, n_x - 1)
    return _displacement(common[0][inner], common[1][inner], second)


def find_star(image: Image, blur: int) -> tuple[float, float]:
    """Find the star: the mean place of what is brighter than half of the brightest, smoothed.

    Parameters
    ----------
    image : Image
    blur : int
        See `Sizes`.

    Returns
    -------
    x, y : float

    Raises
    ------
    InputError
        If the image is too small, or has no good pixels.
    """
    from scipy.ndimage import correlate1d

    name = image.meta.filename
    if min(image.data.shape) < 2 * blur + 1:
        raise InputError(f"{name}: is smaller than 2 x {blur} + 1 pixels: choose a lower blur_size")
    data = image.data.astype(np.float64)
    is_bad = (image.dq & DO_NOT_USE) != 0
    if is_bad.all():
        raise InputError(f"{name}: has no good pixel: leave this pair out")
    data[is_bad] = data[~is_bad].mean()
    kernel = np.exp(-(np.arange(-blur, blur + 1) ** 2) / blur)
    kernel /= kernel.sum()
    inside = slice(blur, -blur)
    smooth = correlate1d(correlate1d(data, kernel, 0), kernel, 1)[inside, inside]
    y, x = np.nonzero(smooth > 0.5 * smooth.max())
    if not len(y):
        raise InputError(f"{name}: shows no star: run without do_refine")
    return float(x.mean()) + blur, float(y.mean()) + blur


def filled(data: NDArray[np.float32], is_bad: NDArray[np.bool_], box: int) -> NDArray[np.float32]:
    """Interpolate bad pixels, one after the other, between those around; in place.

    Parameters
    ----------
    data : ndarray, (y, x) float32
    is_bad : ndarray, (y, x) bool
    box : int
        See `Sizes`.

    Returns
    -------
    ndarray
        `data`.
    """
    for y, x in np.argwhere(is_bad):
        rows, columns, weights = _weights(int(y), int(x), data.shape, box)
        data[y, x] = weights @ data[rows, columns].astype(np.float64)
    return data


@lru_cache(maxsize=1 << 14)
def _weights(y: int, x: int, shape: tuple[int, int], box: int) -> tuple[Any, Any, Any]:
    """Return rows, columns and weights of the pixels that another one is interpolated from.

    Linear in the triangle of a Delaunay triangulation; the nearest outside of all. Which
    triangle it is among those that are as good, rounding decides, so that each place has its own:
    as officially, along a row or along a column.

    Quirk: beyond the right and upper edges, `box` - 1 pixels count less than there are. What was
    filled before counts, and so does what is bad and not filled yet.
    """
    from scipy.spatial import Delaunay, cKDTree  # KDTree breaks ties otherwise

    columns = np.arange(max(0, x - box), min(shape[1] - box, x + box) + 1)
    rows = np.arange(max(0, y - box), min(shape[0] - box, y + box) + 1)
    places = np.stack([np.tile(rows, len(columns)), np.repeat(columns, len(rows))], 1)
    places = places[(places != (y, x)).any(1)]
    # scipy's own search solves a system of equations for each triangle: ten times slower.
    corners = Delaunay(places).simplices
    last = places[corners[:, 2]]
    one, two = places[corners[:, 0]] - last, places[corners[:, 1]] - last
    at = (y, x) - last
    area = np.where(_cross(one, two) == 0, np.nan, _cross(one, two))
    weights = np.stack([_cross(at, two) / area, _cross(one, at) / area], 1)
    weights = np.column_stack([weights, 1 - weights.sum(1)])
    around = np.flatnonzero((weights > -_ON_EDGE).all(1))
    if len(around):
        found, weight = places[corners[around[0]]], weights[around[0]]
    else:
        found, weight = places[[cKDTree(places).query((y, x))[1]]], np.ones(1)
    return found[:, 0], found[:, 1], weight


def _cross(one: Any, two: Any) -> Any:
    return one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]


def _displacement(first: Any, second: Any, image: Image) -> tuple[float, float]:
    """Return how far the second image is from the first, by their correlation."""
    from scipy.ndimage import center_of_mass, gaussian_filter
    from scipy.signal import correlate

    fine = [cut - gaussian_filter(cut, _BROAD) for cut in (second, first)]
    correlation = correlate(*(cut.astype(np.float64) for cut in fine), method="fft")
    peak = np.unravel_index(np.argmax(correlation), correlation.shape)
    around = tuple(slice(int(at) - _REACH, int(at) + _REACH + 1) for at in peak)
    near = correlation[around]
    if min(int(at) for at in peak) < _REACH or near.shape != (2 * _REACH + 1,) * 2:
        raise InputError(
            f"{image.meta.filename}: is not like the image that it is paired with: run without "
            "do_refine"
        )
    y, x = (
        float(at - length + 1 + centre - _REACH)
        for at, length, centre in zip(peak, first.shape, center_of_mass(near), strict=True)
    )
    return x, y


def _around(star: tuple[float, float], reach: int, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Return the rows and columns around a star."""
    x, y = star
    return (
        slice(round(max(0, y - reach)), round(min(shape[0], y + reach))),
        slice(round(max(0, x - reach)), round(min(shape[1], x + reach))),
    )


def _span(centre: float, reach: int, end: int) -> slice:
    return slice(int(max(0, centre - reach)), int(min(end, centre + reach)))


def _overlap(offset: int, length: int) -> slice:
    """Return what an axis, moved by an offset, has in common with itself."""
    return slice(max(offset, 0), length + min(offset, 0))
