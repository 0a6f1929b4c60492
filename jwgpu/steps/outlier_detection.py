"""Flag what differs from what other images of the same place see."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from jwgpu.associations import is_association, read_association
from jwgpu.backends import namespace_of
from jwgpu.errors import InputError, NotYetError, ParameterError
from jwgpu.kernels.outliers import Limits
from jwgpu.models.flags import bad_flags
from jwgpu.models.images import Image
from jwgpu.models.library import Library
from jwgpu.models.reading_images import image_of, model_of_image, read_image
from jwgpu.models.writing import save_product
from jwgpu.steps.base import CalibrationStep, param
from jwgpu.steps.library_step import FailStep, LibraryStep
from jwgpu.steps.outlier_images import Settings, flag_aligned, flag_dithered
from jwgpu.steps.outlier_series import flag_coronagraph, flag_series
from jwgpu.steps.resampler import Options

log = logging.getLogger(__name__)

#: Modes by the kind of the exposure; those of spectra are not there yet.
_MODES = {
    "imaging": {"NRC_IMAGE", "MIR_IMAGE", "NRS_IMAGE", "NIS_IMAGE", "FGS_IMAGE"},
    "coron": {"NRC_CORON", "MIR_LYOT", "MIR_4QPM"},
    "spec": {"NRC_WFSS", "MIR_LRS-FIXEDSLIT", "NRS_FIXEDSLIT", "NRS_MSASPEC", "NIS_WFSS"},
    "ifu": {"NRS_IFU", "MIR_MRS"},
}

#: Time series of spectra, whatever TSOVISIT says.
_SPECTRAL_SERIES = {"NRC_TSGRISM", "NRS_BRIGHTOBJ"}


class OutlierDetectionStep(LibraryStep):
    """Flag cosmic rays and other outliers that no single exposure tells.

    Images of a field are resampled to a common grid; what each is compared with is the median of
    all, as it would see it. Where the difference is beyond the noise, and beyond what slopes of
    the median let resampling be wrong by, a pixel is an outlier. Integrations of a time series,
    or behind a coronagraph, are compared with their median as they are.

    Outliers get OUTLIER and DO_NOT_USE, and NaN in all arrays.

    References
    ----------
    Gonzaga et al. 2012, The DrizzlePac Handbook, section 4.2.
    """

    class_alias = "outlier_detection"
    member_kinds = ("science",)

    weight_type: str = param("ivm", options=("ivm", "exptime"), help="Weight by read noise or time")
    pixfrac: float = param(1.0, low=0.0, high=1.0, help="Side of a drop, in input pixels")
    kernel: str = param(
        "square", options=("square", "point", "turbo"), help="How the light of a pixel is spread"
    )
    fillval: str = param("NAN", help="Value of pixels that nothing fell on")
    maskpt: float = param(0.7, help="Weight that counts, relative to the mean")
    snr: str = param("5.0 4.0", help="Limits in errors: of an outlier, and around it")
    scale: str = param("1.2 0.7", help="Limits in differences between pixels, added to those")
    backg: float = param(0.0, help="Sky that images have above the median")
    kernel_size: str = param("7 7", help="Rows and columns that IFU images are normalised in")
    threshold_percent: float = param(99.8, help="Share of IFU pixels that are no outliers")
    rolling_window_width: int = param(25, help="Integrations of a time series in a median")
    ifu_second_check: bool = param(False, help="Look twice at IFU images")
    save_intermediate_results: bool = param(False, help="Save what is made on the way")
    resample_data: bool = param(True, help="Resample images before they are compared")
    good_bits: str = param("~DO_NOT_USE", help="Flags of pixels that count all the same")
    in_memory: bool = param(True, help="Keep all images in memory")
    pixmap_stepsize: float = param(1.0, help="Pixels between those whose place is computed")
    pixmap_order: int = param(1, help="Order of the splines between them, 1 or 3")
    search_output_file: bool = param(False, help="Use the output file name of the pipeline")

    def correct(self, exposure: Library | Image) -> None:
        """Flag the outliers of images, or of the integrations of one exposure.

        Parameters
        ----------
        exposure : Library or Image
            Calibrated images of a field, or a series (ints, y, x); changed in place.

        Raises
        ------
        FailStep
            If there is one image alone, or nothing is known of its kind.
        NotYetError
            For spectra.
        InputError
            If an image lacks what is needed.
        ParameterError
            If a parameter makes no sense.
        """
        mode = self._mode_of(exposure)
        if isinstance(exposure, Image):
            self._flag_series(exposure, mode)
            return
        if mode != "imaging":
            raise InputError(
                f"outlier_detection takes one time series or coronagraphic exposure, not {mode} "
                "exposures of an association"
            )
        if len(exposure) < 2:
            raise FailStep("there is one image alone, which has none to be compared with")
        flag = flag_dithered if self.resample_data else flag_aligned
        save = self._save if self.save_intermediate_results else None
        flag(exposure, self._settings(), save, self.session)

    def _mode_of(self, exposure: Library | Image) -> str:
        """Return how an exposure is looked at.

        Raises
        ------
        NotYetError
            If it is a spectrum.
        FailStep
            If nothing is known of its kind.
        """
        mode = getattr(self, "mode", None)  # which a pipeline may set
        if isinstance(exposure, Image):
            meta = exposure.meta
        else:
            models: list[Any] = []
            exposure.describe(lambda model, _: models.append(model))
            meta = models[0].meta
        kind = str(meta.exposure.type)
        if mode is None and isinstance(exposure, Image) and _is_series(meta):
            mode = "tso"
        if mode is None:
            mode = next((name for name, kinds in _MODES.items() if kind in kinds), None)
        if mode in ("spec", "ifu") or (mode == "tso" and kind in _SPECTRAL_SERIES):
            raise NotYetError(
                f"{meta.filename}: outlier_detection does not know the {mode} mode of {kind} yet: "
                "run this step with the official package"
            )
        if mode is None:
            raise FailStep(f"{meta.filename}: nothing is known of exposures of the type {kind}")
        log.info("outlier_detection in the %s mode", mode)
        return str(mode)

    def _settings(self) -> Settings:
        """Return how outliers of images are found."""
        limits = Limits(_pair("snr", self.snr), _pair("scale", self.scale))
        resampling = Options(
            kernel=self.kernel,
            pixfrac=self.pixfrac,
            fillval=self.fillval,
            weight_type=self.weight_type,
            bad_flags=bad_flags("good_bits", self.good_bits),
            errors=None,
            with_context=False,
            with_variances=False,
            step=self.pixmap_stepsize,
            order=self.pixmap_order,
        )
        return Settings(limits, self.maskpt, self.backg, resampling)

    def _flag_series(self, image: Image, mode: str) -> None:
        """Flag the outliers of the integrations of one exposure."""
        if mode == "imaging":
            raise FailStep("there is one exposure alone, which has none to be compared with")
        snr = _pair("snr", self.snr)[0]
        is_good = (image.dq & np.uint32(bad_flags("good_bits", self.good_bits))) == 0
        is_good = _count(is_good, self.maskpt)
        keeps = self.save_intermediate_results
        if mode == "coron":
            medians = flag_coronagraph(image, snr, is_good)
        else:
            width = self.rolling_window_width
            medians = flag_series(image, width, snr, is_good, keeps=keeps)
        if keeps:
            self._save_medians(image, self.session.device.fetch(medians))

    # -- products -----------------------------------------------------------------------------

    def _save(self, model: Any, suffix: str, *, has_identifier: bool = False) -> None:
        """Save what was made on the way."""
        name = str(model.meta.filename).replace("_outlier_", "_")
        more = {"asn_id": None} if has_identifier else {}
        path = self.make_output_path(name, suffix=suffix, **more)
        save_product(model, path)
        log.info("saved %s", path)

    def _save_medians(self, image: Image, medians: Any) -> None:
        from stdatamodels.jwst import datamodels

        is_series = medians.ndim == 3
        model = datamodels.CubeModel(data=medians) if is_series else datamodels.ImageModel(medians)
        model.update(image.model)
        if not is_series:
            model.meta.wcs = image.wcs
        self._save(model, "median")

    # -- what comes in, and out ---------------------------------------------------------------

    def open(self, source: Any) -> Any:
        """Open a time series as an `Image`, and all else as a library; see `LibraryStep.open`."""
        self._name_products(source)
        if isinstance(source, str):
            source = self.make_input_path(source)
        if isinstance(source, (str, Path)):
            from jwgpu.kernels.compiled import threads

            if is_association(source):
                return super().open(source)
            image = read_image(Path(source), threads())
        elif hasattr(source, "meta"):
            image = image_of(source if self.parent is not None else source.copy())
        else:
            return super().open(source)
        return image if image.data.ndim == 3 else Library([image], in_memory=self.in_memory)

    def as_model(self, exposure: Library | Image) -> Any:
        """Return a time series as its data model, and a library as one of data models."""
        if isinstance(exposure, Image):
            return model_of_image(exposure)
        return super().as_model(exposure)

    def set_status(self, exposure: Library | Image, status: str) -> None:
        """Record the status of this step in every image."""
        if isinstance(exposure, Image):
            CalibrationStep.set_status(self, exposure, status)
        else:
            super().set_status(exposure, status)

    def _attempt(self, source: Any) -> Any:
        opened = self.open(source)
        if isinstance(opened, Image):
            return self.close(self.session.fetch(self.apply(self.session.send(opened))))
        return self.close(self.apply(opened))

    def _name_products(self, source: Any) -> None:
        """Put the identifier of the association into the names of products."""
        identifier = None
        if isinstance(source, (str, Path)) and is_association(source):
            identifier = read_association(self.make_input_path(str(source))).identifier
        elif hasattr(source, "asn"):
            identifier = source.asn.get("asn_id")
        identifier = identifier or self.search_attr("asn_id")
        usual = self.search_attr("_make_output_path", parent_first=True)
        self._make_output_path = partial(usual, asn_id=identifier)


def _is_series(meta: Any) -> bool:
    """Whether an exposure is a time series."""
    is_series = bool(meta.visit.tsovisit)
    is_series = is_series or str(meta.exposure.type) in {"NRC_TSIMAGE", *_SPECTRAL_SERIES}
    n = meta.exposure.nints
    return is_series and not (n is not None and n < 2)


def _count(is_good: Any, fraction: float) -> Any:
    """Return what counts in medians, where what is good weighs 1 and the rest nothing."""
    xp = namespace_of(is_good)
    if fraction <= 0 or not bool(xp.any(is_good)):
        return xp.ones_like(is_good)
    return is_good if fraction <= 1 else xp.zeros_like(is_good)


def _pair(name: str, text: str) -> tuple[float, float]:
    """Return two numbers.

    Raises
    ------
    ParameterError
        If there are not two.
    """
    try:
        first, second = (float(word) for word in text.split())
    except ValueError:
        raise ParameterError(f"{name}={text}: give two numbers, as 5.0 4.0") from None
    return first, second
