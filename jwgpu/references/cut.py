"""Which part of a reference belongs to the subarray of an exposure.

The rules are those of the official package: start and size are keywords of the file; a file
without them must be full frame; where a size keyword and the array disagree, the array is right.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from jwgpu.errors import ReferenceFileError
from jwgpu.references.exposure import Exposure, Region, full_frame

log = logging.getLogger(__name__)

_IRS2_ROWS = 3200  # rows of NIRSpec's IRS2 readout, whose keywords speak of 2048


def cut_to_exposure(
    path: str,
    header: Mapping[str, Any],
    shape: tuple[int, ...],
    exposure: Exposure,
    region: Region,
) -> tuple[slice, slice]:
    """Find the rows and columns of a reference that the exposure needs.

    Parameters
    ----------
    path : str
        The reference, for messages.
    header : mapping
        Its keywords.
    shape : tuple of int
        Shape of its main array, (…, y, x).
    exposure : Exposure
    region : Region
        Part of the detector that the exposure read.

    Returns
    -------
    tuple of slice
        Rows and columns, counted from 0 in the reference.

    Raises
    ------
    ReferenceFileError
        If the reference does not say what it covers, or does not cover the exposure.
    """
    covered = covered_by(path, header, shape, exposure)
    if not covered.contains(region):
        raise ReferenceFileError(
            f"{path}: it covers {covered}, but {exposure.name} (SUBARRAY "
            f"{exposure.keywords.get('SUBARRAY')}) reads {region}; give a reference for this "
            "subarray or for the full frame"
        )
    row, column = region.y_start - covered.y_start, region.x_start - covered.x_start
    rows = slice(row, row + region.y_size)
    if shape[-2] == _IRS2_ROWS and region.y_size == 2048:
        rows = slice(0, _IRS2_ROWS)
    return rows, slice(column, column + region.x_size)


def covered_by(
    path: str, header: Mapping[str, Any], shape: tuple[int, ...], exposure: Exposure
) -> Region:
    """Return the part of the detector that a reference covers; parameters as `cut_to_exposure`.

    Raises
    ------
    ReferenceFileError
        If it does not say.
    """
    height, width = shape[-2:]
    start = [header.get(f"SUBSTRT{axis}") for axis in (1, 2)]
    size = [header.get(f"SUBSIZE{axis}") for axis in (1, 2)]
    if None in start or None in size:
        if (height, width) != full_frame(str(header.get("INSTRUME") or exposure.instrument)):
            raise ReferenceFileError(
                f"{path}: keywords SUBSTRT1, SUBSTRT2, SUBSIZE1, SUBSIZE2 are missing and its "
                f"array of {height} x {width} is not full frame; add the keywords"
            )
        log.warning("%s: subarray keywords are missing, taken as full frame", path)
        return Region(1, 1, width, height)
    x_start, y_start = (int(value) for value in start if value is not None)
    if x_start < 1 or y_start < 1:
        raise ReferenceFileError(
            f"{path}: SUBSTRT1={x_start}, SUBSTRT2={y_start}: the corner is counted from 1; "
            "correct the keywords"
        )
    if height == _IRS2_ROWS and size[1] == 2048:
        height = 2048
    if size != [width, height]:
        log.warning(
            "%s: SUBSIZE1, SUBSIZE2 are %s, the array is %s wide, %s high: its size is used",
            *(path, size, width, height),
        )
    return Region(x_start, y_start, width, height)
