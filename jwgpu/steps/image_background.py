"""The background of an image and its scatter: in boxes, with splines between them."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from typing import Any

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Background:
    """Background of an image: its level, (y, x) float32, and the scatter around it."""

    level: Any
    _of_boxes: Any

    def scatter(self) -> Any:
        """Return the standard deviation around the background, (y, x) float32."""
        return self._of_boxes.background_rms


def background_of(data: Any, box_size: int, mask: Any) -> Background | None:
    """Return the background of an image; None if no pixel tells it."""
    from astropy.stats import SigmaClip
    from photutils.background import Background2D, MedianBackground

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        more = {
            "coverage_mask": mask,
            "sigma_clip": SigmaClip(sigma=3.0),
            "bkg_estimator": MedianBackground(),
        }
        try:
            b = Background2D(data, box_size, filter_size=(3, 3), **more)
        except ValueError:
            try:
                b = Background2D(
                    data, data.shape, filter_size=(3, 3), exclude_percentile=100.0, **more
                )
            except ValueError:
                return None
    return Background(b.background, b)
