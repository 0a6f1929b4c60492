"""What the times of the reads say about the noise of the differences of successive groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

#: Factors of the covariance matrix of the differences. The variance of difference ``k`` is
#: ``rate / gain * BY_PHOTON + noise ** 2 * BY_READ``, and its covariance with the next
#: ``rate / gain * NEXT_PHOTON + noise ** 2 * NEXT_READ``, in (DN/s)^2, with the noise of one read.
#: TIME is that from the mean time of one group to that of the next, in s; HAS_PAIRS is 1 where the
#: group between a difference and the next has several reads, so that a jump among them spoils both.
TIME, BY_PHOTON, BY_READ, NEXT_PHOTON, NEXT_READ, HAS_PAIRS = range(6)


class Readout(NamedTuple):
    """How the detector was read.

    Attributes
    ----------
    factors : array, (6, differences) float64
        TIME, BY_PHOTON, …, HAS_PAIRS; the last difference has no next one.
    frames : float
        Frames in the first group, where the zero frame is taken out of it; else 0.
    """

    factors: Any
    frames: float


def readout_of(read_times: Sequence[Sequence[float]], *, has_zeroframe: bool = False) -> Readout:
    """Work out the factors of the covariance matrix.

    Parameters
    ----------
    read_times : sequence of sequences of float
        When the frames of each group were read, in s.
    has_zeroframe : bool
        Take the first frame out of the first group, as a group of its own.

    Returns
    -------
    Readout

    Notes
    -----
    Brandt 2024, PASP 136, 045004, equations 4, 11, 28 and 29.
    """
    groups = [np.asarray(times, np.float64) for times in read_times]
    frames = 0.0
    if has_zeroframe:
        frames = float(groups[0].size)
        groups[:1] = [groups[0][:1], groups[0][1:]]
    reads = np.array([times.size for times in groups])
    mean = np.array([np.mean(times) for times in groups])
    # The read k of n counts n, n - 1, … times in the sum over pairs of reads.
    weighted = np.array(
        [np.sum((2 * t.size + 1 - 2 * np.arange(1, t.size + 1)) * t) / t.size**2 for t in groups]
    )
    time = mean[1:] - mean[:-1]
    factors = np.zeros((6, time.size), np.float64)
    factors[TIME] = time
    factors[BY_PHOTON] = (weighted[:-1] + weighted[1:] - 2 * mean[:-1]) / time**2
    factors[BY_READ] = (1 / reads[:-1] + 1 / reads[1:]) / time**2
    factors[NEXT_PHOTON, :-1] = (mean[1:-1] - weighted[1:-1]) / (time[1:] * time[:-1])
    factors[NEXT_READ, :-1] = -1 / (reads[1:-1] * time[1:] * time[:-1])
    factors[HAS_PAIRS, :-1] = reads[1:-1] > 1
    return Readout(factors, frames)
