"""Flag jumps in the ramps, as cosmic rays leave them."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

import numpy as np

from jwgpu.errors import InputError
from jwgpu.kernels.jump import (
    JumpCount,
    JumpSettings,
    Surroundings,
    clip_jumps,
    find_full_groups,
    find_jumps,
    is_clipped,
)
from jwgpu.kernels.large_events import ShowerSettings, SnowballSettings
from jwgpu.kernels.moving_median import middle
from jwgpu.models.flags import DO_NOT_USE, JUMP_DET, NO_GAIN_VALUE
from jwgpu.models.ramp import Ramp
from jwgpu.models.stored_planes import StoredPlanes
from jwgpu.references.types import GainReference, ReadNoiseReference
from jwgpu.steps.base import ROWS, RampStep, SkipStep, param
from jwgpu.steps.division import Divisible
from jwgpu.steps.large_events import ShowerPass, SnowballPass

log = logging.getLogger(__name__)

#: Usable groups that the official package asks for in one process, whatever `minimum_groups` says.
MINIMUM_GROUPS = 3
#: Its count of cosmic rays where there are fewer: it goes into the keyword like any other.
NOT_SEARCHED = -99
#: Largest brightness of a shower that the official package uses, whatever `max_shower_amplitude`
#: says.
SHOWER_AMPLITUDE = 6
DEFAULT_SHOWER_AMPLITUDE = 4.0

#: Rows that are clipped at a time to see which groups have nothing but jumps; mostly it is seen in
#: the first ones that none have.
_FEW_ROWS = 4


class _Survey(NamedTuple):
    """What is to be known of an exposure before any of its jumps are searched.

    The groups, (ints, groups) bool, are those of `Surroundings`; None: see for yourself.
    """

    settings: JumpSettings
    is_unusable: Any = None
    is_full: Any = None


class JumpStep(RampStep):
    """Find cosmic-ray hits by the differences of successive groups."""

    class_alias = "jump"
    # Differences of all integrations share one median, and a jump is seen in the next row, too.
    cut = ROWS(1)
    has_survey = True
    # Neither sets nor clears DO_NOT_USE and SATURATED.
    is_unseen_by_surveys = True
    keeps_samples = True

    rejection_threshold: float = param(4.0, low=0, help="sigmas beyond which a jump is flagged")
    three_group_rejection_threshold: float = param(
        6.0, low=0, help="the same where only two differences are usable"
    )
    four_group_rejection_threshold: float = param(
        5.0, low=0, help="the same where only three differences are usable"
    )
    maximum_cores: str = param("1", help="accepted for compatibility; use --threads")
    flag_4_neighbors: bool = param(True, help="flag the pixels beside, above and below a jump too")
    max_jump_to_flag_neighbors: float = param(
        1000.0, help="sigmas from which on a jump leaves its neighbours alone"
    )
    min_jump_to_flag_neighbors: float = param(
        10.0, help="sigmas up to which a jump leaves its neighbours alone"
    )
    after_jump_flag_dn1: float = param(0.0, help="least jump (DN) for after_jump_flag_time1")
    after_jump_flag_time1: float = param(0.0, help="seconds to flag after such a jump")
    after_jump_flag_dn2: float = param(0.0, help="least jump (DN) for after_jump_flag_time2")
    after_jump_flag_time2: float = param(0.0, help="seconds to flag after such a jump")
    expand_large_events: bool = param(False, help="near-IR: find snowballs and flag around them")
    min_sat_area: float = param(1.0, help="snowballs: least area of the saturated core (pixels)")
    min_jump_area: float = param(5.0, help="snowballs: least area of jumps (pixels)")
    expand_factor: float = param(2.0, help="snowballs: how much larger the flagged area is")
    use_ellipses: bool = param(False, help="has no effect any more")
    sat_required_snowball: bool = param(True, help="snowballs: only with a saturated core")
    min_sat_radius_extend: float = param(
        2.5, help="snowballs: radius from which on the saturated core is widened (pixels)"
    )
    sat_expand: int = param(2, help="snowballs: by how much it is widened (pixels)")
    edge_size: int = param(
        25, help="snowballs: nearer to the detector's edge no saturated core is needed (pixels)"
    )
    mask_snowball_core_next_int: bool = param(
        True, help="snowballs: flag the cores in the next integration too"
    )
    snowball_time_masked_next_int: int = param(
        4000, help="snowballs: for so long in the next integration (seconds)"
    )
    find_showers: bool = param(False, help="MIRI: find showers and flag them")
    max_shower_amplitude: float = param(
        DEFAULT_SHOWER_AMPLITUDE, help="has no effect, as in the official step"
    )
    extend_snr_threshold: float = param(1.2, help="showers: least signal-to-noise ratio")
    extend_min_area: int = param(90, help="showers: least area, after smoothing (pixels)")
    extend_inner_radius: float = param(1.0, help="showers: inner radius of the smoothing ring")
    extend_outer_radius: float = param(2.6, help="showers: outer radius of the smoothing ring")
    extend_ellipse_expand_ratio: float = param(
        1.1, help="showers: how much larger the flagged ellipse is"
    )
    time_masked_after_shower: float = param(15.0, help="showers: seconds to flag afterwards")
    min_diffs_single_pass: int = param(
        10, help="usable differences from which on all jumps are found in one pass"
    )
    max_extended_radius: int = param(200, help="largest radius of a snowball or shower (pixels)")
    minimum_groups: int = param(3, help="without effect, as in the official step on one core")
    minimum_sigclip_groups: int = param(
        100, help="integrations (or groups) from which on differences are sigma-clipped instead"
    )
    only_use_ints: bool = param(
        True, help="sigma-clip each group over the integrations; if false, all groups together"
    )

    def applies_to(self, ramp: Ramp) -> None:
        """Refuse ramps without two differences.

        Groups count as evenly spaced, also where ``read_times`` say otherwise, as in jwst 3.0.

        Raises
        ------
        SkipStep
            If there are two groups or fewer.
        """
        n_groups = ramp.data.shape[1]
        if n_groups <= 2:
            raise SkipStep(f"{n_groups} groups are too few to find jumps")

    _count: JumpCount

    def passes(self, exposure: Ramp, **references: Any) -> list[Divisible]:
        """Return what goes over the exposure: the search for jumps, and those for large events."""
        del references
        found: list[Divisible] = [self]
        if self.expand_large_events:
            settings = self._snowball_settings(_required(exposure, "group_time", "TGROUP"))
            found.append(SnowballPass(settings, self._record_rates))
        if self.find_showers:
            if self.max_shower_amplitude != DEFAULT_SHOWER_AMPLITUDE:
                log.warning("max_shower_amplitude has no effect: it is always %g", SHOWER_AMPLITUDE)
            found.append(ShowerPass(lambda: self._shower_settings(exposure), self._record_rates))
        return found

    def correct(self, ramp: Ramp, gain: GainReference, readnoise: ReadNoiseReference) -> None:
        """Flag jumps in ``groupdq``, and pixels without a gain in ``pixeldq``.

        Parameters
        ----------
        ramp : Ramp
            Exposure; its samples are not changed.
        gain, readnoise : Reference

        Raises
        ------
        InputError
            If NFRAMES or TGROUP is missing.
        """
        self.correct_undivided(ramp, gain=gain, readnoise=readnoise)

    def survey(self, exposure: Ramp, **references: Any) -> _Survey:
        """Return the settings, and what is known of groups with no good pixel at all."""
        gain = references["gain"].data
        settings = self._settings(exposure, gain)
        flags = exposure.groupdq
        if not isinstance(flags, StoredPlanes):
            return _Survey(settings)
        is_unusable = flags.where_all_have(DO_NOT_USE)
        is_full = is_unusable
        if is_clipped(flags.shape, is_unusable, settings):
            is_full = _full_after_clipping(exposure, gain, is_unusable, settings)
        return _Survey(settings, is_unusable, is_full)

    def correct_part(
        self, part: Ramp, survey: _Survey, *, gain: GainReference, readnoise: ReadNoiseReference
    ) -> JumpCount:
        """Flag the jumps of some rows; see `correct`."""
        # As "not positive" NaN is included.
        has_none = (~(gain.data > 0)).astype(part.pixeldq.dtype)
        part.pixeldq |= has_none * (NO_GAIN_VALUE | DO_NOT_USE)
        around = None
        if part.part is not None:
            around = Surroundings(survey.is_unusable, survey.is_full, part.part.own_rows)
        arrays = (part.data, part.groupdq, gain.data, readnoise.data)
        return find_jumps(*arrays, survey.settings, around)

    def collect(self, collected: JumpCount | None, part: Ramp, found: JumpCount) -> JumpCount:
        """Add up the jumps of all parts."""
        del part
        if collected is None or collected.jumps is None or found.jumps is None:
            return found
        return JumpCount(collected.jumps + found.jumps, found.unusable_groups)

    def conclude(self, exposure: Ramp, survey: _Survey, collected: JumpCount) -> None:
        """Write the keywords, which are written again when large events are counted."""
        del survey
        self._count = collected
        if collected.jumps is None:
            log.warning("fewer than %d groups are usable: jumps are not searched", MINIMUM_GROUPS)
        else:
            log.info("%d samples have jumps, without neighbours", collected.jumps)
        if not (self.expand_large_events or self.find_showers):
            self._record_rates(exposure, 0)

    def _record_rates(self, exposure: Ramp, events: int) -> None:
        _record_rates(exposure, self._count, events, self.expand_large_events)

    def _snowball_settings(self, group_time: float) -> SnowballSettings:
        following = int(self.snowball_time_masked_next_int // group_time)
        return SnowballSettings(
            min_jump_area=self.min_jump_area,
            min_core_area=self.min_sat_area,
            needs_core=self.sat_required_snowball,
            edge_size=self.edge_size,
            expansion=self.expand_factor,
            min_core_size=self.min_sat_radius_extend,
            core_widening=2 * self.sat_expand,
            largest_axis=2 * self.max_extended_radius,
            following_groups=following if self.mask_snowball_core_next_int else 0,
        )

    def _shower_settings(self, ramp: Ramp) -> ShowerSettings:
        group_time = ramp.meta.exposure.group_time
        return ShowerSettings(
            frames_averaged=ramp.meta.exposure.nframes,
            threshold=self.extend_snr_threshold,
            min_area=self.extend_min_area,
            inner_radius=self.extend_inner_radius,
            # Quirk: the parameter is officially taken for the width of the ring.
            outer_radius=self.extend_inner_radius + self.extend_outer_radius,
            expansion=self.extend_ellipse_expand_ratio,
            following_groups=int(self.time_masked_after_shower // group_time),
            largest_axis=2 * self.max_extended_radius,
            # Quirk: meant in DN, it is officially compared with electrons.
            largest_change=SHOWER_AMPLITUDE * group_time,
            minimum_sigclip_groups=self.minimum_sigclip_groups,
            jumps_were_searched=self._count.jumps is not None,
        )

    def _settings(self, ramp: Ramp, gain: Any) -> JumpSettings:
        frames_averaged = _required(ramp, "nframes", "NFRAMES")
        group_time = _required(ramp, "group_time", "TGROUP")
        if self.minimum_groups != MINIMUM_GROUPS:
            log.warning("minimum_groups has no effect: it is always %d", MINIMUM_GROUPS)
        after = (
            int(self.after_jump_flag_time1 // group_time),
            int(self.after_jump_flag_time2 // group_time),
        )
        electrons = (0.0, 0.0)
        if max(after) > 0:
            typical_gain = _median(gain)
            electrons = (
                float(self.after_jump_flag_dn1 * typical_gain),
                float(self.after_jump_flag_dn2 * typical_gain),
            )
        return JumpSettings(
            frames_averaged=frames_averaged,
            rejection_threshold=self.rejection_threshold,
            four_group_threshold=self.four_group_rejection_threshold,
            three_group_threshold=self.three_group_rejection_threshold,
            min_diffs_single_pass=self.min_diffs_single_pass,
            minimum_groups=MINIMUM_GROUPS,
            minimum_sigclip_groups=self.minimum_sigclip_groups,
            only_use_ints=self.only_use_ints,
            flag_4_neighbors=self.flag_4_neighbors,
            min_jump_to_flag_neighbors=self.min_jump_to_flag_neighbors,
            max_jump_to_flag_neighbors=self.max_jump_to_flag_neighbors,
            after_jump_electrons=electrons,
            after_jump_groups=after,
        )


def _full_after_clipping(
    exposure: Ramp, gain: Any, is_unusable: Any, settings: JumpSettings
) -> Any:
    """Return, (ints, groups) bool, the groups that clipping leaves without a good pixel.

    The exposure is still in its file, the gain on the device.
    """
    send = exposure.storage.device.send
    is_full = is_unusable | True
    for first in range(0, exposure.image_shape[0], _FEW_ROWS):
        rows = slice(first, first + _FEW_ROWS)
        data, flags = (send(p.read(rows=rows)) for p in (exposure.data, exposure.groupdq))
        clip_jumps(data, flags, gain[rows], settings)
        is_full &= find_full_groups(flags, JUMP_DET | DO_NOT_USE)
        # Of groups that were all unusable before nothing is cleared.
        if not (is_full & ~is_unusable).any():
            break
    return is_full


def _where_all_have(groupdq: Any, flag: int) -> Any:
    """Return, (ints, groups) bool, in which images all pixels have a flag."""
    if isinstance(groupdq, StoredPlanes):
        return groupdq.where_all_have(flag)
    return find_full_groups(groupdq, flag)


def _required(ramp: Ramp, attribute: str, keyword: str) -> Any:
    value = getattr(ramp.meta.exposure, attribute)
    if not value:
        raise InputError(f"{ramp.meta.filename}: keyword {keyword} is missing: jump needs it")
    return value


def _median(gain: Any) -> Any:
    """Return the median gain as a float32 scalar; NaN if no pixel has one. Waits for the device."""
    return np.float32(float(middle(gain.reshape(-1))))


def _record_rates(ramp: Ramp, count: JumpCount, events: int, expands_cores: bool) -> None:
    """Write the rates of cosmic rays (per 1000 pixels and second) and large events (million)."""
    n_ints, n_groups, n_rows, n_columns = ramp.data.shape
    unusable_groups = count.unusable_groups
    if expands_cores and unusable_groups:
        # Quirk: widened cores lose DO_NOT_USE, and their groups count as usable here.
        unusable_groups = int(_where_all_have(ramp.groupdq, DO_NOT_USE).sum())
    n_differences = n_ints * (n_groups - 1) - unusable_groups
    if n_differences < 1:
        return
    pixel_seconds = ramp.meta.exposure.group_time * n_differences * n_rows * n_columns
    jumps = NOT_SEARCHED if count.jumps is None else count.jumps
    ramp.meta.exposure.primary_cosmic_rays = 1000 * jumps / pixel_seconds
    ramp.meta.exposure.extended_emission_events = 1e6 * events / pixel_seconds
