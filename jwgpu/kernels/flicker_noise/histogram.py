"""A Gaussian fitted to the histogram of values."""

from __future__ import annotations

import logging
from typing import Any

from jwgpu.backends import namespace_of

log = logging.getLogger(__name__)

_BINS = 2000
_REACH = 4.0


def fit_gaussian(values: Any, center: float, sigma: float) -> tuple[float, float]:
    """Fit a Gaussian to the histogram of `values` around an estimate of its center and width.

    Parameters
    ----------
    values : array, (n,) float32
    center, sigma : float
        The estimate, which is also the answer where there is nothing to fit.

    Returns
    -------
    center, sigma : float
    """
    import numpy as np
    from scipy.optimize import curve_fit

    xp = namespace_of(values)
    limits = (center - _REACH * sigma, center + _REACH * sigma)
    try:
        # The edges are NumPy's on every device: their last bit decides counts.
        edges = np.histogram_bin_edges([], bins=_BINS, range=limits)
        bins = {"bins": _BINS, "range": limits} if xp is np else {"bins": xp.asarray(edges)}
        counts, _ = xp.histogram(values.astype(xp.float64), **bins)
    except ValueError:
        log.warning("there is no histogram of the background: its clipped mean is used")
        return center, sigma
    if xp is not np:
        counts = counts.get()
    middles = (edges[1:] + edges[:-1]) / 2.0
    peak = int(np.argmax(counts))
    start = (counts[peak], middles[peak], sigma)
    bounds = [(0, middles[0], 0), (np.inf, middles[-1], middles[-1] - middles[0])]
    try:
        found, _ = curve_fit(_gaussian, middles, counts, p0=start, bounds=bounds)
    except RuntimeError:
        log.warning("no Gaussian fits the histogram of the background: its clipped mean is used")
        return center, sigma
    return float(found[1]), float(found[2])


def _gaussian(x: Any, height: float, center: float, sigma: float) -> Any:
    import numpy as np

    return height * np.exp(-0.5 * ((x - center) / sigma) ** 2)
