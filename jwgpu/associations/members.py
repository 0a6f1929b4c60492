"""Reading an association file: the exposures of its first product."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jwgpu.errors import InputError


@dataclass(frozen=True)
class Member:
    """One exposure of an association.

    Attributes
    ----------
    path : Path
        The file, taken from where the association lies.
    kind : str
        What it is there for (``exptype``): ``science``, ``background``, ``selfcal``, …
    """

    path: Path
    kind: str


@dataclass(frozen=True)
class Association:
    """What belongs together.

    Attributes
    ----------
    name : str
        File name, the keyword ASNTABLE.
    pool : str
        The keyword ASNPOOL.
    members : tuple of Member
        Of the first product, in their order.
    """

    name: str
    pool: str
    members: tuple[Member, ...]

    def of(self, kind: str) -> list[Path]:
        """Return the files that are there as `kind`."""
        return [member.path for member in self.members if member.kind == kind]


def is_association(path: str | Path) -> bool:
    """Whether a name is that of an association file."""
    return Path(path).suffix.lower() in (".json", ".yaml", ".yml")


def read_association(path: str | Path) -> Association:
    """Read an association file, JSON or YAML.

    Raises
    ------
    InputError
        If the file is missing, unreadable, or no association.
    """
    path = Path(path)
    content = _parsed(path)
    try:
        members = tuple(
            Member(path.parent / member["expname"], str(member["exptype"]))
            for member in content["products"][0]["members"]
        )
        return Association(path.name, str(content.get("asn_pool", "none")), members)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: is no association (no {error} in it): it needs products, each with members "
            "of expname and exptype"
        ) from error


def _parsed(path: Path) -> Any:
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise InputError(f"{path}: the association cannot be read: {reason.lower()}") from error
    try:
        return json.loads(text)
    except ValueError as json_error:
        if path.suffix.lower() == ".json":
            raise InputError(f"{path}: is not JSON ({json_error}); check the file") from json_error
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{path}: is not YAML; check the file") from error
