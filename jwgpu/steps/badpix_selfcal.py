"""Find bad pixels in the exposures themselves: what stands out of its surroundings in all of them.

The least of all exposures (science, backgrounds and those taken for it) shows no sources but
still the pixels that are always too bright or too dark. Those furthest from the median of their
neighbours are flagged in the science exposure and in the backgrounds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jwgpu.associations import is_association, read_association
from jwgpu.backends import namespace_of
from jwgpu.errors import InputError, ParameterError
from jwgpu.kernels.moving_median import middle, moving_median, quantiles
from jwgpu.models.flags import DO_NOT_USE, OTHER_BAD_PIXEL
from jwgpu.steps.base import WHOLE, CalibrationStep, SkipStep, param

log = logging.getLogger(__name__)

#: MIRI MRS: rows and columns between the channels, where nothing but dark is left.
_BETWEEN_CHANNELS = {
    "MIRIFULONG": (slice(50, 974), slice(474, 507)),
    "MIRIFUSHORT": (slice(50, 974), slice(503, 516)),
}

#: Floating-point arrays of a count-rate product, those of them that it has.
_VALUES = ("data", "err", "var_poisson", "var_rnoise", "var_flat")

_KINDS = ("science", "background", "selfcal")


@dataclass
class Selfcal:
    """Count rates that are examined together.

    Attributes
    ----------
    science : ImageModel or IFUImageModel
        Flagged and returned.
    backgrounds : list of them
        Flagged and returned.
    others : list of callables
        Each opens an exposure that is only looked at. They are opened one at a time.
    """

    science: Any
    backgrounds: list[Any] = field(default_factory=list)
    others: list[Callable[[], Any]] = field(default_factory=list)

    @property
    def meta(self) -> Any:
        """The metadata tree of the science exposure."""
        return self.science.meta

    @property
    def data(self) -> Any:
        """The count rates of the science exposure."""
        return self.science.data

    def images(self) -> Iterator[Any]:
        """Give the count rates of every exposure in turn."""
        yield self.science.data
        for model in self.backgrounds:
            yield model.data
        for opened in self.others:
            yield opened().data


class BadpixSelfcalStep(CalibrationStep):
    """Flag pixels that stand out of their surroundings in all exposures of a target."""

    class_alias = "badpix_selfcal"
    cut = WHOLE

    flagfrac_lower: float = param(
        0.001, low=0.0, high=0.5, help="Fraction of the pixels to flag as too dark"
    )
    flagfrac_upper: float = param(
        0.001, low=0.0, high=0.5, help="Fraction of the pixels to flag as too bright"
    )
    kernel_size: int = param(
        15, low=1, help="Length of the window of the median, in pixels; an odd number"
    )
    force_single: bool = param(
        False, help="Go ahead with a science exposure alone (its own lines may be flagged)"
    )
    save_flagged_bkg: bool = param(False, help="Also save the flagged background exposures")
    skip: bool = param(True, help="Leave this step out")

    def process(
        self,
        source: Any,
        selfcal_list: Sequence[Any] | None = None,
        bkg_list: Sequence[Any] | None = None,
    ) -> tuple[Any, list[Any]]:
        """Run this step; stpipe calls this.

        Parameters
        ----------
        source : str, Path, ImageModel, IFUImageModel, or sequence of models
            Science exposure; an association, or models with their ``meta.asn.exptype``.
        selfcal_list : sequence of str, Path or model, optional
            Exposures to look at as well.
        bkg_list : sequence of str, Path or model, optional
            Backgrounds to look at and to flag.

        Returns
        -------
        science : ImageModel or IFUImageModel
        backgrounds : list of ImageModel or IFUImageModel
        """
        result = self.apply(self.gather(source, selfcal_list or (), bkg_list or ()))
        return result.science, result.backgrounds

    def gather(self, source: Any, selfcal_list: Sequence[Any], bkg_list: Sequence[Any]) -> Selfcal:
        """Open what is given, as one set of exposures.

        Raises
        ------
        InputError
            If there is not exactly one science exposure, or one is not an image of count rates.
        """
        source = self._own(source) if not _is_sequence(source) else source
        if isinstance(source, (str, Path)) and is_association(source):
            given = self._of_association(source)
        elif _is_sequence(source):
            models = list(source) if self.parent is not None else [m.copy() for m in source]
            given = [(str(model.meta.asn.exptype), model) for model in models]
        else:
            given = [("science", source)]
        by_kind = {kind: [item for k, item in given if k == kind] for kind in _KINDS}
        if len(by_kind["science"]) != 1:
            name = Path(source).name if isinstance(source, (str, Path)) else "the input"
            raise InputError(
                f"{name}: has {len(by_kind['science'])} science exposures; badpix_selfcal takes one"
            )
        science = self._opened(by_kind["science"][0])
        backgrounds = [self._opened(self._own(item)) for item in bkg_list]
        backgrounds += [self._opened(item) for item in by_kind["background"]]
        others = [_later(self._opened, item) for item in [*selfcal_list, *by_kind["selfcal"]]]
        return Selfcal(science, backgrounds, others)

    def correct(self, exposures: Selfcal) -> None:
        """Flag the pixels furthest from the median of their surroundings."""
        if not exposures.backgrounds and not exposures.others and not self.force_single:
            log.warning(
                "No exposures to compare the science exposure with; force_single=true goes ahead "
                "with it alone, which is not advised"
            )
            raise SkipStep("there are no background or selfcal exposures")
        detector = str(exposures.meta.instrument.detector).upper()
        # The models stay on the host; an image at a time goes to the device.
        device = self.session.device
        images = (device.send(image) for image in exposures.images())
        least = least_of(images, _BETWEEN_CHANNELS.get(detector))
        bad = device.fetch(self.find_bad_pixels(least, exposures.meta.wcsinfo.dispersion_direction))
        log.info("%d bad pixels are flagged", int(bad.sum()))
        for model in (exposures.science, *exposures.backgrounds):
            flag(model, bad)
        if self.save_flagged_bkg:
            for index, model in enumerate(exposures.backgrounds):
                self.save_model(model, suffix=f"badpix_selfcal_bkg_{index}")

    def find_bad_pixels(self, image: Any, dispersion: int | None) -> Any:
        """Find the pixels furthest above and below the median of their surroundings.

        Parameters
        ----------
        image : array, (y, x) float32
        dispersion : int or None
            Axis along which the median is taken: 1 for x, 2 for y, None for both.

        Returns
        -------
        array, (y, x) bool

        Raises
        ------
        ParameterError
            If ``kernel_size`` is even.
        InputError
            If there is no such axis.
        """
        if self.kernel_size % 2 == 0:
            raise ParameterError(f"kernel_size is {self.kernel_size}; it must be odd")
        if dispersion not in (None, 1, 2):
            raise InputError(f"DISPAXIS is {dispersion}; it must be 1, 2 or absent")
        along_x, along_y = dispersion != 2, dispersion != 1
        size = (self.kernel_size if along_y else 1, self.kernel_size if along_x else 1)
        residual = image - moving_median(image, size)
        # By way of percents, as officially: it may round the fraction.
        fractions = (self.flagfrac_lower * 100 / 100, (1 - self.flagfrac_upper) * 100 / 100)
        low, high = quantiles(residual, fractions)
        xp = namespace_of(image)
        residual = xp.astype(residual, xp.float64)
        return (residual > high) | (residual < low)

    def save_model(self, model: Any, *arguments: Any, **keywords: Any) -> Any:
        """Save a product without the number that stpipe gives to the first of two results."""
        keywords["idx"] = None
        return super().save_model(model, *arguments, **keywords)

    def _of_association(self, path: str | Path) -> list[tuple[str, Any]]:
        """Open the members of an association that count; those to look at stay closed."""
        association = read_association(path)
        given: list[tuple[str, Any]] = []
        for kind in _KINDS:
            for member in association.of(kind):
                if kind == "selfcal":
                    given.append((kind, member))
                    continue
                model = self._opened(member)
                model.meta.asn.exptype = kind
                model.meta.asn.table_name = association.name
                model.meta.asn.pool_name = association.pool
                given.append((kind, model))
        return given

    def _opened(self, item: Any) -> Any:
        """Return a model of count rates, opened if it is a file."""
        name = item
        if isinstance(item, (str, Path)):
            if not Path(item).exists():
                raise InputError(f"{item}: there is no such file: check the name")
            item = self._datamodels_open(str(item))
        else:
            name = item.meta.filename or "the data model"
        kind = type(item).__name__
        if kind not in ("ImageModel", "IFUImageModel"):
            raise InputError(f"{name}: is a {kind}; badpix_selfcal takes count rates (_rate files)")
        return item


def least_of(images: Iterable[Any], dark: tuple[slice, slice] | None) -> Any:
    """Return the least of some images, pixel by pixel.

    Parameters
    ----------
    images : iterable of array, (y, x) float32
        NaN do not count. One is looked at after the other.
    dark : tuple of slice, optional
        Part of the image whose median is subtracted first.

    Returns
    -------
    array, (y, x) float32
        NaN where all are.
    """
    least = None
    for image in images:
        xp = namespace_of(image)
        if dark is not None:
            image = image - middle(xp.reshape(image[dark], (-1,)))
        if least is None:
            least = image
        else:
            smaller = xp.minimum(least, image)
            least = xp.where(xp.isnan(least), image, xp.where(xp.isnan(image), least, smaller))
    return least


def flag(model: Any, bad: Any) -> None:
    """Flag pixels of an exposure, in place, and make its values there NaN.

    Parameters
    ----------
    model : ImageModel or IFUImageModel
    bad : array, (y, x) bool
    """
    xp = namespace_of(bad)
    model.dq = xp.where(bad, model.dq | (DO_NOT_USE | OTHER_BAD_PIXEL), model.dq)
    for name in _VALUES:
        values = getattr(model, name)
        if values is not None:
            setattr(model, name, xp.where(bad, xp.full_like(values, xp.nan), values))


def _later(function: Callable[[Any], Any], argument: Any) -> Callable[[], Any]:
    return lambda: function(argument)


def _is_sequence(source: Any) -> bool:
    """Whether `source` is a list of models, or a container that behaves like one."""
    return (
        isinstance(source, Iterable)
        and not isinstance(source, (str, Path))
        and not hasattr(source, "get_primary_array_name")
    )
