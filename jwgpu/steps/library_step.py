"""What the steps of stage 3 share: they change the images of a library, one at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from stpipe.library import AbstractModelLibrary

from jwgpu.associations import is_association, open_library, read_association
from jwgpu.errors import InputError
from jwgpu.models.lent_models import BorrowedLibrary, LentModels
from jwgpu.models.library import Library
from jwgpu.models.reading_images import image_of
from jwgpu.steps.base import CalibrationStep, log
from jwgpu.steps.stpipe_step import StpipeStep

__all__ = ["FailStep", "LibraryStep", "images_in"]


class FailStep(Exception):
    """Raised by `correct` to end a step with status FAILED; the message says why."""


class LibraryStep(CalibrationStep):
    """A step that works on the images of a library: ``correct(library)``.

    What `correct` raises becomes the status of every image: `SkipStep`, `FailStep`.
    """

    #: Whether `correct` writes the status into each image itself, where it comes to an end.
    sets_status: ClassVar[bool] = False

    #: Members of an association that the step takes, as ``("science",)``; all if None.
    member_kinds: ClassVar[tuple[str, ...] | None] = None

    def correct(self, library: Library) -> Any:
        """Do what the step does; images are changed by `Library.shelve`.

        Parameters
        ----------
        library : Library
            Its images are in host memory.

        Returns
        -------
        Library or None
            None for the library itself.
        """
        raise NotImplementedError

    def apply(self, library: Library) -> Any:
        """Run this step on a library: science, status of each image."""
        started = time.perf_counter()
        self.session.observer.start_step(self.class_alias)
        try:
            status, result = self.attempt(self.correct, library)
        except FailStep as reason:
            log.warning("%s failed: %s", self.class_alias, reason)
            status, result = "FAILED", None
        self.record(library, status, time.perf_counter() - started)
        return library if result is None else result

    def set_status(self, exposure: Library, status: str) -> None:
        """Record the status of this step in every image."""
        if self.sets_status and status == "COMPLETE":
            return
        name = self.status_name or self.class_alias

        def write(model: Any, _: int) -> None:
            setattr(model.meta.cal_step, name, status)

        exposure.describe(write)

    def open(self, source: Any) -> Library:
        """Open an association, or wrap what was opened, as a library.

        Parameters
        ----------
        source : str, Path, sequence of them or of data models, JwstDataModel, or library
            Data models of a list are copied where this step runs by itself; those of an official
            library are changed, as officially.

        Raises
        ------
        InputError
            If there are no images.
        """
        if isinstance(source, Library):
            return source
        if isinstance(source, LentModels):
            return source.library
        if isinstance(source, AbstractModelLibrary):
            return BorrowedLibrary(source)
        in_memory = bool(getattr(self, "in_memory", True))
        if isinstance(source, str):
            source = self.make_input_path(source)
        if isinstance(source, (str, Path)) and is_association(source):
            association = read_association(source)
            kinds = self.member_kinds or sorted({member.kind for member in association.members})
            return open_library(association, kinds, in_memory=in_memory)
        items = images_in(source, self.make_input_path, copies=self.parent is None)
        entries = [{"exptype": "SCIENCE"} if isinstance(item, Path) else {} for item in items]
        return Library(items, entries, in_memory=in_memory)

    def _own(self, source: Any) -> Any:
        return source

    def _attempt(self, source: Any) -> Any:
        return self.close(self.apply(self.open(source)))

    def as_model(self, exposure: Library) -> Any:
        """Return the library as one that lends official data models."""
        return exposure.models if isinstance(exposure, BorrowedLibrary) else LentModels(exposure)

    def save_model(self, model: Any, *arguments: Any, **keywords: Any) -> Any:
        """Save a product, or each image of a library under its own name."""
        if isinstance(model, AbstractModelLibrary):  # which calls this for each model
            is_ours = isinstance(model, LentModels)
            if is_ours:
                model.is_passing = True
            try:
                return super(StpipeStep, self).save_model(model, *arguments, **keywords)
            finally:
                if is_ours:
                    model.is_passing = False
        return super().save_model(model, *arguments, **keywords)


def images_in(
    source: Any, input_path: Callable[[str], str | Path], *, copies: bool = True
) -> list[Any]:
    """Return the files and images of a list, or of one file or data model.

    Parameters
    ----------
    source : str, Path, JwstDataModel, or sequence of them
    input_path : callable
        Returns where a file name is meant to be.
    copies : bool
        Whether data models are copied, and so left as they are.

    Returns
    -------
    list of Path or Image

    Raises
    ------
    InputError
        If there are none.
    """
    is_single = isinstance(source, (str, Path)) or not isinstance(source, Sequence)
    found: list[Any] = []
    for item in [source] if is_single else source:
        if isinstance(item, (str, Path)):
            found.append(Path(input_path(item) if isinstance(item, str) else item))
        else:
            found.append(image_of(item.copy() if copies else item))
    if not found:
        raise InputError("there are no images: give at least one")
    return found
