"""How many leading planes of a dark or reset reference an exposure needs.

A dark of a near-infrared detector may hold 150 groups, 2.5 GB: an exposure of ten groups needs ten
of them. The numbers here are those for which the official rules of the steps give the same result
as with the whole file; where that is not plain, the whole file is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jwgpu.references.exposure import Exposure


def needed_planes(
    reftype: str, reference: Mapping[str, Any], exposure: Exposure, shape: tuple[int, ...]
) -> tuple[int, int] | None:
    """Return the integrations and groups that are needed, or None for all.

    Parameters
    ----------
    reftype : str
        Type, in lower case.
    reference : mapping
        Keywords of the reference.
    exposure : Exposure
    shape : tuple of int
        (ints, groups, y, x) of the exposure.
    """
    if len(shape) != 4:
        return None
    if reftype == "dark":
        return _dark(reference, exposure, shape)
    if reftype == "reset":
        before = int(exposure.keywords.get("INTSTART") or 1) - 1
        return before + shape[0], shape[1]
    return None


def _dark(
    reference: Mapping[str, Any], exposure: Exposure, shape: tuple[int, ...]
) -> tuple[int, int] | None:
    if exposure.keywords.get("INTSTART") not in (None, 1):
        return None
    try:
        dark_frames, dark_gap = int(reference["NFRAMES"]), int(reference["GROUPGAP"])
        frames, gap = int(exposure.keywords["NFRAMES"]), int(exposure.keywords["GROUPGAP"])
    except (KeyError, TypeError, ValueError):
        return None
    ints, groups = shape[:2]
    if (dark_frames, dark_gap) == (frames, gap):
        return ints, groups
    if (dark_frames, dark_gap) == (1, 0):
        return ints, groups * frames + (groups - 1) * gap
    return None
