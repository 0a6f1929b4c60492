"""Flicker noise: what of an image is background, and the stripes in it."""

from __future__ import annotations

from typing import Any, NamedTuple

from jwgpu.backends import implementation


class Lines(NamedTuple):
    """Along which lines of an image the noise is constant.

    Attributes
    ----------
    axis : int
        Axis along the lines: 0 for columns, 1 for rows.
    channels : int
        Into how many pieces of the same length each line is cut.
    """

    axis: int
    channels: int = 1


def background_limits(
    image: Any,
    mask: Any,
    sigma_lower: float = 3.0,
    sigma_upper: float = 2.0,
    *,
    fit_histogram: bool = False,
    lower_half_only: bool = False,
    clip: float = 3.0,
) -> tuple[Any, Any]:
    """Find between which values the pixels of an image are background.

    Parameters
    ----------
    image : array, (y, x) float32
    mask : array, (y, x) bool
        The pixels to judge by.
    sigma_lower, sigma_upper : float
        Distance of the limits from the center, in standard deviations.
    fit_histogram : bool
        Center and standard deviation are those of a Gaussian fitted to the histogram.
    lower_half_only : bool
        The standard deviation is that of the values below the median, and their mirror images.
    clip : float
        Outliers beyond this many standard deviations are not judged by.

    Returns
    -------
    low, high : float, or array of no dimension on a GPU, which is not waited for
        NaN where there is nothing to judge by.
    """
    body = implementation(__name__, image, mask)
    limits: tuple[Any, Any] = body.background_limits(
        image,
        mask,
        float(sigma_lower),
        float(sigma_upper),
        fit_histogram,
        lower_half_only,
        float(clip),
    )
    return limits


def masked_median(image: Any, mask: Any) -> Any:
    """Return the median (float32) of the finite pixels of an image where the mask is True.

    NaN if there are none.
    """
    return implementation(__name__, image, mask).masked_median(image, mask)


def take_difference(
    image: Any,
    mask: Any,
    current: Any,
    previous: Any = None,
    *,
    scene: Any,
    groupdq: Any = None,
    unusable: int = 0,
    flat: Any = None,
) -> None:
    """Write what was collected since the previous image, and which pixels of it can be used.

    Parameters
    ----------
    image : array, (y, x) float32
        Filled in: ``(current - previous) / flat``.
    mask : array, (y, x) bool
        Filled in: `scene`, without unusable pixels and those without a number.
    current, previous : array, (y, x) float32
        Without `previous`, nothing is subtracted.
    scene : array, (y, x) bool
        Pixels of the background.
    groupdq : array, (y, x) uint8, optional
        Flags of `current`.
    unusable : int
        Flags of pixels that cannot be used.
    flat : array, (y, x) float32, optional
    """
    body = implementation(__name__, image, mask, current, previous, scene, groupdq, flat)
    body.take_difference(image, mask, current, previous, scene, groupdq, int(unusable), flat)


def mask_outside(image: Any, mask: Any, low: Any, high: Any) -> None:
    """Set `mask` to False, in place, where the image is below `low` or above `high`.

    These are numbers, or what `background_limits` returns.
    """
    implementation(__name__, image, mask).mask_outside(image, mask, low, high)


def subtract_background(image: Any, mask: Any, n_sigma: float) -> Any:
    """Subtract the median of the background, and drop what stands out of it from the mask.

    Parameters
    ----------
    image : array, (y, x) float32
        Changed in place.
    mask : array, (y, x) bool
        Changed in place: False outside of three standard deviations (of the lower half) from the
        background, and then of `n_sigma` from what is left.
    n_sigma : float
        No second time if it is not positive.

    Returns
    -------
    float32
        The background.
    """
    return implementation(__name__, image, mask).subtract_background(image, mask, float(n_sigma))


def stripes(image: Any, mask: Any, lines: Lines) -> Any:
    """Return the median of each line of an image, where the mask is True; 0 for an empty line.

    Returns
    -------
    array, (y, channels) or (channels, x) float32
    """
    return implementation(__name__, image, mask).stripes(image, mask, lines)


def restore(
    target: Any, image: Any, noise: Any, background: Any, flat: Any = None, base: Any = None
) -> None:
    """Write an image without its noise, and with all else that was taken from it.

    Parameters
    ----------
    target : array, (y, x) float32
        Filled in: ``base + (image - noise + background) * flat``, rounded to float32 each time.
    image : array, (y, x) float32
        Without background.
    noise : array, float32
        As `stripes` returns it, or (y, x); None for an image that has none.
    background : float or array, (y, x) or () float32
    flat, base : array, (y, x) float32, optional
    """
    arrays = [array for array in (noise, flat, base) if array is not None]
    body = implementation(__name__, target, image, *arrays)
    body.restore(target, image, noise, background, flat, base)


def contiguous(view: Any) -> Any:
    """Return a copy of an image that was turned, with the samples of a row side by side.

    Parameters
    ----------
    view : array, (y, x) float32 or bool
    """
    return implementation(__name__, view).contiguous(view)


def box_medians(image: Any, mask: Any, box: tuple[int, int]) -> tuple[Any, Any]:
    """Return the median of each box of an image after sigma clipping, and how many pixels it is of.

    Parameters
    ----------
    image : array, (y, x) float32
    mask : array, (y, x) bool
        The pixels to use.
    box : (int, int)
        Rows and columns of a box; those at the upper edges may be smaller.

    Returns
    -------
    medians : array, (boxes, boxes) float32
        NaN for a box without pixels.
    counts : array, (boxes, boxes) int64
    """
    result: tuple[Any, Any] = implementation(__name__, image, mask).box_medians(image, mask, box)
    return result


def fill_outliers(image: Any, mask: Any, threshold: float) -> Any:
    """Return an image whose outliers are replaced by the median of their row.

    Parameters
    ----------
    image : array, (y, x) float32
    mask : array, (y, x) bool
        The pixels to use; all others are 0 in the result.
    threshold : float
        Distance of an outlier from the median, in robust standard deviations of its row.

    Returns
    -------
    array, (y, x) float32
    """
    return implementation(__name__, image, mask).fill_outliers(image, mask, float(threshold))
