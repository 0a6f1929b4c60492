"""Charge traps: what they release while an exposure is read, and what they capture from it.

Written for any array namespace. Each pixel is on its own, so that rows may be taken block by block.

Source: JWST calibration documents, "Persistence Correction" (release 1.13).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from jwgpu.backends import namespace_of
from jwgpu.models.flags import DO_NOT_USE, JUMP_DET, SATURATED

#: Charge released from a trap counts twice that of light.
_GAIN_OF_TRAPS = 2.0

_NEVER_SATURATED = 1.0e7  # DN, where the persistence saturation is NaN
_LEAST_HUGE_STEP = 1.0e5  # DN, of a saturated group
_SLOW_CAPTURE = 1.0e10  # s, where a family has no time of capture


@dataclass(frozen=True)
class Timing:
    """Times of an exposure.

    Attributes
    ----------
    frame, group : float
        Seconds from frame to frame, from group to group.
    first_resets, later_resets : int
        Frames of reset before the first integration, and before each other.
    """

    frame: float
    group: float
    first_resets: int
    later_resets: int

    def resets(self, integration: int) -> int:
        """Return the frames of reset before an integration, counted from 0."""
        return self.later_resets if integration else self.first_resets

    def seconds(self, integrations: int, groups: int) -> float:
        """Return the seconds in which traps decay, from the start of the exposure to its end."""
        resets = (integrations - 1) * self.later_resets * self.frame
        return integrations * groups * self.group + resets


@dataclass(frozen=True)
class Family:
    """Traps that capture and release alike: a row of the TRAPPARS reference."""

    exponential: float
    capture_rate: float
    instantaneous: float
    decay_rate: float

    def released(self, seconds: float) -> float:
        """Return the share of filled traps that release their charge within a time."""
        return 1.0 - math.exp(-seconds * abs(self.decay_rate))

    @property
    def capture_time(self) -> float:
        """E-folding time of the capture, in seconds."""
        return 1.0 / abs(self.capture_rate) if self.capture_rate else _SLOW_CAPTURE


@dataclass(frozen=True)
class Traps:
    """The traps of some pixels.

    Attributes
    ----------
    families : tuple of Family
    density : array, (y, x) float32
        Relative density; where it is NaN or flagged there are none.
    saturation : array, (y, x) float32
        Signal that fills all traps, in DN.
    is_unknown : array, (y, x) bool
        Where the saturation is flagged: these pixels capture by cosmic rays only.
    """

    families: tuple[Family, ...]
    density: Any
    saturation: Any
    is_unknown: Any

    @classmethod
    def of(
        cls, rows: Any, density: Any, density_dq: Any, saturation: Any, saturation_dq: Any
    ) -> Traps:
        """Return the traps that reference files describe; the arrays are not changed."""
        xp = namespace_of(density, saturation)
        is_none = xp.isnan(density) | ((density_dq & DO_NOT_USE) != 0)
        return cls(
            # A few numbers, which the host computes with.
            tuple(Family(*map(float, row)) for row in rows.tolist()),
            xp.where(is_none, xp.zeros_like(density), density),
            xp.where(xp.isnan(saturation), xp.full_like(saturation, _NEVER_SATURATED), saturation),
            (saturation_dq & DO_NOT_USE) != 0,
        )

    def at(self, rows: slice) -> Traps:
        """Return the traps of some rows."""
        return Traps(
            self.families, self.density[rows], self.saturation[rows], self.is_unknown[rows]
        )


def subtract_released(
    data: Any, groupdq: Any, filled: Any, traps: Traps, timing: Timing, subtracted: Any = None
) -> Any:
    """Subtract what traps release from each group, and follow how many are filled; in place.

    Parameters
    ----------
    data : array, (ints, groups, y, x) float32
        In DN; changed.
    groupdq : array, (ints, groups, y, x) uint8
        Saturated groups and jumps.
    filled : array, (families, y, x) float32
        Filled traps when the exposure starts; changed to those when it ends.
    traps : Traps
    timing : Timing
    subtracted : array, (ints, groups, y, x) float32, optional
        Filled with what is subtracted, in DN.

    Returns
    -------
    array, (y, x) float64
        The most that is subtracted from any group, in DN.

    Notes
    -----
    As in release 1.13, a group loses all that was released since its integration began: samples up
    a ramp add up.
    """
    xp = namespace_of(data, groupdq, filled)
    ints, groups = data.shape[:2]
    most = xp.zeros(data.shape[2:], dtype=xp.float64)
    for integration in range(ints):
        samples, flags = data[integration], groupdq[integration]
        step = typical_step(samples, flags)
        released = xp.zeros(filled.shape, dtype=xp.float64)
        for group in range(groups):
            for k, family in enumerate(traps.families):
                if integration and not group:
                    filled[k] -= filled[k] * family.released(timing.later_resets * timing.frame)
                now = filled[k] * family.released(timing.group)
                released[k] += now
                filled[k] -= now
            total = xp.sum(released, axis=0)
            samples[group] -= total
            if subtracted is not None:
                subtracted[integration, group] = total
            most = xp.maximum(most, total)
        resets = timing.resets(integration)
        for k, family in enumerate(traps.families):
            filled[k] += captured(samples, flags, step, family, traps, timing, resets)
    return most


def typical_step(samples: Any, flags: Any) -> Any:
    """Return the mean step from group to group without the largest ones, those of jumps.

    As many of the largest steps are left out as groups are flagged as jumps or, after the first,
    as saturated.

    Parameters
    ----------
    samples : array, (groups, y, x) float32
    flags : array, (groups, y, x) uint8

    Returns
    -------
    array, (y, x) float32
        In DN; the sample itself where there is only one, 0 where no step is left.
    """
    xp = namespace_of(samples, flags)
    if samples.shape[0] == 1:
        return xp.array(samples[0])
    steps = samples[1:] - samples[:-1]
    is_saturated = (flags[1:] & SATURATED) != 0
    huge = max(2.0 * float(steps.max()), _LEAST_HUGE_STEP)
    steps = xp.sort(xp.where(is_saturated, xp.float32(huge), steps), axis=0)
    jumps = xp.sum((flags & JUMP_DET) != 0, axis=0)
    kept = steps.shape[0] - jumps - xp.sum(is_saturated, axis=0)
    total = xp.zeros_like(steps[0])
    for k in range(steps.shape[0]):  # in this order on every device
        total += xp.where(k < kept, steps[k], xp.float32(0))
    return total / xp.maximum(kept, 1).astype(xp.float32)


def captured(
    samples: Any, flags: Any, step: Any, family: Family, traps: Traps, timing: Timing, resets: int
) -> Any:
    """Return how many traps of a family an integration fills: by its ramp, saturation and jumps.

    Parameters
    ----------
    samples, flags : array, (groups, y, x)
        After the subtraction.
    step : array, (y, x)
        From `typical_step`, before the subtraction.
    family : Family
    traps : Traps
    timing : Timing
    resets : int
        Frames of reset before the integration.

    Returns
    -------
    array, (y, x)
    """
    xp = namespace_of(samples, flags, step)
    groups = samples.shape[0]
    limit = xp.where(traps.is_unknown, xp.float32(1.0), traps.saturation)
    rate = xp.where(traps.is_unknown, xp.float32(0.0), step / (limit * timing.group))
    is_above = (samples > traps.saturation) & ~traps.is_unknown
    n_above = xp.sum(is_above, axis=0)
    above = n_above * timing.group
    seconds = groups * timing.group + resets * timing.frame - above
    filled = _captured_by_ramp(rate, seconds, family, traps.density)

    # Where there was no ramp before, saturation fills the instantaneous traps.
    at_once = traps.density * family.instantaneous
    before = xp.where(n_above == groups, at_once, filled)
    empty = traps.density * family.exponential - (before - at_once)
    late = before + empty * (1.0 - xp.exp(-above * abs(family.capture_rate)))
    filled = xp.where(n_above > 0, late, filled)
    return filled + _captured_by_jumps(samples, flags, step, family, traps.density, timing)


def _captured_by_ramp(rate: Any, seconds: Any, family: Family, density: Any) -> Any:
    xp = namespace_of(rate, density)
    tau, p0, p2 = family.capture_time, family.exponential, family.instantaneous
    decayed = p0 * (seconds * tau + tau**2) * xp.exp(-seconds / tau)
    # Products: powers round otherwise on a GPU.
    shape = seconds * seconds * (p0 + p2) / 2.0 + decayed - p0 * tau**2
    return _GAIN_OF_TRAPS * density * (rate * rate) * shape


def _captured_by_jumps(
    samples: Any, flags: Any, step: Any, family: Family, density: Any, timing: Timing
) -> Any:
    """Return what jumps fill; each is taken to be in the middle of its group."""
    xp = namespace_of(samples, flags, step)
    groups = samples.shape[0]
    total = xp.zeros_like(density)
    for group in range(1, groups):
        is_jump = (flags[group] & JUMP_DET) != 0
        seconds = (groups - group - 0.5) * timing.group
        share = family.exponential * (1.0 - math.exp(-abs(family.capture_rate) * seconds))
        jump = xp.maximum(samples[group] - samples[group - 1] - step, 0.0)
        total += xp.where(is_jump, density * jump * (share + family.instantaneous), 0.0)
    return _GAIN_OF_TRAPS * total
