"""How the parts of the fit are compiled, which only compiled functions call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

_Function = TypeVar("_Function", bound=Callable[..., Any])

_OPTIONS = {"nogil": True, "fastmath": False, "error_model": "numpy"}


def part(function: _Function) -> _Function:
    """Compile `function` without what Python would need to call it, which takes as long again."""
    options = {**_OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    result: _Function = numba.njit(**options)(function)
    return result


def inlined(function: _Function) -> _Function:
    """Compile `function` into its callers: passing arrays costs more than what is done with them.

    Numba counts the references to each array argument of a call, with atomic instructions; for one
    ramp that took as long as the fit itself.
    """
    result: _Function = numba.njit(**_OPTIONS, inline="always")(function)
    return result
