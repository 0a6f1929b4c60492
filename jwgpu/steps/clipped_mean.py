"""Means of images without outliers, pixel by pixel."""

from __future__ import annotations

from typing import Any

from jwgpu.backends import namespace_of


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
    kept, rounds = is_finite, 0
    while True:
        low, high = _bounds(planes, kept, sigma)
        within = is_finite & ~(planes < low) & ~(planes > high)
        rounds += 1
        remaining = kept & within
        # Where all would be left out they are, and there is no next round.
        remaining = remaining | (kept & ~xp.any(remaining, axis=0, keepdims=True))
        # The one value that is fetched in each round; there are few.
        if rounds == maxiters or not bool(xp.any(remaining != kept)):
            return within
        kept = remaining


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


def _bounds(planes: Any, kept: Any, sigma: float) -> tuple[Any, Any]:
    """Return what is `sigma` standard deviations below and above the median: (y, x) float64."""
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
    variance, _ = mean_of((values - mean) ** 2, kept)
    spread = sigma * xp.sqrt(variance)
    nothing = xp.where(count > 0, xp.zeros_like(count), xp.full_like(count, xp.nan))
    return median - spread + nothing, median + spread + nothing


def _count(kept: Any) -> Any:
    """Return how many are kept: (y, x) float64."""
    xp = namespace_of(kept)
    return xp.sum(xp.astype(kept, xp.float64), axis=0)
