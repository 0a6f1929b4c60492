"""Optimal weights of the samples of a segment (Fixsen et al. 2000, PASP 112, 1350)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

#: Powers of the distance from the middle.
POWERS = (0.0, 0.4, 1.0, 3.0, 6.0, 10.0)
#: The signal to noise from which each power but the first is used.
LEAST_SNR = (5.0, 10.0, 20.0, 50.0, 100.0)


class Weights(NamedTuple):
    """Weights of every length of segment and every power.

    Attributes
    ----------
    levers : array, (length + 1, power, length // 2 + 1) float64
        What the difference between the samples at the same distance from the middle, outermost
        first, adds to the slope.
    outer : array, (length + 1, power, length // 2 + 1) float64
        Weight of those two samples.
    total, spread : array, (length + 1, power) float64
        Sum of the weights; sum of weight times squared distance from the middle, in groups.
    """

    levers: Any
    outer: Any
    total: Any
    spread: Any


def optimal_weights(longest: int) -> Weights:
    """Return the weights of segments of three to `longest` samples."""
    shape = (longest + 1, len(POWERS), longest // 2 + 1)
    result = Weights(np.zeros(shape), np.zeros(shape), np.ones(shape[:2]), np.ones(shape[:2]))
    powers = np.array(POWERS, np.float32).astype(np.float64)[:, None]
    for length in range(3, longest + 1):
        middle = (length - 1) / 2
        offset = middle - np.arange(length)
        # Base, power and result are float32 in the official package: power 10 shows it.
        # 0 ** 0 is 1, so that power 0 is the plain fit.
        base = (np.abs(offset) * (1 / middle)).astype(np.float32).astype(np.float64)
        weight = (base**powers).astype(np.float32).astype(np.float64)
        half = (length + 1) // 2
        result.outer[length, :, :half] = weight[:, :half]
        result.total[length] = weight.sum(axis=1)
        result.spread[length] = (weight * offset**2).sum(axis=1)
        lever = weight[:, :half] * offset[:half] / result.spread[length][:, None]
        result.levers[length, :, :half] = lever
    return result
