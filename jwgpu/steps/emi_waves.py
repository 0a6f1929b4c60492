"""Passes over an exposure that each remove one wave of electromagnetic interference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from jwgpu.backends import namespace_of
from jwgpu.kernels.emi import (
    Clock,
    fold_residuals,
    period_of,
    scatter_along_ramps,
    subtract_table,
    subtract_waveform,
    sum_by_phase,
)
from jwgpu.kernels.emi.folded import table_of
from jwgpu.kernels.emi.joint import fit_waveform, waveform_pieces
from jwgpu.models.ramp import Ramp
from jwgpu.models.stored_planes import median_of
from jwgpu.runner.parts import StoredIntegrations, in_integrations, put_together
from jwgpu.steps.division import INTEGRATIONS, Divisible

#: Bytes that folding takes for each sample.
_FOLDED = 2


@dataclass(frozen=True)
class Wave:
    """One frequency to remove: its name, Hz, and waveform if known (one turn, (bins,) float64)."""

    name: str
    frequency: float
    waveform: Any = None

    @property
    def period(self) -> float:
        """In cycles of the pixel clock."""
        return period_of(self.frequency)


class _Fitted(NamedTuple):
    """A waveform in pieces, with its amplitude and phase in each integration of the exposure."""

    pieces: Any
    amplitudes: Any
    phases: Any


class FittedWave(Divisible):
    """Fit a known waveform together with the ramps, and subtract it."""

    cut = INTEGRATIONS
    has_survey = True

    def __init__(self, wave: Wave, clock: Clock, separately: bool) -> None:
        self._wave, self._clock, self._separately = wave, clock, separately

    def survey(self, *exposure: Ramp, **references: Any) -> _Fitted:
        """Return the waveform as it fits the exposure best."""
        del references
        (ramp,) = exposure
        limit = _limit_of_scatter(ramp)
        wave, found = self._wave, []
        for part in in_integrations(ramp):
            how = (self._clock, wave.period, len(wave.waveform), limit)
            found.append(sum_by_phase(part.data, part.pixeldq, *how))
        xp = namespace_of(*found[0])
        sums, counts = (xp.concatenate(pieces) for pieces in zip(*found, strict=True))
        pieces = xp.asarray(waveform_pieces(wave.waveform))
        fitted = fit_waveform(sums, counts, pieces, self._clock, wave.period, self._separately)
        return _Fitted(pieces, *fitted)

    def correct_part(self, part: Ramp, survey: _Fitted, **references: Any) -> None:
        """Subtract the wave from some integrations."""
        del references
        first = part.first_integration
        here = slice(first, first + part.data.shape[0])
        amplitudes, phases = survey.amplitudes[here], survey.phases[here]
        period = self._wave.period
        subtract_waveform(part.data, self._clock, period, survey.pieces, amplitudes, phases)


def _limit_of_scatter(ramp: Ramp) -> float | None:
    """Return from which scatter on pixels are not steady; None for a ramp in memory."""
    if ramp.storage is None:
        return None
    scatter: Any = None
    for part in in_integrations(ramp):
        scatter = put_together(scatter, part, scatter_along_ramps(part.data))
    return float(2 * median_of(scatter))


@dataclass(frozen=True)
class Folding:
    """How to fold a wave: integrations and bins, and whether a known waveform is scaled to it.

    ``ends_in_reference`` tells whether a row's last pixels are reference pixels.
    """

    n_ints: int
    bins: int
    is_scaled: bool
    ends_in_reference: bool


#: What is called with a wave, the same as it was folded, and the exposure.
Keep = Callable[[Wave, Any, Ramp], None]


class FoldedWave(Divisible):
    """Fold what is left of the samples without their ramps, and subtract that.

    Parameters
    ----------
    wave : Wave
    clock : Clock
    folding : Folding
    keep : callable
        Called with the wave, the folded wave and the exposure when it has been subtracted.
    """

    cut = INTEGRATIONS
    has_survey = True

    def __init__(self, wave: Wave, clock: Clock, folding: Folding, keep: Keep) -> None:
        self._wave, self._clock, self._folding, self._keep = wave, clock, folding, keep

    def survey(self, *exposure: Ramp, **references: Any) -> tuple[Any, Any]:
        """Return the folded wave, and the table of what to subtract at each phase."""
        del references
        (ramp,) = exposure
        wave, folding = self._wave, self._folding
        with _integrations(ramp, folding.n_ints) as data:
            how = (self._clock, wave.period, folding.bins, folding.ends_in_reference)
            folded = fold_residuals(data, *how)
        return folded, table_of(folded, wave.period, wave.waveform, folding.is_scaled)

    def correct_part(self, part: Ramp, survey: tuple[Any, Any], **references: Any) -> None:
        """Subtract the wave from some integrations."""
        del references
        how = (self._clock, self._wave.period, survey[1], self._folding.ends_in_reference)
        subtract_table(part.data, *how, part.first_integration)

    def conclude(self, exposure: Ramp, survey: tuple[Any, Any], collected: Any) -> None:
        """Hand on what was found."""
        del collected
        self._keep(self._wave, survey[0], exposure)


@contextmanager
def _integrations(ramp: Ramp, n: int) -> Iterator[Any]:
    """Give the first integrations; of an exposure in files, one at a time.

    Raises
    ------
    ParameterError
        If the memory is too little for what is folded.
    """
    if ramp.storage is None:
        yield ramp.data[:n]
        return
    found = StoredIntegrations(ramp, min(n, ramp.data.shape[0]))
    with ramp.storage.holding(ramp, found.n_samples * _FOLDED):
        yield found
