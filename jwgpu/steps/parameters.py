"""What a step declares: parameters as typed attributes, references by the names of arguments."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from typing import Any

#: Spec names of the Python types that a parameter may have.
_SPEC_TYPES: dict[Any, str] = {
    bool: "boolean",
    int: "integer",
    float: "float",
    str: "string",
    list[float]: "float_list",
    list[int]: "int_list",
    list[str]: "force_list",
}


class Parameter:
    """A default with its limits and help; the attribute's value until an instance sets its own."""

    def __init__(
        self,
        default: Any,
        low: float | None,
        high: float | None,
        options: tuple[str | None, ...],
        text: str,
    ):
        self.default = default
        self.low = low
        self.high = high
        self.options = options
        self.help = text

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: object | None, owner: type) -> Any:
        return self.default if instance is not None else self

    def spec_line(self, annotation: Any) -> str:
        """Return this parameter's line of the configuration spec.

        Raises
        ------
        TypeError
            If the annotation is not bool, int, float, str or list[float], or one of them or None.
        """
        if self.options:
            values = ", ".join(repr(option) for option in self.options)
            return f"{self.name} = option({values}, default={self.default!r})  # {self.help}"
        limits = [
            f"{word}={value}"
            for word, value in (("min", self.low), ("max", self.high))
            if value is not None
        ]
        arguments = ", ".join([f"default={self.default!r}", *limits])
        return f"{self.name} = {_SPEC_TYPES[_plain_type(annotation)]}({arguments})  # {self.help}"


def param(
    default: Any,
    *,
    low: float | None = None,
    high: float | None = None,
    options: tuple[str | None, ...] = (),
    help: str,
) -> Any:
    """Declare a step parameter.

    Parameters
    ----------
    default : bool, int, float, str or None
        Value when the user gives none.
    low, high : float, optional
        Least and largest value; of a list, least and largest length.
    options : tuple of str or None, optional
        The values to choose from.
    help : str
        One line for ``--help``.
    """
    return Parameter(default, low, high, options, help)


def spec_of(step_class: type) -> str:
    """Return the configuration spec of the parameters that `step_class` itself declares."""
    own = {name: value for name, value in vars(step_class).items() if isinstance(value, Parameter)}
    if not own:
        return ""
    annotations = typing.get_type_hints(step_class)
    return "\n".join(parameter.spec_line(annotations[name]) for name, parameter in own.items())


def references_in(correct: Callable[..., Any]) -> tuple[dict[str, type], frozenset[str]]:
    """Return the references that the signature of `correct` names, and those that may be None."""
    hints = typing.get_type_hints(correct)
    names = list(inspect.signature(correct).parameters)[2:]
    classes: dict[str, type] = {}
    optional = set()
    for name in names:
        kinds = [kind for kind in typing.get_args(hints[name]) if kind is not types.NoneType]
        if kinds:
            optional.add(name)
        classes[name] = kinds[0] if kinds else hints[name]
    return classes, frozenset(optional)


def _plain_type(annotation: Any) -> type:
    """Return the type without its ``| None``."""
    if isinstance(annotation, types.UnionType):
        kinds = [kind for kind in typing.get_args(annotation) if kind is not type(None)]
        if len(kinds) == 1:
            annotation = kinds[0]
    if annotation not in _SPEC_TYPES:
        kinds_known = "bool, int, float, str or list[float]"
        raise TypeError(f"a step parameter is a {kinds_known}, not {annotation!r}")
    return typing.cast("type", annotation)
