"""From exact sums over the pixels of regions to ellipses: a few numbers, worked on on the host."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from jwgpu.kernels.regions import Regions, Runs

# Columns of the sums of a region.
_N, _SUM_X, _SUM_Y, _SUM_XX, _SUM_XY, _SUM_YY = range(6)
#: Smallest region that can enclose a hole.
LEAST_AREA_WITH_HOLE: Final = 8


def ellipses_of(sums: Any, number: Any, runs: Runs) -> Regions:
    """Return the ellipses with these moments.

    Parameters
    ----------
    sums : ndarray, (n, 6) int64
        Number of pixels, and their sums of x, y, x x, x y and y y.
    number : ndarray, (n,) int64
    runs : Runs
        See `Regions`.
    """
    n = sums[:, _N]
    # About a pixel near the centroid, so that the products stay below 2**63.
    x0, y0 = sums[:, _SUM_X] // n, sums[:, _SUM_Y] // n
    sum_x, sum_y = sums[:, _SUM_X] - n * x0, sums[:, _SUM_Y] - n * y0
    sum_xx = sums[:, _SUM_XX] - x0 * (2 * sum_x + n * x0)
    sum_yy = sums[:, _SUM_YY] - y0 * (2 * sum_y + n * y0)
    sum_xy = sums[:, _SUM_XY] - x0 * sum_y - y0 * sum_x - n * x0 * y0
    inertia = inertia_of(
        (n * sum_xx - sum_x * sum_x) / n,
        (n * sum_yy - sum_y * sum_y) / n,
        (n * sum_xy - sum_x * sum_y) / n,
        n,
    )
    is_exact = _is_binary_fraction(sum_x, n) & _is_binary_fraction(sum_y, n)
    x, y = sums[:, _SUM_X] / n, sums[:, _SUM_Y] / n
    return Regions(x, y, inertia, is_exact, number, runs)


def inertia_of(moment_x: Any, moment_y: Any, mixed: Any, n: Any) -> Any:
    """Return moments as a tensor of inertia, (..., 3).

    Each from the sum of both, as the official package has it: it decides the last bit.
    """
    total = moment_x + moment_y
    return np.stack([(total - moment_y) / n, (total - moment_x) / n, -mixed / n], axis=-1)


def axes_of(inertia: Any) -> Any:
    """Return minor and major axes less one pixel, (n, 2), of (n, 3) moments."""
    tensors = inertia[:, [0, 2, 2, 1]].reshape(-1, 2, 2)
    return 4 * np.sqrt(np.linalg.eigvalsh(tensors).clip(0.0, None)) - 1


def _is_binary_fraction(total: Any, n: Any) -> Any:
    denominator = n // np.gcd(n, total)
    return (denominator & (denominator - 1)) == 0
