"""Flag, or subtract, what earlier light left behind in a detector."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from jwgpu.backends import namespace_of
from jwgpu.errors import ParameterError
from jwgpu.kernels.traps import Timing, Traps, subtract_released
from jwgpu.models import trap_files
from jwgpu.models.flags import DO_NOT_USE, PERSISTENCE, SATURATED
from jwgpu.models.ramp import Ramp
from jwgpu.references.types import (
    PersistenceSaturationReference,
    TrapDensityReference,
    TrapParametersReference,
)
from jwgpu.runner.parts import put_together
from jwgpu.steps.base import ROWS, RampStep, SkipStep, param
from jwgpu.steps.division import Divisible

log = logging.getLogger(__name__)

_SECONDS_PER_DAY = 86400.0
_UNIX_EPOCH = 40587.0  # as a Modified Julian Date

#: Rows that are followed at a time, so that scratch is small beside the exposure.
_ROWS = 64

#: Memory of what is subtracted, as a share of samples and flags.
_SUBTRACTED = 0.8

_TRAP_INSTRUMENTS = ("FGS", "NIRCAM", "NIRISS")


class _Filled(NamedTuple):
    """The traps of an exposure.

    Attributes
    ----------
    traps : Traps
    everywhere : ndarray, (families, y, x) float32
        The filled ones in all of the detector, on the host.
    place : (slice, slice)
        Where in it the exposure is.
    filled : array, (families, y, x) float32
        The filled ones where the exposure is: before it, and afterwards.
    """

    traps: Traps
    everywhere: Any
    place: tuple[slice, slice]
    filled: Any


class PersistenceStep(RampStep):
    """Flag the groups for some time after a pixel was saturated, or model the charge traps.

    The windows are those of release 3.0. The traps are the model of releases before it, which the
    documents describe: ``model=traps``, or an ``input_trapsfilled``, asks for it.
    """

    class_alias = "persistence"
    # Each pixel is on its own, and goes through all integrations.
    cut = ROWS(0)

    save_persistence: str | None = param(
        None, help="ASDF file for the windows; with traps, true saves what is subtracted"
    )
    persistence_time: int | None = param(None, help="Seconds that a window lasts")
    dn_threshold: float | None = param(None, help="Samples above this, in DN, open a window too")
    persistence_array_file: str | None = param(
        None, help="ASDF file of windows that an earlier exposure opened"
    )
    persistence_dnu: bool = param(False, help="Flag the groups as DO_NOT_USE too")
    skip: bool = param(True, help="Skip this step")
    model: str = param(
        "window", options=("window", "traps"), help="Flag windows of time, or follow charge traps"
    )
    input_trapsfilled: str | None = param(
        None, help="Filled traps that the last exposure of the detector left (traps)"
    )
    flag_pers_cutoff: float = param(
        40.0, help="Flag pixels that lose this much or more to traps, in DN (traps)"
    )
    save_trapsfilled: bool = param(True, help="Save the filled traps (traps)")

    @property
    def follows_traps(self) -> bool:
        """Whether the older model is asked for."""
        return self.model == "traps" or self._trapsfilled is not None

    @property
    def _trapsfilled(self) -> str | None:
        return None if self.input_trapsfilled in (None, "", "None") else self.input_trapsfilled

    @property
    def has_window(self) -> bool:
        """Whether it is said how long a window lasts."""
        return self.persistence_time is not None and self.persistence_time > 0

    def needed_references(self, meta: Any, shape: tuple[int, ...] = ()) -> dict[str, type]:
        """Return the three references of the traps; the windows need none."""
        return super().needed_references(meta, shape) if self.follows_traps else {}

    def applies_to(self, exposure: Ramp) -> None:
        """Raise `SkipStep` where there are no references of traps."""
        if self.follows_traps and exposure.meta.instrument.name not in _TRAP_INSTRUMENTS:
            raise SkipStep(f"{exposure.meta.instrument.name} has no references of charge traps")

    def set_status(self, exposure: Any, status: str) -> None:
        """Record the status; without a time for the windows that is FAILED, as in release 3.0."""
        has_failed = status == "COMPLETE" and not self.follows_traps and not self.has_window
        super().set_status(exposure, "FAILED" if has_failed else status)

    def correct(
        self,
        ramp: Ramp,
        trapdensity: TrapDensityReference | None = None,
        trappars: TrapParametersReference | None = None,
        persat: PersistenceSaturationReference | None = None,
    ) -> None:
        """Flag the groups in the windows, or subtract what the traps release.

        Parameters
        ----------
        ramp : Ramp
            Exposure; ``groupdq`` is changed, with traps ``data`` and ``pixeldq``.
        trapdensity, trappars, persat : reference, optional
            Of the traps.
        """
        references = {"trapdensity": trapdensity, "trappars": trappars, "persat": persat}
        self.correct_undivided(ramp, **references)

    def passes(self, exposure: Ramp, **references: Any) -> list[Divisible]:
        """Return what goes over the exposure: windows or traps."""
        del exposure, references
        return [_TrapPass(self) if self.follows_traps else _WindowPass(self)]

    def flag(self, part: Ramp, ends: Any) -> None:
        """Flag the groups in the windows of some rows, whose ends are those before, and change."""
        assert self.persistence_time is not None
        flag = PERSISTENCE | (DO_NOT_USE if self.persistence_dnu else 0)
        flag_windows(
            part.data[:, :, part.own_rows], part.groupdq[:, :, part.own_rows], ends,
            starts_of(part), float(part.meta.exposure.group_time), self.persistence_time,
            self.dn_threshold, flag,
        )  # fmt: skip

    def windows_at_start(self, ramp: Ramp) -> Any:
        """Return when the windows end that earlier exposures have opened: (y, x) float64, in s."""
        xp = self.session.device.xp
        if self.persistence_array_file is not None:
            detector = str(ramp.meta.instrument.detector)
            found = trap_files.read_windows(
                self.persistence_array_file, detector, self.persistence_time, ramp.image_shape
            )
            if found is not None:
                return xp.asarray(found)
        return xp.zeros(ramp.image_shape, dtype=xp.float64)

    def save_windows(self, ramp: Ramp, ends: Any) -> None:
        """Save when the windows end, if that is asked for."""
        if self.save_persistence is not None:
            on_host = self.session.device.fetch(ends)
            trap_files.write_windows(
                self.save_persistence, ramp.meta, on_host, self.persistence_time
            )

    def save_traps(self, ramp: Ramp, before: _Filled, subtracted: Any) -> None:
        """Save the filled traps, and what was subtracted."""
        fetch = self.session.device.fetch
        if self.save_trapsfilled or self.save_results:
            before.everywhere[(slice(None), *before.place)] = fetch(before.filled)
            self.save_model(
                trap_files.trapsfilled_model(ramp, before.everywhere), "trapsfilled", force=True
            )
        if subtracted is not None:
            product = trap_files.subtracted_model(ramp, subtracted)
            self.save_model(product, "output_pers", force=True)

    @property
    def saves_subtracted(self) -> bool:
        """Whether what the traps release is a product."""
        return str(self.save_persistence).lower() not in ("none", "false", "")

    def filled_at_start(
        self, ramp: Ramp, traps: Traps, timing: Timing
    ) -> tuple[Any, tuple[slice, slice]]:
        """Return the filled traps of the whole detector, and the place of the exposure in them.

        Where the exposure is, they are those at its start; elsewhere those at its end: nothing is
        captured there.
        """
        families = len(traps.families)
        place = _place(ramp)
        if self._trapsfilled is None:
            return trap_files.empty_traps(ramp, families), place
        path = self.make_input_path(self._trapsfilled)
        filled, end = trap_files.read_trapsfilled(str(path), families)
        if any(part.stop > size for part, size in zip(place, filled.shape[1:], strict=True)):
            raise ParameterError(
                f"input_trapsfilled: {path} has the shape {filled.shape}, which does not cover "
                f"{ramp.meta.filename}: give that of a whole detector"
            )
        before = (ramp.meta.exposure.start_time - end) * _SECONDS_PER_DAY
        during = timing.seconds(*ramp.data.shape[:2])
        for k, family in enumerate(traps.families):
            filled[k] -= filled[k] * family.released(before)
            inside = filled[(k, *place)].copy()
            filled[k] -= filled[k] * family.released(during)
            filled[(k, *place)] = inside
        return filled, place


class _WindowPass(Divisible):
    """The windows of some rows."""

    cut = ROWS(0)
    keeps_samples = True

    def __init__(self, step: PersistenceStep) -> None:
        self._step = step

    def survey(self, *exposure: Ramp, **references: Any) -> Any:
        """Return when the windows end: (y, x) float64, which the parts change."""
        del references
        if not self._step.has_window:
            log.warning("persistence: persistence_time must be given, in seconds: nothing is done")
            return None
        return self._step.windows_at_start(*exposure)

    def correct_part(self, part: Ramp, survey: Any, **references: Any) -> Any:
        """Flag the windows of some rows; return when all of them end."""
        del references
        if survey is not None:
            self._step.flag(part, survey[part.rows])
        return survey

    def collect(self, collected: Any, part: Ramp, found: Any) -> Any:
        """Return when the windows end; the parts have changed them in place."""
        del collected, part
        return found

    def conclude(self, exposure: Ramp, survey: Any, collected: Any) -> None:
        """Save when they end."""
        del survey
        if collected is not None:
            self._step.save_windows(exposure, collected)


class _TrapPass(Divisible):
    """The traps of some rows."""

    cut = ROWS(0)

    def __init__(self, step: PersistenceStep) -> None:
        self._step = step

    def saves(self, exposure: Ramp) -> bool:
        """Return whether traps, or what they release, are saved."""
        del exposure
        return self._step.save_trapsfilled or self._step.saves_subtracted

    def memory_beside(self, exposure: Ramp) -> float:
        """Return the memory that a part takes beside itself, as a share of that."""
        del exposure
        return _SUBTRACTED if self._step.saves_subtracted else 0.0

    def survey(self, *exposure: Ramp, **references: Any) -> _Filled:
        """Return the traps at the start of the exposure."""
        density, rows, persat = (references[n] for n in ("trapdensity", "trappars", "persat"))
        if density is None or rows is None or persat is None:
            raise SkipStep("a TRAPDENSITY, TRAPPARS or PERSAT reference is N/A")
        traps = Traps.of(rows.rows, density.data, density.dq, persat.data, persat.dq)
        (ramp,) = exposure
        everywhere, place = self._step.filled_at_start(ramp, traps, _timing(ramp.meta))
        # Contiguous, and not part of the other: changed in place.
        filled = self._step.session.device.send(everywhere[(slice(None), *place)].copy())
        return _Filled(traps, everywhere, place, filled)

    def correct_part(self, part: Ramp, survey: _Filled, **references: Any) -> Any:
        """Correct some rows; return what was subtracted from them, if that is asked for."""
        del references
        xp = namespace_of(part.data)
        saves = self._step.saves_subtracted
        subtracted = xp.zeros_like(part.data) if saves else None
        offset = part.rows.start - (part.own_rows.start or 0)
        own = range(*part.own_rows.indices(part.image_shape[0]))
        for first in own[::_ROWS]:
            rows = slice(first, min(first + _ROWS, own.stop))
            there = slice(rows.start + offset, rows.stop + offset)
            most = subtract_released(
                part.data[:, :, rows],
                part.groupdq[:, :, rows],
                survey.filled[:, there],
                survey.traps.at(there),
                _timing(part.meta),
                None if subtracted is None else subtracted[:, :, rows],
            )
            is_much = xp.asarray(most >= self._step.flag_pers_cutoff, dtype=part.pixeldq.dtype)
            part.pixeldq[rows] |= is_much * PERSISTENCE
        return subtracted

    def collect(self, collected: Any, part: Ramp, found: Any) -> Any:
        """Put together what was subtracted."""
        return None if found is None else put_together(collected, part, found)

    def conclude(self, exposure: Ramp, survey: _Filled, collected: Any) -> None:
        """Save the traps, and what was subtracted."""
        if collected is not None and exposure.storage is None:
            collected = self._step.session.device.fetch(collected)
        self._step.save_traps(exposure, survey, collected)


def flag_windows(
    data: Any, groupdq: Any, ends: Any, starts: list[float], group_time: float, length: float,
    threshold: float | None, flag: int,
) -> None:  # fmt: skip
    """Flag groups within a time after a pixel was first saturated, in place.

    Parameters
    ----------
    data : array, (ints, groups, y, x) float32
        In DN.
    groupdq : array, (ints, groups, y, x) uint8
        Changed.
    ends : array, (y, x) float64
        When the window of each pixel ends, in seconds; 0 where there is none; changed.
    starts : list of float
        Start of each integration, in seconds.
    group_time, length : float
        Seconds from group to group, and of a window.
    threshold : float, optional
        A sample above this, in DN, opens a window where there is none.
    flag : int
        What to set.

    Notes
    -----
    As in release 3.0, a pixel that was saturated in one group of an integration, and in no other
    after it, opens its window anew with every group that follows.
    """
    xp = namespace_of(data, groupdq, ends)
    mark = xp.asarray(flag, dtype=groupdq.dtype)
    for integration, start in enumerate(starts):
        saturated = xp.zeros(ends.shape, dtype=xp.uint32)
        now = start
        for group in range(data.shape[1]):
            now = now + group_time
            end = now + length
            flags = groupdq[integration, group]
            saturated += (flags & SATURATED) != 0
            kept = xp.where(ends < now, 0.0, ends)
            kept = xp.where(saturated == 1, end, kept)
            if threshold is not None:
                is_bright = (data[integration, group] > threshold) & (kept <= 0.0)
                kept = xp.where(is_bright, end, kept)
            # A window that ends later than one that opens now was opened by a later exposure.
            kept = xp.where(kept - end > 0.0, 0.0, kept)
            ends[...] = kept
            flags |= (kept > 0.0) * mark


def starts_of(ramp: Ramp) -> list[float]:
    """Return when each integration starts, in seconds since 1970."""
    exposure = ramp.meta.exposure
    times: Any = ramp.model.int_times if "int_times" in ramp.model.instance else ()
    known = 0 if times is None else len(times)
    starts = []
    for integration in range(ramp.data.shape[0]):
        if integration < known:
            day = float(times[integration]["int_start_MJD_UTC"])
            starts.append((day - _UNIX_EPOCH) * _SECONDS_PER_DAY)
        else:
            start = (exposure.start_time - _UNIX_EPOCH) * _SECONDS_PER_DAY
            starts.append(start + integration * exposure.integration_time)
    return starts


def _timing(meta: Any) -> Timing:
    first, later = meta.exposure.nresets_at_start, meta.exposure.nresets_between_ints
    return Timing(
        float(meta.exposure.frame_time),
        float(meta.exposure.group_time),
        1 if first is None else int(first),
        1 if later is None else int(later),
    )


def _place(ramp: Ramp) -> tuple[slice, slice]:
    x, y = ramp.meta.subarray.xstart - 1, ramp.meta.subarray.ystart - 1
    rows, columns = ramp.image_shape
    return slice(y, y + rows), slice(x, x + columns)
