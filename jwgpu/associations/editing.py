"""Members added to an association, or taken out of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def add_members(content: dict[str, Any], names: Sequence[str], kind: str = "science") -> None:
    """Add files to every product of an association, in place.

    Parameters
    ----------
    content : dict
        As `read_content` gives it.
    names : sequence of str
        The files; as officially, only their names without folders are kept.
    kind : str
        What they are there for (``exptype``).
    """
    for name in names:
        for product in content["products"]:
            product["members"].append({"expname": Path(name).name, "exptype": kind})


def remove_members(
    content: dict[str, Any],
    names: Sequence[str],
    without_suffix: Callable[[str], tuple[str, str]] | None = None,
) -> list[str]:
    """Take files out of every product of an association, in place; an empty product goes, too.

    Parameters
    ----------
    content : dict
        As `read_content` gives it.
    names : sequence of str
        The files; their folders do not count.
    without_suffix : callable, optional
        Gives a name without its product suffix, and the separator: names without extension and
        suffix are compared instead of whole ones.

    Returns
    -------
    list of str
        Those of `names` that are not in the association.
    """

    def key(name: str) -> str:
        return name if without_suffix is None else without_suffix(Path(name).stem)[0]

    missing = []
    for name in names:
        wanted, is_found = key(Path(name).name), False
        for product in content["products"]:
            kept = [member for member in product["members"] if key(member["expname"]) != wanted]
            is_found |= len(kept) < len(product["members"])
            product["members"] = kept
        if not is_found:
            missing.append(name)
            continue
        content["products"] = [product for product in content["products"] if product["members"]]
    return missing
