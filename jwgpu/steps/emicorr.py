"""Remove the electromagnetic interference that MIRI's raw samples pick up."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from jwgpu.errors import InputError, ParameterError, ReferenceFileError
from jwgpu.kernels.emi import MIRI_CLOCKS, Clock
from jwgpu.models.emi_waves import write_emi_waves
from jwgpu.models.ramp import Ramp
from jwgpu.references.types import EmiReference
from jwgpu.steps.base import INTEGRATIONS, RampStep, SkipStep, param
from jwgpu.steps.division import Divisible
from jwgpu.steps.emi_waves import FittedWave, FoldedWave, Folding, Wave

log = logging.getLogger(__name__)

_READ_PATTERNS = ("FAST", "FASTR1", "SLOW", "SLOWR1")
_WITH_RESET = ("FASTR1", "SLOWR1")

_FEWEST_GROUPS = 3
_GROUPS_TO_FOLD = 10  # fewer can be folded, but badly
_MOST_BINS = 501
_DEFAULT_BINS = 500

#: Four times the number of columns each amplifier must have: the fourth mends its neighbours.
_FEWEST_COLUMNS = 16


class EmiCorrStep(RampStep):
    """Find each frequency's wave by its phase along the read-out, and subtract it."""

    class_alias = "emicorr"
    cut = INTEGRATIONS
    has_survey = True

    algorithm: str = param(
        "joint",
        options=("sequential", "joint"),
        help="Fit wave and ramps jointly, or fold what is left when ramps are subtracted",
    )
    nints_to_phase: int | None = param(None, help="Integrations to fold (sequential)")
    nbins: int | None = param(None, help="Bins of phase to fold into (sequential)")
    scale_reference: bool = param(
        True, help="Scale the reference's waveform to the folded wave (sequential)"
    )
    onthefly_corr_freq: list[float] | None = param(
        None, help="Frequencies in Hz to remove without a reference (sequential)"
    )
    use_n_cycles: int | None = param(
        3, help="Fold as many integrations as hold so many cycles; None for all (sequential)"
    )
    fit_ints_separately: bool = param(False, help="Fit each integration by itself (joint)")
    user_supplied_reffile: str | None = param(None, help="Old name of override_emicorr")
    save_intermediate_results: bool = param(
        False, help="Save waves that are found without a reference as an EMICORR reference"
    )
    skip: bool = param(True, help="Skip this step")

    def applies_to(self, exposure: Ramp) -> None:
        """Raise `SkipStep` for other instruments, read patterns, and fewer than three groups."""
        meta = exposure.meta
        if meta.instrument.name != "MIRI":
            raise SkipStep(f"it is not for {meta.instrument.name}")
        if str(meta.exposure.readpatt).upper() not in _READ_PATTERNS:
            raise SkipStep(f"it is not for the read pattern {meta.exposure.readpatt}")

    def get_ref_override(self, reference_file_type: str) -> Any:
        """Return the reference that the caller gives, by its old name too."""
        if self.user_supplied_reffile is not None:
            log.warning("user_supplied_reffile is the old name of override_emicorr: use that")
            return self.user_supplied_reffile
        return super().get_ref_override(reference_file_type)

    def needed_references(self, meta: Any, shape: tuple[int, ...] = ()) -> dict[str, type]:
        """Return the EMICORR reference, unless the caller gives frequencies."""
        return {} if self.onthefly_corr_freq is not None else super().needed_references(meta, shape)

    def correct(self, ramp: Ramp, emicorr: EmiReference | None = None) -> None:
        """Subtract the waves of all frequencies, one after the other.

        Parameters
        ----------
        ramp : Ramp
            Exposure with raw samples; ``data`` is changed.
        emicorr : EmiReference, optional
            Frequencies and waveforms.

        Raises
        ------
        InputError
            If the exposure cannot be clocked.
        ParameterError
            If a frequency or number of bins is not positive.
        ReferenceFileError
            If a case names a frequency that the reference lacks.
        """
        self.correct_undivided(ramp, emicorr=emicorr)

    def passes(self, exposure: Ramp, **references: Any) -> list[Divisible]:
        """Return what goes over the exposure: for each wave a pass, since each changes the next."""
        emicorr = references.get("emicorr")
        if emicorr is None and self.onthefly_corr_freq is None:
            raise SkipStep("there is no EMICORR reference")
        groups = exposure.data.shape[1]
        if groups < _FEWEST_GROUPS:
            log.warning("emicorr: %d groups are too few", groups)
            raise SkipStep(f"{groups} groups are fewer than {_FEWEST_GROUPS}")
        clocks, waves = self._given() if emicorr is None else _of_reference(exposure, emicorr)
        clocks = clocks or MIRI_CLOCKS.get(case_name(exposure.meta))
        if clocks is None or not waves:
            log.warning("emicorr: nothing to correct for %s", case_name(exposure.meta))
            raise SkipStep(f"no frequency is known to disturb {case_name(exposure.meta)}")
        clock = _clock(exposure, *clocks)
        log.info("emicorr: removing %s Hz", ", ".join(f"{wave.frequency:g}" for wave in waves))
        if self.algorithm == "joint" and emicorr is not None:
            return [FittedWave(wave, clock, self.fit_ints_separately) for wave in waves]
        if groups < _GROUPS_TO_FOLD and self.algorithm == "sequential":
            log.warning("emicorr: of %d groups algorithm=joint makes more", groups)
        return self._folded_waves(exposure, clock, clocks, waves)

    def _given(self) -> tuple[None, list[Wave]]:
        frequencies = self.onthefly_corr_freq or []
        if not all(frequency > 0 for frequency in frequencies):
            raise ParameterError(f"onthefly_corr_freq: {frequencies} must be positive, in Hz")
        if self.algorithm == "joint":
            log.warning("emicorr: without waveforms there is algorithm=sequential only")
        return None, [Wave(repr(frequency), frequency) for frequency in frequencies]

    def _folded_waves(
        self, exposure: Ramp, clock: Clock, clocks: tuple[int, int], waves: list[Wave]
    ) -> list[Divisible]:
        """Return the passes of the waves that are folded; the last one saves them, if asked for."""
        n_ints = self.nints_to_phase
        passes: list[Divisible] = []
        saves = self.save_intermediate_results and self.onthefly_corr_freq is not None
        found: dict[str, tuple[float, Any]] = {}

        def keep(wave: Wave, folded: Any, ramp: Ramp) -> None:
            if saves:
                found[wave.name] = wave.frequency, self.session.device.fetch(folded)
            if saves and wave is waves[-1]:
                path = Path(str(self.make_output_path(suffix="emi_ref_waves", ext="asdf")))
                write_emi_waves(path, ramp.meta, found, case_name(ramp.meta), clocks)

        for wave in waves:
            # What the first frequency needs is used for all: so the official package does.
            n_ints = self._integrations_to_fold(n_ints, exposure, wave.period, clocks[1])
            bins = self.nbins if self.nbins is not None else int(wave.period / 2.0)
            bins = _DEFAULT_BINS if bins > _MOST_BINS else bins
            if bins < 1:
                raise ParameterError(f"emicorr: {bins} bins for {wave.frequency} Hz: give nbins")
            folding = Folding(n_ints, bins, self.scale_reference, _ends_in_reference(exposure.meta))
            passes.append(FoldedWave(wave, clock, folding, keep))
        return passes

    def _integrations_to_fold(
        self, given: int | None, ramp: Ramp, period: float, frame_clocks: int
    ) -> int:
        ints, groups = ramp.data.shape[:2]
        if given is None and self.use_n_cycles is not None:
            given = -int(-(self.use_n_cycles * period) // (frame_clocks * groups))
        wanted = ints if given is None else given
        if wanted < 1:
            raise ParameterError(
                f"emicorr: {wanted} integrations to fold: nints_to_phase and use_n_cycles must "
                "be positive"
            )
        return wanted


def case_name(meta: Any) -> str:
    """Return how references and `MIRI_CLOCKS` call a subarray; full frames with their speed."""
    name = str(meta.subarray.name)
    return f"{name}_{_speed(meta)}" if "FULL" in name else name


def _speed(meta: Any) -> str:
    return "SLOW" if "SLOW" in str(meta.exposure.readpatt).upper() else "FAST"


def _of_reference(ramp: Ramp, emicorr: EmiReference) -> tuple[tuple[int, int] | None, list[Wave]]:
    """Return the clocks and waves of an exposure; none where the reference has no case for it."""
    case = emicorr.cases.get(case_name(ramp.meta))
    if case is None:
        return None, []
    slow = case.slow.get(str(ramp.meta.instrument.detector), ())
    names = case.fast if _speed(ramp.meta) == "FAST" else slow
    missing = [name for name in names if name not in emicorr.frequencies]
    if missing:
        raise ReferenceFileError(
            f"{emicorr.path}: its case {case_name(ramp.meta)} names the frequencies "
            f"{', '.join(missing)}, which it does not hold: use another EMICORR reference"
        )
    found = [(name, emicorr.frequencies[name]) for name in names]
    waves = [Wave(name, wave.frequency, wave.waveform) for name, wave in found]
    return (case.row_clocks, case.frame_clocks), waves


def _clock(ramp: Ramp, row_clocks: int, frame_clocks: int) -> Clock:
    meta, (_, groups, rows, columns) = ramp.meta, ramp.data.shape
    if meta.exposure.nsamples is None:
        raise InputError(
            f"{meta.filename}: keyword NSAMPLES is missing, which says how pixels are clocked; "
            "restore it, or skip emicorr"
        )
    if columns % 4 or columns < _FEWEST_COLUMNS:
        raise InputError(
            f"{meta.filename}: {columns} columns are not {_FEWEST_COLUMNS} or more for four "
            "amplifiers; skip emicorr"
        )
    has_reset = str(meta.exposure.readpatt).upper() in _WITH_RESET
    return Clock(
        row_clocks=row_clocks,
        samples=int(meta.exposure.nsamples),
        reset_clocks=frame_clocks if has_reset else 0,
        rows=rows,
        groups=groups,
    )


def _ends_in_reference(meta: Any) -> bool:
    """Whether a row's last pixels are reference pixels, as they are in a full frame."""
    last = int(meta.subarray.xsize / 4 + meta.subarray.xstart - 1)
    return last == 258  # pixels of an amplifier in a full row
