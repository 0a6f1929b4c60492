"""Subtract the thermal picture frame from full frames of NIRSpec."""

from __future__ import annotations

import logging
from typing import Any

from jwgpu.backends import namespace_of
from jwgpu.kernels.flicker_noise import masked_median
from jwgpu.models import writing
from jwgpu.models.ramp import Ramp
from jwgpu.models.rates import Rates
from jwgpu.models.stored_planes import StoredPlanes
from jwgpu.references.types import PictureFrameReference
from jwgpu.runner.parts import put_together
from jwgpu.steps.base import INTEGRATIONS, SkipStep, param
from jwgpu.steps.ramp_or_rate import RampOrRateStep
from jwgpu.steps.scene import MaskSettings, check_regions, draft_rates, scene_mask

log = logging.getLogger(__name__)

#: Rows and columns of the center of the detector; of its edges, without the reference pixels.
CENTER = (76, 1984)
LOWER_EDGE = (4, 75)
UPPER_EDGE = (1985, 2043)


#: Samples alone, as a share of samples and flags.
_SAMPLES = 0.8


class PictureFrameStep(RampOrRateStep):
    """Scale the thermal pattern to the background at center and edges of each group."""

    class_alias = "picture_frame"
    # The mask comes from the rates of all integrations.
    cut = INTEGRATIONS
    has_survey = True

    mask_science_regions: bool = param(True, help="leave out where light is expected")
    n_sigma: float = param(2.0, help="sources stand out of the background by more sigma")
    save_mask: bool = param(False, help="save the mask (pctfrm_mask)")
    save_correction: bool = param(False, help="save what is added to the data (pctfrm_correction)")
    skip: bool = param(True, help="skip this step")

    def correct(self, exposure: Ramp | Rates, pictureframe: PictureFrameReference | None) -> None:
        """Subtract the pattern from all groups but the first, or from the count rates.

        Parameters
        ----------
        exposure : Ramp or Rates
            Changed in place.
        pictureframe : PictureFrameReference, optional

        Raises
        ------
        NotYetError
            If regions are to be masked that only world coordinates can tell.
        """
        self.correct_undivided(exposure, pictureframe=pictureframe)

    def saves(self, exposure: Any) -> bool:
        """Return whether what is added is saved."""
        del exposure
        return self.save_correction

    def memory_beside(self, exposure: Ramp) -> float:
        """Return the memory of what is saved of a part, as a share of that."""
        del exposure
        return 2 * _SAMPLES if self.save_correction else 0.0

    def survey(self, *exposure: Any, **references: Any) -> _Pattern:
        """Return the pattern, and where it is measured."""
        (found,) = exposure
        if not _is_full_nirspec(found.meta):
            raise SkipStep("only full frames of NIRSpec have the picture frame")
        pictureframe = references["pictureframe"]
        if pictureframe is None:
            raise SkipStep("there is no PICTUREFRAME reference for this exposure")
        is_ramp = isinstance(found, Ramp)
        if is_ramp and found.data.shape[1] == 1:
            raise SkipStep("a single group cannot be corrected")
        check_regions(self, found)
        rates = draft_rates(self, found, per_integration=False) if is_ramp else found
        mask = scene_mask(rates, MaskSettings(self.mask_science_regions, self.n_sigma))
        if self.save_mask:
            self._save(rates, mask, "pctfrm_mask", found)
        center, edges = _regions(mask)
        if not (bool(center.any()) and bool(edges.any())):
            raise SkipStep("there is no background at the center, or the edges, to scale to")
        return _Pattern(pictureframe.data, center, edges)

    def correct_part(self, part: Any, survey: _Pattern, **references: Any) -> Any:
        """Correct some integrations; return what was added, if that is asked for."""
        del references
        before = part.data.copy() if self.save_correction else None
        data = part.data if part.data.ndim > 2 else part.data[None]
        for integration in data:
            if not isinstance(part, Ramp):
                integration -= survey.scaled_to(integration)
                continue
            for j in range(1, data.shape[1]):
                group = integration[j]
                group -= integration[0]
                # In this order, as officially, for float32 rounds each sum.
                group += integration[0] - survey.scaled_to(group)
        return part.data - before if self.save_correction else None

    def collect(self, collected: Any, part: Any, found: Any) -> Any:
        """Put together what was added."""
        return None if found is None else put_together(collected, part, found)

    def conclude(self, exposure: Any, survey: _Pattern, collected: Any) -> None:
        """Save what was added."""
        del survey
        if self.save_correction:
            self._save(exposure, collected, "pctfrm_correction", exposure)

    def _save(self, described: Any, data: Any, suffix: str, exposure: Any) -> None:
        path = self.make_output_path(basepath=exposure.meta.filename, suffix=suffix)
        on_host = data if isinstance(data, StoredPlanes) else self.session.device.fetch(data)
        model = writing.intermediate_model(described, on_host)
        writing.save_product(model, path)
        log.info("saved %s", path)


class _Pattern:
    """The thermal pattern, and where it is measured.

    Parameters
    ----------
    pattern : array, (y, x) float32
    center, edges : array, (y, x) bool
    """

    def __init__(self, pattern: Any, center: Any, edges: Any) -> None:
        self.center, self.edges = center, edges
        edge = masked_median(pattern, edges)
        self.height = masked_median(pattern, center) - edge
        self.shape = pattern - edge

    def scaled_to(self, image: Any) -> Any:
        """Return the pattern with the medians of an image, at center and edges: (y, x)."""
        edge = masked_median(image, self.edges)
        scale = (masked_median(image, self.center) - edge) / self.height
        return scale * self.shape + edge


def _is_full_nirspec(meta: Any) -> bool:
    instrument, subarray = str(meta.instrument.name), str(meta.subarray.name)
    return instrument.upper() == "NIRSPEC" and subarray.upper() == "FULL"


def _regions(mask: Any) -> tuple[Any, Any]:
    """Return where the mask is True at the center, and at the edges."""
    xp = namespace_of(mask)
    center = xp.zeros_like(mask)
    inner = slice(*CENTER)
    center[inner, inner] = mask[inner, inner]
    edges = xp.zeros_like(mask)
    whole = slice(LOWER_EDGE[0], UPPER_EDGE[1])
    for edge in (slice(*LOWER_EDGE), slice(*UPPER_EDGE)):
        edges[edge, whole] = mask[edge, whole]
        edges[whole, edge] = mask[whole, edge]
    return center, edges
