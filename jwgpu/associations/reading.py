"""The content of an association file: parsed, and checked against its schema."""

from __future__ import annotations

import json
import logging
import warnings
from functools import cache
from pathlib import Path
from typing import Any

from jwgpu.errors import InputError

log = logging.getLogger(__name__)

_SCHEMAS = Path(__file__).parent / "schemas"


def read_content(path: str | Path) -> dict[str, Any]:
    """Read and check an association file, JSON or (deprecated, as officially) YAML.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict
        As it stands in the file.

    Raises
    ------
    InputError
        If the file is missing, unreadable, or no association.
    """
    path = Path(path)
    content = _parsed(path, _text_of(path))
    validate(content, str(path))
    checked: dict[str, Any] = content
    return checked


def validate(content: Any, name: str) -> None:
    """Check an association against the schema of its level.

    Parameters
    ----------
    content : Any
        What was parsed.
    name : str
        What to call it in an error.

    Raises
    ------
    InputError
        If it does not follow the schema. The first deviation is named.
    """
    from jsonschema.exceptions import best_match

    error = best_match(_validator(level_of(content)).iter_errors(content))
    if error is None:
        return
    place = error.json_path.removeprefix("$").removeprefix(".") or "the file"
    raise InputError(
        f"{name}: is no association: {place}: {' '.join(error.message.split())[:120]}; it needs "
        "products, each with members of expname and exptype"
    )


def level_of(content: Any) -> int:
    """Return the level, 2 or 3, that an association's type or rule tells; 2 if none does."""
    if not isinstance(content, dict):
        return 2
    kind, rule = str(content.get("asn_type", "")), str(content.get("asn_rule", ""))
    return 3 if kind.endswith("3") or "Lv3" in rule or "Level3" in rule else 2


@cache
def _validator(level: int) -> Any:
    from jsonschema import Draft7Validator

    return Draft7Validator(json.loads((_SCHEMAS / f"level{level}.json").read_text()))


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise InputError(f"{path}: the association cannot be read: {reason.lower()}") from error


def _parsed(path: Path, text: str) -> Any:
    """Parse JSON, or else YAML, which is deprecated."""
    suffix = path.suffix.lower()
    try:
        content = json.loads(text)
    except ValueError as json_error:
        content = _parsed_as_yaml(path, text, json_error)
        if suffix == ".json":
            _deprecate(
                f"{path.name}: is not JSON ({json_error}), and was read as YAML; mend it, since "
                "YAML is deprecated for associations"
            )
    if suffix in (".yaml", ".yml"):
        _deprecate(f"{path.name}: YAML is deprecated for associations; use JSON, named .json")
    elif suffix != ".json":
        _deprecate(f"{path.name}: associations should be JSON, named .json; others are deprecated")
    return content


def _parsed_as_yaml(path: Path, text: str, json_error: ValueError) -> Any:
    """Parse what JSON cannot be; text that YAML takes for one long string is none."""
    import yaml

    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{path}: is not JSON ({json_error}), nor YAML; mend it") from error
    if not isinstance(content, (dict, list)):
        raise InputError(f"{path}: is not JSON ({json_error}); mend the file")
    return content


def _deprecate(message: str) -> None:
    log.warning(message)
    # Of whoever reads the association: this function, _parsed, read_content, their caller.
    warnings.warn(message, DeprecationWarning, stacklevel=4)
