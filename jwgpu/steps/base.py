"""What every calibration step shares: configuration, references, status, provenance, products.

A step declares typed parameters, names its references in the signature of `correct`, and does its
science there. All else is done here, once, on top of stpipe (configuration, hooks, output names).
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal

from jwgpu.errors import InputError, ReferenceFileError
from jwgpu.models import reading, writing
from jwgpu.models.ramp import Ramp
from jwgpu.models.rates import Rates
from jwgpu.models.stripes import count_superstripes
from jwgpu.models.superstripes import put_stripe, take_stripe
from jwgpu.references.stripes import of_stripe
from jwgpu.runner.blocks import Blocks
from jwgpu.runner.room import calibrate_if_too_large
from jwgpu.runner.session import Session
from jwgpu.steps import provenance
from jwgpu.steps.division import INTEGRATIONS, PIXELS, ROWS, WHOLE, Cut, Divisible
from jwgpu.steps.parameters import Parameter, param, references_in, spec_of
from jwgpu.steps.stpipe_step import StpipeStep

__all__ = [
    "INTEGRATIONS",
    "PIXELS",
    "ROWS",
    "WHOLE",
    "CalibrationStep",
    "Cut",
    "RampStep",
    "RateStep",
    "SkipStep",
    "param",
]

log = logging.getLogger(__name__)


class SkipStep(Exception):
    """Raised by `correct` to end a step with status SKIPPED; the message says why."""


class CalibrationStep(Divisible, StpipeStep):
    """A step or pipeline: configured and named by stpipe, fed by jwgpu."""

    spec = """
    output_ext = string(default='.fits')  # Extension of the product's name, which sets its format
    device = string(default='auto')  # Where to compute: auto, cpu, cuda or cuda:N
    references = string(default=None)  # Folder of reference files to use instead of CRDS
    threads = integer(min=0, default=0)  # Threads to compute with; 0 for one each CPU
    offline = boolean(default=False)  # Use only the references in CRDS's cache, no network
    max_memory = string(default=None)  # Calibrate in blocks to stay below, as 4GB; no limit if None
    """

    #: Parameters that belong to a whole run, not to a step within a pipeline.
    run_parameters: ClassVar = ("device", "references", "threads", "offline", "max_memory")

    #: Attribute of ``meta.cal_step`` that holds this step's status; the alias if not given.
    status_name: ClassVar[str | None] = None
    #: What a reference of ``N/A`` means: the step is skipped, or fails.
    is_skipped_without_references: ClassVar[bool] = True

    #: Whether it begins with `reading.read_ramp`, which takes what was read ahead.
    reads_ramps: ClassVar[bool] = False

    #: Reference types with their classes, and those that may be missing: read off `correct`.
    reference_classes: ClassVar[dict[str, type]] = {}
    optional_references: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if any(isinstance(value, Parameter) for value in vars(cls).values()):
            cls.spec = spec_of(cls)
        if "correct" in vars(cls):
            cls.reference_classes, cls.optional_references = references_in(cls.correct)
            if "reference_file_types" not in vars(cls):
                cls.reference_file_types = list(cls.reference_classes)

    @functools.cached_property
    def session(self) -> Session:
        """The run that this step is part of."""
        if self.parent is not None:
            session: Session = self.parent.session
            return session
        session = Session.of(self)
        if session.max_memory is not None and not (self.reads_ramps or self.can_be_cut):
            log.warning("%s: max_memory does not count here, only for ramps", self.class_alias)
        return session

    # -- what a step does ---------------------------------------------------------------------

    def correct_all(self, exposure: Any, references: dict[str, Any]) -> Any:
        """Call `correct` on an exposure, or on each of its parts."""
        return self.correct(exposure, **references)

    def applies_to(self, exposure: Any) -> None:
        """Raise `SkipStep` or `NotYetError` where references need not be looked for."""

    def apply(self, exposure: Any) -> Any:
        """Run this step on an exposure in memory: references, science, status.

        Parameters
        ----------
        exposure : Ramp or Rates
            Changed in place.

        Returns
        -------
        Ramp, Rates or what `correct` returns
            The exposure itself where `correct` returns None.
        """
        started = time.perf_counter()
        self.session.observer.start_step(self.class_alias)
        status, result = self.attempt(self._prepare_and_correct, exposure)
        self.record(exposure, status, time.perf_counter() - started)
        return exposure if result is None else result

    def attempt(self, action: Callable[..., Any], *arguments: Any, **more: Any) -> tuple[str, Any]:
        """Return COMPLETE and what `action` returns; SKIPPED and None if it raises `SkipStep`."""
        try:
            return "COMPLETE", action(*arguments, **more)
        except SkipStep as reason:
            log.info("%s is skipped: %s", self.class_alias, reason)
            return "SKIPPED", None

    def prepare(self, exposure: Any) -> dict[str, Any]:
        """Return the references for an exposure, after a look at whether the step applies to it.

        Raises
        ------
        SkipStep
            If it does not.
        """
        self.applies_to(exposure)
        return self._load_references(exposure)

    def record(self, exposure: Any, status: str, seconds: float) -> None:
        """Record the status, and tell that the step is over."""
        self.set_status(exposure, status)
        log.info("%s: %s in %.2f s", self.class_alias, status.lower(), seconds)
        self.session.observer.finish_step(self.class_alias, seconds)

    def _prepare_and_correct(self, exposure: Any) -> Any:
        return self.correct_all(exposure, self.prepare(exposure))

    @property
    def works_on_models(self) -> bool:
        """Whether hooks or a product of its own make this step take official data models."""
        return bool(self._pre_hooks or self._post_hooks or self.save_results or self.output_file)

    def needed_references(self, meta: Any, shape: tuple[int, ...] = ()) -> dict[str, type]:
        """Return the reference types, and their classes, that an exposure needs of this step.

        A type that is left out must have a default in `correct`. `shape` is that of the exposure,
        () as long as only its keywords are known.
        """
        del meta, shape
        return self.reference_classes

    def set_status(self, exposure: Any, status: str) -> None:
        """Record the status of this step in the metadata of `exposure`."""
        setattr(exposure.meta.cal_step, self.status_name or self.class_alias, status)

    def find_references(self, meta: Any) -> None:
        """Look up every reference of this step without reading it, to fail early.

        Raises
        ------
        ReferenceFileError
            If one is missing.
        """
        source = self.session.references.with_overrides(self.get_ref_override)
        needed = self.needed_references(meta)
        source.prefetch(needed, meta)
        for reftype in needed:
            source.find(reftype, meta, optional=reftype in self.optional_references)

    def _load_references(self, exposure: Any) -> dict[str, Any]:
        source = self.session.references.with_overrides(self.get_ref_override)
        used = {}
        for reftype in self.needed_references(exposure.meta, exposure.data.shape):
            used[reftype] = source.load(
                reftype,
                exposure.meta,
                exposure.data.shape,
                self.session.device,
                optional=reftype in self.optional_references,
            )
            provenance.record_reference(exposure.meta, reftype, source.names_used[reftype])
        missing = [name for name in set(used) - self.optional_references if used[name] is None]
        if missing and self.is_skipped_without_references:
            log.warning("%s: there is no %s reference", self.class_alias, missing[0].upper())
            raise SkipStep(f"it needs a {missing[0].upper()} reference, and that is N/A")
        if missing:
            raise ReferenceFileError(
                f"{exposure.meta.filename}: {self.class_alias} needs a {missing[0].upper()} "
                f"reference, and that is N/A: give --override_{missing[0]}=FILE"
            )
        return used

    # -- between models and exposures ---------------------------------------------------------

    def open(self, source: Any) -> Any:
        """Open a file, or wrap an official data model, as what this step works on.

        Its arrays may be on the host, also where this run's device is another one.
        """
        raise NotImplementedError

    def as_model(self, exposure: Any) -> Any:
        """Return what this step works on as an official data model that shares its arrays.

        They are on the host.
        """
        raise NotImplementedError

    def close(self, result: Any) -> Any:
        """Return what `apply` returned as official data models."""
        return self.as_model(result)

    def reopen(self, models: Any) -> Any:
        """Return what `close` returned, as `apply` returned it."""
        return self.open(models)

    def process(self, source: Any) -> Any:
        """Run this step on a file or data model; stpipe calls this.

        Parameters
        ----------
        source : str, Path or JwstDataModel
            A model is left unchanged, unless this step runs within a pipeline.

        Returns
        -------
        JwstDataModel, or a tuple of them
        """
        if self.parent is not None:  # which tries again as a whole
            return self._attempt(source)
        return self.session.where_there_is_room(
            lambda: self._attempt(source),
            in_blocks=self.can_be_cut and isinstance(source, (str, Path)),
        )

    def _attempt(self, source: Any) -> Any:
        source = self._own(source)
        if isinstance(source, (str, Path)):
            blocks = self.in_blocks(source)
            if blocks is not None:
                return self.close(self.session.fetch(blocks.run([self])))
        exposure = self.session.send(self.open(source))
        return self.close(self.session.fetch(self.apply(exposure)))

    @property
    def can_be_cut(self) -> bool:
        """Whether this step knows a way in blocks."""
        return type(self).in_blocks is not CalibrationStep.in_blocks

    def in_blocks(self, source: str | Path) -> Blocks | None:
        """Return a file's exposure for its way in blocks; None to take it in one piece."""
        del source
        return None

    def _own(self, source: Any) -> Any:
        """Return a path, or a model that this step may change."""
        if isinstance(source, str):
            return self.make_input_path(source)
        if isinstance(source, Path) or self.parent is not None:
            return source
        return source.copy()


