"""Roots of determinants, the same on every machine and device.

The powers of C libraries, of NumPy and of CUDA differ in the last bit. Where few differences are
left, that bit decides whether a ramp has a jump; so this power is made of additions, products and
quotients alone, which are the same everywhere. It is that of the C library in all but a few of a
thousand cases, where one of the two is off by one in the last place.
"""

from __future__ import annotations

from math import inf, nan
from typing import Any

import numpy as np

from jwgpu.kernels.ramp_fit.parts_cpu import inlined, part

_FRACTION, _EXPONENT_OF_ONE = np.int64((1 << 52) - 1), np.int64(1023 << 52)
_LEAST_NORMAL, _LIFT = 2.0**-1022, 2.0**54
_SQRT_2 = 2.0**0.5
#: 2 / ln 2 and ln 2, each as the sum of two numbers.
_TWO_OVER_LN2, _REST_OF_TWO_OVER_LN2 = 2.8853900817779268, 4.0710547481862066e-17
_LN2, _REST_OF_LN2 = 0.6931471805599453, 2.3190468138462996e-17
#: Added to a number, it rounds that to an integer, which then stands in the last bits.
_ROUNDER = 1.5 * 2.0**52
_SPLITTER = 2.0**27 + 1.0


@part
def rest_of_product(a: Any, b: Any, product: Any) -> Any:
    """Return what rounding took from ``a * b`` (Dekker 1971)."""
    high_a = _SPLITTER * a
    high_a = high_a - (high_a - a)
    low_a = a - high_a
    high_b = _SPLITTER * b
    high_b = high_b - (high_b - b)
    low_b = b - high_b
    return ((high_a * high_b - product) + high_a * low_b + low_a * high_b) + low_a * low_b


@part
def rest_of_sum(a: Any, b: Any, total: Any) -> Any:
    """Return what rounding took from ``a + b`` (Knuth)."""
    of_b = total - a
    return (a - (total - of_b)) + (b - of_b)


@inlined
def power_of(value: Any, power: Any) -> Any:
    """Return ``value ** power`` for a power between 0 and 1."""
    # value = 2 ** exponent * fraction, the fraction between sqrt(1 / 2) and sqrt(2).
    is_tiny = value < _LEAST_NORMAL
    bits = np.float64(value * _LIFT if is_tiny else value).view(np.int64)
    fraction = np.int64((bits & _FRACTION) | _EXPONENT_OF_ONE).view(np.float64)
    exponent = np.float64((bits >> 52) - 1023) - (54.0 if is_tiny else 0.0)
    is_above = fraction > _SQRT_2
    fraction = fraction * (0.5 if is_above else 1.0)
    exponent = exponent + (1.0 if is_above else 0.0)
    # Its logarithm to base 2, as a sum of two: 2 / ln 2 * (q + q ** 3 / 3 + q ** 5 / 5 + …).
    below, above = fraction - 1.0, fraction + 1.0
    q = below / above
    product = q * above
    rest = (below - product) - rest_of_product(q, above, product)
    q_rest = (rest - q * rest_of_sum(fraction, 1.0, above)) / above
    z = q * q
    series = 1.0 / 21.0
    series = 1.0 / 19.0 + z * series
    series = 1.0 / 17.0 + z * series
    series = 1.0 / 15.0 + z * series
    series = 1.0 / 13.0 + z * series
    series = 1.0 / 11.0 + z * series
    series = 1.0 / 9.0 + z * series
    series = 1.0 / 7.0 + z * series
    series = 1.0 / 5.0 + z * series
    series = 1.0 / 3.0 + z * series
    rest = q_rest + z * (q_rest + q * series)
    product = q * _TWO_OVER_LN2
    rest = (
        rest_of_product(q, _TWO_OVER_LN2, product)
        + q * _REST_OF_TWO_OVER_LN2
        + rest * _TWO_OVER_LN2
    )
    of_fraction = product + rest
    logarithm = exponent + of_fraction
    rest = rest_of_sum(product, rest, of_fraction) + rest_of_sum(exponent, of_fraction, logarithm)
    # Times the power: an integer, and what is left, to base e.
    product = logarithm * power
    rest = rest_of_product(logarithm, power, product) + rest * power
    shifted = product + _ROUNDER
    left = product - (shifted - _ROUNDER)
    x = left * _LN2
    rest = rest_of_product(left, _LN2, x) + left * _REST_OF_LN2 + rest * _LN2
    # The exponential function: 1 + x + x ** 2 / 2 + ….
    square = x * x
    series = 1.0 / 1307674368000.0
    series = 1.0 / 87178291200.0 + x * series
    series = 1.0 / 6227020800.0 + x * series
    series = 1.0 / 479001600.0 + x * series
    series = 1.0 / 39916800.0 + x * series
    series = 1.0 / 3628800.0 + x * series
    series = 1.0 / 362880.0 + x * series
    series = 1.0 / 40320.0 + x * series
    series = 1.0 / 5040.0 + x * series
    series = 1.0 / 720.0 + x * series
    series = 1.0 / 120.0 + x * series
    series = 1.0 / 24.0 + x * series
    series = 1.0 / 6.0 + x * series
    half = 0.5 * square
    first = 1.0 + x
    total = first + half
    others = square * (x * series)
    rest = rest * (total + others) + 0.5 * rest_of_product(x, x, square) + others
    rest = rest_of_sum(1.0, x, first) + rest_of_sum(first, half, total) + rest
    found = total + rest
    scale = np.int64((np.float64(shifted).view(np.int64) << 52) + _EXPONENT_OF_ONE).view(np.float64)
    known = inf if value == inf else found * scale
    # As in C.
    unknown = 0.0 if value == 0.0 else (inf if value == -inf else nan)
    return known if value > 0.0 else unknown


@part
def find_roots(values: Any, width: int, degree: int, roots: Any) -> None:
    """Set `roots` (x,) to the roots of `values` (x,), both float64."""
    power = 1.0 / degree
    for x in range(width):
        roots[x] = power_of(values[x], power)
