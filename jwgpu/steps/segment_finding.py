"""Finding sources as segments of connected pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jwgpu.kernels.segments import find_divisible, find_extremes
from jwgpu.kernels.smoothing import smooth
from jwgpu.steps.finder_options import FinderOptions

_BEND = 0.25  # of levels that rise as a hyperbolic sine


def find_segments(
    data: Any,
    err: Any,
    mask: Any,
    threshold: Any,
    options: FinderOptions,
    columns: Sequence[str],
    *,
    unit: Any = None,
    wcs: Any = None,
) -> tuple[Any, Any] | None:
    """Find sources as connected pixels of the smoothed image, and measure them.

    Parameters
    ----------
    data, err : array, (y, x) float32
        Without background.
    mask : array, (y, x) bool
        Where there are no sources.
    threshold : array, (y, x) float32
        Above which a pixel of the smoothed image belongs to a source.
    options : FinderOptions
    columns : sequence of str
        What is measured, by the new names of photutils.
    unit : Unit, optional
        Of the data.
    wcs : gwcs.WCS, optional
        For places on the sky.

    Returns
    -------
    (astropy.table.QTable, array) or None
        The columns, and the label of each pixel, (y, x) int32; None if there are no sources.

    Raises
    ------
    TypeError, ValueError
        If photutils refuses an option.
    """
    from astropy.convolution import Gaussian2DKernel
    from astropy.stats import gaussian_fwhm_to_sigma
    from photutils import use_future_column_names
    from photutils.segmentation import SourceCatalog, detect_sources

    smoothed = data
    if options.kernel_fwhm > 0:
        kernel = Gaussian2DKernel(options.kernel_fwhm * gaussian_fwhm_to_sigma)
        smoothed = smooth(data, mask, kernel.array)
    segments = detect_sources(
        smoothed, threshold, options.npixels, connectivity=options.connectivity, mask=mask
    )
    if segments is None:
        return None
    if options.deblend:
        segments = _divided(smoothed, segments, options)
    images = [image if unit is None else image << unit for image in (data, smoothed, err)]
    with use_future_column_names():
        catalog = SourceCatalog(
            images[0],
            segments,
            convolved_data=images[1],
            error=images[2],
            mask=mask,
            wcs=wcs,
            local_bkg_width=options.localbkg_width,
            aperture_mask_method=options.apermask_method,
            kron_params=options.kron_params,
        )
        return catalog.to_table(columns=list(columns)), segments.data


def _divided(smoothed: Any, segments: Any, options: FinderOptions) -> Any:
    """Take segments apart that consist of several peaks; only few do.

    Parameters
    ----------
    smoothed : array, (y, x) float32
    segments : photutils.segmentation.SegmentationImage
    options : FinderOptions
    """
    from photutils.segmentation import deblend_sources

    if options.contrast == 1:
        return segments
    boxes = np.array(
        [
            (label, rows.start, rows.stop, columns.start, columns.stop)
            for label, (rows, columns) in zip(segments.labels, segments.slices, strict=True)
        ],
        np.int64,
    )
    low, high = find_extremes(smoothed, segments.data, boxes)
    levels = _levels(low, high, options)
    corners = options.connectivity == 8
    is_divisible = find_divisible(
        smoothed, segments.data, boxes, levels, options.npixels, corners=corners
    )
    labels = segments.labels[is_divisible]
    if not len(labels):
        return segments
    divided = deblend_sources(
        smoothed,
        segments,
        options.npixels,
        labels=labels,
        n_levels=options.nlevels,
        contrast=options.contrast,
        mode=options.multithresh_mode,
        connectivity=options.connectivity,
        relabel=False,
        progress_bar=False,
    )
    _count_labels(divided.data)
    return divided


def _count_labels(segments: Any) -> None:
    """Give segments the labels 1, 2, 3, … in the order of those they have, in place."""
    from scipy import ndimage

    found = [n for n, part in enumerate(ndimage.find_objects(segments), start=1) if part]
    labels = np.zeros(found[-1] + 1, segments.dtype)
    labels[found] = np.arange(1, len(found) + 1)
    np.take(labels, segments, out=segments, mode="clip")


def _levels(low: Any, high: Any, options: FinderOptions) -> Any:
    """Return the levels at which segments are looked at, (segments, levels) float64.

    They are between the least and the largest value of each: evenly spaced, or closer where it is
    faint. Where it is negative, they are evenly spaced.
    """
    even = np.linspace(low, high, options.nlevels + 2, axis=-1)
    if options.multithresh_mode != "linear":
        with np.errstate(divide="ignore", invalid="ignore"):
            low, high = low[:, None], high[:, None]
            share = (even - low) / (high - low)
            if options.multithresh_mode == "sinh":
                bent = np.sinh(share / _BEND) / np.sinh(1.0 / _BEND) * (high - low) + low
            else:
                bent = np.where(low > 0, low * (high / low) ** share, even)
        even = bent
    return np.ascontiguousarray(even[:, 1:-1], np.float64)
