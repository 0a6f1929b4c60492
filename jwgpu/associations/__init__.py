"""Associations: which exposures belong together, and as what."""

from __future__ import annotations

from jwgpu.associations.exposures import open_library
from jwgpu.associations.members import (
    Association,
    Member,
    Product,
    check_members,
    is_association,
    read_association,
)

__all__ = [
    "Association",
    "Member",
    "Product",
    "check_members",
    "is_association",
    "open_library",
    "read_association",
]
