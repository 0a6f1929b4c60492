"""Associations: which exposures belong together, and as what."""

from __future__ import annotations

from jwgpu.associations.members import Association, Member, is_association, read_association

__all__ = ["Association", "Member", "is_association", "read_association"]
