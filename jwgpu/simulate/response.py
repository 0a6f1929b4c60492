"""The non-linear response of a pixel, both ways.

A pixel that holds ``m`` counts would hold ``m (1 + s q(m))`` if it were linear, where ``s`` is
the pixel's strength and ``q`` a cubic common to all. This is what a LINEARITY reference says;
the inverse turns true counts into measured ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatImage = NDArray[np.float32]

# q(m) = Q1 m + Q2 m^2 + Q3 m^3: 4 %, 1 % and 0.5 % at 50000 DN.
Q1 = np.float32(0.04 / 50000.0)
Q2 = np.float32(0.01 / 50000.0**2)
Q3 = np.float32(0.005 / 50000.0**3)

# Charge beyond this is above every full well; without it bright pixels overflow the cubic.
_LINEAR_CEILING = np.float32(72000.0)


def forward_coefficients(strength: FloatImage) -> FloatImage:
    """Return the coefficients of the polynomial from measured to linear counts.

    Returns
    -------
    ndarray, float32, shape (5, y, x)
        By rising power, from 0.
    """
    coefficients = np.zeros((5, *strength.shape), dtype=np.float32)
    coefficients[1] = 1.0
    for power, value in ((2, Q1), (3, Q2), (4, Q3)):
        coefficients[power] = strength * value
    return coefficients


def inverse_coefficients(strength: FloatImage) -> FloatImage:
    """Return a polynomial from linear to measured counts.

    It is fitted at a few strengths and interpolated between them.

    Returns
    -------
    ndarray, float32, shape (6, y, x)
        By rising power, from 0.
    """
    anchors = np.linspace(float(strength.min()), float(strength.max()) + 1e-3, 5)
    measured = np.linspace(0.0, 65000.0, 200)
    fitted = []
    for anchor in anchors:
        cubic = measured * (float(Q1) + measured * (float(Q2) + measured * float(Q3)))
        linear = measured * (1.0 + anchor * cubic)
        # Scaled and without a constant term, so that the powers stay comparable.
        powers = np.stack([(linear / 65000.0) ** n for n in range(1, 6)], axis=1)
        solution = np.linalg.lstsq(powers, measured, rcond=None)[0]
        fitted.append(solution / 65000.0 ** np.arange(1, 6))
    table = np.array(fitted)
    coefficients = np.zeros((6, *strength.shape), dtype=np.float32)
    for power in range(1, 6):
        coefficients[power] = np.interp(strength, anchors, table[:, power - 1])
    return coefficients


def measured_counts(linear: FloatImage, strength: FloatImage, scratch: list[FloatImage]) -> None:
    """Turn linear counts into measured ones, in place, to about 0.001 DN.

    Parameters
    ----------
    linear : ndarray, float32, any shape
        Counts of a linear detector, in DN; replaced by the measured counts.
    strength : ndarray, float32, same shape
        Strength of the non-linear terms.
    scratch : list of three ndarray, float32, same shape
        Overwritten.
    """
    guess, value, slope = scratch
    np.minimum(linear, _LINEAR_CEILING, out=linear)
    _cubic(linear, value)
    value *= strength
    value += np.float32(1.0)
    np.divide(linear, value, out=guess)
    for _ in range(2):  # Newton
        _cubic(guess, value)
        value *= strength
        value += np.float32(1.0)
        value *= guess
        value -= linear
        _cubic_slope(guess, slope)
        slope *= strength
        slope += np.float32(1.0)
        value /= slope
        guess -= value
    linear[...] = guess


def _cubic(counts: FloatImage, out: FloatImage) -> None:
    """Evaluate q."""
    np.multiply(counts, Q3, out=out)
    out += Q2
    out *= counts
    out += Q1
    out *= counts


def _cubic_slope(counts: FloatImage, out: FloatImage) -> None:
    """Evaluate the derivative of m q(m)."""
    np.multiply(counts, np.float32(4.0) * Q3, out=out)
    out += np.float32(3.0) * Q2
    out *= counts
    out += np.float32(2.0) * Q1
    out *= counts
