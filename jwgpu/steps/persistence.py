"""Flag, or subtract, what earlier light left behind in a detector."""

from __future__ import annotations

import logging
from typing import Any

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
from jwgpu.steps.base import WHOLE, RampStep, SkipStep, param

log = logging.getLogger(__name__)

_SECONDS_PER_DAY = 86400.0
_UNIX_EPOCH = 40587.0  # as a Modified Julian Date

#: Rows that are followed at a time, so that scratch is small beside the exposure.
_ROWS = 64

_TRAP_INSTRUMENTS = ("FGS", "NIRCAM", "NIRISS")


class PersistenceStep(RampStep):
    """Flag the groups for some time after a pixel was saturated, or model the charge traps.

    The windows are those of release 3.0. The traps are the model of releases before it, which the
    documents describe: ``model=traps``, or an ``input_trapsfilled``, asks for it.
    """

    class_alias = "persistence"
    cut = WHOLE

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
    def _has_window(self) -> bool:
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
        has_failed = status == "COMPLETE" and not self.follows_traps and not self._has_window
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
        if not self.follows_traps:
            self._flag_windows(ramp)
            return
        if trapdensity is None or trappars is None or persat is None:
            raise SkipStep("a TRAPDENSITY, TRAPPARS or PERSAT reference is N/A")
        traps = Traps.of(trappars.rows, trapdensity.data, trapdensity.dq, persat.data, persat.dq)
        self._subtract_released(ramp, traps)

    # -- windows ------------------------------------------------------------------------------

    def _flag_windows(self, ramp: Ramp) -> None:
        if not self._has_window:
            log.warning("persistence: persistence_time must be given, in seconds: nothing is done")
            return
        xp = namespace_of(ramp.data)
        ends = xp.zeros(ramp.image_shape, dtype=xp.float64)
        if self.persistence_array_file is not None:
            detector = str(ramp.meta.instrument.detector)
            found = trap_files.read_windows(
                self.persistence_array_file, detector, self.persistence_time, ramp.image_shape
            )
            ends = ends if found is None else xp.asarray(found)
        assert self.persistence_time is not None
        flag = PERSISTENCE | (DO_NOT_USE if self.persistence_dnu else 0)
        flag_windows(
            ramp.data, ramp.groupdq, ends, starts_of(ramp), float(ramp.meta.exposure.group_time),
            self.persistence_time, self.dn_threshold, flag,
        )  # fmt: skip
        if self.save_persistence is not None:
            on_host = self.session.device.fetch(ends)
            trap_files.write_windows(
                self.save_persistence, ramp.meta, on_host, self.persistence_time
            )

    # -- traps --------------------------------------------------------------------------------

    def _subtract_released(self, ramp: Ramp, traps: Traps) -> None:
        xp = namespace_of(ramp.data)
        timing = _timing(ramp.meta)
        everywhere, place = self._filled_at_start(ramp, traps, timing)
        filled = xp.asarray(everywhere[(slice(None), *place)])
        subtracted = xp.zeros_like(ramp.data) if self._saves_subtracted else None
        for first in range(0, ramp.data.shape[2], _ROWS):
            rows = slice(first, first + _ROWS)
            most = subtract_released(
                ramp.data[:, :, rows],
                ramp.groupdq[:, :, rows],
                filled[:, rows],
                traps.at(rows),
                timing,
                None if subtracted is None else subtracted[:, :, rows],
            )
            is_much = xp.asarray(most >= self.flag_pers_cutoff, dtype=ramp.pixeldq.dtype)
            ramp.pixeldq[rows] |= is_much * PERSISTENCE
        fetch = self.session.device.fetch
        if self.save_trapsfilled or self.save_results:
            everywhere[(slice(None), *place)] = fetch(filled)
            self.save_model(
                trap_files.trapsfilled_model(ramp, everywhere), "trapsfilled", force=True
            )
        if subtracted is not None:
            product = trap_files.subtracted_model(ramp, fetch(subtracted))
            self.save_model(product, "output_pers", force=True)

    @property
    def _saves_subtracted(self) -> bool:
        return str(self.save_persistence).lower() not in ("none", "false", "")

    def _filled_at_start(
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
