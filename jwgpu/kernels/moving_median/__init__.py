"""The median of the samples around each pixel, and quantiles of an image, where NaN do not count.

Array code: a block of rows at a time is laid out with the window of each pixel side by side,
sorted, and the middle taken, so that memory stays bounded. A GPU has a kernel for the moving
median, which needs no room for the windows.
"""

from __future__ import annotations

from typing import Any

from jwgpu.backends import namespace_of
from jwgpu.kernels.moving_median import cuda

#: Samples of the windows that are laid out at a time (4 MB).
SAMPLES = 1 << 20


def moving_median(image: Any, size: tuple[int, int]) -> Any:
    """Take the median over a window around each pixel.

    Parameters
    ----------
    image : array, (y, x) float32
        NaN do not count. Beyond its edges the image is taken to be zero.
    size : tuple of int
        Rows and columns of the window, both odd.

    Returns
    -------
    array, (y, x) float32
        NaN where a window holds nothing else. Of an even number of samples the mean of the
        middle two.

    Raises
    ------
    ValueError
        If a size is even or not positive.
    """
    if min(size) < 1 or not all(length % 2 for length in size):
        raise ValueError(f"a window of {size} has no pixel in its middle")
    xp = namespace_of(image)
    if hasattr(xp, "RawModule"):
        return cuda.moving_median(image, size)
    rows, columns = image.shape
    above, beside = size[0] // 2, size[1] // 2
    padded = _framed(xp, image, above, beside)
    result = xp.empty_like(image)
    step = max(1, SAMPLES // (size[0] * size[1] * columns))
    for first in range(0, rows, step):
        stop = min(rows, first + step)
        windows = xp.stack(
            [
                padded[first + dy : stop + dy, dx : dx + columns]
                for dy in range(size[0])
                for dx in range(size[1])
            ],
            axis=-1,
        )
        result[first:stop, :] = middle(windows)
    return result


def middle(samples: Any) -> Any:
    """Take the median along the last axis.

    Parameters
    ----------
    samples : array, (..., n) float32
        NaN do not count.

    Returns
    -------
    array, (...) float32
        NaN where there is nothing else.
    """
    xp = namespace_of(samples)
    if not samples.shape[-1]:
        return xp.full_like(xp.sum(samples, axis=-1), xp.nan)
    samples = xp.sort(samples, axis=-1)  # NaN come last
    usable = xp.sum(xp.astype(~xp.isnan(samples), xp.int64), axis=-1, keepdims=True)
    upper = xp.take_along_axis(samples, usable // 2, axis=-1)
    lower = xp.take_along_axis(samples, xp.maximum(usable - 1, xp.zeros_like(usable)) // 2, axis=-1)
    return ((lower + upper) / 2)[..., 0]


def quantiles(samples: Any, fractions: tuple[float, ...]) -> list[Any]:
    """Find the values below which given fractions of the samples lie.

    Parameters
    ----------
    samples : array, any shape, float32
        NaN do not count.
    fractions : tuple of float
        From 0 to 1. Between two samples the value is interpolated linearly, in float64.

    Returns
    -------
    list of array, () float64
        NaN where there is nothing else.
    """
    xp = namespace_of(samples)
    ordered = xp.sort(xp.reshape(samples, (-1,)))
    last = xp.sum(xp.astype(~xp.isnan(ordered), xp.int64)) - 1
    last = xp.maximum(last, xp.zeros_like(last))
    found = []
    for fraction in fractions:
        place = xp.astype(last, xp.float64) * fraction
        below = xp.floor(place)
        share = place - below
        lower = xp.astype(below, xp.int64)
        upper = xp.minimum(lower + 1, last)
        low, high = (xp.take(ordered, xp.reshape(at, (1,)))[0] for at in (lower, upper))
        # The difference is rounded to float32 first, and the nearer end is where one starts from,
        # as NumPy does it: which pixel is beyond the value depends on its last bit.
        step = xp.astype(high - low, xp.float64)
        from_low = xp.astype(low, xp.float64) + step * share
        from_high = xp.astype(high, xp.float64) - step * (1 - share)
        found.append(xp.where(share >= 0.5, from_high, from_low))
    return found


def _framed(xp: Any, image: Any, above: int, beside: int) -> Any:
    """Return `image` with rows and columns of zeros around it."""
    columns = image.shape[1]
    zero = xp.zeros_like(image[:1, :1])
    frame = xp.broadcast_to(zero, (above, columns))
    image = xp.concat([frame, image, frame], axis=0)
    frame = xp.broadcast_to(zero, (image.shape[0], beside))
    return xp.concat([frame, image, frame], axis=1)
