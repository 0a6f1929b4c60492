"""Finding stars at the peaks of a smoothed image."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.compiled import over_rows
from jwgpu.steps.finder_options import FinderOptions


def find_peaks(data: Any, mask: Any, scatter: Any, options: FinderOptions) -> Any:
    """Find stars by peaks of the smoothed image.

    Parameters
    ----------
    data : array, (y, x) float32
        Without its background.
    mask : array, (y, x) bool
        Where there are no stars.
    scatter : array, (y, x) float32
        Of the background; its pixels lose their order.
    options : FinderOptions

    Returns
    -------
    astropy.table.QTable or None
        As photutils describes stars, with its new names; in units of the data. None if there are
        none.

    Raises
    ------
    TypeError, ValueError
        If photutils refuses an option.
    """
    from photutils import use_future_column_names
    from photutils.detection import DAOStarFinder, IRAFStarFinder

    kind = IRAFStarFinder if options.starfinder == "iraf" else DAOStarFinder
    more = {
        "sigma_radius": options.sigma_radius,
        "sharpness_range": (options.sharplo, options.sharphi),
        "roundness_range": (options.roundlo, options.roundhi),
        "n_brightest": options.brightest,
        "peak_max": options.peakmax,
    }
    threshold = _median(scatter, options.snr_threshold)
    finder = kind(threshold, options.kernel_fwhm, **more)
    least = getattr(finder, "threshold_eff", threshold)
    places = _peaks(data, mask, finder.kernel.data, least, options.min_separation)
    if not len(places):
        return None
    # Measured is on a sheet of cutouts, because the finder smooths all that it is given.
    sheet, height, middles = _cutouts(data, places, finder.kernel.data.shape)
    with use_future_column_names():
        stars = kind(threshold, options.kernel_fwhm, xycoords=middles, **more)(sheet)
    if stars is not None:
        number = (stars["y_centroid"] + 0.5).astype(int) // height
        for column, axis in (("x_centroid", 0), ("y_centroid", 1)):
            stars[column] += places[number, axis] - middles[number, axis]
    return stars


def _cutouts(data: Any, places: Any, kernel: tuple[int, int]) -> tuple[Any, int, Any]:
    """Put what is around some places of an image on a sheet, one below the other.

    Parameters
    ----------
    data : array, (y, x) float32
    places : array, (places, 2) int
        Columns and rows.
    kernel : (int, int)
        Rows and columns of what the sheet can be smoothed with.

    Returns
    -------
    array, int, array
        The sheet, with zeros beyond the image; the rows of each cutout; and the places on the
        sheet.
    """
    reach = [2 * (size // 2) for size in kernel]
    height, width = (2 * one + 1 for one in reach)
    y = places[:, 1, None] + np.arange(-reach[0], reach[0] + 1)
    x = places[:, 0, None] + np.arange(-reach[1], reach[1] + 1)
    n_y, n_x = data.shape
    inside = ((y >= 0) & (y < n_y))[:, :, None] & ((x >= 0) & (x < n_x))[:, None, :]
    cut = data[np.clip(y, 0, n_y - 1)[:, :, None], np.clip(x, 0, n_x - 1)[:, None, :]]
    sheet = np.where(inside, cut, np.float32(0)).reshape(-1, width)
    rows = np.arange(len(places)) * height + reach[0]
    return sheet, height, np.column_stack([np.full(len(places), reach[1]), rows])


def _peaks(data: Any, mask: Any, kernel: Any, threshold: float, radius: int) -> Any:
    """Return where a smoothed image is brightest within a circle.

    Parameters
    ----------
    data : array, (y, x) float32
    mask : array, (y, x) bool
        Where there are no stars.
    kernel : array, (y, x) float64
        What the image is smoothed with.
    threshold : float
    radius : int
        Of the circle, in pixels.

    Returns
    -------
    array, (peaks, 2) int
        Columns and rows, in the order of the rows.
    """
    smooth = _smoothed(data, kernel)
    if (smooth == smooth.flat[0]).all():
        return np.empty((0, 2), int)
    n_y, n_x = smooth.shape
    y, x = np.divmod(np.flatnonzero(smooth > threshold), n_x)
    kept = ~mask[y, x]
    y, x = y[kept], x[kept]
    reach = range(-radius, radius + 1)
    circle = [(dy, dx) for dy in reach for dx in reach if 0 < dy * dy + dx * dx <= radius * radius]
    for dy, dx in circle:
        # Beyond the image lie zeros; what is NaN is no brighter than anything.
        inside = (y + dy >= 0) & (y + dy < n_y) & (x + dx >= 0) & (x + dx < n_x)
        other = smooth[np.clip(y + dy, 0, n_y - 1), np.clip(x + dx, 0, n_x - 1)]
        kept = ~(np.where(inside, other, 0) > smooth[y, x])
        y, x = y[kept], x[kept]
    return np.column_stack([x, y])


def _smoothed(data: Any, kernel: Any) -> Any:
    """Convolve an image with a kernel; beyond the image lie zeros."""
    from scipy.ndimage import convolve

    smooth = np.empty_like(data)
    reach = kernel.shape[0] // 2

    def smooth_rows(first: int, stop: int) -> None:
        start = max(first - reach, 0)
        found = convolve(data[start : stop + reach], kernel, mode="constant", cval=0.0)
        smooth[first:stop] = found[first - start : stop - start]

    over_rows(smooth_rows, len(data))
    return smooth


def _median(image: Any, factor: float) -> Any:
    """Return the median of an image without NaN times a factor; its pixels lose their order."""
    values = image.ravel()
    middle = (values.size - 1) // 2, values.size // 2
    values.partition(middle)
    return (factor * values[middle[0] : middle[1] + 1]).mean()
