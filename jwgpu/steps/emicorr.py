"""emicorr: not there yet; it is off by default, as in the official package."""

from __future__ import annotations

from jwgpu.errors import NotYetError
from jwgpu.models.ramp import Ramp
from jwgpu.steps.base import RampStep, param


class EmiCorrStep(RampStep):
    """Stand in for the step until it is there: it can be skipped, and says so when it is not."""

    class_alias = "emicorr"

    skip: bool = param(True, help="Skip this step")

    def correct(self, ramp: Ramp) -> None:
        """Refuse.

        Raises
        ------
        NotYetError
            Always: jwgpu does not have MIRI's pickup of its own electronics' frequencies yet.
        """
        raise NotYetError(
            "emicorr: jwgpu does not have this step yet; "
            "leave it skipped, or run it with the official package"
        )
