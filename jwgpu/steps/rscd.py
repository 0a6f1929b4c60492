"""Flag the groups that the switch of MIRI's reset disturbs."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from jwgpu.backends import namespace_of
from jwgpu.models.flags import DO_NOT_USE, FLUX_ESTIMATED, SATURATED
from jwgpu.models.ramp import Ramp
from jwgpu.references.types import RscdReference
from jwgpu.steps.base import WHOLE, RampStep, SkipStep

log = logging.getLogger(__name__)

#: A fit needs two groups, and lastframe takes one more.
_GROUPS_TO_KEEP = 3
#: Exposures this short lose one group, whatever the reference says.
_SHORT_EXPOSURE = 5


class _BackedOff(NamedTuple):
    """How many pixels kept groups because they saturate early; and of them all of their groups."""

    some_groups: int
    first_group: int


class RscdStep(RampStep):
    """Keep the first groups of each integration out of the fit.

    How many is told by the reference, for the first integration and for the others; pixels that
    saturate early lose fewer.
    """

    class_alias = "rscd"
    # The search for saturated pixels goes on as long as any pixel of the image needs it, and the
    # pixels are counted for the header.
    cut = WHOLE

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
        exposure = ramp.meta.exposure
        skips = _groups_to_skip(ramp, rscd)
        if exposure.ngroups < _GROUPS_TO_KEEP:
            raise SkipStep(f"{exposure.ngroups} groups are too few to do without the first")
        first_skip, other_skip = (_limited_skip(skip, exposure.ngroups) for skip in skips)
        first_integration = exposure.integration_start or 1
        if first_integration == 1:
            counts = _flag_first_groups(ramp, range(1), first_skip)
            ramp.meta.rscd.keep_bright_firstgroup_int1 = counts.first_group
            ramp.meta.rscd.keep_groups_saturation_int1 = counts.some_groups
            ramp.meta.rscd.ngroups_skip_int1 = first_skip
        if exposure.nints > 1:
            others = range(1 if first_integration == 1 else 0, ramp.data.shape[0])
            counts = _flag_first_groups(ramp, others, other_skip)
            ramp.meta.rscd.keep_bright_firstgroup_int2p = counts.first_group
            ramp.meta.rscd.keep_groups_saturation_int2p = counts.some_groups
            ramp.meta.rscd.ngroups_skip_int2p = other_skip


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


def _flag_first_groups(ramp: Ramp, integrations: range, skip: int) -> _BackedOff:
    """Flag the first `skip` groups of `integrations`, fewer where a pixel saturates early."""
    levels = _saturated_groups(ramp.groupdq, integrations, skip)
    if not levels:
        for integration in integrations:
            ramp.groupdq[integration, :skip, ...] |= DO_NOT_USE
        return _BackedOff(0, 0)
    xp = namespace_of(ramp.groupdq)
    keeps_some = xp.zeros_like(ramp.pixeldq, dtype=xp.bool)
    keeps_first = xp.zeros_like(ramp.pixeldq, dtype=xp.bool)
    for integration in integrations:
        groups = ramp.groupdq[integration, ...]
        kept = xp.zeros_like(ramp.pixeldq, dtype=xp.int32)
        for level in levels:
            kept += xp.asarray(_saturates_later(groups, level), dtype=xp.int32)
        keeps_some |= (kept > 0) & (skip > 0)
        keeps_first |= kept >= skip
        for group in range(skip):
            flagged = groups[group, ...] | DO_NOT_USE
            groups[group, ...] = xp.where(kept < skip - group, flagged, groups[group, ...])
    ramp.pixeldq[...] = xp.where(keeps_some, ramp.pixeldq | FLUX_ESTIMATED, ramp.pixeldq)
    counts = _BackedOff(int(xp.count_nonzero(keeps_some)), int(xp.count_nonzero(keeps_first)))
    log.info("%d pixels saturate early and lose fewer groups", counts.some_groups)
    return counts


def _saturated_groups(groupdq: Any, integrations: range, skip: int) -> list[int]:
    """Return the groups, downwards from the second after those to skip, where a pixel saturates.

    The list ends before the first group in which no pixel of the image does.
    """
    xp = namespace_of(groupdq)
    levels = []
    for level in range(skip + 1, 0, -1):
        if not any(bool(xp.any(_saturates_later(groupdq[i, ...], level))) for i in integrations):
            break
        levels.append(level)
    return levels


def _saturates_later(groups: Any, level: int) -> Any:
    """Tell which pixels of one integration are saturated in group `level` but not in the first."""
    return ((groups[level, ...] & SATURATED) != 0) & ((groups[0, ...] & SATURATED) == 0)
