"""The background of an image and its scatter: medians of boxes, with splines between them."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jwgpu.kernels.compiled import over_rows

log = logging.getLogger(__name__)

#: Values that are off by more standard deviations are left out, so often.
_SIGMA, _TIMES = 3.0, 5

#: Share of its pixels that a box needs to count.
_SHARE = 0.9

_ORDER = 3  # of the splines

#: Rows that are interpolated at a time: so many stay in the cache.
_STRIP = 32


@dataclass(frozen=True)
class Background:
    """The background of an image.

    Attributes
    ----------
    shape : (int, int)
        Rows and columns of the image.
    box : (int, int)
        Rows and columns of a box.
    mask : array, (y, x) bool
        Pixels that are no part of the image; their background is 0.
    medians, scatters : array, (boxes along y, boxes along x) float32
        Of the boxes.
    """

    shape: tuple[int, int]
    box: tuple[int, int]
    mask: Any
    medians: Any
    scatters: Any
    _weights: dict[int, Any] = field(default_factory=dict)

    def level(self) -> Any:
        """Return the background of each pixel, (y, x) float32."""
        return self._spread(self.medians)

    def scatter(self) -> Any:
        """Return the standard deviation around the background, (y, x) float32."""
        return self._spread(self.scatters)

    def _spread(self, mesh: Any) -> Any:
        """Interpolate values of boxes by splines, which stay within their range."""
        from scipy import ndimage

        image = np.empty(self.shape, np.float32)
        if np.ptp(mesh) == 0:
            image[:] = mesh.flat[0]
        else:
            terms = ndimage.spline_filter(mesh, _ORDER, output=np.float64, mode="reflect")
            along_y, along_x = (self._weights_along(axis) for axis in (0, 1))
            terms = np.einsum("kj,xj->kx", terms, along_x)

            def fill(first: int, stop: int) -> None:
                for row in range(first, stop, _STRIP):
                    rows = slice(row, min(row + _STRIP, stop))
                    # Few boxes count here. No BLAS, whose threads would fight with ours.
                    near = np.flatnonzero(along_y[rows].any(axis=0))
                    some = slice(near[0], near[-1] + 1)
                    image[rows] = np.einsum("yk,kx->yx", along_y[rows, some], terms[some])
                    np.clip(image[rows], mesh.min(), mesh.max(), out=image[rows])

            over_rows(fill, len(image))
        image[self.mask] = 0
        return image

    def _weights_along(self, axis: int) -> Any:
        """Return the weight of each box's spline at each row or column."""
        from scipy import ndimage

        if axis not in self._weights:
            n_boxes, box = self.medians.shape[axis], self.box[axis]
            more = {"order": _ORDER, "mode": "reflect", "grid_mode": True, "prefilter": False}
            columns = [ndimage.zoom(unit, box, **more) for unit in np.eye(n_boxes)]
            self._weights[axis] = np.stack(columns, axis=1)[: self.shape[axis]]
        return self._weights[axis]


def background_of(data: Any, box_size: int, mask: Any) -> Background | None:
    """Find the background of an image.

    Parameters
    ----------
    data : array, (y, x) float32
    box_size : int
        Side of a box, in pixels. Where too few pixels of each box are good, the whole image is one.
    mask : array, (y, x) bool
        Pixels to leave out. So are those that are not finite.

    Returns
    -------
    Background or None
        None if no pixel is good.
    """
    good = np.isfinite(data) & ~mask
    n_y, n_x = data.shape
    if not good.any():
        return None
    box = (min(box_size, n_y), min(box_size, n_x))
    found = _of_boxes(data, good, box, _SHARE) if min(box) > 0 else None
    if found is None:
        log.info("the background is that of the whole image: no box has enough good pixels")
        box = (n_y, n_x)
        found = _of_boxes(data, good, box, 0.0)
    if found is None:
        return None
    medians, scatters = (_smooth(_fill(mesh)) for mesh in found)
    return Background((n_y, n_x), box, mask, medians, scatters)


