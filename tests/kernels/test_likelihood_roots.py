"""Roots of the likelihood fit: those of the C library, but for a last bit now and then."""

from __future__ import annotations

from decimal import Context, Decimal

import numpy as np
import pytest
from likelihood import powers

DEGREES = [3, 4, 9, 10, 39, 100]


def some_values(spread: float, size: int) -> np.ndarray:
    return 10 ** np.random.default_rng(1).uniform(-spread, spread, size)


SPREADS = [10.0, 300.0]


@pytest.mark.parametrize("degree", DEGREES)
@pytest.mark.parametrize("spread", SPREADS)
def test_equal_those_of_the_c_library(degree, spread):
    """Neither is correctly rounded always: the last bit may differ, seldom."""
    values = some_values(spread, 20_000)
    want = np.array([value ** (1.0 / degree) for value in values.tolist()])
    apart = np.abs(powers(values, 1.0 / degree).view(np.int64) - want.view(np.int64))
    assert apart.max() <= 1
    assert (apart > 0).mean() < 0.005


@pytest.mark.parametrize("degree", DEGREES)
@pytest.mark.parametrize("spread", SPREADS)
def test_are_those_of_exact_arithmetic(degree, spread):
    """To little more than half a unit in the last place: 0.5 is what rounding costs."""
    exact = Context(prec=50)
    values = some_values(spread, 300)
    power = 1.0 / degree
    for value, found in zip(values.tolist(), powers(values, power).tolist(), strict=True):
        want = exact.power(Decimal(value), Decimal(power))
        error = exact.divide(exact.subtract(Decimal(found), want), Decimal(np.spacing(found)))
        assert abs(error) < 0.51


def test_special_values_are_those_of_c():
    values = [0.0, -0.0, -1.0, np.inf, -np.inf, np.nan, 5e-324, 1e-310, 1.0, 1.7976931348623157e308]
    with np.errstate(invalid="ignore"):
        want = [0.0, 0.0, np.nan, np.inf, np.inf, np.nan, *np.power(values[6:], 0.25)]
    np.testing.assert_array_equal(powers(np.array(values), 0.25), want)
