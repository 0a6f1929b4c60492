"""Maps from pixels to pixels: evaluating a smooth map on every pixel of an image."""

from __future__ import annotations

from typing import Any, NamedTuple

from jwgpu.backends import implementation


class Series(NamedTuple):
    """A map that is not evaluated yet.

    It is of two rows at least: the corners of pixels lie between their centres, and drizzle keeps
    a row and its neighbours.

    Attributes
    ----------
    coefficients, along_y, along_x : array, float64
        See `evaluate`.
    """

    coefficients: Any
    along_y: Any
    along_x: Any


def evaluate(coefficients: Any, along_y: Any, along_x: Any, pixel_map: Any) -> None:
    """Evaluate a series in both directions on a grid of pixels.

    Each value is the sum over ``j`` and ``i`` of ``coefficients[:, j, i]``, a function of the row
    and one of the column.

    Parameters
    ----------
    coefficients : array, (2, terms, terms) float64
        Of the column and the row that are mapped to.
    along_y : array, (rows, terms) float64
        Functions of the row.
    along_x : array, (terms, columns) float64
        Functions of the column.
    pixel_map : array, (rows, columns, 2) float64
        Gets the columns and rows.
    """
    arrays = (coefficients, along_y, along_x, pixel_map)
    implementation(__name__, *arrays).evaluate(*arrays)
