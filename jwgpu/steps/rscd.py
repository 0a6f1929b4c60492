"""Flag the groups that the switch of MIRI's reset disturbs."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from jwgpu.backends import namespace_of
from jwgpu.models.flags import DO_NOT_USE, FLUX_ESTIMATED, SATURATED
from jwgpu.models.ramp import Ramp
from jwgpu.models.stored_planes import StoredPlanes
from jwgpu.references.types import RscdReference
from jwgpu.steps.base import INTEGRATIONS, RampStep, SkipStep

log = logging.getLogger(__name__)

#: A fit needs two groups, and lastframe takes one more.
_GROUPS_TO_KEEP = 3
#: Exposures this short lose one group, whatever the reference says.
_SHORT_EXPOSURE = 5
#: Integrations in memory that are searched for saturated pixels at a time.
_AT_A_TIME = 8


class _Kind(NamedTuple):
    """The integrations that lose the same groups: the first one, or the others.

    Attributes
    ----------
    name : str
        How the keywords call them.
    integrations : range
        Of the exposure, from 0.
    skip : int
        Groups to lose.
    levels : list of int
        Groups to look for saturated pixels in, see `_saturated_groups`.
    """

    name: str
    integrations: range
    skip: int
    levels: list[int]


class _BackedOff(NamedTuple):
    """Which pixels kept groups because they saturate early; and of them all of their groups."""

    some_groups: Any
    first_group: Any


class RscdStep(RampStep):
    """Keep the first groups of each integration out of the fit.

    How many is told by the reference, for the first integration and for the others; pixels that
    saturate early lose fewer.
    """

    class_alias = "rscd"
    cut = INTEGRATIONS
    # The search for saturated pixels goes on as long as any pixel of any integration needs it.
    has_survey = True

    def applies_to(self, exposure: Ramp) -> None:
        """Raise `SkipStep` for other instruments than MIRI."""
        if not str(exposure.meta.instrument.detector).startswith("MIR"):
            raise SkipStep("only MIRI needs it")

    def correct(self, ramp: Ramp, rscd: RscdReference) -> None:
        """Flag the first groups DO_NOT_USE.

        Parameters
        ----------
        ramp : Ramp
            Exposure; ``groupdq``, ``pixeldq`` (FLUX_ESTIMATED) and ``meta.rscd`` are changed.
        rscd : RscdReference
            Groups to skip for each readout pattern and subarray.

        Raises
        ------
        SkipStep
            If the pattern and subarray are not in the reference, or there are less than three
            groups.
        """
        self.correct_undivided(ramp, rscd=rscd)

    def survey(self, exposure: Ramp, **references: Any) -> list[_Kind]:
        """Return which integrations lose how many groups."""
        facts = exposure.meta.exposure
        skips = _groups_to_skip(exposure, references["rscd"])
        if facts.ngroups < _GROUPS_TO_KEEP:
            raise SkipStep(f"{facts.ngroups} groups are too few to do without the first")
        first, others = (_limited_skip(skip, facts.ngroups) for skip in skips)
        has_first = (facts.integration_start or 1) == 1
        found = []
        if has_first:
            found.append(("int1", range(1), first))
        if facts.nints > 1:
            rest = range(1 if has_first else 0, exposure.data.shape[0])
            found.append(("int2p", rest, others))
        flags = exposure.groupdq
        return [_Kind(*kind, _saturated_groups(flags, *kind[1:])) for kind in found]

    def correct_part(
        self, part: Ramp, survey: list[_Kind], *, rscd: RscdReference
    ) -> dict[str, _BackedOff | None]:
        """Flag the first groups of some integrations; see `correct`."""
        del rscd
        first = part.first_integration
        here = range(first, first + part.data.shape[0])
        return {
            kind.name: _flag_first_groups(
                part, [i - first for i in kind.integrations if i in here], kind
            )
            for kind in survey
        }

    def collect(
        self,
        collected: dict[str, _BackedOff | None] | None,
        part: Ramp,
        found: dict[str, _BackedOff | None],
    ) -> dict[str, _BackedOff | None]:
        """Take the pixels that kept groups in any integration."""
        del part
        for name, more in (collected or {}).items():
            own = found[name]
            if more is not None and own is not None:
                for ours, theirs in zip(own, more, strict=True):
                    ours |= theirs
        return found

    def conclude(
        self, exposure: Ramp, survey: list[_Kind], collected: dict[str, _BackedOff | None]
    ) -> None:
        """Count the pixels for the header."""
        for kind in survey:
            pixels, counts = collected[kind.name], (0, 0)
            if pixels is not None:
                xp = namespace_of(pixels.some_groups)
                some, first = (int(xp.count_nonzero(which)) for which in pixels)
                counts = some, first
                log.info("%d pixels saturate early and lose fewer groups", counts[0])
            setattr(exposure.meta.rscd, f"keep_bright_firstgroup_{kind.name}", counts[1])
            setattr(exposure.meta.rscd, f"keep_groups_saturation_{kind.name}", counts[0])
            setattr(exposure.meta.rscd, f"ngroups_skip_{kind.name}", kind.skip)


def _groups_to_skip(ramp: Ramp, rscd: RscdReference) -> tuple[int, int]:
    """Look up the groups to skip in the first and in the other integrations."""
    pattern = ramp.meta.exposure.readpatt
    subarray = ramp.meta.subarray.name
    if subarray.upper() == "SUBPRISM":  # what SLITLESSPRISM was called in early exposures
        subarray = "SLITLESSPRISM"
    for row in rscd.rows:
        if row["subarray"] == subarray and row["readpatt"] == pattern:
            first, others = int(row["group_skip1"]), int(row["group_skip"])
            if first < 0:
                log.warning("%s has no column group_skip1: skipping one group", rscd.path)
                first = 1
            return first, others
    raise SkipStep(f"{rscd.path} has no row for READPATT {pattern} and SUBARRAY {subarray}")


def _limited_skip(skip: int, n_groups: int) -> int:
    """Return how many groups an exposure of `n_groups` can do without, `skip` at most."""
    if n_groups <= _SHORT_EXPOSURE:
        skip = 1
    return min(skip, n_groups - _GROUPS_TO_KEEP)


def _flag_first_groups(ramp: Ramp, integrations: list[int], kind: _Kind) -> _BackedOff | None:
    """Flag the first groups, fewer where a pixel saturates early; None where none does."""
    skip = kind.skip
    if not kind.levels:
        for integration in integrations:
            ramp.groupdq[integration, :skip, ...] |= DO_NOT_USE
        return None
    xp = namespace_of(ramp.groupdq)
    keeps_some = xp.zeros_like(ramp.pixeldq, dtype=xp.bool)
    keeps_first = xp.zeros_like(ramp.pixeldq, dtype=xp.bool)
    for integration in integrations:
        groups = ramp.groupdq[integration, ...]
        kept = xp.zeros_like(ramp.pixeldq, dtype=xp.int32)
        for level in kind.levels:
            kept += xp.asarray(_saturates_later(groups, level), dtype=xp.int32)
        keeps_some |= (kept > 0) & (skip > 0)
        keeps_first |= kept >= skip
        for group in range(skip):
            flagged = groups[group, ...] | DO_NOT_USE
            groups[group, ...] = xp.where(kept < skip - group, flagged, groups[group, ...])
    ramp.pixeldq[...] = xp.where(keeps_some, ramp.pixeldq | FLUX_ESTIMATED, ramp.pixeldq)
    return _BackedOff(keeps_some, keeps_first)


def _saturated_groups(groupdq: Any, integrations: range, skip: int) -> list[int]:
    """Return the groups, downwards from the second after those to skip, where a pixel saturates.

    The list ends before the first group in which no pixel of the image does.
    """
    step = 1 if isinstance(groupdq, StoredPlanes) else _AT_A_TIME
    some = [integrations[i : i + step] for i in range(0, len(integrations), step)]
    levels = []
    for level in range(skip + 1, 0, -1):
        if not any(_any_saturates_later(groupdq, these, level) for these in some):
            break
        levels.append(level)
    return levels


def _any_saturates_later(groupdq: Any, integrations: range, level: int) -> bool:
    """Tell it of any pixel of a few integrations; the host waits for the answer."""
    window = slice(integrations.start, integrations.stop)
    if isinstance(groupdq, StoredPlanes):
        flags = groupdq.read(window, groups=slice(level + 1))
    else:
        flags = groupdq[window, ...]
    return bool(namespace_of(flags).any(_saturates_later(flags, level)))


def _saturates_later(flags: Any, level: int) -> Any:
    """Tell which pixels of (..., groups, y, x) are saturated in group `level`, not in the first."""
    is_late = (flags[..., level, :, :] & SATURATED) != 0
    return is_late & ((flags[..., 0, :, :] & SATURATED) == 0)
