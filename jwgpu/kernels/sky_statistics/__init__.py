"""Statistics of what regions of an image hold, outliers clipped."""

from __future__ import annotations

from typing import Any, NamedTuple

from jwgpu.backends import implementation

#: What `clipped_moments` gives of each region, by column.
COUNT, MEAN, STDDEV, LOWEST, HIGHEST, LOW, HIGH = range(7)
N_MOMENTS = 7


class Limits(NamedTuple):
    """Which values count.

    Attributes
    ----------
    lower, upper : float or None
        What no value that counts is below or above.
    nclip : int
        How often to clip.
    lsigma, usigma : float
        Standard deviations below and above the mean, beyond which values are clipped.
    """

    lower: float | None = None
    upper: float | None = None
    nclip: int = 5
    lsigma: float = 4.0
    usigma: float = 4.0


def clipped_moments(values: Any, spans: Any, limits: Limits) -> Any:
    """Compute mean and standard deviation of each region, clipped around them.

    The mean is the double-precision mean rounded to float32; deviations are from that one. Sums run
    in a fixed order (``kernels/lanes.py``), so the result is the same for any number of threads.

    Parameters
    ----------
    values : array, (y, x) float32
        The image, NaN where a pixel does not count.
    spans : array, (regions, y, spans, 2) int32
        The regions: of each row the first column and the one after the last, of some spans that do
        not overlap; an empty one is (0, 0).
    limits : Limits

    Returns
    -------
    array, (regions, 7) float64
        Where the values are: number of values that count (0: there is no result, all else is of no
        use), mean, standard deviation (NaN of a single value), lowest and highest value, and the
        limits of the last clipping. All but the number are float32 values.

    Notes
    -----
    Quirk of the official ``stsci.imagestats``: where the first pixel of the region is below (above)
    the last limits, the lower (upper) of these stands for the lowest (highest) value.
    """
    return implementation(__name__, values, spans).clipped_moments(values, spans, limits)


def histograms(values: Any, spans: Any, starts: Any, widths: Any, n_bins: Any) -> Any:
    """Count the values of each region in bins of equal width.

    Parameters
    ----------
    values, spans : array
        See `clipped_moments`.
    starts, widths : ndarray, (regions,) float32
        Where the first bin begins, and the width of the bins. Like ``n_bins`` they are in host
        memory, since their number decides what is allocated; a GPU gets three small copies.
    n_bins : ndarray, (regions,) int32
        Number of bins; 0 for a region to be left out.

    Returns
    -------
    array, (regions, most bins) uint32
        Zero beyond the bins of a region.

    Notes
    -----
    Quirk of the official ``stsci.imagestats``: the bin is the distance from the start times the
    inverse width, in single precision; what rounding puts beyond the last bin is lost.
    """
    return implementation(__name__, values, spans).histograms(values, spans, starts, widths, n_bins)


def medians(values: Any, spans: Any, low: Any, high: Any) -> Any:
    """Find the median of what lies within limits.

    Parameters
    ----------
    values, spans : array
        See `clipped_moments`.
    low, high : ndarray, (regions,) float32
        Values outside of these do not count. They are in host memory; a GPU gets two small copies.

    Returns
    -------
    array, (regions,) float32
        Of an even number the mean of both in the middle, in single precision; NaN if none counts.
    """
    return implementation(__name__, values, spans).medians(values, spans, low, high)
