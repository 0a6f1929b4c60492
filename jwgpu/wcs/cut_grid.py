"""Parts of a grid of pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from jwgpu.wcs.output import OutputGrid

#: Places along each edge of an image that tell where on a grid it falls.
_PLACES = 65


def part_of(grid: OutputGrid, bottom: int, top: int, left: int, right: int) -> OutputGrid:
    """Return the rows ``bottom:top`` and columns ``left:right`` of a tangent projection.

    Parameters
    ----------
    grid : OutputGrid
        Made by `jwgpu.wcs.output.grid_around`.
    bottom, top, left, right : int
    """
    import gwcs
    from gwcs.fitswcs import FITSImagingWCSTransform

    whole = grid.wcs.forward_transform
    transform = FITSImagingWCSTransform(
        whole.projection,
        crpix=tuple(np.asarray(whole.crpix) - [left, bottom]),
        crval=tuple(np.asarray(whole.crval)),
        cdelt=tuple(np.asarray(whole.cdelt)),
        pc=np.asarray(whole.pc),
    )
    wcs = gwcs.WCS(
        [gwcs.Step(grid.wcs.input_frame, transform), gwcs.Step(grid.wcs.output_frame, None)]
    )
    wcs.bounding_box = ((-0.5, right - left - 0.5), (-0.5, top - bottom - 0.5))
    wcs.pixel_shape = (right - left, top - bottom)
    return replace(grid, wcs=wcs)


def reach_on(grid: OutputGrid, wcs: Any) -> Any:
    """Find what an image covers of a grid.

    Parameters
    ----------
    grid : OutputGrid
    wcs : gwcs.WCS
        Of the image, with its bounding box.

    Returns
    -------
    array, (2, 2) float64
        Least column and row, largest column and row; they may lie beyond the grid. NaN where that
        cannot be told.
    """
    if wcs.bounding_box is None:
        return np.full((2, 2), np.nan)
    (left, right), (bottom, top) = wcs.bounding_box.bounding_box(order="F")
    share = np.linspace(0, 1, _PLACES)
    x, y = left + (right - left) * share, bottom + (top - bottom) * share
    ends = np.ones_like(share)
    edge_x = np.concatenate([x, x, left * ends, right * ends])
    edge_y = np.concatenate([bottom * ends, top * ends, y, y])
    sky = wcs(edge_x, edge_y, with_bounding_box=False)
    places = np.array(grid.wcs.invert(*sky, with_bounding_box=False))
    return np.array([places.min(axis=1), places.max(axis=1)])
