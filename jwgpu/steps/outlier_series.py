"""Outliers of the integrations of one exposure."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.kernels.median_stack import median_stack
from jwgpu.kernels.outliers import flag_rolling, flag_stacked
from jwgpu.models.images import Image
from jwgpu.steps.outlier_images import finish

log = logging.getLogger(__name__)

#: Rows of a median that are made together.
_ROWS = 64


def flag_series(image: Image, width: int, snr: float, is_good: Any, *, keeps: bool) -> Any:
    """Flag the outliers of a time series beside those near in time.

    Parameters
    ----------
    image : Image
        Of a time series, (ints, y, x).
    width : int
        Images of a median; if it is 1 or less, or there are not more images than that, the median
        is that of all.
    snr : float
        See `jwgpu.kernels.outliers.flag_rolling`.
    is_good : array, (ints, y, x) bool
        What counts in medians of some of the images.
    keeps : bool
        Whether medians are wanted.

    Returns
    -------
    array, (ints, y, x) float32, or None
        The medians.
    """
    xp = namespace_of(image.data, image.dq)
    n_outliers = xp.zeros(image.data.shape[1], dtype=xp.int32)
    if 1 < width < len(image.data):
        medians = xp.empty_like(image.data) if keeps else None
        flag_rolling(image.data, image.err, is_good, width, snr, image.dq, n_outliers, medians)
    else:
        # Quirk: officially what is not good counts here.
        medians = median_of(image.data, None)
        flag_stacked(image.data, image.err, medians, snr, image.dq, n_outliers)
        medians = xp.broadcast_to(medians, image.data.shape) if keeps else None
    finish(image, n_outliers)
    return medians


def flag_coronagraph(image: Image, snr: float, is_good: Any) -> Any:
    """Flag the outliers of the integrations of an exposure behind a coronagraph.

    Parameters
    ----------
    image : Image
        (ints, y, x).
    snr : float
        See `jwgpu.kernels.outliers.flag_stacked`.
    is_good : array, (ints, y, x) bool
        What counts in the median.

    Returns
    -------
    array, (y, x) float32
        The median.
    """
    xp = namespace_of(image.data, image.dq)
    n_outliers = xp.zeros(image.data.shape[1], dtype=xp.int32)
    medians = median_of(image.data, is_good)
    flag_stacked(image.data, image.err, medians, snr, image.dq, n_outliers)
    finish(image, n_outliers)
    return medians


def median_of(images: Any, is_good: Any) -> Any:
    """Return the median of images, some rows at a time.

    Parameters
    ----------
    images : array, (images, y, x) float32
    is_good : array, (images, y, x) bool, or None
        What counts; None for all but NaN.

    Returns
    -------
    array, (y, x) float32
    """
    xp = namespace_of(images)
    medians = xp.empty(images.shape[1:], dtype=xp.float32)
    for first in range(0, images.shape[1], _ROWS):
        rows = slice(first, first + _ROWS)
        values = images[:, rows]
        if is_good is not None:
            values = xp.where(is_good[:, rows], values, xp.asarray(np.float32(np.nan)))
        median_stack(xp.ascontiguousarray(values), medians[rows])
    return medians
