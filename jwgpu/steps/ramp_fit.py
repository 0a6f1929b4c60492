"""Fit count rates to the ramps."""

from __future__ import annotations

import logging
from typing import Any

from jwgpu.backends import namespace_of
from jwgpu.errors import InputError, NotYetError
from jwgpu.kernels.ramp_fit import Timing, fit_ramps
from jwgpu.models import reading, writing
from jwgpu.models.flags import DO_NOT_USE, SATURATED
from jwgpu.models.ramp import Ramp
from jwgpu.models.rates import RampFitOutput, Rates
from jwgpu.references.types import GainReference, ReadNoiseReference
from jwgpu.steps.base import WHOLE, RampStep, param
from jwgpu.steps.readout import refuse_special_readout

log = logging.getLogger(__name__)

#: Groups below which the official package falls back from LIKELY to OLS_C.
LEAST_GROUPS_FOR_LIKELY = 4


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
        """Refuse what is not there yet.

        Raises
        ------
        NotYetError
            If the maximum-likelihood fit is asked for or needed, or the readout is a special one.
        """
        refuse_special_readout(self.class_alias, ramp)
        read_times = getattr(ramp.meta.exposure, "read_times", None)
        is_uneven = read_times is not None and len(read_times) > 0
        if self.algorithm != "LIKELY" and not is_uneven:
            return
        if ramp.data.shape[1] < LEAST_GROUPS_FOR_LIKELY:
            log.info("too few groups for a maximum-likelihood fit: least squares are used")
            return
        if is_uneven:
            raise NotYetError(
                f"{ramp.meta.filename}: ramp_fit cannot fit unevenly spaced groups yet; "
                "use the official package for this exposure"
            )
        raise NotYetError("ramp_fit has no LIKELY yet: use --steps.ramp_fit.algorithm=OLS_C")

    def correct(
        self, ramp: Ramp, readnoise: ReadNoiseReference, gain: GainReference
    ) -> tuple[Rates, Rates]:
        """Fit the ramps; with `save_opt`, save every segment.

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
        result = Rates(**rate._asdict()), Rates(**rateints._asdict())
        writing.describe_rate(ramp, result[0])
        writing.describe_rateints(ramp, result[1])
        for product in result:
            self.set_status(product, "COMPLETE")
        return result

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
