"""Fit count rates to the ramps."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from jwgpu.backends import namespace_of
from jwgpu.errors import InputError
from jwgpu.kernels.likelihood_fit import LEAST_GROUPS, fit_ramps_by_likelihood
from jwgpu.kernels.ramp_fit import Fit, Segments, Timing, fit_ramps
from jwgpu.models import reading, writing
from jwgpu.models.flags import DO_NOT_USE, SATURATED
from jwgpu.models.ramp import Ramp
from jwgpu.models.rates import RampFitOutput, Rates
from jwgpu.models.stored_planes import FirstGroups, StoredPlanes
from jwgpu.references.types import GainReference, ReadNoiseReference
from jwgpu.runner.parts import put_together
from jwgpu.steps.base import ROWS, RampStep, param
from jwgpu.steps.readout import refuse_special_readout

log = logging.getLogger(__name__)

#: Pixels, of all integrations, whose flags are looked at together: one full frame.
_PIXELS_AT_A_TIME = 1 << 22


class _Survey(NamedTuple):
    """How an exposure is fitted, all of its rows alike.

    Attributes
    ----------
    by_likelihood : bool
    selected : range
        Groups that the user wants.
    groups : (int, int)
        For least squares: the first group to fit and the one after the last.
    """

    by_likelihood: bool
    selected: range
    groups: tuple[int, int] = (0, 0)


class _Found(NamedTuple):
    """The rates (two `Fit`) of some rows, or of all, and what `save_opt` asks for."""

    rate: Any
    rateints: Any
    segments: Any = None
    chi_square: Any = None
    n_segments: int = 0
    n_jumps: int = 0


class RampFitStep(RampStep):
    """Fit a count rate to each ramp, and combine those of all integrations."""

    class_alias = "ramp_fit"
    cut = ROWS(0)
    # Groups that no pixel may use are left out first, and that takes all pixels to see.
    has_survey = True
    consumes_ramps = True

    algorithm: str = param(
        "OLS_C", options=("OLS_C", "LIKELY"), help="least squares, or maximum likelihood"
    )
    int_name: str = param("", help="without effect, as in the official step")
    save_opt: bool = param(False, help="also save the fit of every segment (fitopt)")
    opt_name: str = param("", help="name of that product; the exposure's if not given")
    suppress_one_group: bool = param(True, help="give no rate where a ramp has a single good group")
    firstgroup: int | None = param(None, help="ignore the groups before this one; 0 is the first")
    lastgroup: int | None = param(None, help="ignore the groups after this one; 0 is the first")
    maximum_cores: str = param("1", help="accepted for compatibility; use --threads")

    def applies_to(self, ramp: Ramp) -> None:
        """Refuse the readouts that are not there yet.

        Raises
        ------
        NotYetError
            If the readout is a special one.
        """
        refuse_special_readout(self.class_alias, ramp)

    def stands_alone(self, exposure: Ramp) -> bool:
        """Return whether the number of segments counts, to which no rows around may add."""
        return self.save_opt or super().stands_alone(exposure)

    def correct(
        self, ramp: Ramp, readnoise: ReadNoiseReference, gain: GainReference
    ) -> tuple[Rates, Rates]:
        """Fit the ramps; with `save_opt`, save every segment, or chi-square of the likelihood fit.

        Parameters
        ----------
        ramp : Ramp
            Exposure; groups outside `firstgroup` and `lastgroup` get DO_NOT_USE.
        readnoise, gain : Reference

        Returns
        -------
        rate, rateints : Rates
            Of the exposure, and of each integration.

        Raises
        ------
        InputError
            If a keyword of the timing is missing, or no pixel has a group to fit.
        """
        result: tuple[Rates, Rates] = self.correct_undivided(ramp, readnoise=readnoise, gain=gain)
        return result

    def survey(self, exposure: Ramp, **references: Any) -> _Survey:
        """Return how to fit, and which groups.

        Raises
        ------
        InputError
            If no pixel has a group to fit.
        """
        del references
        selected = self._selected_groups(exposure)
        if self._uses_likelihood(exposure):
            return _Survey(True, selected)
        groups = _usable_groups(exposure, selected)
        if _all_have(exposure, groups[0], SATURATED):
            raise InputError(
                f"{exposure.meta.filename}: all pixels are saturated in the first group of every "
                "integration, so that there is no rate to fit; check the saturation reference"
            )
        return _Survey(False, selected, groups)

    def correct_part(
        self, part: Ramp, survey: _Survey, *, readnoise: ReadNoiseReference, gain: GainReference
    ) -> _Found:
        """Fit some rows; see `correct`."""
        if gain.gain_factor is not None:
            part.meta.exposure.gain_factor = gain.gain_factor
        part.groupdq[:, : survey.selected.start, ...] |= DO_NOT_USE
        part.groupdq[:, survey.selected.stop :, ...] |= DO_NOT_USE
        if survey.by_likelihood:
            return self._fit_by_likelihood(part, readnoise, gain)
        rate, rateints, segments = fit_ramps(
            part.data,
            part.groupdq,
            part.pixeldq,
            gain.data,
            readnoise.data,
            _timing(part),
            groups=survey.groups,
            zeroframe=part.zeroframe,
            average_dark_current=part.average_dark_current,
            suppress_one_group=self.suppress_one_group,
            save_segments=self.save_opt,
            is_last_use=part.is_expendable,
        )
        return _Found(rate, rateints, segments)

    def collect(self, collected: _Found | None, part: Ramp, found: _Found) -> _Found:
        """Put the rates of a part into those of the exposure."""
        if part.part is None:
            return found
        before = collected or _Found(None, None)

        def together(whole: Any, piece: Any, n_groups: int | None = None) -> Any:
            if piece is None:
                return None
            wholes = whole or [None] * len(piece)
            pairs = zip(wholes, piece, strict=True)
            found = [put_together(one, part, values, n_groups) for one, values in pairs]
            return type(piece)._make(found)

        chi_square, segments = found.chi_square, found.segments
        return _Found(
            together(before.rate, found.rate),
            together(before.rateints, found.rateints),
            # There cannot be more of them than groups.
            together(before.segments, segments, part.part.shape[1]),
            None if chi_square is None else put_together(before.chi_square, part, chi_square),
            max(before.n_segments, 0 if segments is None else segments.slope.shape[1]),
            max(before.n_jumps, 0 if segments is None else segments.crmag.shape[1]),
        )

    def conclude(self, exposure: Ramp, survey: _Survey, collected: _Found) -> tuple[Rates, Rates]:
        """Return the products, and save what `save_opt` asks for."""
        del survey
        name = self.opt_name or exposure.meta.filename
        if collected.segments is not None:
            segments = RampFitOutput(**_trimmed(collected)._asdict())
            output = writing.fitopt_model(exposure, self.session.fetch(segments))
            self.save_model(output, "fitopt", output_file=name)
        if collected.chi_square is not None:
            chi_square = self.session.fetch(collected.chi_square)
            output = writing.chi_square_model(exposure, chi_square)
            self.save_model(output, "likely_chisq", output_file=name)
        return self._described(exposure, collected.rate, collected.rateints)

    def close(self, result: Any) -> Any:
        """Return the rates as official data models, or the ramp if the step was skipped."""
        if isinstance(result, Ramp):
            return self.as_model(result)
        return tuple(writing.model_of_rates(rates) for rates in result)

    def reopen(self, models: Any) -> Any:
        """Return the rates that `close` made models of."""
        if isinstance(models, tuple):
            return tuple(reading.rates_of(model) for model in models)
        return self.open(models)

    def _uses_likelihood(self, ramp: Ramp) -> bool:
        """Return whether to fit by likelihood: if asked for, or if the groups are uneven in time.

        As officially, least squares are used for short ramps even so.
        """
        is_uneven = bool(_explicit_read_times(ramp))
        if self.algorithm != "LIKELY" and not is_uneven:
            return False
        if ramp.data.shape[1] < LEAST_GROUPS:
            log.info("too few groups for a maximum-likelihood fit: least squares are used")
            return False
        if self.algorithm != "LIKELY":
            log.warning("the groups are unevenly spaced: they are fitted by maximum likelihood")
        return True

    def _fit_by_likelihood(
        self, ramp: Ramp, readnoise: ReadNoiseReference, gain: GainReference
    ) -> _Found:
        """Fit by likelihood; the jumps that are found are flagged in `ramp`.

        `suppress_one_group` is without effect, and so are the special cases of least squares:
        MIRI's unusable first and last groups, and pixels that are all saturated from the start.
        """
        times = _read_times(ramp)
        if ramp.zeroframe is not None and len(times[0]) < 2:
            log.warning("the zero frame is ignored: it is all that is in the first group")
        rate, rateints, chi_square = fit_ramps_by_likelihood(
            ramp.data,
            ramp.groupdq,
            ramp.pixeldq,
            gain.data,
            readnoise.data,
            times,
            zeroframe=ramp.zeroframe,
            average_dark_current=ramp.average_dark_current,
            save_chi_square=self.save_opt,
        )
        return _Found(rate, rateints, chi_square=chi_square)

    def _described(self, ramp: Ramp, rate: Fit, rateints: Fit) -> tuple[Rates, Rates]:
        """Return both products with their metadata."""
        result = Rates(**rate._asdict()), Rates(**rateints._asdict())
        writing.describe_rate(ramp, result[0])
        writing.describe_rateints(ramp, result[1])
        for product in result:
            self.set_status(product, "COMPLETE")
        return result

    def _selected_groups(self, ramp: Ramp) -> range:
        """Return the groups from `firstgroup` to `lastgroup`."""
        n_groups = ramp.data.shape[1]
        first = 0 if self.firstgroup is None else self.firstgroup
        last = n_groups - 1 if self.lastgroup is None else self.lastgroup
        if first < 0:
            log.warning("firstgroup %d is taken as 0", first)
            first = 0
        if last >= n_groups and self.lastgroup is not None:
            log.warning("lastgroup %d is beyond the last group, %d", last, n_groups - 1)
        if first >= last and n_groups > 1:
            log.warning("firstgroup %d is not before lastgroup %d: both are ignored", first, last)
        return range(n_groups) if first >= last else range(first, min(last + 1, n_groups))


def _trimmed(found: _Found) -> Segments:
    """Return the segments, without those that no ramp has where they were put together."""
    segments: Segments = found.segments
    if not isinstance(segments.slope, StoredPlanes):
        return segments
    trimmed = {
        name: FirstGroups(planes, found.n_jumps if name == "crmag" else found.n_segments)
        for name, planes in segments._asdict().items()
        if name != "pedestal"
    }
    return segments._replace(**trimmed)


def _usable_groups(ramp: Ramp, selected: range) -> tuple[int, int]:
    """Return the first group to fit and the one after the last.

    For MIRI, groups at the start that no pixel of any integration may use are left out, and the
    last one alike; the other instruments' are fitted as they are.

    Raises
    ------
    InputError
        If fewer than two groups remain.
    """
    first, stop = 0, ramp.data.shape[1]
    if ramp.meta.instrument.name != "MIRI" or stop == 1:
        return first, stop

    def is_unusable(group: int) -> bool:
        return group not in selected or _all_have(ramp, group, DO_NOT_USE)

    while first < stop and is_unusable(first):
        first += 1
    if first < stop and is_unusable(stop - 1):
        stop -= 1
    if stop - first < 2:
        raise InputError(
            f"{ramp.meta.filename}: {stop - first} of its {ramp.data.shape[1]} groups can be used "
            "and a MIRI ramp needs two; skip firstframe, lastframe or rscd, or take more groups"
        )
    return first, stop


def _all_have(ramp: Ramp, group: int, flag: int) -> bool:
    """Return whether all pixels of all integrations have `flag` in `group`."""
    if isinstance(ramp.groupdq, StoredPlanes):
        return all(ramp.groupdq.all_have(i, group, flag) for i in range(ramp.groupdq.shape[0]))
    xp = namespace_of(ramp.groupdq)
    # A few integrations at a time: the first good pixels end the search, and memory stays small.
    step = max(1, _PIXELS_AT_A_TIME // max(1, ramp.pixeldq.size))
    return all(
        bool(xp.all((ramp.groupdq[first : first + step, group, ...] & flag) != 0))
        for first in range(0, ramp.groupdq.shape[0], step)
    )


def _timing(ramp: Ramp) -> Timing:
    """Return the readout's timing, from the keywords TGROUP, TFRAME, NFRAMES, GROUPGAP, DRPFRMS1.

    Raises
    ------
    InputError
        If one but the last is missing.
    """
    exposure = ramp.meta.exposure
    values = (exposure.group_time, exposure.frame_time, exposure.nframes, exposure.groupgap)
    names = ("TGROUP", "TFRAME", "NFRAMES", "GROUPGAP")
    missing = [name for name, value in zip(names, values, strict=True) if value is None]
    if missing:
        raise InputError(
            f"{ramp.meta.filename}: lacks the keywords {', '.join(missing)}, which ramp_fit needs; "
            "restore them from the archive"
        )
    return Timing(*values, drop_frames=exposure.drop_frames1 or 0)


def _explicit_read_times(ramp: Ramp) -> list[list[float]]:
    """Return when the frames of each group were read, in s; empty if that is not said."""
    times = getattr(ramp.meta.exposure, "read_times", None)
    return [[float(time) for time in group] for group in times] if times is not None else []


def _read_times(ramp: Ramp) -> list[list[float]]:
    """Return when the frames of each group were read, in s: as said, or from the timing.

    Raises
    ------
    InputError
        If there are times for another number of groups, or a keyword of the timing is missing.
    """
    n_groups = ramp.data.shape[1]
    times = _explicit_read_times(ramp)
    if times and len(times) != n_groups:
        raise InputError(
            f"{ramp.meta.filename}: has {n_groups} groups but read times for {len(times)}; "
            "make the exposure again from its uncal file"
        )
    if times:
        return times
    timing = _timing(ramp)
    frames_per_group = timing.nframes + timing.groupgap
    return [
        [
            (group * frames_per_group + frame) * timing.frame_time
            for frame in range(1, timing.nframes + 1)
        ]
        for group in range(n_groups)
    ]
