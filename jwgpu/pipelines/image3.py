"""Stage 3 of images: aligned, matched, cleaned, combined to a mosaic, and what is seen there."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from stpipe.library import AbstractModelLibrary

from jwgpu.associations import is_association, open_library, read_association
from jwgpu.errors import InputError
from jwgpu.models.lent_models import BorrowedLibrary, LentModels
from jwgpu.models.library import Library
from jwgpu.models.reading_images import open_image
from jwgpu.pipelines.base import CalibrationPipeline
from jwgpu.steps.assign_mtwcs import AssignMTWcsStep
from jwgpu.steps.base import param
from jwgpu.steps.library_step import images_in
from jwgpu.steps.outlier_detection import OutlierDetectionStep
from jwgpu.steps.resample import ResampleStep
from jwgpu.steps.skymatch import SkyMatchStep
from jwgpu.steps.source_catalog import SourceCatalogStep
from jwgpu.steps.tweakreg import TweakRegStep

_FITS = (".fits", ".asdf")


@dataclass
class _Job:
    """What is combined, and what it is called.

    Attributes
    ----------
    library : Library or None
        The science exposures; None once they are combined.
    title : str
        For the progress display.
    product : str or None
        What the names of products begin with; None if nothing says so.
    identifier : str or None
        Of the association, part of the names of cleaned exposures.
    """

    library: Library | None
    title: str
    product: str | None = None
    identifier: str | None = None


class Image3Pipeline(CalibrationPipeline):
    """Combine calibrated images: ``_cal`` in; ``_crf``, ``_i2d``, ``_cat`` and ``_segm`` out.

    Examples
    --------
    >>> from jwgpu.pipelines import Image3Pipeline
    >>> Image3Pipeline.call("jw..._asn.json", save_results=True)
    """

    class_alias = "calwebb_image3"

    output_file: Any
    in_memory: bool = param(True, help="Keep all images in memory; else in files, as they are used")

    step_defs: ClassVar = {
        "assign_mtwcs": AssignMTWcsStep,
        "tweakreg": TweakRegStep,
        "skymatch": SkyMatchStep,
        "outlier_detection": OutlierDetectionStep,
        "resample": ResampleStep,
        "source_catalog": SourceCatalogStep,
    }

    def process(self, source: Any) -> None:
        """Run the pipeline on an association, an image, or what was opened already.

        Parameters
        ----------
        source : str, Path, ModelLibrary, Library, ImageModel, or sequence of ImageModel
            Of an association its science members count. Models are left unchanged, except those
            in a library.
        """
        job = self._job(source)
        given = self.output_file
        self.output_file = given or job.product
        self.asn_id = job.identifier
        observer = self.session.observer
        other = "tweakreg" if _is_moving(job.library) else "assign_mtwcs"
        aliases = [alias for alias in self.step_defs if alias != other]
        observer.start_exposure(job.title, aliases)
        try:
            self._calibrate(job, aliases[:3])
        finally:
            self.output_file = given
            observer.finish_exposure(job.title)

    def _calibrate(self, job: _Job, of_images: Sequence[str]) -> None:
        """Take the images through the steps, first those of each; these save their products."""
        library, job.library = job.library, None
        self._name_products()
        for alias in of_images:
            library = self.run_step(getattr(self, alias), library)
        mosaic = self._combine(library)
        del library  # the catalogue needs room of its own
        if mosaic is not None and mosaic.meta.cal_step.resample == "COMPLETE":
            self.source_catalog.run(mosaic)

    def _combine(self, library: Any) -> Any:
        """Return the mosaic as an official data model; None if it is left out."""
        if self.resample.skip:
            library.describe(lambda model, _: self.resample.set_status(model, "SKIPPED"))
            return None
        started = time.perf_counter()
        self.session.observer.start_step("resample")
        mosaic = self.resample.run(LentModels(library))
        self.session.observer.finish_step("resample", time.perf_counter() - started)
        return mosaic

    def _name_products(self) -> None:
        """Tell the steps which products to save, and under which suffix."""
        suffixes = {"outlier_detection": "crf", "resample": "i2d", "source_catalog": "cat"}
        for alias, suffix in suffixes.items():
            step = getattr(self, alias)
            step.suffix = suffix
            step.save_results = step.save_results or self.save_results
        self.outlier_detection.mode = "imaging"

    def _job(self, source: Any) -> _Job:
        """Open what was given.

        Raises
        ------
        InputError
            If it is nothing that can be combined, or there is no science exposure.
        """
        if isinstance(source, str):
            source = self.make_input_path(source)
        if isinstance(source, (str, Path)):
            return self._job_of_file(Path(source))
        if isinstance(source, LentModels):
            source = source.library
        if isinstance(source, AbstractModelLibrary):
            content = source.asn
            name = content["products"][0].get("name")
            return _Job(BorrowedLibrary(source), name or "library", name, content.get("asn_id"))
        if isinstance(source, Library):
            return _Job(source, "library")
        images = images_in(source, self.make_input_path)
        library = Library(images, in_memory=self.in_memory, open_image=_open)
        return _Job(library, library.members[0][0])

    def _job_of_file(self, path: Path) -> _Job:
        if not is_association(path):
            if path.suffix.lower() not in _FITS:
                raise InputError(
                    f"{path}: is neither an association (.json) nor an image (.fits): give one"
                )
            return _Job(Library([path], in_memory=self.in_memory, open_image=_open), path.name)
        association = read_association(path)
        library = open_library(association, in_memory=self.in_memory, open_image=_open)
        return _Job(
            library, path.name, association.products[0].name or None, association.identifier
        )


def _open(path: Path) -> Any:
    from stdatamodels.jwst.datamodels import CubeModel

    image = open_image(path)
    if isinstance(image.model, CubeModel):
        raise InputError(f"{path}: holds a series of images, which image3 does not combine")
    return image


def _is_moving(library: Any) -> bool:
    """Whether the first exposure followed a target of the solar system."""
    with library:
        first = library.borrow(0, "dq")
        library.shelve(first, 0, modify=False)
    return str(first.meta.target.type).strip().upper() == "MOVING"
