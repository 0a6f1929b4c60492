"""The background of an image: its level, or a smooth model of it."""

from __future__ import annotations

import logging
import warnings
from functools import lru_cache
from typing import Any

from jwgpu.backends import namespace_of
from jwgpu.kernels.flicker_noise import (
    background_limits,
    box_medians,
    mask_outside,
    masked_median,
)

log = logging.getLogger(__name__)

_SIGMA = 3.0
_LARGEST_BOX = 32
#: Share of the pixels of a box that must be left for it to count.
_LEAST_LEFT = 0.9
#: Boxes to either side that a box is the median with; those that a missing one is averaged from.
_FILTER_SIZE = 5
_NEIGHBOURS = 10


def background_level(
    image: Any, mask: Any, method: str | None, box: tuple[int, int] | None = None
) -> Any:
    """Return the background of an image.

    Parameters
    ----------
    image : array, (y, x) float32
    mask : array, (y, x) bool
        The pixels to use. Changed in place: False where they stand out of the background.
    method : {"median", "model"} or None
        A single level, a smooth image, or nothing.
    box : (int, int), optional
        Rows and columns that one point of the smooth image is made from; otherwise up to 32 that
        divide the image evenly.

    Returns
    -------
    float32, or array, (y, x) float32
    """
    if method is None:
        return 0.0
    limits = background_limits(image, mask, _SIGMA, _SIGMA, lower_half_only=True)
    mask_outside(image, mask, *limits)
    if method == "median":
        return masked_median(image, mask)
    try:
        return background_model(image, mask, box or default_box(image.shape))
    except ValueError as why:
        log.warning("the background cannot be modelled (%s): its median is used", why)
        return masked_median(image, mask)


def default_box(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the largest box of up to 32 x 32 pixels that divides an image evenly."""
    rows, columns = (
        max(size for size in range(1, _LARGEST_BOX + 1) if length % size == 0) for length in shape
    )
    return rows, columns


def background_model(image: Any, mask: Any, box: tuple[int, int]) -> Any:
    """Return a smooth image of the background.

    The clipped median of each box, smoothed with those of 5 x 5 boxes, and interpolated by cubic
    splines: what SExtractor does (Bertin & Arnouts 1996, A&AS 117, 393), as photutils does it.

    Parameters
    ----------
    image : array, (y, x) float32
    mask : array, (y, x) bool
        The pixels to use.
    box : (int, int)
        Rows and columns of a box.

    Raises
    ------
    ValueError
        If no box has enough pixels.
    """
    if any(length % size for length, size in zip(image.shape, box, strict=True)):
        log.warning("boxes of %s do not divide the image of %s evenly", tuple(box), image.shape)
    # No box is larger than the image.
    box = (min(int(box[0]), image.shape[0]), min(int(box[1]), image.shape[1]))
    if min(box) < 1:
        raise ValueError(f"boxes of {box} pixels are too small")
    xp = namespace_of(image)
    medians, counts = box_medians(image, mask, box)
    mesh = xp.where(counts > _LEAST_LEFT * box[0] * box[1], medians, xp.float32(xp.nan))
    mesh = mesh if isinstance(mesh, _host_array()) else mesh.get()
    smooth = _smoothed_mesh(mesh)
    return _enlarged(xp, smooth, box, image.shape)


def _host_array() -> type:
    import numpy as np

    return np.ndarray


def _smoothed_mesh(mesh: Any) -> Any:
    """Fill the missing boxes from the nearest ones, and smooth; on the host, for it is small."""
    import numpy as np
    from scipy.spatial import cKDTree

    is_there = np.isfinite(mesh)
    if not is_there.any():
        raise ValueError("no box has enough pixels")
    if not is_there.all():
        # Of boxes that are equally near, which are taken depends on the size of a leaf.
        tree = cKDTree(np.column_stack(np.nonzero(is_there)), leafsize=10)
        missing = np.column_stack(np.nonzero(~is_there))
        neighbours = min(_NEIGHBOURS, int(is_there.sum()))
        distance, index = tree.query(missing, k=[*range(1, neighbours + 1)])
        weight = 1.0 / distance
        values = mesh[is_there][index]
        mesh = mesh.copy()
        mesh[~is_there] = (weight * values).sum(axis=1) / weight.sum(axis=1)
    border = _FILTER_SIZE // 2
    padded = np.pad(mesh, border, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (_FILTER_SIZE, _FILTER_SIZE))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmedian(windows.reshape(*mesh.shape, -1), axis=-1).astype(mesh.dtype)


def _enlarged(xp: Any, mesh: Any, box: tuple[int, int], shape: tuple[int, ...]) -> Any:
    """Interpolate a mesh by cubic splines, without going beyond its values."""
    low, high = mesh.min(), mesh.max()
    if low == high:
        return xp.full(shape, low, dtype=xp.float32)
    # Splines are linear in the values, and those of rows and columns independent.
    over_rows, over_columns = (
        xp.asarray(_spline_matrix(n, size)[:length])
        for n, size, length in zip(mesh.shape, box, shape, strict=True)
    )
    large = over_rows @ xp.asarray(mesh, dtype=xp.float64) @ over_columns.T
    return xp.clip(large.astype(xp.float32), low, high)


@lru_cache(maxsize=8)
def _spline_matrix(n: int, size: int) -> Any:
    """Return the weights of `n` values in `size` places for each: (n size, n) float64."""
    import numpy as np
    from scipy.ndimage import zoom

    units = [zoom(unit, size, order=3, mode="reflect", grid_mode=True) for unit in np.eye(n)]
    return np.stack(units, axis=1)
