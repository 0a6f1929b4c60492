"""How our steps differ from those of stpipe: parameters, provenance, products."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import stpipe

from jwgpu.associations import is_association, read_association
from jwgpu.errors import ReferenceFileError
from jwgpu.models import writing
from jwgpu.steps import provenance
from jwgpu.steps.suffixes import remove_suffix


class StpipeStep(stpipe.Step):
    """A step of stpipe that reads, names and writes products as ours do."""

    # References are resolved here, not by the prefetch of stpipe, which knows only CRDS.
    prefetch_references = False
    _log_records_formatter = provenance.LOG_FORMATTER

    #: Whether the collector of garbage looks away.
    _has_frozen = False

    def run(self, *args: Any) -> Any:
        """Run this step; within a pipeline, without a search for garbage among all objects.

        stpipe searches before each step, which takes 0.1 s; the pipeline has just done it.
        """
        if self.parent is None or gc.get_freeze_count():
            return super().run(*args)
        gc.freeze()
        self._has_frozen = True
        try:
            return super().run(*args)
        finally:
            self._thaw()

    def set_primary_input(self, *arguments: Any, **keywords: Any) -> Any:
        """Take note of the input: what stpipe does next after its search."""
        self._thaw()
        return super().set_primary_input(*arguments, **keywords)

    def _thaw(self) -> None:
        if self._has_frozen:
            self._has_frozen = False
            gc.unfreeze()

    @classmethod
    def _datamodels_open(cls, init: Any, **keywords: Any) -> Any:
        from stdatamodels.jwst import datamodels

        return datamodels.open(init, **keywords)

    @classmethod
    def _get_crds_parameters(cls, dataset: Any) -> tuple[dict[str, Any], str]:
        """Return what CRDS chooses by: of an association or a list, of its first exposure."""
        from stdatamodels.jwst.datamodels import read_metadata

        if isinstance(dataset, (str, Path)) and is_association(dataset):
            association = read_association(dataset)
            dataset = (association.of("science") or [association.members[0].path])[0]
        elif isinstance(dataset, (list, tuple)) and dataset:
            dataset = dataset[0]
        if hasattr(dataset, "get_crds_parameters"):
            return dataset.get_crds_parameters(), "jwst"
        return read_metadata(Path(dataset), flatten=True), "jwst"

    @classmethod
    def build_config(cls, input: Any, **keywords: Any) -> Any:
        """Build the configuration, with CRDS's parameters only where CRDS gives the references.

        Raises
        ------
        ReferenceFileError
            If CRDS cannot be reached (it would end the process).
        """
        asks_crds = not (keywords.get("references") or keywords.get("offline"))
        try:
            return super().build_config(input if asks_crds else None, **keywords)
        except SystemExit:
            raise ReferenceFileError(
                f"{input}: no parameter reference from CRDS: check CRDS_SERVER_URL, or give "
                "references=FOLDER or offline=True, or set STPIPE_DISABLE_CRDS_STEPPARS=true"
            ) from None

    @staticmethod
    def get_stpipe_loggers() -> tuple[str, ...]:
        """Return the loggers that stpipe may configure."""
        return ("jwgpu", "stdatamodels", "stpipe", "CRDS", "py.warnings")

    def remove_suffix(self, name: str) -> tuple[str, str]:
        """Return `name` without its product suffix, and the separator before it."""
        return remove_suffix(name)

    def finalize_result(self, result: Any, reference_files_used: Any) -> None:
        """Write into a result who made it: version, CRDS context, log."""
        provenance.stamp(result, self)

    def save_model(self, model: Any, *arguments: Any, **keywords: Any) -> Any:
        """Save a product under its official name, whole or not at all.

        Raises
        ------
        ProductError
            If it cannot be written.
        """
        # What a pipeline's step saves goes on changing.
        product = writing.WholeProduct(model, is_final=self.parent is None)
        return super().save_model(product, *arguments, **keywords)
