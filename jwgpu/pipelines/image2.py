"""Stage 2 of images: from count rates to surface brightness on the sky."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from jwgpu.associations import check_members, is_association, read_association
from jwgpu.errors import InputError
from jwgpu.models.images import Image
from jwgpu.models.reading_images import image_of, model_of_image, read_image
from jwgpu.pipelines.base import CalibrationPipeline
from jwgpu.steps import provenance
from jwgpu.steps.assign_wcs import AssignWcsStep
from jwgpu.steps.background import BackgroundStep
from jwgpu.steps.base import param
from jwgpu.steps.flat_field import FlatFieldStep
from jwgpu.steps.photom import PhotomStep
from jwgpu.steps.product_by_product import ProductByProduct
from jwgpu.steps.resample import ResampleStep

log = logging.getLogger(__name__)

ORDER = ["assign_wcs", "flat_field", "photom"]

#: Exposures whose images are resampled.
RESAMPLED = frozenset({"MIR_IMAGE", "NRC_IMAGE", "NIS_IMAGE", "FGS_IMAGE"})


@dataclass(frozen=True)
class _Job:
    """One exposure, and what its product says of its association."""

    source: Any
    name: str
    backgrounds: Sequence[Path] = ()
    product: str | None = None
    pool: str = "singleton"
    table: str = "singleton"


class Image2Pipeline(CalibrationPipeline, ProductByProduct):
    """Calibrate count rates of images: ``_rate`` in; ``_cal`` and ``_i2d`` out.

    The rates of a time series (``_rateints``) become ``_calints``. What is done is saved before the
    next product of an association begins.

    Examples
    --------
    >>> from jwgpu.pipelines import Image2Pipeline
    >>> (cal,) = Image2Pipeline.call("jw..._rate.fits", save_results=True)
    """

    class_alias = "calwebb_image2"

    output_file: Any
    save_bsub: bool = param(False, help="Save what is left after the background (_bsub)")

    step_defs: ClassVar = {
        "bkg_subtract": BackgroundStep,
        "assign_wcs": AssignWcsStep,
        "flat_field": FlatFieldStep,
        "photom": PhotomStep,
        "resample": ResampleStep,
    }

    def process(self, source: Any) -> Any:
        """Run the pipeline on a file, an association or an official data model.

        Parameters
        ----------
        source : str, Path, ImageModel or CubeModel
            A model is left unchanged. Each product of an association has one exposure, and perhaps
            its backgrounds.

        Returns
        -------
        list of ImageModel or CubeModel
            Calibrated exposures.
        """
        jobs = self._jobs(source)
        if len(jobs) > 1 and self.output_file is not None:
            log.warning("there are several products: output_file does not count")
            self.output_file = None
        given = self.output_file
        results = []
        try:
            for job in jobs:
                self.output_file = given or job.product
                results.append(self._calibrate(job))
                self._save(results[-1])
        finally:
            self.output_file = None
        return results

    def _save(self, model: Any) -> None:
        """Save what is done, under the name that it has."""
        self.output_use_model = True
        self.suffix = False
        self.save_early(model)

    def _jobs(self, source: Any) -> list[_Job]:
        """List the exposures."""
        if isinstance(source, str):
            source = self.make_input_path(source)
        if not isinstance(source, (str, Path)):
            return [_Job(source, str(source.meta.filename))]
        if not is_association(source):
            return [_Job(source, Path(source).name)]
        association = read_association(source)
        check_members(association, "science", "background")
        jobs = []
        for product in association.products:
            science = product.of("science")
            if not science:
                kinds = ", ".join(sorted({member.kind or "nothing" for member in product.members}))
                raise InputError(
                    f"{source}: {product.name} has no science member, only {kinds}: give it one"
                )
            if len(science) > 1:
                log.warning("%s: only the first science exposure counts", product.name)
            jobs.append(
                _Job(
                    science[0],
                    science[0].name,
                    product.of("background"),
                    product.name or None,
                    association.pool,
                    association.name,
                )
            )
        return jobs

    def _calibrate(self, job: _Job) -> Any:
        observer = self.session.observer
        observer.start_exposure(job.name, ["load", "bkg_subtract", *ORDER, "resample", "save"])
        try:
            return self.session.where_there_is_room(lambda: self._calibrate_once(job))
        finally:
            observer.finish_exposure(job.name)

    def _calibrate_once(self, job: _Job) -> Any:
        self.session.observer.start_step("load")
        image = self._read(job)
        for alias in ORDER:
            step = getattr(self, alias)
            if not step.skip:
                step.find_references(image.meta)
        image = self.session.send(image)
        is_series = image.data.ndim == 3
        if job.backgrounds:
            self.bkg_subtract.backgrounds = job.backgrounds
            self.bkg_subtract.suffix = "bsubints" if is_series else "bsub"
            self.bkg_subtract.save_results = self.bkg_subtract.save_results or self.save_bsub
            image = self.run_step(self.bkg_subtract, image)
        for alias in ORDER:
            image = self.run_step(getattr(self, alias), image)
        if not is_series and str(image.meta.exposure.type).upper() in RESAMPLED:
            self._resample(image)
        model = model_of_image(self.session.fetch(image))
        suffix = "calints" if is_series else "cal"
        model.meta.filename = self.make_output_path(basepath=self.output_file, suffix=suffix)
        return model

    def _read(self, job: _Job) -> Image:
        """Return the exposure in host memory, with the keywords of its association."""
        from jwgpu.kernels.compiled import threads

        if isinstance(job.source, (str, Path)):
            image = read_image(job.source, threads())
        else:
            image = image_of(self._own(job.source))
        image.meta.asn.pool_name = job.pool
        image.meta.asn.table_name = job.table
        image.meta.filename = Path(job.name).name
        return image

    def _resample(self, image: Image) -> None:
        """Resample and save, where anything is to be saved."""
        self.resample.save_results = self.resample.save_results or self.save_results
        self.resample.suffix = "i2d"
        if self.resample.skip:
            return
        if self.resample.works_on_models:
            model = image.model.copy()
            provenance.stamp(model, self)  # the product is described as its image is
            self.resample.run_on(image, model)
