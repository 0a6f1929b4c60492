"""References of the instruments' geometry: trees that hold transforms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from jwgpu.errors import ReferenceFileError
from jwgpu.references import types

if TYPE_CHECKING:
    from jwgpu.references.decode import Decoding


def distortion(decoding: Decoding) -> types.Reference:
    """Decode the distortion of an imaging detector.

    Raises
    ------
    ReferenceFileError
        If the file holds no transform of two coordinates to two.
    """
    transform = decoding.source.node("model")
    if (getattr(transform, "n_inputs", 0), getattr(transform, "n_outputs", 0)) != (2, 2):
        raise ReferenceFileError(
            f"{decoding.source.path}: has no model from pixels to V2, V3, which a DISTORTION "
            "reference needs"
        )
    try:
        box = transform.bounding_box.bounding_box(order="F")
    except NotImplementedError:  # it has none
        box = None
    return types.DistortionReference(transform, box, **decoding.common())


def filteroffset(decoding: Decoding) -> types.Reference:
    """Decode the shifts by filters.

    Raises
    ------
    ReferenceFileError
        If the file has no list of them.
    """
    rows = decoding.source.node("filters")
    if not rows or not all(isinstance(row, Mapping) for row in rows):
        raise ReferenceFileError(
            f"{decoding.source.path}: has no list of filters, which a FILTEROFFSET reference needs"
        )
    return types.FilterOffsetReference([dict(row) for row in rows], **decoding.common())
