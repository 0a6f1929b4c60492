"""Calibrating an exposure in blocks, where it does not fit into the memory.

The steps are joined to sections: neighbours that can be cut alike. Within a section each block,
of integrations or of rows, goes through all steps in memory. From section to section the exposure
is in scratch files.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from jwgpu.backends.device import Device
from jwgpu.errors import WholeExposureError
from jwgpu.models.ramp import Ramp
from jwgpu.references.decode import arrays_of
from jwgpu.runner import parts
from jwgpu.runner.memory import Budget, readable
from jwgpu.runner.progress import Progress

log = logging.getLogger(__name__)

SKIPPED = "SKIPPED"

#: A calibration step, `jwgpu.steps.base.CalibrationStep`, or one of its passes,
#: `jwgpu.steps.division.Divisible`, which this room does not know.
Step = Any
Pass = Any


@dataclass
class _Waiting:
    """A step that is still to run, or the passes of it that are."""

    step: Step
    passes: list[Pass] | None = None
    seconds: float = 0.0

    @property
    def next_pass(self) -> Pass:
        """What runs next; of a step that has not begun, the step itself tells how it is cut."""
        return self.passes[0] if self.passes else self.step


@dataclass
class _Running:
    """A pass of a step at work on the blocks of its section."""

    step: Step
    work: Pass
    references: dict[str, Any]
    is_last_pass: bool = True
    survey: Any = None
    seconds: float = 0.0
    is_skipped: bool = False
    n_parts: int = 0
    collected: Any = None
    afterwards: list[Callable[[], None]] = field(default_factory=list)

    @property
    def n_bytes(self) -> int:
        """Bytes that are held: references, and what was found in the survey."""
        return _size_of(self.survey) + sum(
            int(array.nbytes)
            for reference in self.references.values()
            if reference is not None
            for array in arrays_of(reference).values()
        )

    def correct(self, part: Ramp) -> None:
        """Take one part through the step, which may find that it is to be skipped."""
        started = time.perf_counter()
        self.step.session.observer.start_step(self.step.class_alias)
        own = {name: parts.reference_of(one, part) for name, one in self.references.items()}
        status, found = self.step.attempt(self.work.correct_part, part, self.survey, **own)
        is_skipped = status == SKIPPED
        is_other = self.n_parts > 0 and is_skipped != self.is_skipped
        if is_other and not self.work.may_be_given_up(part):
            raise RuntimeError(f"{self.step.class_alias} was skipped for some blocks only")
        self.is_skipped = is_skipped
        if not is_skipped:
            self.collected = self.work.collect(self.collected, part, found)
        self.n_parts += 1
        self.seconds += time.perf_counter() - started

    def is_given_up(self, exposure: Ramp) -> bool:
        """Return whether a part found that the whole exposure must stay as it was."""
        return self.is_skipped and bool(self.work.may_be_given_up(exposure))

    def conclude(self, exposure: Ramp) -> Any:
        """Finish the pass when all parts are done; return what it makes of the exposure."""
        started = time.perf_counter()
        status, result = SKIPPED, None
        if not self.is_skipped:
            status = "COMPLETE"
            result = self.work.conclude(exposure, self.survey, self.collected)
        self.seconds += time.perf_counter() - started
        if self.is_last_pass or self.is_skipped:
            self.step.record(exposure, status, self.seconds)
        return result


@dataclass
class Section:
    """Passes of neighbouring steps that take the same blocks.

    Attributes
    ----------
    by_rows : bool or None
        Whether blocks are of rows, each of all integrations, or of integrations; None as long as
        either will do.
    halo : int
        Rows on either side that a block of rows needs beside its own.
    running : list of _Running
    is_closed : bool
        Whether nothing can follow in the same blocks.
    """

    by_rows: bool | None = None
    halo: int = 0
    running: list[_Running] = field(default_factory=list)
    is_closed: bool = False

    def cutting(self, exposure: Ramp) -> parts.Cutting:
        """Return how the exposure is cut."""
        more = max((one.work.memory_beside(exposure) for one in self.running), default=0.0)
        return parts.Cutting(bool(self.by_rows), self.halo, more)

    @property
    def names(self) -> str:
        """The steps, for messages."""
        return ", ".join(one.step.class_alias for one in self.running)

    @property
    def n_bytes(self) -> int:
        """Bytes that all steps hold together."""
        return sum(one.n_bytes for one in self.running)

    def takes(self, work: Pass, exposure: Ramp) -> bool:
        """Return whether a pass can be the next one."""
        if not self.running:
            return True
        if work.surveys(exposure) and not all(
            one.work.is_unseen_by_surveys for one in self.running
        ):
            return False
        by_rows = _by_rows(work, exposure)
        is_alike = None in (by_rows, self.by_rows) or by_rows == self.by_rows
        return is_alike and not work.stands_alone(exposure)

    def then(self, action: Callable[[], None]) -> None:
        """Have something done when the last pass so far is over: now if there is none."""
        if self.running:
            self.running[-1].afterwards.append(action)
        else:
            action()

    def add(self, one: _Running, exposure: Ramp) -> None:
        """Take a pass."""
        self.running.append(one)
        by_rows = _by_rows(one.work, exposure)
        if by_rows is not None:
            self.by_rows = by_rows
        self.halo += one.work.cut_for(exposure).halo
        self.is_closed = (
            not one.is_last_pass
            or has_product(one.step)
            or one.work.changes_shape(exposure)
            or one.work.saves(exposure)
            or one.work.may_be_given_up(exposure)
        )


@dataclass
class Blocks:
    """An exposure on its way through the steps, block by block.

    Parameters
    ----------
    exposure : Ramp
        Its ``data``, ``groupdq`` and ``zeroframe`` are `jwgpu.models.stored_planes.StoredPlanes`.
    budget : Budget
        The memory that there is.
    folder : Path
        Where scratch files go.
    device : Device
        Where blocks are computed.
    cut_down : int
        What part of the blocks that fit is taken, where they turned out to be too large.
    observer : Progress
        Who is told of the progress.
    """

    exposure: Ramp
    budget: Budget
    folder: Path
    device: Device
    cut_down: int
    observer: Progress = field(repr=False)

    def run(self, steps: Sequence[Step]) -> Any:
        """Take the exposure through the steps.

        Parameters
        ----------
        steps : sequence of CalibrationStep

        Returns
        -------
        object
            What the last step makes of the exposure, which is the exposure itself, in scratch
            files, unless it was ramp fitting.

        Raises
        ------
        WholeExposureError
            If a step needs the whole exposure.
        TooLittleMemoryError
            If not even the smallest blocks fit.
        ProductError
            If there is no room for scratch files.
        """
        for step in steps:
            if has_hooks(step) and not step.skip:
                raise WholeExposureError(self._needs_all(f"a hook of {step.class_alias}"))
        self.exposure.storage = parts.Storage(self.folder, self.budget, self.device, self.cut_down)
        self.exposure.pixeldq = self.device.send(self.exposure.pixeldq)
        result: Any = self.exposure
        waiting = [_Waiting(step) for step in steps]
        while waiting:
            result = self._run(self._next_section(waiting), result)
        self.exposure.pixeldq = self.device.fetch(self.exposure.pixeldq)
        return result

    def _next_section(self, waiting: list[_Waiting]) -> Section:
        """Join as many of the waiting steps to a section as can be; prepare them."""
        section = Section()
        # What follows a closed section has left no trace yet when products of that are saved.
        while waiting and not section.is_closed:
            first = waiting[0]
            step = first.step
            if step.skip:
                section.then(partial(step.set_status, self.exposure, SKIPPED))
                del waiting[0]
                continue
            cut = first.next_pass.cut_for(self.exposure)
            if cut.kind == "whole":
                raise WholeExposureError(
                    self._needs_all(f"{step.class_alias} with these parameters")
                )
            if not section.takes(first.next_pass, self.exposure):
                break
            one = self._prepare(first, section)
            if one is None:
                break
            del waiting[0]
            if one.is_skipped:
                section.then(partial(step.record, self.exposure, SKIPPED, one.seconds))
                continue
            section.add(one, self.exposure)
            if first.passes and not one.is_last_pass:
                waiting.insert(0, _Waiting(step, first.passes[1:]))
        return section

    def _prepare(self, first: _Waiting, section: Section) -> _Running | None:
        """Load the references of a step, and let it survey the exposure; None if it has no room."""
        step, storage = first.step, self.exposure.storage
        started = time.perf_counter()
        self.observer.start_step(step.class_alias)
        status, references = step.attempt(step.prepare, self.exposure)
        if status != SKIPPED and first.passes is None:
            status, found = step.attempt(step.passes, self.exposure, **references)
            first.passes = list(found or [step])
        one = _Running(step, first.next_pass, references or {}, len(first.passes or [step]) == 1)
        storage.who = step.class_alias
        storage.held = section.n_bytes + one.n_bytes
        # Rows are small beside the references: a section of rows need not be cut for them.
        if section.running and not section.by_rows and not self._has_room(section, one):
            return None
        if status != SKIPPED:
            status, one.survey = step.attempt(one.work.survey, self.exposure, **references)
        one.is_skipped = status == SKIPPED
        one.seconds = time.perf_counter() - started
        return one

    def _has_room(self, section: Section, one: _Running) -> bool:
        """Return whether a block fits beside the references of one more pass."""
        tried = Section(running=[*section.running, one])
        fixed, each = parts.memory_of(self.exposure, tried.cutting(self.exposure))
        return fixed + each <= self.budget.limit

    # -- one section --------------------------------------------------------------------------

    def _run(self, section: Section, result: Any) -> Any:
        """Run a section; return what it makes of the exposure."""
        if not section.running:
            return result
        self._correct(section)
        # What is not needed for saving products goes first.
        for one in section.running:
            one.references = {}
        for one in section.running:
            found = one.conclude(self.exposure)
            result = result if found is None else found
            if one.is_last_pass and not one.is_skipped and has_product(one.step):
                whole = self.exposure if found is None else found
                save_product_of(one.step, one.step.session.fetch(whole))
            for action in one.afterwards:
                action()
        return result

    def _correct(self, section: Section) -> None:
        """Take all blocks through the steps of a section."""
        last, cutting = section.running[-1].work, section.cutting(self.exposure)
        storage = self.exposure.storage
        storage.who, storage.held = section.names, section.n_bytes
        windows = parts.windows_of(self.exposure, cutting)
        log.info(
            "%s: %d blocks of up to %d %s",
            section.names,
            len(windows),
            len(windows[-1]),
            cutting.unit,
        )
        gathering = parts.Gathering(
            self.exposure,
            cutting,
            keeps_samples=all(one.work.keeps_samples for one in section.running),
            is_fresh=last.may_be_given_up(self.exposure),
        )
        for window in windows:
            # Nothing here holds a block while the next one is read.
            _correct_block(section, window, gathering, keeps=not last.consumes_ramps)
            if section.running[-1].is_given_up(self.exposure):
                return
        if not last.consumes_ramps:
            gathering.finish()

    def _needs_all(self, what: str) -> str:
        return (
            f"{self.exposure.meta.filename}: {what} takes the whole exposure in memory, "
            f"{readable(self.budget.process + parts.size_of(self.exposure).in_one_piece(0))}, "
            f"which {self.budget.name} does not allow: raise it, or do without"
        )


def _correct_block(
    section: Section, window: range, gathering: parts.Gathering, *, keeps: bool
) -> None:
    """Take one block through the steps of a section."""
    part = gathering.read(window)
    for one in section.running:
        one.correct(part)
    if keeps:
        gathering.take(part, window)


def _size_of(found: Any) -> int:
    """Return the bytes of the arrays in what a survey found."""
    if isinstance(found, (tuple, list)):
        return sum(map(_size_of, found))
    return int(getattr(found, "nbytes", 0))


def _by_rows(work: Pass, exposure: Ramp) -> bool | None:
    return {"integrations": False, "rows": True}.get(work.cut_for(exposure).kind)


def has_hooks(step: Step) -> bool:
    """Return whether hooks, which take official data models, are part of a step of a pipeline."""
    return step.parent is not None and bool(step._pre_hooks or step._post_hooks)


def has_product(step: Step) -> bool:
    """Return whether a step of a pipeline saves what it makes."""
    return step.parent is not None and bool(step.save_results or step.output_file)


def save_product_of(step: Step, result: Any) -> None:
    """Save what a step of a pipeline makes, as `stpipe.Step.run` does."""
    if step.suffix is None:
        step.suffix = step.default_suffix()
    models = step.close(result)
    several = models if isinstance(models, tuple) else (models,)
    for number, model in enumerate(several):
        step.finalize_result(model, [])
        step.save_model(model, idx=number if len(several) > 1 else None, force=True)
