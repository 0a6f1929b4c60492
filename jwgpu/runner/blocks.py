"""Calibrating an exposure in blocks, where it does not fit into the memory.

The steps are joined to sections: neighbours that can be cut alike. Within a section each block goes
through all steps in memory: blocks of integrations, at the end blocks of rows, for jumps and fits.
From section to section the exposure is in scratch files.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jwgpu.errors import NotYetError, ParameterError
from jwgpu.models import reading
from jwgpu.models.ramp import Ramp
from jwgpu.models.stripes import count_superstripes
from jwgpu.references.decode import arrays_of
from jwgpu.runner import parts
from jwgpu.runner.memory import PROCESS, Size, readable, size_of_references
from jwgpu.runner.progress import Progress

log = logging.getLogger(__name__)

SKIPPED = "SKIPPED"

#: A calibration step: `jwgpu.steps.base.CalibrationStep`, which this room does not know.
Step = Any


@dataclass
class Section:
    """Neighbouring steps that take the same blocks.

    Attributes
    ----------
    by_rows : bool
        Whether blocks are of rows, each of all integrations, or of integrations.
    halo : int
        Rows on either side that a block of rows needs beside its own.
    steps : list of CalibrationStep
    """

    by_rows: bool
    halo: int
    steps: list[Step]

    @property
    def unit(self) -> str:
        """What blocks are counted in."""
        return "rows" if self.by_rows else "integrations"

    def takes(self, step: Step, by_rows: bool | None) -> bool:
        """Return whether a step can be the next one; None stands for blocks of any kind."""
        if step.has_survey and not all(one.is_unseen_by_surveys for one in self.steps):
            return False
        return by_rows is None or by_rows == self.by_rows


@dataclass
class _Running:
    """A step at work on the blocks of its section."""

    step: Step
    references: dict[str, Any]
    survey: Any
    seconds: float
    is_skipped: bool = False
    n_parts: int = 0
    collected: Any = None

    @property
    def size_of_references(self) -> int:
        """Bytes of the references that are held."""
        return sum(
            int(array.nbytes)
            for reference in self.references.values()
            if reference is not None
            for array in arrays_of(reference).values()
        )

    def correct(self, part: Ramp) -> None:
        """Take one part through the step, unless that is to be skipped."""
        if self.is_skipped:
            return
        started = time.perf_counter()
        self.step.session.observer.start_step(self.step.class_alias)
        own = {name: parts.reference_of(one, part) for name, one in self.references.items()}
        status, found = self.step.attempt(self.step.correct_part, part, self.survey, **own)
        self.is_skipped = status == SKIPPED
        if self.is_skipped and self.n_parts:
            raise RuntimeError(f"{self.step.class_alias} was skipped after {self.n_parts} blocks")
        if not self.is_skipped:
            self.collected = self.step.collect(self.collected, part, found)
        self.n_parts += 1
        self.seconds += time.perf_counter() - started

    def conclude(self, exposure: Ramp) -> Any:
        """Finish the step when all parts are done; return what it makes of the exposure."""
        started = time.perf_counter()
        status, result = SKIPPED, None
        if not self.is_skipped:
            status = "COMPLETE"
            result = self.step.conclude(exposure, self.survey, self.collected)
        self.seconds += time.perf_counter() - started
        self.step.record(exposure, status, self.seconds)
        return result


@dataclass
class Blocks:
    """An exposure on its way through the steps, block by block.

    Parameters
    ----------
    exposure : Ramp
        Its ``data`` and ``groupdq`` are `jwgpu.models.stored_planes.StoredPlanes`.
    limit : int
        Bytes of memory to stay below.
    folder : Path
        Where scratch files go.
    observer : Progress
        Who is told of the progress.
    """

    exposure: Ramp
    limit: int
    folder: Path
    observer: Progress = field(repr=False)

    def run(self, steps: Sequence[Step]) -> Any:
        """Take the exposure through the steps.

        Parameters
        ----------
        steps : sequence of CalibrationStep
            The last one makes something else of the ramps.

        Returns
        -------
        object
            What the last step returns; None if it was skipped.

        Raises
        ------
        NotYetError
            If a step needs the whole exposure.
        ParameterError
            If not even the smallest blocks fit.
        ProductError
            If there is no room for scratch files.
        """
        result = None
        waiting = self.sections(steps)
        while waiting:
            section = waiting.pop(0)
            result, left = self._run(section)
            if left:
                waiting.insert(0, Section(section.by_rows, section.halo, left))
        return result

    def sections(self, steps: Iterable[Step]) -> list[Section]:
        """Join steps to sections; those that are to be skipped get their status now."""
        if count_superstripes(self.exposure.meta):
            raise NotYetError(self._needs_all("putting superstripes together"))
        found: list[Section] = []
        for step in steps:
            if step.skip:
                step.set_status(self.exposure, SKIPPED)
                continue
            name = step.class_alias
            if step.works_on_models:
                raise NotYetError(self._needs_all(f"a hook or product of {name}"))
            status, _ = step.attempt(step.applies_to, self.exposure)
            if status == SKIPPED:
                step.record(self.exposure, SKIPPED, 0.0)
                continue
            cut = step.cut_for(self.exposure)
            by_rows = {"integrations": False, "rows": True}.get(cut.kind)
            if cut.kind == "whole":
                raise NotYetError(self._needs_all(f"{name} with these parameters"))
            if not found or not found[-1].takes(step, by_rows):
                # What blocks of rows change is not written: their neighbours are still to be seen.
                if found and found[-1].by_rows:
                    raise NotYetError(
                        self._needs_all(f"{name}, after {found[-1].steps[-1].class_alias},")
                    )
                found.append(Section(bool(by_rows), 0, []))
            found[-1].steps.append(step)
            found[-1].halo += cut.halo
        return found

    def windows(self, section: Section, size_of_references: int) -> list[range]:
        """Return the blocks, of integrations or rows, that fit beside so many bytes of references.

        Raises
        ------
        ParameterError
            If not even the smallest do.
        """
        fixed, each = self._memory(section, size_of_references)
        ints, _, rows, _ = self.exposure.data.shape
        n, around = (rows, 2 * section.halo) if section.by_rows else (ints, 0)
        longest = (self.limit - fixed) // each - around
        smallest = (1 + around) * each
        if section.by_rows:
            smallest = max(smallest, _size(self.exposure).saving)
        if longest < 1 or fixed + smallest > self.limit:
            raise ParameterError(
                f"{self.exposure.meta.filename}: max_memory={readable(self.limit)} is too little "
                f"for {section.steps[0].class_alias}, which takes "
                f"{readable(fixed + smallest)} at least; give more"
            )
        n_blocks = -(-n // longest)
        bounds = [n * k // n_blocks for k in range(n_blocks + 1)]
        return [range(bounds[k], bounds[k + 1]) for k in range(n_blocks)]

    # -- one section --------------------------------------------------------------------------

    def _run(self, section: Section) -> tuple[Any, list[Step]]:
        """Run a section; return what its last step returns, and the steps that had no room."""
        running, left = self._prepare(section)
        if running:
            self._correct(section, running)
        result = None
        for one in running:
            result = one.conclude(self.exposure)
        return result, left

    def _prepare(self, section: Section) -> tuple[list[_Running], list[Step]]:
        """Load the references of as many steps as there is room for; return the other steps too."""
        running: list[_Running] = []
        n_bytes = 0
        for k, step in enumerate(section.steps):
            started = time.perf_counter()
            self.observer.start_step(step.class_alias)
            status, references = step.attempt(step.prepare, self.exposure)
            survey = None
            if status != SKIPPED:
                status, survey = step.attempt(step.survey, self.exposure, **references)
            seconds = time.perf_counter() - started
            if status == SKIPPED:
                step.record(self.exposure, SKIPPED, seconds)
                continue
            one = _Running(step, references, survey, seconds)
            n_bytes += one.size_of_references
            fixed, each = self._memory(section, n_bytes)
            if running and not section.by_rows and fixed + each > self.limit:
                return running, section.steps[k:]
            running.append(one)
        return running, []

    def _correct(self, section: Section, running: Sequence[_Running]) -> None:
        """Take all blocks through the steps of a section."""
        windows = self.windows(section, sum(one.size_of_references for one in running))
        names = ", ".join(one.step.class_alias for one in running)
        log.info(
            "%s: %d blocks of up to %d %s", names, len(windows), len(windows[-1]), section.unit
        )
        gathering = None if section.by_rows else parts.Gathering(self.exposure, self.folder)
        for window in windows:
            # Nothing here holds a block while the next one is read.
            self._correct_block(section, running, window, gathering)
        if gathering is not None:
            gathering.finish()

    def _correct_block(
        self,
        section: Section,
        running: Sequence[_Running],
        window: range,
        gathering: parts.Gathering | None,
    ) -> None:
        if gathering is None:
            part = parts.rows_of(self.exposure, window, section.halo)
        else:
            part = parts.integrations_of(self.exposure, window)
        for one in running:
            one.correct(part)
        if gathering is not None:
            gathering.take(part, window)

    def _memory(self, section: Section, size_of_references: int) -> tuple[int, int]:
        """Return the bytes that are needed whatever the blocks are, and those of a row or so."""
        size = _size(self.exposure)
        fixed = PROCESS + size.always + size_of_references
        return (fixed + size.rates, size.row) if section.by_rows else (fixed, size.integration)

    def _needs_all(self, what: str) -> str:
        return (
            f"{self.exposure.meta.filename}: {what} takes the whole exposure in memory, "
            f"{readable(_size(self.exposure).in_one_piece(0))}, which max_memory="
            f"{readable(self.limit)} does not allow: raise it, or do without"
        )


def open_if_too_large(source: str | Path, model: Any, steps: Iterable[Step], limit: int) -> Any:
    """Return an exposure whose samples stay in the file, if it is to be calibrated in blocks.

    Parameters
    ----------
    source : str or Path
        The FITS file.
    model : JwstDataModel
        Its metadata.
    steps : iterable of CalibrationStep
    limit : int
        Bytes of memory to stay below.

    Returns
    -------
    Ramp or None
        None if the calibration in one piece stays below the limit.
    """
    from jwgpu.kernels.compiled import threads

    exposure = reading.read_ramp(source, model, threads(), in_memory=False)
    needed = peak_in_one_piece(exposure, steps)
    if needed <= limit:
        return None
    log.info(
        "about %s of memory would be needed, max_memory is %s: calibrating in blocks",
        readable(needed),
        readable(limit),
    )
    return exposure


def check_in_one_piece(source: str | Path, step: Step, limit: int) -> None:
    """Refuse an exposure that does not fit into the memory, for a step that runs by itself.

    Raises
    ------
    NotYetError
        Its product, of ramps, takes the whole exposure in memory.
    """
    exposure = reading.read_ramp(source, in_memory=False)
    needed = peak_in_one_piece(exposure, [step])
    if needed > limit:
        raise NotYetError(
            f"{source}: {step.class_alias} by itself takes the whole exposure in memory, "
            f"{readable(needed)}, which max_memory={readable(limit)} does not allow: raise it, or "
            "run detector1, which works in blocks"
        )


def peak_in_one_piece(exposure: Ramp, steps: Iterable[Step]) -> int:
    """Estimate the bytes of memory that calibration without blocks takes at its peak."""
    shape = exposure.data.shape
    largest = 0
    for step in steps:
        if step.skip:
            continue
        source = step.session.references.with_overrides(step.get_ref_override)
        paths = [
            source.find(kind, exposure.meta, optional=kind in step.optional_references)
            for kind in step.needed_references(exposure.meta, shape)
        ]
        largest = max(largest, size_of_references(paths, shape))
    return _size(exposure).in_one_piece(largest)


def _size(exposure: Ramp) -> Size:
    return Size(exposure.data.shape, exposure.zeroframe is not None)
