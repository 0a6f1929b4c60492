"""The thermal picture frame of NIRSpec: a glow that is brighter at the edges of the detectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jwgpu.errors import ParameterError
from jwgpu.models import flags as dq
from jwgpu.simulate.detector_maps import full_well
from jwgpu.simulate.geometry import Window
from jwgpu.simulate.settings import Settings

if TYPE_CHECKING:
    from jwgpu.simulate.recipes import Recipe

#: Pixels from the edges in which the glow falls by e; its share at the center.
_REACH = 40.0
_CENTER = 0.2
_LAST = 2047

#: Of the pattern in the reference file, in DN/s, relative to that of the exposure.
_OTHER_HEIGHT = 2.5


def pattern(window: Window) -> NDArray[np.float32]:
    """Return the glow of a part of a detector, 1 at the very edge of the full frame: (y, x)."""
    rows, columns = (
        np.arange(first - 1, first - 1 + size, dtype=np.float32)
        for first, size in ((window.ystart, window.ysize), (window.xstart, window.xsize))
    )
    from_edge = np.minimum(
        np.minimum(rows, _LAST - rows)[:, None], np.minimum(columns, _LAST - columns)[None, :]
    )
    glow = _CENTER + (1 - _CENTER) * np.exp(-from_edge / np.float32(_REACH))
    return glow.astype(np.float32)


def picture_frame(settings: Settings) -> NDArray[np.float32]:
    """Return the glow of an exposure, in DN/s: (y, x).

    Raises
    ------
    ParameterError
        If the instrument is not NIRSpec.
    """
    if settings.camera.instrument != "NIRSPEC":
        raise ParameterError("picture_frame: only NIRSpec has the thermal picture frame")
    height = settings.picture_frame * full_well(settings.camera) / settings.camera.gain
    return pattern(settings.place) * np.float32(height / settings.integration_time)


def picture_frame_reference(recipe: Recipe, models: Any) -> Any:
    """Make a PICTUREFRAME reference: the same pattern, at another temperature."""
    image = picture_frame(recipe.settings) * np.float32(_OTHER_HEIGHT)
    bad = recipe.maps.flags & np.uint32(dq.PIXEL["DEAD"] | dq.PIXEL["HOT"])
    image[bad != 0] = np.nan
    return models.PictureFrameModel(data=image)
