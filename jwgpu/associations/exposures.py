"""The exposures of an association as a library of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jwgpu.associations.members import Association, check_members
from jwgpu.errors import InputError
from jwgpu.models.library import Library
from jwgpu.models.reading_images import open_image as open_header


def open_library(
    association: Association,
    kinds: Sequence[str] = ("science",),
    *,
    in_memory: bool = True,
    open_image: Callable[[Path], Any] = open_header,
    scratch: str | Path | None = None,
) -> Library:
    """Make a library of the members of the first product.

    Parameters
    ----------
    association : Association
    kinds : sequence of str
        Members to take, upper or lower case.
    in_memory : bool
        If false, images are kept on disk.
    open_image : callable
        Reads the metadata of a file; see `jwgpu.models.reading_images.open_image`.
    scratch : str or Path, optional
        Folder for scratch files.

    Returns
    -------
    Library

    Raises
    ------
    InputError
        If there are no such members, one is missing, or they are of several instruments.
    """
    check_members(association, *kinds)
    wanted = {kind.lower() for kind in kinds}
    members = [member for member in association.members if member.kind.lower() in wanted]
    if not members:
        raise InputError(
            f"{association.path}: has no {' or '.join(kinds)} members in its first product, only "
            f"{', '.join(sorted({member.kind or 'nothing' for member in association.members}))}"
        )
    return Library(
        [member.path for member in members],
        [member.entry for member in members],
        in_memory=in_memory,
        open_image=open_image,
        scratch=scratch,
        table_name=association.name,
        pool_name=association.content.get("asn_pool"),
        folder=association.path.parent,
    )