class RampStep(CalibrationStep):
    """A step that changes the ramps of an exposure in place."""

    reads_ramps = True

    #: What the step does with superstripes, which refpix puts together: they are ``refused``, taken
    #: ``each`` by itself, or all ``together``.
    superstripes: ClassVar[Literal["refused", "each", "together"]] = "refused"

    def prepare(self, exposure: Ramp) -> dict[str, Any]:
        """Return the references for an exposure; see `CalibrationStep.prepare`.

        Raises
        ------
        InputError
            If they are still in superstripes, and this step needs images of the detector.
        """
        if self.superstripes == "refused" and count_superstripes(exposure.meta):
            raise InputError(
                f"{exposure.meta.filename}: it was read in superstripes, which refpix puts "
                f"together: {self.class_alias} needs it to run before, do not skip it"
            )
        return super().prepare(exposure)

    def correct_part(self, part: Ramp, *survey: Any, **references: Any) -> Any:
        """Call `correct` on a part of the exposure, or on each of its superstripes."""
        del survey
        return self.correct_all(part, references)

    def in_blocks(self, source: str | Path) -> Blocks | None:
        """Return a file's exposure for its way in blocks; None to take it in one piece."""
        if self.session.budget() is None:
            return None
        return calibrate_if_too_large(self, source, reading.read_metadata(source), [self])

    def correct_all(self, exposure: Ramp, references: dict[str, Any]) -> Any:
        """Call `correct` on the exposure, or on each of its superstripes."""
        n = count_superstripes(exposure.meta) if self.superstripes == "each" else 0
        if not n:
            return self.correct(exposure, **references)
        for number in range(n):
            stripe = take_stripe(exposure, number)
            own = {
                reftype: reference and of_stripe(reference, number, n)
                for reftype, reference in references.items()
            }
            self.correct(stripe, **own)
            put_stripe(exposure, number, stripe)
        return None

    def open(self, source: Any) -> Ramp:
        """Open a file, or wrap an official data model, as a `Ramp`."""
        if isinstance(source, (str, Path)):
            from jwgpu.kernels.compiled import threads

            return reading.read_ramp(source, threads=threads(), device=self.session.device)
        return reading.ramp_of(source)

    def as_model(self, exposure: Ramp) -> Any:
        """Return the ramp as an official `RampModel`."""
        return reading.model_of(exposure)


class RateStep(CalibrationStep):
    """A step that changes count rates in place."""

    def open(self, source: Any) -> Rates:
        """Open a file, or wrap an official data model, as `Rates`."""
        if isinstance(source, (str, Path)):
            source = self._datamodels_open(str(source))
        return reading.rates_of(source)

    def as_model(self, exposure: Rates) -> Any:
        """Return the rates as the official data model that they came from."""
        return writing.model_of_rates(exposure)
