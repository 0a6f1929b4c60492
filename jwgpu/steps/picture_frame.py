"""picture_frame: not there yet; it is off by default, as in the official package."""

from __future__ import annotations

from jwgpu.errors import NotYetError
from jwgpu.models.ramp import Ramp
from jwgpu.steps.base import RampStep, param


class PictureFrameStep(RampStep):
    """Stand in for the step until it is there: it can be skipped, and says so when it is not."""

    class_alias = "picture_frame"

    skip: bool = param(True, help="Skip this step")

    def correct(self, ramp: Ramp) -> None:
        """Refuse.

        Raises
        ------
        NotYetError
            Always: jwgpu does not have the picture-frame pattern of NIRSpec yet.
        """
        raise NotYetError(
            "picture_frame: jwgpu does not have this step yet; "
            "leave it skipped, or run it with the official package"
        )
