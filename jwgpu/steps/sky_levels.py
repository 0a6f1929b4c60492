"""Sky levels: of a region of an image, and those that match images to each other."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.errors import ParameterError
from jwgpu.kernels.sky_statistics import (
    COUNT,
    HIGH,
    HIGHEST,
    LOW,
    LOWEST,
    MEAN,
    STDDEV,
    Limits,
    clipped_moments,
    histograms,
    medians,
)

log = logging.getLogger(__name__)

#: Quirk: below this, whatever the unit, all values are in one bin.
_LEAST_WIDTH = 10.0 * float(np.finfo(np.float32).eps)

#: Bins that a histogram may have.
_MOST_BINS = 1 << 28

#: Singular values below this share of the largest are none; and an absolute limit for the rank.
_SMALL = 1e-12


class Level(NamedTuple):
    """A sky level.

    Attributes
    ----------
    value : float or None
        None where there is none. A Python number, or one of NumPy's single or double precision: as
        officially, for it decides in which precision the level is subtracted.
    n : int
        Pixels that it is of.
    """

    value: Any
    n: int


NOTHING = Level(None, 0)


@dataclass(frozen=True)
class Statistic:
    """What is taken for the level of the sky.

    Attributes
    ----------
    name : str
        ``mean``, ``median``, ``mode`` or ``midpt``.
    limits : Limits
    binwidth : float
        Width of the bins of mode and midpt, in standard deviations.
    """

    name: str
    limits: Limits
    binwidth: float

    @property
    def is_possible(self) -> bool:
        """Whether a level can be computed at all."""
        return min(self.limits.lsigma, self.limits.usigma, self.binwidth) > 0

    def of(self, values: Any, spans: Any, device: Any) -> list[Level]:
        """Compute the levels of regions of an image.

        Parameters
        ----------
        values : array, (y, x) float32
            On the device; NaN where a pixel does not count.
        spans : ndarray, (regions, y, spans, 2) int32
            See `kernels.sky_statistics.clipped_moments`.
        device : Device

        Returns
        -------
        list of Level
        """
        if not self.is_possible:
            return [NOTHING] * len(spans)
        sent = device.send(spans)
        moments = device.fetch(clipped_moments(values, sent, self.limits))
        found = getattr(self, f"_{self.name}")(moments, values, sent, device)
        return [
            Level(value, int(n)) if n > 0 and np.isfinite(value) else NOTHING
            for value, n in zip(found, moments[:, COUNT], strict=True)
        ]

    def _mean(self, moments: Any, *_: Any) -> list[Any]:
        return [float(mean) for mean in moments[:, MEAN]]

    def _median(self, moments: Any, values: Any, spans: Any, device: Any) -> Any:
        low, high = moments[:, LOW].astype(np.float32), moments[:, HIGH].astype(np.float32)
        if not self.limits.nclip:  # quirk: then lower and upper do not count either
            low, high = np.full_like(low, -np.inf), np.full_like(high, np.inf)
        return device.fetch(medians(values, spans, low, high))

    def _mode(self, moments: Any, values: Any, spans: Any, device: Any) -> list[Any]:
        return [_peak(*each) for each in self._counted(moments, values, spans, device)]

    def _midpt(self, moments: Any, values: Any, spans: Any, device: Any) -> list[Any]:
        return [_middle(*each) for each in self._counted(moments, values, spans, device)]

    def _counted(
        self, moments: Any, values: Any, spans: Any, device: Any
    ) -> list[tuple[float, float, Any]]:
        """Return of each region the lowest value, the width that bins should have, and counts."""
        bins = [self._bins(row) for row in moments]
        starts, widths = (np.array([each[k] for each in bins], np.float32) for k in (1, 2))
        n_bins = np.array([each[3] for each in bins], np.int32)
        counts = device.fetch(histograms(values, spans, starts, widths, n_bins))
        return [
            (float(row[LOWEST]), width, of_region[:n])
            for row, (width, _, _, n), of_region in zip(moments, bins, counts, strict=True)
        ]

    def _bins(self, row: Any) -> tuple[float, float, float, int]:
        """Return width as wanted, start, width as it is, and number of the bins of a region."""
        lowest, spread = float(row[LOWEST]), float(row[HIGHEST]) - float(row[LOWEST])
        width = self.binwidth * float(row[STDDEV])
        if not row[COUNT] > 0:
            return width, 0.0, 1.0, 0
        if width < _LEAST_WIDTH or abs(spread) < _LEAST_WIDTH or width > spread:
            return width, lowest, spread, 1
        n = int(spread / width) + 1
        if n > _MOST_BINS:
            raise ParameterError(f"binwidth={self.binwidth:g}: that makes {n} bins; raise it")
        return width, lowest, spread / (n - 1), n


def _peak(lowest: float, width: float, counts: Any) -> Any:
    """Return the mode: the top of a parabola through the highest bin and its neighbours.

    Quirk: bins are wider than `width`, which the result is computed with: it comes out too low, by
    up to a bin.
    """
    if not len(counts):
        return math.nan
    top = int(np.argmax(counts))
    if len(counts) == 1:
        return lowest + 0.5 * width
    if len(counts) == 2 and counts[0] == counts[1]:
        return lowest + width
    if top in (0, len(counts) - 1):
        return lowest + (top + 0.5) * width
    left, right = (int(counts[top]) - int(counts[top + side]) for side in (-1, 1))
    # At the first of the highest bins, the one on the left is lower.
    place = top + 1 + np.float64(0.5 * (left - right)) / (left + right)
    return lowest + (place - 0.5) * width


def _middle(lowest: float, width: float, counts: Any) -> Any:
    """Return where half of the counts is reached, in single precision.

    Quirk: if there is but one bin, how many values it holds.
    """
    if len(counts) == 1:
        return counts[0]
    if not counts.any():
        return math.nan
    shares = np.cumsum(counts).astype(np.float32)
    shares = shares / shares[-1]
    place = int(np.flatnonzero(shares >= 0.5)[0])
    start = np.float64(lowest + place * width)
    before = shares[place - 1] if place else np.float32(0)
    share = shares[place] - before
    return start if share == 0 else start + (0.5 - before) / share * width


def usable(data: Any, dq: Any, bad_flags: int) -> Any:
    """Return an image with NaN where a pixel does not count.

    Parameters
    ----------
    data : array, (y, x) float32
    dq : array, (y, x) uint32
    bad_flags : int
        Flags of pixels that do not count.
    """
    xp = namespace_of(data, dq)
    is_good = xp.isfinite(data)
    is_good &= (dq & xp.uint32(bad_flags)) == 0
    return xp.where(is_good, data, xp.float32(xp.nan))


def matched(levels: Any, weights: Any) -> Any:
    """Find what to subtract from some images, so that they agree best where they overlap.

    Parameters
    ----------
    levels, weights : ndarray, (n, n) float64
        ``[i, j]``: level and number of pixels of image i within its overlap with j; weight 0 where
        there is none.

    Returns
    -------
    ndarray, (n,) float64
        The least squares solution of least norm; NaN for an image that overlaps with none.
    """
    n = len(levels)
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n) if min(weights[i, j], weights[j, i])]
    result = np.full(n, np.nan)
    if not pairs:
        log.warning("skymatch: no two images overlap")
        return result
    equations, differences = np.zeros((len(pairs), n)), np.zeros(len(pairs))
    for row, (i, j) in enumerate(pairs):
        weight = 0.5 * (weights[i, j] + weights[j, i])
        equations[row, i], equations[row, j] = weight, -weight
        differences[row] = weight * (levels[i, j] - levels[j, i])
    if np.linalg.matrix_rank(equations, _SMALL) < n - 1:
        log.warning("skymatch: some images do not overlap with others: matched in groups")
    found = np.linalg.pinv(equations, rcond=_SMALL) @ differences
    overlapping = sorted({image for pair in pairs for image in pair})
    result[overlapping] = found[overlapping]
    return result
