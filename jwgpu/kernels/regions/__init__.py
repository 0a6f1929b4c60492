"""Connected regions of flagged pixels, and the ellipses that stand for them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from jwgpu.backends import implementation


@dataclass(frozen=True)
class Regions:
    """Regions, each as the ellipse with its second moments; NumPy arrays on the host.

    An ellipse's axes are those of an even ellipse with the region's second moments, less one
    pixel, so that a single pixel and a line have axes of -1: this is what the official package
    works with.

    Parameters
    ----------
    x, y : ndarray, (n,) float64
        Centroids.
    minor, major : ndarray, (n,) float64
        Full axes in pixels, less one.
    inertia : ndarray, (n, 3) float64
        Second moments in square pixels: along x, along y, and minus the mixed one.
    number : ndarray, (n,) int64
        Which regions of `runs` these are.
    runs : Runs
        The pixels, of regions that were too small, too.
    """

    x: Any
    y: Any
    minor: Any
    major: Any
    inertia: Any
    number: Any
    runs: Runs

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: Any) -> Regions:
        """Return the regions that a mask or an array of positions selects."""
        return Regions(
            x=self.x[index],
            y=self.y[index],
            minor=self.minor[index],
            major=self.major[index],
            inertia=self.inertia[index],
            number=self.number[index],
            runs=self.runs,
        )

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
        from jwgpu.kernels.regions.official_rounding import rounded

        return rounded(self)


@dataclass
class Runs:
    """Runs of pixels in rows, each belonging to a region; NumPy arrays on the host.

    Parameters
    ----------
    runs : ndarray, (m, 3) int32
        Row, first column and last column.
    regions : ndarray, (m,) int64
        Number of the region.
    """

    runs: Any
    regions: Any
    _order: Any = field(default=None, repr=False)

    def of(self, region: int) -> Any:
        """Return the runs of one region, (k, 3) int32, in order of rows."""
        import numpy as np

        if self._order is None:
            self._order = np.argsort(self.regions, kind="stable")
        first, last = np.searchsorted(self.regions, [region, region + 1], sorter=self._order)
        return self.runs[self._order[first:last]]


def _angle(along_x: float, along_y: float, mixed: float) -> float:
    if along_x - along_y == 0:
        return math.pi / 4 if mixed < 0 else -math.pi / 4
    return 0.5 * math.atan2(-2 * mixed, along_y - along_x)


def find_regions(image: Any, flag: int, min_area: float, unless: Any = None) -> Regions:
    """Find the connected regions of flagged pixels.

    Pixels are neighbours also across corners. A region counts if its area, the holes in it
    included, is `min_area` or more; a hole is background that is not connected, across corners
    either, with what surrounds the region's bounding box.

    Parameters
    ----------
    image : array, (y, x) uint8
        Flags.
    flag : int
        The flag to look for: one bit.
    min_area : float
        In pixels.
    unless : array, (y, x) uint8, optional
        Pixels that have the flag here are left out.

    Returns
    -------
    Regions
        In the order of their first pixels.

    References
    ----------
    Two-pass labelling: Rosenfeld & Pfaltz 1966, JACM 13, 471, here over runs of pixels. Ellipse
    from moments: Teague 1980, JOSA 70, 920.
    """
    result: Regions = implementation(__name__, image).find_regions(image, flag, min_area, unless)
    return result
