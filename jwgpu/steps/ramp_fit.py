"""Fit count rates to the ramps."""

from __future__ import annotations

import logging
from typing import Any

from jwgpu.backends import namespace_of
from jwgpu.errors import InputError
from jwgpu.kernels.likelihood_fit import LEAST_GROUPS, fit_ramps_by_likelihood
from jwgpu.kernels.ramp_fit import Fit, Timing, fit_ramps
from jwgpu.models import reading, writing
from jwgpu.models.flags import DO_NOT_USE, SATURATED
from jwgpu.models.ramp import Ramp
from jwgpu.models.rates import RampFitOutput, Rates
from jwgpu.references.types import GainReference, ReadNoiseReference
from jwgpu.steps.base import WHOLE, RampStep, param
from jwgpu.steps.readout import refuse_special_readout

log = logging.getLogger(__name__)


class RampFitStep(RampStep):
    """Fit a count rate to each ramp, and combine those of all integrations."""

    class_alias = "ramp_fit"
    # Groups that no pixel may use are left out first, and that takes all pixels to see.
    cut = WHOLE

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
        if gain.gain_factor is not None:
            ramp.meta.exposure.gain_factor = gain.gain_factor
        self._select_groups(ramp)
        if self._uses_likelihood(ramp):
            return self._described(ramp, *self._fit_by_likelihood(ramp, readnoise, gain))
        groups = _usable_groups(ramp)
        if _is_saturated_from_the_start(ramp, groups[0]):
            raise InputError(
                f"{ramp.meta.filename}: all pixels are saturated in the first group of every "
                "integration, so that there is no rate to fit; check the saturation reference"
            )
        rate, rateints, segments = fit_ramps(
            ramp.data,
            ramp.groupdq,
            ramp.pixeldq,
            gain.data,
            readnoise.data,
            _timing(ramp),
            groups=groups,
            zeroframe=ramp.zeroframe,
            average_dark_current=ramp.average_dark_current,
            suppress_one_group=self.suppress_one_group,
            save_segments=self.save_opt,
            is_last_use=ramp.is_expendable,
        )
        if segments is not None:
            output = writing.fitopt_model(ramp, RampFitOutput(**segments._asdict()))
            self.save_model(output, "fitopt", output_file=self.opt_name or ramp.meta.filename)
        return self._described(ramp, rate, rateints)

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
    ) -> tuple[Fit, Fit]:
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
        if chi_square is not None:
            output = writing.chi_square_model(ramp, chi_square)
            name = self.opt_name or ramp.meta.filename
            self.save_model(output, "likely_chisq", output_file=name)
        return rate, rateints

    def _described(self, ramp: Ramp, rate: Fit, rateints: Fit) -> tuple[Rates, Rates]:
        """Return both products with their metadata."""
        result = Rates(**rate._asdict()), Rates(**rateints._asdict())
        writing.describe_rate(ramp, result[0])
        writing.describe_rateints(ramp, result[1])
        for product in result:
            self.set_status(product, "COMPLETE")
        return result

    def _select_groups(self, ramp: Ramp) -> None:
        """Flag the groups outside `firstgroup` and `lastgroup`."""
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
        if first >= last:
            return
        ramp.groupdq[:, :first, ...] |= DO_NOT_USE
        ramp.groupdq[:, last + 1 :, ...] |= DO_NOT_USE


def _usable_groups(ramp: Ramp) -> tuple[int, int]:
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
    while first < stop and _all_have(ramp, first, DO_NOT_USE):
        first += 1
    if first < stop and _all_have(ramp, stop - 1, DO_NOT_USE):
        stop -= 1
    if stop - first < 2:
        raise InputError(
            f"{ramp.meta.filename}: {stop - first} of its {ramp.data.shape[1]} groups can be used "
            "and a MIRI ramp needs two; skip firstframe, lastframe or rscd, or take more groups"
        )
    return first, stop


def _is_saturated_from_the_start(ramp: Ramp, first: int) -> bool:
    return _all_have(ramp, first, SATURATED)


def _all_have(ramp: Ramp, group: int, flag: int) -> bool:
    """Return whether all pixels of all integrations have `flag` in `group`."""
    xp = namespace_of(ramp.groupdq)
    # One integration at a time: the first good pixels end the search, and memory stays small.
    return all(bool(xp.all((one[group, ...] & flag) != 0)) for one in ramp.groupdq)


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
