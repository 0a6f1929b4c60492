"""References of exposures read in stripes: the same lines of the detector, in the same order.

A reference that covers just what the keywords of the exposure say was made for the very readout,
and is taken as it is, unless there are superstripes: no file can have them. Any other must hold all
lines of the detector, and its lines are arranged as those of the exposure. The rules are those of
the official package, which arranges all types but DARK and IPC, though; those it wants as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from jwgpu.errors import ReferenceFileError
from jwgpu.models.stripes import DETECTOR_SIZE, StripedReadout
from jwgpu.references.cut import covered_by
from jwgpu.references.exposure import Exposure, Region
from jwgpu.references.types import Reference

AnyReference = TypeVar("AnyReference", bound=Reference)


def of_stripe(reference: AnyReference, number: int, n_stripes: int) -> AnyReference:
    """Return the reference of one superstripe; those that are the same for all stay as they are."""
    parts = {}
    for field in fields(reference):
        value = getattr(reference, field.name)
        if hasattr(value, "shape") and value.ndim > 2 and value.shape[0] == n_stripes:
            parts[field.name] = value[number, ...]
    return replace(reference, **parts)


def cut_to_stripes(
    path: str,
    header: Mapping[str, Any],
    shape: tuple[int, ...],
    exposure: Exposure,
    region: Region,
    stripes: StripedReadout,
) -> tuple[slice, slice] | None:
    """Find the rows and columns of a reference to arrange for an exposure.

    Parameters
    ----------
    path, header, shape, exposure
        As in `jwgpu.references.cut.cut_to_exposure`.
    region : Region
        What the keywords of the exposure say.
    stripes : StripedReadout
        How it was read.

    Returns
    -------
    tuple of slice, or None
        Rows and columns, all lines among them; None if the reference is to be taken as it is.

    Raises
    ------
    ReferenceFileError
        If the reference does not have all lines, or not the pixels that the exposure has of each.
    """
    covered = covered_by(path, header, shape, exposure)
    if covered == region and not stripes.n_superstripes:
        return None
    rows = (covered.y_start, covered.y_size), (region.y_start, region.y_size)
    columns = (covered.x_start, covered.x_size), (region.x_start, region.x_size)
    slow, (has, wanted) = (rows, columns) if stripes.slow_is_y else (columns, rows)
    first = wanted[0] - has[0]
    if slow[0] != (1, DETECTOR_SIZE) or first < 0 or first + wanted[1] > has[1]:
        raise ReferenceFileError(
            f"{path}: it covers {covered}, but {exposure.name} (SUBARRAY "
            f"{exposure.keywords.get('SUBARRAY')}) was read in stripes: give a reference of the "
            "full frame, or one made for this readout"
        )
    lines, pixels = slice(0, DETECTOR_SIZE), slice(first, first + wanted[1])
    return (lines, pixels) if stripes.slow_is_y else (pixels, lines)