def _of_boxes(data: Any, good: Any, box: tuple[int, int], share: float) -> Any:
    """Return median and scatter of each box, NaN where too few pixels are good; None if all."""
    (n_y, n_x), (height, width) = data.shape, box
    least = share * height * width
    n_boxes = (-(-n_y // height), -(-n_x // width))
    medians, scatters = (np.full(n_boxes, np.nan, np.float32) for _ in range(2))
    n_whole = n_x // width
    columns = [(0, n_whole), (n_whole, n_boxes[1])]

    def measure(first: int, stop: int) -> None:
        for row in range(first, stop):
            rows = slice(row * height, (row + 1) * height)
            pixels = np.where(good[rows], data[rows], np.float32(np.nan))
            for one, end in columns:
                part = pixels[:, one * width : end * width]
                if part.size <= least * (end - one):
                    continue
                # One box a row, in the order of its pixels.
                boxes = part.reshape(len(part), end - one, -1).swapaxes(0, 1)
                median, scatter, count = _clipped(boxes.reshape(end - one, -1))
                medians[row, one:end] = np.where(count > least, median, np.nan)
                scatters[row, one:end] = np.where(count > least, scatter, np.nan)

    over_rows(measure, n_boxes[0])
    return None if np.isnan(medians).all() else (medians, scatters)


def _clipped(boxes: Any) -> tuple[Any, Any, Any]:
    """Return median, standard deviation and number of pixels of boxes, without what is off.

    Parameters
    ----------
    boxes : array, (boxes, pixels) float32
        NaN where there is none; changed.
    """
    ordered = np.sort(boxes, axis=-1)
    medians = np.full(len(boxes), np.nan, np.float32)
    counts = np.zeros(len(boxes), np.intp)
    for index, values in enumerate(ordered):
        values = values[: np.searchsorted(values, np.inf, side="right")]
        if not len(values):
            continue
        low, high = _bounds(values)
        kept = values[np.searchsorted(values, low) : np.searchsorted(values, high, side="right")]
        medians[index], counts[index] = _median(kept), len(kept)
        box = boxes[index]
        box[(box < low) | (box > high)] = np.nan
    boxes[counts == 0] = 0  # no matter what; an empty box would bring warnings
    # Quirk: the sums are in single precision, and so in the order of the pixels.
    return medians, np.nanstd(boxes, axis=-1), counts


def _bounds(values: Any) -> tuple[float, float]:
    """Return the bounds of ordered values that are not off."""
    for _ in range(_TIMES):
        median = float(_median(values.astype(np.float64, copy=False)))
        reach = _SIGMA * float(values.std(dtype=np.float64))
        low, high = median - reach, median + reach
        kept = values[np.searchsorted(values, low) : np.searchsorted(values, high, side="right")]
        if len(kept) in (0, len(values)):
            break
        values = kept
    return low, high


def _median(ordered: Any) -> Any:
    """Return the median of ordered values."""
    n = len(ordered)
    middle = ordered[(n - 1) // 2 : n // 2 + 1]
    return middle.sum() / middle.dtype.type(len(middle)) if n else np.nan


def _fill(mesh: Any) -> Any:
    """Return values of boxes with those that are NaN interpolated."""
    from photutils.utils import ShepardIDWInterpolator

    empty = np.isnan(mesh)
    if not empty.any():
        return mesh
    interpolate = ShepardIDWInterpolator(np.argwhere(~empty), mesh[~empty])
    filled = mesh.copy()
    filled[empty] = interpolate(np.argwhere(empty), n_neighbors=10, power=1.0)
    return filled


def _smooth(mesh: Any) -> Any:
    """Return the median of each box and its neighbours."""
    n_y, n_x = mesh.shape
    wide = np.pad(mesh.astype(np.float64), 1, constant_values=np.nan)
    shifted = [wide[y : y + n_y, x : x + n_x] for y in range(3) for x in range(3)]
    return np.nanmedian(shifted, axis=0).astype(np.float32)
