"""Writing into official data models what is known to fit them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def unchecked(model: Any) -> Iterator[None]:
    """Do not look up what the schema says about each value that is written within.

    That takes milliseconds for an array, and tells nothing of arrays that we have made. Products
    are checked again when they are saved.

    Parameters
    ----------
    model : JwstDataModel
    """
    checked = model._validate_on_assignment
    model._validate_on_assignment = False
    try:
        yield
    finally:
        model._validate_on_assignment = checked
