"""Combine pairs of dithered images for wavefront sensing."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from jwgpu.associations import Product, check_members, is_association, read_association
from jwgpu.errors import InputError
from jwgpu.models.flags import DO_NOT_USE
from jwgpu.models.images import Image
from jwgpu.models.mosaics import new_model
from jwgpu.models.reading_images import model_of_image, read_image
from jwgpu.steps.base import param
from jwgpu.steps.product_by_product import ProductByProduct
from jwgpu.steps.wfs_alignment import Sizes, residual_offset

log = logging.getLogger(__name__)


class WfsCombineStep(ProductByProduct):
    """Combine each pair of dithered images of a star, shifted by whole pixels: ``_wfscmb``.

    Good pixels are averaged; where one of the two images is bad, the other one counts. This is all
    of stage 3 for wavefront sensing and control. It computes on the host: it is a few
    additions a pixel.

    Examples
    --------
    >>> from jwgpu.steps.wfs_combine import WfsCombineStep
    >>> (combined,) = WfsCombineStep.call("jw..._wfs-image3_asn.json", save_results=True)
    """

    class_alias = "calwebb_wfs-image3"
    status_name = "wfs_combine"

    do_refine: bool = param(False, help="Measure the offset of the images by what they show")
    flip_dithers: bool = param(
        True, help="Take the image whose star is at the lower column as the first"
    )
    psf_size: int = param(100, low=1, help="With do_refine: pixels on either side of the star")
    blur_size: int = param(10, low=1, help="With do_refine: how much to smooth to find the star")
    n_size: int = param(
        2, low=1, help="With do_refine: pixels around a bad one that it is interpolated from"
    )
    suffix: str = param("wfscmb", help="Put into the names of products")

    def process(self, source: Any) -> Any:
        """Run this step on an association; stpipe calls this.

        Parameters
        ----------
        source : str or Path
            Each product of it has a pair of images.

        Returns
        -------
        list of ImageModel
            Combined images, without world coordinates but those of the FITS header.

        Raises
        ------
        InputError
            If it is no association, or a product has no pair.
        """
        if isinstance(source, str):
            source = self.make_input_path(source)
        if not isinstance(source, (str, Path)) or not is_association(source):
            raise InputError(f"{source}: is no association: give one, with a pair in each product")
        association = read_association(source)
        check_members(association, "science")
        for product in association.products:
            if len(product.of("science")) < 2:
                kinds = ", ".join(member.kind or "nothing" for member in product.members)
                raise InputError(
                    f"{source}: {product.name or 'a product'} has fewer than two science members "
                    f"({kinds}): give it a pair"
                )
        self.output_use_model = True
        results = []
        for product in association.products:
            model = self._combined(product)
            model.meta.asn.pool_name = association.pool
            model.meta.asn.table_name = association.name
            self.save_early(model)
            results.append(model)
        return results

    def make_output_path(self, basepath: str | None = None, *_: Any, **__: Any) -> str:
        """Return where a product goes: its whole name is that of its product."""
        folder = os.path.expandvars(os.path.expanduser(self.output_dir or ""))
        return os.path.join(folder, str(basepath))

    def _combined(self, product: Product) -> Any:
        """Return the official model of a pair's product."""
        pair = product.of("science")
        if len(pair) > 2:
            log.warning("%s: only the first two science members count", product.name)
        name = os.path.basename(product.name.replace("{suffix}", self.suffix))
        if self.suffix not in name:
            name = f"{name}_{self.suffix}"
        name += self.output_ext
        observer = self.session.observer
        observer.start_exposure(name, ["load", self.class_alias, "save"])
        try:
            observer.start_step("load")
            started = time.perf_counter()
            images = [_read(path) for path in pair[:2]]
            observer.start_step(self.class_alias)
            combined = self.combine(*images)
            self.record(combined, "COMPLETE", time.perf_counter() - started)
        finally:
            observer.finish_exposure(name)
        combined.meta.filename = name
        return model_of_image(combined)

    def combine(self, first: Image, second: Image) -> Image:
        """Combine a pair.

        Parameters
        ----------
        first, second : Image
            With their geometry, in host memory. NaN become 0, in place.

        Returns
        -------
        Image
            Data, errors and flags; the keywords are those of the image that is taken as the first.

        Raises
        ------
        InputError
            If the images have different sizes or do not overlap, or cannot be compared.
        """
        for image in (first, second):
            image.data[np.isnan(image.data)] = 0
        known = offset_of(first, second)
        if known[0] < 0 and self.flip_dithers:
            first, second = second, first
            known = offset_of(first, second)
        offset = round(known[0]), round(known[1])
        if self.do_refine:
            sizes = Sizes(self.psf_size, self.blur_size, self.n_size)
            more = residual_offset(first, second, offset, sizes)
            known = offset[0] + more[0], offset[1] + more[1]
            offset = offset[0] + round(more[0]), offset[1] + round(more[1])
        log.info("%s is the first of the pair", first.meta.filename)
        log.info(
            "%s is shifted by %d columns and %d rows (found: %.2f and %.2f)",
            second.meta.filename,
            *offset,
            *known,
        )
        return mean_of_pair(first, second, offset)


