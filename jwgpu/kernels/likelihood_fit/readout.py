"""What the times of the reads say about the noise of the differences of successive groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


class Readout(NamedTuple):
    """Factors of the covariance matrix of the differences, each float64 with one for each of them.

    The noise of difference ``k`` is ``rate / gain * photon[k] + noise ** 2 * read[k]``, and its
    covariance with the next ``rate / gain * photon_next[k] + noise ** 2 * read_next[k]``, in
    (DN/s)^2, with the noise of a single read. The last element of the latter two is not used.

    Attributes
    ----------
    time : array
        From the mean time of one group to that of the next, in s.
    photon, photon_next : array
        In 1/s.
    read, read_next : array
        In 1/s^2.
    has_pairs : array
        1 where the group between a difference and the next has several reads, so that a jump among
        them spoils both; else 0.
    frames : float
        Frames in the first group, where the zero frame is taken out of it; else 0.
    """

    time: Any
    photon: Any
    photon_next: Any
    read: Any
    read_next: Any
    has_pairs: Any
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
    return Readout(
        time=time,
        photon=(weighted[:-1] + weighted[1:] - 2 * mean[:-1]) / time**2,
        photon_next=np.append((mean[1:-1] - weighted[1:-1]) / (time[1:] * time[:-1]), 0.0),
        read=(1 / reads[:-1] + 1 / reads[1:]) / time**2,
        read_next=np.append(-1 / (reads[1:-1] * time[1:] * time[:-1]), 0.0),
        has_pairs=np.append(reads[1:-1] > 1, False).astype(np.float64),
        frames=frames,
    )
