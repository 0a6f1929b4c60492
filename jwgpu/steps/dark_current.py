"""Subtract the dark current that gathered during an exposure."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple

from jwgpu.backends import namespace_of
from jwgpu.errors import InputError, ReferenceFileError
from jwgpu.kernels.dark import subtract_dark
from jwgpu.models.ramp import Ramp
from jwgpu.models.writing import save_product
from jwgpu.references.types import DarkReference
from jwgpu.steps.base import PIXELS, RampStep, SkipStep, param

log = logging.getLogger(__name__)


class FrameMatch(NamedTuple):
    """How the frames of a dark make up the groups of an exposure.

    Attributes
    ----------
    n_averaged : int
        Frames of the dark in a group of the exposure.
    step : int
        Frames of the dark from one group of the exposure to the next.
    n_extrapolated : int
        Frames that the dark is too short by.
    is_direct : bool
        Whether both were read in the same way, so that the dark needs no averaging.
    """

    n_averaged: int
    step: int
    n_extrapolated: int
    is_direct: bool


class DarkCurrentStep(RampStep):
    """Subtract the dark, averaged over frames as the exposure is; tell the fit its noise."""

    class_alias = "dark_current"
    status_name = "dark_sub"
    cut = PIXELS

    dark_output: str | None = param(None, help="file to save the subtracted dark in")
    average_dark_current: float | None = param(
        None, help="average dark current of this detector, in electron/s"
    )

    def correct(self, ramp: Ramp, dark: DarkReference) -> None:
        """Subtract the dark; where it is NaN, nothing is subtracted.

        MIRI's dark has integrations: each is subtracted from its own, the last one from all that
        come after it too. In a segment of an exposure other than the first, it is subtracted
        from all.

        Parameters
        ----------
        ramp : Ramp
            Exposure; ``data``, ``pixeldq`` and ``average_dark_current`` are changed.
        dark : DarkReference
            Accumulated dark signal in DN, its flags and its rate.

        Raises
        ------
        SkipStep
            If the dark averages or drops more frames than the exposure.
        InputError, ReferenceFileError
            If the exposure or the dark does not tell how its frames were read, or too few frames
            of the dark are there.
        """
        self._set_average_dark_current(ramp, dark)
        match = match_frames(ramp, dark)
        if self.dark_output is not None and ramp.first_integration == 0:
            self._save_dark(dark_product(dark, match, ramp))
        ramp.pixeldq |= dark.dq
        _subtract(ramp, dark, match)

    def _set_average_dark_current(self, ramp: Ramp, dark: DarkReference) -> None:
        """Give the ramp its dark rate: the parameter's, else the dark's image, else its keyword."""
        image = dark.average_dark_current
        rate: float | None = self.average_dark_current
        if rate is None and image is not None:
            xp = namespace_of(image)
            # As officially, an image that sums to zero counts as not given.
            if float(xp.sum(image)) != 0.0:
                _take_dark_rate_image(ramp, image)
                return
        if rate is None:
            rate = dark.average_dark_current_value or 0.0
        xp = namespace_of(ramp.data)
        ramp.average_dark_current = xp.full_like(ramp.pixeldq, rate, dtype=ramp.data.dtype)
        log.info("dark current for the noise model: %s electron/s", rate)

    def _save_dark(self, product: Any) -> None:
        """Write the dark that was subtracted, as ``dark_output``, into the folder of the products.

        As officially, a folder in that name does not count.
        """
        path = self.make_output_path(basepath=self.dark_output, suffix=False)
        save_product(product, path)
        product.close()
        log.info("saved the subtracted dark in %s", path)


def match_frames(ramp: Ramp, dark: DarkReference) -> FrameMatch:
    """Work out which frames of the dark make up each group of the exposure.

    Raises
    ------
    SkipStep, InputError, ReferenceFileError
        See `DarkCurrentStep.correct`.
    """
    n_groups = int(ramp.data.shape[1])
    n_frames, gap = ramp.meta.exposure.nframes, ramp.meta.exposure.groupgap
    if n_frames is None or gap is None:
        raise InputError(
            "the exposure does not tell how its frames were read: set NFRAMES and GROUPGAP"
        )
    if dark.nframes is None or dark.groupgap is None:
        raise ReferenceFileError(
            f"{dark.path} does not tell how its frames were read: set NFRAMES and GROUPGAP in it"
        )
    if dark.nframes > n_frames or dark.groupgap > gap:
        raise SkipStep(
            f"the dark averages {dark.nframes} frames and drops {dark.groupgap} a group, "
            f"more than the exposure's {n_frames} and {gap}"
        )
    dark_groups = _groups_in_file(dark)
    missing = n_groups * (n_frames + gap) - gap
    missing -= dark_groups * (dark.nframes + dark.groupgap) - dark.groupgap
    n_extrapolated = max(0, -(-(missing + dark.groupgap) // (dark.nframes + dark.groupgap)))
    if missing <= 0:
        n_extrapolated = 0
    is_direct = (dark.nframes, dark.groupgap) == (n_frames, gap)
    match = FrameMatch(1, 1, n_extrapolated, True)
    if not is_direct:
        match = FrameMatch(n_frames, n_frames + gap, n_extrapolated, False)
    _check_length(dark, match, n_groups)
    return match


def _check_length(dark: DarkReference, match: FrameMatch, n_groups: int) -> None:
    """Refuse a dark of which a group finds no frame; warn where the dark is made longer."""
    dark_groups = _groups_in_file(dark)
    if match.n_extrapolated:
        if dark_groups < 2:
            raise ReferenceFileError(
                f"{dark.path} has one group, too few to extrapolate: use a longer DARK reference"
            )
        log.warning(
            "%s is too short: extrapolating it by %d groups", dark.path, match.n_extrapolated
        )
    # Frames are counted in total above, but found by the dark's group number, as officially: a
    # dark that is itself averaged runs out of groups.
    n_available = dark_groups + match.n_extrapolated
    if (n_groups - 1) * match.step >= n_available:
        message = (
            f"{dark.path}: a dark with NFRAMES={dark.nframes}, GROUPGAP={dark.groupgap} has too "
            "few groups for this exposure"
        )
        if match.n_averaged == 1:
            raise ReferenceFileError(f"{message}: use a DARK reference of single frames")
        log.warning("%s: groups without a dark become NaN", message)


def _groups_in_file(dark: DarkReference) -> int:
    return int(dark.planes_in_file[-1] if dark.planes_in_file else dark.data.shape[-3])


def _integrations_in_file(dark: DarkReference) -> int:
    return int(dark.planes_in_file[0] if dark.planes_in_file else dark.data.shape[0])


def _subtract(ramp: Ramp, dark: DarkReference, match: FrameMatch) -> None:
    """Subtract the dark from all integrations."""
    frames = {
        "n_averaged": match.n_averaged,
        "step": match.step,
        "n_extrapolated": match.n_extrapolated,
    }
    if dark.data.ndim == 3:
        subtract_dark(ramp.data, dark.data, **frames)
        return
    first, n_integrations = ramp.first_integration, int(ramp.data.shape[0])
    n_darks = _integrations_in_file(dark)
    is_first_segment = (ramp.meta.exposure.integration_start or 1) == 1
    n_own = min(max(n_darks - 1 - first, 0), n_integrations) if is_first_segment else 0
    for integration in range(n_own):
        data = ramp.data[integration : integration + 1, ...]
        subtract_dark(data, dark.data[first + integration, ...], **frames)
    if n_own == n_integrations:
        return
    if not match.is_direct and n_darks > ramp.n_integrations:
        # Parity: the official package averages only as many integrations of the dark as the
        # segment has, and then subtracts the last one, which is still zero.
        log.warning("the last integration of the dark is not averaged: nothing is subtracted")
        return
    subtract_dark(ramp.data[n_own:, ...], dark.data[n_darks - 1, ...], **frames)


def _take_dark_rate_image(ramp: Ramp, image: Any) -> None:
    # Parity: the official package asks for the shape of the image that the exposure already has,
    # and a raw exposure has none; so the dark's image is used only if the step runs a second time.
    known = ramp.average_dark_current
    if known is None or tuple(known.shape) != tuple(image.shape):
        log.warning("the dark's image of the average dark current is not used, as in jwst 3.0")
        return
    ramp.average_dark_current = image.copy()


def dark_product(dark: DarkReference, match: FrameMatch, ramp: Ramp) -> Any:
    """Make the official data model of the dark that is subtracted.

    Parameters
    ----------
    dark : DarkReference
        The reference; its file is read again, whole, on the host.
    match : FrameMatch
        How its frames make up the exposure's groups.
    ramp : Ramp
        Exposure.

    Returns
    -------
    DarkModel or DarkMIRIModel
        As read, with NaN as zero, if no averaging is needed; else the averaged dark. Integrations
        of the dark that the exposure does not have are then zero. Without ERR.

    Raises
    ------
    ReferenceFileError
        If the dark was given as an open model: there is no file to read.
    """
    if not Path(dark.path).is_file():
        raise ReferenceFileError(
            f"{dark.path} is not a file, which dark_output needs: give the DARK reference as one"
        )
    from stdatamodels.jwst import datamodels

    if ramp.meta.instrument.name == "MIRI":
        source_type = product_type = datamodels.DarkMIRIModel
    else:
        is_nirspec = ramp.meta.instrument.name == "NIRSPEC"
        source_type = datamodels.DarkNirspecModel if is_nirspec else datamodels.DarkModel
        product_type = datamodels.DarkModel
    with source_type(dark.path) as source:
        data = _product_data(source.data, match, ramp)
        product = product_type(data=data, dq=source.dq)
        product.update(source)
        product.meta.exposure.ngroups = int(data.shape[-3])
        if match.is_direct and dark.ngroups is not None:
            product.meta.exposure.ngroups = dark.ngroups + match.n_extrapolated
        product.meta.exposure.nframes = ramp.meta.exposure.nframes
        product.meta.exposure.groupgap = ramp.meta.exposure.groupgap
    return product


def _product_data(source: Any, match: FrameMatch, ramp: Ramp) -> Any:
    """Return the subtracted dark with the axes of `source`: what the kernel takes from zero."""
    xp = namespace_of(source)
    darks = source.reshape(-1, *source.shape[-3:])
    n_groups = int(ramp.data.shape[1])
    n_averaged_integrations = min(int(darks.shape[0]), ramp.n_integrations)
    if match.is_direct:
        n_groups = int(darks.shape[1]) + match.n_extrapolated
        n_averaged_integrations = int(darks.shape[0])
    product = xp.zeros((darks.shape[0], n_groups, *darks.shape[2:]), dtype=xp.float32)
    for integration in range(n_averaged_integrations):
        subtract_dark(
            product[integration : integration + 1, ...],
            xp.ascontiguousarray(darks[integration, ...], dtype=xp.float32),
            n_averaged=match.n_averaged,
            step=match.step,
            n_extrapolated=match.n_extrapolated,
        )
    xp.subtract(xp.float32(0.0), product, out=product)
    return product.reshape(*source.shape[:-3], *product.shape[1:])
