"""How an exposure may be divided for a step, and how a step works on the parts.

An exposure that is too big for the memory goes through the steps part by part. Most steps treat a
part like an exposure. One that must know something of the whole finds it in a `survey` beforehand,
and says in `collect` and `conclude` what is to come of what it found in the parts. One whose parts
are now rows and now integrations makes several `passes`. Its `correct` does all that with the
exposure as the only part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class Cut:
    """How an exposure may be divided for a step: what one part of the result depends on.

    Attributes
    ----------
    kind : str
        ``pixels``, ``integrations``, ``rows`` or ``whole``.
    halo : int
        Rows beyond its own that a block of rows needs.
    """

    kind: str
    halo: int = 0


PIXELS = Cut("pixels")
INTEGRATIONS = Cut("integrations")
WHOLE = Cut("whole")


def ROWS(halo: int) -> Cut:
    """Return the cut into blocks of rows that each need `halo` rows beyond their own."""
    return Cut("rows", halo)


class Divisible:
    """What a step, or one of its passes, tells of how it may be divided.

    Parts come in order: of two, the one of earlier integrations, or lower rows, comes first.
    """

    #: How an exposure may be divided.
    cut: ClassVar[Cut] = WHOLE
    #: Whether `survey` finds something: the steps before must then be done with all parts first.
    has_survey: ClassVar[bool] = False
    #: Whether what surveys of later steps look at is the same before and after this step.
    is_unseen_by_surveys: ClassVar[bool] = False
    #: Whether samples stay as they are (flags may change).
    keeps_samples: ClassVar[bool] = False
    #: Whether what `conclude` returns takes the place of the ramps, which nobody needs any more.
    consumes_ramps: ClassVar[bool] = False

    def cut_for(self, exposure: Any) -> Cut:
        """Return how this exposure may be divided, with the parameters that this step has."""
        del exposure
        return self.cut

    def surveys(self, exposure: Any) -> bool:
        """Return whether `survey` finds something in this exposure."""
        del exposure
        return self.has_survey

    def memory_beside(self, exposure: Any) -> float:
        """Return the memory that a part takes beside its samples and flags, as a share of these."""
        del exposure
        return 0.0

    def changes_shape(self, exposure: Any) -> bool:
        """Return whether the images of this exposure are others afterwards."""
        del exposure
        return False

    def saves(self, exposure: Any) -> bool:
        """Return whether `conclude` saves something, which tells nothing of later steps."""
        del exposure
        return False

    def may_be_given_up(self, exposure: Any) -> bool:
        """Return whether a part may find that the exposure must stay as it was (`SkipStep`)."""
        del exposure
        return False

    def stands_alone(self, exposure: Any) -> bool:
        """Return whether blocks are not to be shared with the steps before."""
        return self.may_be_given_up(exposure)

    def passes(self, exposure: Any, **references: Any) -> Sequence[Divisible]:
        """Return what goes over the exposure, one after the other: the step itself."""
        del exposure, references
        return [self]

    def survey(self, *exposure: Any, **references: Any) -> Any:
        """Return what `correct_part` has to know of the whole exposure.

        Parameters
        ----------
        exposure : Ramp
            One; it may be stored in files, see `jwgpu.runner.parts`.
        **references : Reference
        """
        del exposure, references

    def correct_part(self, *part: Any, **references: Any) -> Any:
        """Do the science on a part of an exposure, in place; return what was found.

        Parameters
        ----------
        part : Ramp, and what `survey` returned
        **references : Reference
        """
        return self.correct(part[0], **references)

    def collect(self, collected: Any, part: Any, found: Any) -> Any:
        """Add what was found in a part to what was in others, None at first; return both."""
        del collected, part, found

    def conclude(self, exposure: Any, survey: Any, collected: Any) -> Any:
        """Finish an exposure of which all parts are done; return what is to take its place."""
        del exposure, survey, collected

    def correct(self, *exposure: Any, **references: Any) -> Any:
        """Do the science of this step on an exposure, in place; a subclass names its references."""
        raise NotImplementedError

    def correct_undivided(self, exposure: Any, **references: Any) -> Any:
        """Do what is done with parts to an exposure in one piece: for the `correct` of a step."""
        result = None
        for one in self.passes(exposure, **references):
            survey = one.survey(exposure, **references)
            found = one.correct_part(exposure, survey, **references)
            result = one.conclude(exposure, survey, one.collect(None, exposure, found))
        return result
