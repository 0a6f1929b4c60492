"""Associations: products, each with its members, and the files that these are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jwgpu.associations.reading import read_content
from jwgpu.errors import InputError


@dataclass(frozen=True)
class Member:
    """One file of an association.

    Attributes
    ----------
    path : Path
        The file, taken from where the association lies.
    kind : str
        What it is there for (``exptype``): ``science``, ``background``, ``selfcal``, …
    entry : dict
        All that the association says of it.
    """

    path: Path
    kind: str
    entry: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Product:
    """What is made of some members.

    Attributes
    ----------
    name : str
        What the names of its files begin with; empty if not given.
    members : tuple of Member
        In their order.
    """

    name: str
    members: tuple[Member, ...]

    def of(self, kind: str) -> list[Path]:
        """Return the files that are there as `kind`, upper or lower case."""
        return [member.path for member in self.members if member.kind.lower() == kind.lower()]


@dataclass(frozen=True)
class Association:
    """What belongs together.

    Attributes
    ----------
    path : Path
        The file.
    products : tuple of Product
        At least one.
    content : dict
        As it stands in the file.
    """

    path: Path
    products: tuple[Product, ...]
    content: dict[str, Any]

    @property
    def name(self) -> str:
        """File name, the keyword ASNTABLE."""
        return self.path.name

    @property
    def pool(self) -> str:
        """The keyword ASNPOOL."""
        return str(self.content.get("asn_pool", "none"))

    @property
    def identifier(self) -> str | None:
        """``asn_id``, part of the names of products."""
        return self.content.get("asn_id")

    @property
    def members(self) -> tuple[Member, ...]:
        """Members of the first product, in their order."""
        return self.products[0].members

    def of(self, kind: str) -> list[Path]:
        """Return the files of the first product that are there as `kind`."""
        return self.products[0].of(kind)


def is_association(path: str | Path) -> bool:
    """Whether a name is that of an association file."""
    return Path(path).suffix.lower() in (".json", ".yaml", ".yml")


def read_association(path: str | Path) -> Association:
    """Read an association file, JSON or (deprecated) YAML; the members stay closed.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Association

    Raises
    ------
    InputError
        If the file is missing, unreadable, or no association; if a product is empty or names a
        member twice; if a member lies outside the association's folder, or is an association.
    """
    path = Path(path)
    content = read_content(path)
    products = tuple(_product(path, entry) for entry in content["products"])
    if not products:
        raise InputError(f"{path}: has no products: give at least one, with members")
    return Association(path, products, content)


def check_members(association: Association, *kinds: str) -> None:
    """Check that the files are there, and that those in FITS are of one instrument.

    Parameters
    ----------
    association : Association
    *kinds : str
        Members to look at, such as ``science``; without any, all.

    Raises
    ------
    InputError
        If a file is missing or unreadable, or a product mixes instruments.
    """
    wanted = {kind.lower() for kind in kinds}
    for product in association.products:
        found: dict[str, str] = {}
        for member in product.members:
            if wanted and member.kind.lower() not in wanted:
                continue
            if not member.path.is_file():
                raise InputError(
                    f"{association.path}: its member {member.path} is missing: put it there, or "
                    "take it out of the association"
                )
            for instrument in _instrument_of(member.path):
                found.setdefault(instrument, member.path.name)
        if len(found) > 1:
            (one, first), (other, second) = list(found.items())[:2]
            raise InputError(
                f"{association.path}: mixes instruments: {first} is of {one}, {second} of {other}; "
                "make one association for each"
            )


def _instrument_of(path: Path) -> Iterator[str]:
    """Give the instrument of a FITS file, if it says which."""
    from jwgpu.models.fits_arrays import FitsFile

    if path.suffix.lower() == ".fits":
        with FitsFile(path) as file:
            instrument = file.primary.get("INSTRUME")
        if instrument:
            yield str(instrument).strip().upper()


def _product(path: Path, entry: dict[str, Any]) -> Product:
    """Read one product and check what its members' names tell."""
    name = str(entry.get("name", ""))
    members = tuple(_member(path, item) for item in entry["members"])
    called = f"the product {name}" if name else "a product"
    if not members:
        raise InputError(f"{path}: {called} has no members: give it some, or take it out")
    seen = set()
    for member in members:
        key = (os.path.normpath(member.path), member.kind.lower())
        if key in seen:
            raise InputError(
                f"{path}: {called} names {member.path.name} twice as {member.kind}: take one out"
            )
        seen.add(key)
    return Product(name, members)


def _member(path: Path, entry: dict[str, Any]) -> Member:
    """Read one member. Absolute paths are good, as officially; others stay below the folder."""
    name = entry["expname"]
    if not name:
        raise InputError(f"{path}: a member has no name: give it its expname")
    if Path(os.path.normpath(name)).parts[:1] == ("..",):
        raise InputError(
            f"{path}: its member {name} lies outside its folder: put it beside the association, "
            "or give its absolute path"
        )
    file = path.parent / name
    if is_association(name):
        is_itself = os.path.realpath(file) == os.path.realpath(path)
        what = "is the association itself" if is_itself else "is an association as well"
        raise InputError(f"{path}: its member {name} {what}: members are exposures and catalogs")
    return Member(file, str(entry["exptype"]), entry)
