"""Connected regions of flagged pixels, and the ellipses that stand for them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from jwgpu.backends import implementation


@dataclass(frozen=True)
class Search:
    """What to look for, and where.

    Parameters
    ----------
    plane : int
        Which plane of the stack.
    flag : int
        The flag to look for: one bit.
    min_area : float
        Least area of a region, in pixels.
    unless : int, optional
        The plane of the stack in which pixels must not have the flag.
    """

    plane: int
    flag: int
    min_area: float
    unless: int | None = None


class Runs(Protocol):
    """Runs of pixels in rows, each belonging to a region; they stay on the device."""

    def of(self, numbers: Any) -> list[Any]:
        """Return the runs of some regions, each (k, 3) int32 in order of rows, on the host.

        Columns are row, first column and last column.

        Parameters
        ----------
        numbers : ndarray, (n,) int64
            Numbers of regions.
        """


@dataclass(frozen=True)
class Regions:
    """Regions, each as the ellipse with its second moments; NumPy arrays on the host.

    Parameters
    ----------
    x, y : ndarray, (n,) float64
        Centroids.
    inertia : ndarray, (n, 3) float64
        Second moments in square pixels: along x, along y, and minus the mixed one.
    is_exact : ndarray, (n,) bool
        Whether the moments are free of rounding errors in any order of sums.
    number : ndarray, (n,) int64
        Which regions of `runs` these are.
    runs : Runs
        The pixels, of regions that were too small, too.
    """

    x: Any
    y: Any
    inertia: Any
    is_exact: Any
    number: Any
    runs: Runs

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: Any) -> Regions:
        """Return the regions that a mask or an array of positions selects."""
        return Regions(
            x=self.x[index],
            y=self.y[index],
            inertia=self.inertia[index],
            is_exact=self.is_exact[index],
            number=self.number[index],
            runs=self.runs,
        )

    @cached_property
    def axes(self) -> Any:
        """Minor and major axes, (n, 2) float64: full axes in pixels, less one.

        Those of an even ellipse with the region's second moments, less one pixel, so that a single
        pixel and a line have axes of -1: this is what the official package works with.
        """
        from jwgpu.kernels.regions.moments import axes_of

        return axes_of(self.inertia)

    @property
    def minor(self) -> Any:
        """Minor axes, (n,) float64; see `axes`."""
        return self.axes[:, 0]

    @property
    def major(self) -> Any:
        """Major axes, (n,) float64; see `axes`."""
        return self.axes[:, 1]

    @cached_property
    def largest_extent(self) -> Any:
        """No axis, one pixel more included, is longer: (n,) float64. Quicker than `axes`."""
        import numpy as np

        return 4 * np.sqrt(self.inertia[:, 0] + self.inertia[:, 1])

    def degrees(self) -> Any:
        """Return, (n,) float64, the angles of the major axes with the columns of the image."""
        import numpy as np

        # Worked out one by one with the C library's arctangent: NumPy's own may differ in the last
        # bit, and pixels lie exactly on the outlines of ellipses that are drawn at 45 degrees.
        return np.array([math.degrees(_angle(*row)) for row in self.inertia.tolist()])

    def as_rounded_officially(self) -> Regions:
        """Return the regions with the rounding errors of the official package's moments.

        Round snowballs become circles of whole radius, with pixels exactly on the outline: the
        last bit of their angle decides which of those are flagged. It depends on the order of
        sums in NumPy's linear algebra, so that is used here. Slow: about 50 us a region.
        """
        from jwgpu.kernels.regions.official_rounding import round_officially

        return round_officially([self])[0]


def _angle(along_x: float, along_y: float, mixed: float) -> float:
    if along_x - along_y == 0:
        return math.pi / 4 if mixed < 0 else -math.pi / 4
    return 0.5 * math.atan2(-2 * mixed, along_y - along_x)


def find_regions(planes: Any, searches: Sequence[Search]) -> list[Regions]:
    """Find connected regions of flagged pixels in some planes.

    Pixels are neighbours also across corners. A region counts if its area, the holes in it
    included, is `min_area` or more; a hole is background that is not connected, across corners
    either, with what surrounds the region's bounding box.

    On a GPU, numbers of the regions come to the host three times in all, whatever the number of
    searches, and once more if there may be holes that decide.

    Parameters
    ----------
    planes : array, (n, y, x) uint8
        Flags.
    searches : sequence of Search

    Returns
    -------
    list of Regions
        For each search, in the order of their first pixels.

    References
    ----------
    Two-pass labelling: Rosenfeld & Pfaltz 1966, JACM 13, 471, here over runs of pixels; with
    atomic operations: Playne & Hawick 2018, IEEE TPDS 29, 1217. Ellipse from moments: Teague 1980,
    JOSA 70, 920.
    """
    if not searches:
        return []
    result: list[Regions] = implementation(__name__, planes).find_regions(planes, searches)
    return result
