"""Resample images to an undistorted grid."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from stpipe.library import AbstractModelLibrary

from jwgpu.associations import is_association, open_library, read_association
from jwgpu.errors import InputError, ParameterError
from jwgpu.models.images import Image
from jwgpu.models.lent_models import BorrowedLibrary, LentModels
from jwgpu.models.library import Library
from jwgpu.models.mosaics import Mosaic, model_of_mosaic
from jwgpu.models.reading_images import model_of_image
from jwgpu.steps.base import param
from jwgpu.steps.image_step import ImageStep
from jwgpu.steps.library_step import images_in
from jwgpu.steps.resampler import Options, Resampler
from jwgpu.wcs.output import GridOptions, OutputGrid, grid_around, read_grid

log = logging.getLogger(__name__)


class ResampleStep(ImageStep):
    """Put images on an undistorted grid of pixels by drizzling.

    The grid is a tangent projection around them, as the first one's detector is turned. Each pixel
    is spread over those that it falls on; the result is their mean, weighted by how much
    of each was caught.

    References
    ----------
    Fruchter & Hook 2002, PASP 114, 144.
    """

    class_alias = "resample"

    pixfrac: float = param(1.0, low=0.0, high=1.0, help="Side of a drop, in input pixels")
    kernel: str = param(
        "square",
        options=("square", "gaussian", "point", "turbo", "lanczos2", "lanczos3"),
        help="How the light of a pixel is spread",
    )
    fillval: str = param("NAN", help="Value of pixels that nothing fell on")
    weight_type: str | None = param(
        "ivm", options=("ivm", "exptime", None), help="Weight by read noise (ivm) or time"
    )
    output_shape: list[int] | None = param(
        None, low=2, high=2, help="Columns and rows of the output"
    )
    crpix: list[float] | None = param(
        None, low=2, high=2, help="Reference pixel, column and row from 0"
    )
    crval: list[float] | None = param(
        None, low=2, high=2, help="Sky at the reference pixel, in degrees"
    )
    rotation: float | None = param(None, help="Position angle of the columns, in degrees")
    pixel_scale_ratio: float = param(1.0, help="Side of an output pixel, in input pixels")
    pixel_scale: float | None = param(None, help="Side of an output pixel, in arcsec")
    output_wcs: str = param("", help="ASDF file with the grid, instead of all that describes one")
    single: bool = param(False, help="Put each exposure on a grid of its own")
    blendheaders: bool = param(True, help="Combine the keywords of the images")
    in_memory: bool = param(True, help="Keep all images in memory")
    enable_ctx: bool = param(True, help="Tell which images contributed to each pixel")
    enable_err: bool = param(True, help="Compute errors")
    report_var: bool = param(True, help="Give the variances too")
    propagate_dq: bool = param(False, help="Give the flags of all pixels that contributed")
    pixmap_stepsize: float = param(1.0, help="Pixels between those whose place is computed")
    pixmap_order: int = param(1, help="Order of the splines between them, 1 or 3")

    #: The image whose model is handed to `run`.
    _given: Image | None = None

    def process(self, source: Any) -> Any:
        """Run this step on an image, or on several; stpipe calls this.

        Parameters
        ----------
        source : str, Path, ImageModel, Library, or sequence of ImageModel
            A file, an association, or what was opened already.

        Returns
        -------
        ImageModel, or a list of them with ``single``
        """
        if isinstance(source, str):
            source = self.make_input_path(source)
        if isinstance(source, LentModels):
            source = source.library
        elif isinstance(source, AbstractModelLibrary):
            source = BorrowedLibrary(source)
        if isinstance(source, (str, Path)) and is_association(source):
            association = read_association(source)
            kinds = sorted({member.kind for member in association.members})
            source = open_library(association, kinds, in_memory=self.in_memory)
        elif isinstance(source, Sequence) and not isinstance(source, str):
            images = images_in(source, self.make_input_path)
            source = Library(images, in_memory=self.in_memory)
        elif self.single and not isinstance(source, Library):
            source = Library([self.open(self._own(source))])
        if not isinstance(source, Library):
            return super().process(source)
        return self.session.where_there_is_room(lambda: self._resampled(source))

    def run_on(self, image: Image, model: Any) -> None:
        """Run this step on an image of this run's device, whose arrays stay where they are.

        Parameters
        ----------
        image : Image
            Left as it is.
        model : ImageModel
            How the product is described; without arrays. Hooks get it with them.
        """
        self._given = image
        try:
            if self._pre_hooks:
                self._given = None
                model = model_of_image(replace(self.session.fetch(image), model=model))
            self.run(model)
        finally:
            self._given = None

    def open(self, source: Any) -> Any:
        """Open a file, or wrap an official data model, as an `Image`."""
        if self._given is not None:
            return replace(self._given, model=source)
        return super().open(source)

    def _resampled(self, images: Library) -> Any:
        """Return several images, resampled, as official models."""
        if self.single:
            return [self.close(mosaic) for mosaic in self.by_exposure(images)]
        return self.close(self.combine(images))

    def combine(self, images: Library) -> Mosaic:
        """Resample several images to one.

        Parameters
        ----------
        images : Library
            Calibrated, with their geometry; left as they are. What is NaN in any array has no
            weight.

        Raises
        ------
        InputError
            If there are none, or one lacks its geometry.
        """
        if not len(images):
            raise InputError("there are no images to resample")
        options = replace(self.options(), blend=self.blendheaders)
        grid, s_regions = self._lay_grid(images)
        resampler = Resampler(grid, options, s_regions)
        self._add(resampler, images, range(len(images)))
        mosaic: Mosaic = self.session.fetch(resampler.finish())
        return mosaic

    def by_exposure(self, images: Library) -> Iterator[Mosaic]:
        """Resample the images of each exposure, one a detector, to a mosaic of their own.

        All have the same grid. Their errors are resampled as the data are; there are no variances.

        Parameters
        ----------
        images : Library
            See `combine`.
        """
        blend = self.blendheaders and len(images) > 1
        options = replace(
            self.options(), errors="drizzled", with_context=True, with_variances=False, blend=blend
        )
        grid, s_regions = self._lay_grid(images)
        for number, (group, indices) in enumerate(images.groups.items(), start=1):
            resampler = Resampler(grid, options, s_regions)
            names = self._add(resampler, images, indices)
            mosaic: Mosaic = self.session.fetch(resampler.finish())
            name_exposure(mosaic, names[0], group, number)
            yield mosaic

    def _lay_grid(self, images: Library) -> tuple[OutputGrid, list[str]]:
        """Return the grid around all images, and their outlines."""
        if not len(images):
            raise InputError("there are no images to resample")
        metas: list[Any] = []
        images.describe(lambda model, _: metas.append(model.meta))
        with images:
            first = images.borrow(0, "data")
            self.applies_to(first)
            shape = first.data.shape[-2:]
            images.shelve(first, 0, modify=False)
        return self.grid_for(metas, shape), [meta.wcsinfo.s_region for meta in metas]

    def _add(self, resampler: Resampler, images: Library, indices: Iterable[int]) -> list[str]:
        """Add some of the images; return their names."""
        names = []
        with images:
            for index in indices:
                image = images.borrow(index)
                resampler.add(self.session.send(replace(image, area=None)))
                names.append(str(image.meta.filename))
                images.shelve(image, index, modify=False)
        return names

    def as_model(self, exposure: Image | Mosaic) -> Any:
        """Return the image as the official data model that it came from, or a mosaic as its own."""
        if isinstance(exposure, Mosaic):
            return model_of_mosaic(exposure)
        return super().as_model(exposure)

    def set_status(self, exposure: Any, status: str) -> None:
        """Record in an image that it was not resampled; a mosaic says itself what it is."""
        if status != "COMPLETE":
            super().set_status(exposure, status)

    def correct(self, image: Image) -> Mosaic:
        """Resample an image.

        Parameters
        ----------
        image : Image
            Calibrated, with its geometry; left as it is. What is NaN in any array has no weight.

        Raises
        ------
        InputError
            If it lacks its geometry, or is a series of images.
        ParameterError
            If the parameters describe no grid.
        """
        grid = self.grid_for([image.meta], image.data.shape[-2:])
        resampler = Resampler(grid, self.options(), [image.meta.wcsinfo.s_region])
        resampler.add(image)
        return resampler.finish()

    def grid_for(self, metas: list[Any], shape: tuple[int, int]) -> OutputGrid:
        """Return the grid that the parameters ask for; `shape` is that of the first image."""
        if self.output_shape is not None and min(self.output_shape) < 1:
            raise ParameterError(f"output_shape={self.output_shape}: it must be 1 or larger")
        if self.output_wcs:
            return read_grid(self.make_input_path(self.output_wcs), self.output_shape)
        wanted = GridOptions(
            self.pixel_scale,
            self.pixel_scale_ratio,
            self.rotation,
            self.crpix,
            self.crval,
            self.output_shape,
        )
        return grid_around(metas, shape, wanted)

    def options(self) -> Options:
        """Return how to resample."""
        if self.weight_type is None:
            raise ParameterError("weight_type=None: choose ivm or exptime")
        return Options(
            kernel=self.kernel,
            pixfrac=self.pixfrac,
            fillval=self.fillval,
            weight_type=self.weight_type,
            errors="variances" if self.enable_err else None,
            with_context=self.enable_ctx,
            with_variances=self.report_var,
            with_flags=self.propagate_dq,
            step=self.pixmap_stepsize,
            order=self.pixmap_order,
        )


def name_exposure(mosaic: Mosaic, first: str, group: str, number: int) -> None:
    """Write into the resampled images of an exposure what they are.

    Parameters
    ----------
    mosaic : Mosaic
    first : str
        File of its first image.
    group : str
        The exposure.
    number : int
        Of the exposure, from 1.
    """
    root, dot, kind = first.rpartition(".")
    mosaic.meta.filename = f"{root.rpartition('_')[0]}_outlier_i2d{dot}{kind}"
    mosaic.meta.group_id = group
    mosaic.meta.asn.exptype = "SCIENCE"
    # Quirk: officially the pointings of those before count again.
    mosaic.meta.resample.pointings = number