def offset_of(first: Image, second: Image) -> tuple[float, float]:
    """Return how far what lies at the centre of the first image is from there in the second one.

    Parameters
    ----------
    first, second : Image
        With their geometry.

    Returns
    -------
    x, y : float
        Columns and rows.
    """
    n_y, n_x = first.data.shape
    x, y = n_x // 2, n_y // 2
    sky = first.wcs.get_transform("detector", "world")(x, y)
    there = second.wcs.get_transform("world", "detector")(*sky[:2])
    return float(there[0] - x), float(there[1] - y)


def mean_of_pair(first: Image, second: Image, offset: tuple[int, int]) -> Image:
    """Average two images where both are good, and take the good one where one is.

    Parameters
    ----------
    first, second : Image
        Without NaN in good pixels.
    offset : (int, int)
        Columns and rows by which the second image's star is beyond the first one's.

    Returns
    -------
    Image
        0 where both are bad, with the first one's flags. Quirk: where the second image does not
        reach, it counts as good, and 0.

    Raises
    ------
    InputError
        If the images have different sizes or do not overlap.
    """
    shape = first.data.shape
    if second.data.shape != shape or max(abs(offset[0]) - shape[1], abs(offset[1]) - shape[0]) >= 0:
        why = "do not overlap" if second.data.shape == shape else "differ in size"
        raise InputError(
            f"{first.meta.filename}, {second.meta.filename}: {why}: these are no pair: check the "
            "association, and the pointings"
        )
    data, errors, flags = (_shifted(a, offset) for a in (second.data, second.err, second.dq))
    good = (first.dq & DO_NOT_USE) == 0, (flags & DO_NOT_USE) == 0
    result = Image(
        _chosen(first.data.astype(np.float64), data.astype(np.float64), good).astype(np.float32),
        np.where(~good[0] & good[1], flags, first.dq),
        _chosen(first.err, errors, good),
    )
    result.model = new_model(first.model)
    return result


def _chosen(first: Any, second: Any, good: tuple[Any, Any]) -> Any:
    """Return the mean where both are good, the good one where one is, else 0."""
    one_of_two = np.where(good[0], first, np.where(good[1], second, first.dtype.type(0)))
    half = first.dtype.type(0.5)
    return np.where(good[0] & good[1], half * (first + second), one_of_two)


def _shifted(array: Any, offset: tuple[int, int]) -> Any:
    """Return an image moved by whole pixels; 0 where nothing comes from."""
    result = np.zeros_like(array)
    (x, y), (n_y, n_x) = offset, array.shape
    source = slice(max(y, 0), n_y + min(y, 0)), slice(max(x, 0), n_x + min(x, 0))
    target = slice(max(-y, 0), n_y + min(-y, 0)), slice(max(-x, 0), n_x + min(-x, 0))
    result[target] = array[source]
    return result


def _read(path: Path) -> Image:
    """Read one image of a pair.

    Raises
    ------
    InputError
        If it is none, or has no geometry.
    """
    from jwgpu.kernels.compiled import threads

    image = read_image(path, threads())
    if image.data.ndim != 2:
        raise InputError(f"{path}: holds a series of images; give a _cal file")
    if not image.meta.hasattr("wcs") or image.meta.wcs is None:
        raise InputError(f"{path}: has no geometry: run image2, or assign_wcs, first")
    return image
