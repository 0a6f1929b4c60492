"""Means of images without outliers, pixel by pixel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jwgpu.backends import namespace_of

#: Values that are looked at together.
_STRIP = 1 << 19


def not_outlying(planes: Any, sigma: float, maxiters: int | None) -> Any:
    """Find, for each pixel, the values that are near the median of those that are.

    Values further than `sigma` standard deviations from the median are left out, and the same is
    done with the rest until nothing changes.

    Parameters
    ----------
    planes : array, (n, y, x) float32 or float64
    sigma : float
        Distance from the median, in standard deviations.
    maxiters : int or None
        Rounds at most; None or 0: until nothing changes.

    Returns
    -------
    array, (n, y, x) bool
        False also for what is not finite.
    """
    xp = namespace_of(planes)
    is_finite = xp.isfinite(planes)
    if _cannot_be_outlying(planes.shape[0], sigma):
        return is_finite
    n = planes.shape[0]
    flat, finite = xp.reshape(planes, (n, -1)), xp.reshape(is_finite, (n, -1))
    return xp.reshape(_near(flat, finite, finite, sigma, maxiters or 0), planes.shape)


def _near(planes: Any, kept: Any, is_finite: Any, sigma: float, rounds: int) -> Any:
    """Find the values that are near the median of those that are kept, and so on.

    Parameters
    ----------
    planes : array, (n, pixels)
    kept, is_finite : array, (n, pixels) bool
    sigma : float
    rounds : int
        Rounds at most; 0 for no limit.

    Returns
    -------
    array, (n, pixels) bool
    """
    xp = namespace_of(planes, kept)
    low, high = _bounds(planes, kept, sigma)
    within = is_finite & ~(planes < low) & ~(planes > high)
    if rounds == 1:
        return within
    remaining = kept & within
    # Where all would be left out they are, and there is no next round.
    remaining = remaining | (kept & ~xp.any(remaining, axis=0, keepdims=True))
    is_changing = xp.any(remaining != kept, axis=0)
    # How many pixels change is read in each round; there are few rounds.
    changing = xp.nonzero(is_changing)[0]
    if changing.shape[0] == 0:
        return within
    again, left, finite = (
        xp.take(array, changing, axis=1) for array in (planes, remaining, is_finite)
    )
    nearer = _near(again, left, finite, sigma, rounds - 1)
    order = xp.cumulative_sum(xp.astype(is_changing, xp.int64)) - 1
    order = xp.maximum(order, xp.zeros_like(order))
    return xp.where(is_changing, xp.take(nearer, order, axis=1), within)


def mean_of(planes: Any, kept: Any) -> tuple[Any, Any]:
    """Return mean and number of the values that are kept, pixel by pixel.

    The sum runs in the order of the planes, in their precision, on every device.

    Parameters
    ----------
    planes : array, (n, y, x) float32 or float64
    kept : array, (n, y, x) bool

    Returns
    -------
    mean : array, (y, x) float64
        0 where nothing is kept.
    count : array, (y, x) float64
    """
    xp = namespace_of(planes, kept)
    count = _count(kept)
    total = xp.astype(sum_of(planes, kept), xp.float64)
    return total / xp.maximum(count, xp.ones_like(count)), count


def sum_of(planes: Any, kept: Any) -> Any:
    """Return the sum of the values that are kept, in the order of the planes: (y, x)."""
    xp = namespace_of(planes, kept)
    zero = xp.zeros_like(planes[0, ...])
    total = xp.where(kept[0, ...], planes[0, ...], zero)
    for index in range(1, planes.shape[0]):
        total = total + xp.where(kept[index, ...], planes[index, ...], zero)
    return total


def rows_at_a_time(n_planes: int, shape: tuple[int, int]) -> Iterator[slice]:
    """Cut images into strips that stay in a processor's cache with what is made of them.

    Parameters
    ----------
    n_planes : int
        Images that are looked at together.
    shape : tuple of int
        Of an image.
    """
    height = max(1, _STRIP // (n_planes * max(shape[1], 1)))
    for start in range(0, shape[0], height):
        yield slice(start, min(start + height, shape[0]))


def _cannot_be_outlying(n: int, sigma: float) -> bool:
    """Whether no value among `n` can be as far as `sigma` from the median.

    With the median at 0 and the furthest value at 1, k = (n + 1) // 2 values are not above 0. So
    the variance is k / (n (k + 1)) at least, what the others are: up to 7 values are within 3.
    """
    k = (n + 1) // 2
    return sigma > 0 and n * (k + 1) / k < sigma * sigma * (1 - 1e-6)


def _bounds(planes: Any, kept: Any, sigma: float) -> tuple[Any, Any]:
    """Return what is `sigma` standard deviations below and above the median: (pixels,) float64."""
    xp = namespace_of(planes, kept)
    ordered = xp.sort(xp.where(kept, planes, xp.full_like(planes, xp.inf)), axis=0)
    n_kept = xp.sum(xp.astype(kept, xp.int64), axis=0, keepdims=True)
    zero = xp.zeros_like(n_kept)
    below = xp.take_along_axis(ordered, xp.maximum((n_kept - 1) // 2, zero), axis=0)
    last = xp.full_like(n_kept, planes.shape[0] - 1)
    above = xp.take_along_axis(ordered, xp.minimum(n_kept // 2, last), axis=0)
    below, above = xp.astype(below, xp.float64), xp.astype(above, xp.float64)
    has_any = n_kept > 0
    # Where an even number is kept, half way between the middle two.
    is_odd = (n_kept % 2) == 1
    median = xp.where(is_odd, below, 0.5 * (below + xp.where(has_any, above, below)))[0, ...]

    values = xp.astype(planes, xp.float64)
    mean, count = mean_of(values, kept)
    apart = values - mean
    variance, _ = mean_of(apart * apart, kept)
    spread = sigma * xp.sqrt(variance)
    nothing = xp.where(count > 0, xp.zeros_like(count), xp.full_like(count, xp.nan))
    return median - spread + nothing, median + spread + nothing


def _count(kept: Any) -> Any:
    """Return how many are kept: (y, x) float64."""
    xp = namespace_of(kept)
    return xp.sum(xp.astype(kept, xp.float64), axis=0)
