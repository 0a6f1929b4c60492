from __future__ import annotations

import pytest

from jwgpu.steps.parameters import param, spec_of


class Everything:
    threshold: float = param(4.0, low=0, help="how much")
    count: int = param(3, low=1, high=9, help="how many")
    name: str = param("", help="what")
    algorithm: str = param("OLS_C", options=("OLS_C", "LIKELY"), help="which way")
    is_on: bool = param(False, help="whether")
    limit: int | None = param(None, help="up to where")


def test_the_spec_says_type_default_limits_and_help():
    assert spec_of(Everything).splitlines() == [
        "threshold = float(default=4.0, min=0)  # how much",
        "count = integer(default=3, min=1, max=9)  # how many",
        "name = string(default='')  # what",
        "algorithm = option('OLS_C', 'LIKELY', default='OLS_C')  # which way",
        "is_on = boolean(default=False)  # whether",
        "limit = integer(default=None)  # up to where",
    ]


def test_the_default_is_the_attribute_until_it_is_set():
    step = Everything()
    assert step.threshold == 4.0
    step.threshold = 7.0
    assert step.threshold == 7.0
    assert Everything().threshold == 4.0


def test_a_type_without_a_spec_is_refused():
    class Wrong:
        shape: tuple[int, int] = param((1, 2), help="no such type")

    with pytest.raises(TypeError, match="bool, int, float, str or list"):
        spec_of(Wrong)


def test_a_class_without_parameters_has_no_spec():
    assert spec_of(object) == ""
