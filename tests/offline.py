"""Run the official ``jwst`` package without a network.

``jwst`` asks CRDS for its context even when every reference is given, and ends the process when
it gets no answer. So CRDS is given a cache that holds nothing but a server's configuration, and
every question for a reference is answered from a table: the file that the caller names, or
"N/A". This also reaches the steps that some steps build inside themselves.

Import this before anything of ``jwst`` or ``crds``: importing it sets the environment.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import gc
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

_SERVER = {
    "observatory": "jwst",
    "latest_context": "jwst_0000.pmap",
    "operational_context": "jwst_0000.pmap",
    "last_synced": "never",
    "bad_files_list": [],
    "force_remote_mode": False,
}

ENVIRONMENT = {
    "CRDS_SERVER_URL": "https://crds-serverless-mode.stsci.edu",
    "CRDS_CONTEXT": "jwst_0000.pmap",
    "STPIPE_DISABLE_CRDS_STEPPARS": "true",
}
"""What the official package must find in the environment before it is imported."""

References = Mapping[str, "str | Path"]
Parameters = Mapping[str, Mapping[str, Any]]


def write_stub_cache(folder: Path) -> dict[str, str]:
    """Make a CRDS cache without references in a folder; return the environment to run with."""
    configuration = folder / "config" / "jwst"
    configuration.mkdir(parents=True, exist_ok=True)
    (configuration / "server_config").write_text(repr(_SERVER))
    return {"CRDS_PATH": str(folder), **ENVIRONMENT}


def use_stub_cache() -> None:
    """Point this process at a stub cache of its own, which goes when the process ends."""
    folder = tempfile.mkdtemp(prefix="crds-stub-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ.update(write_stub_cache(Path(folder)))


use_stub_cache()


@contextlib.contextmanager
def answering(references: References) -> Iterator[None]:
    """Let every official step find its references in a table, and "N/A" for all others."""
    from jwst.stpipe import Step

    def get_ref_override(self: Any, reference_file_type: str) -> str:
        del self
        return str(references.get(reference_file_type, "N/A"))

    original = Step.__dict__.get("get_ref_override")
    Step.get_ref_override = get_ref_override
    try:
        yield
    finally:
        if original is None:
            del Step.get_ref_override
        else:
            Step.get_ref_override = original


@dataclasses.dataclass(frozen=True)
class Products:
    """What the official first pipeline wrote; None where it wrote none."""

    folder: Path
    rate: Path | None
    rateints: Path | None
    ramp: Path | None

    @classmethod
    def of(cls, folder: Path) -> Products:
        """Find the products of one exposure in a folder."""

        def only(suffix: str) -> Path | None:
            found = sorted(folder.glob(f"*_{suffix}.fits"))
            return found[0] if found else None

        return cls(folder, only("rate"), only("rateints"), only("ramp"))


def official_detector1(
    exposure: str | Path,
    references: References,
    folder: str | Path,
    steps: Parameters | None = None,
    **parameters: Any,
) -> Products:
    """Run the official Detector1Pipeline.

    Parameters
    ----------
    exposure : str or Path
        A raw exposure.
    references : mapping
        Reference type to file; all others are "N/A".
    folder : str or Path
        Where the products go; it should hold no others.
    steps : mapping, optional
        Alias of a step to its parameters, ``skip`` among them.
    **parameters
        Of the pipeline itself: ``save_calibrated_ramp``, …
    """
    from jwst.pipeline import Detector1Pipeline

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    pipeline = Detector1Pipeline()
    pipeline.output_dir = str(folder)
    pipeline.save_results = True
    for name, value in parameters.items():
        _set(pipeline, name, value)
    for alias, values in (steps or {}).items():
        for name, value in values.items():
            _set(getattr(pipeline, alias), name, value)
    with answering(references):
        result = pipeline.run(str(exposure))
    if hasattr(result, "close"):
        result.close()
    return Products.of(folder)


def official_step(alias: str, exposure: Any, references: References, **parameters: Any) -> Any:
    """Run one official step.

    Parameters
    ----------
    alias : str
        Official alias, as in the pipeline: ``jump``, ``dark_current``, ``ramp_fit``, …
    exposure : str, Path or data model
        What to work on; it is left unchanged.
    references : mapping
        Reference type to file; all others are "N/A".
    **parameters
        Of the step.

    Returns
    -------
    data model, or whatever the step returns (two models for ``ramp_fit``)
    """
    step = _official_class(alias)()
    for name, value in parameters.items():
        _set(step, name, value)
    given = str(exposure) if isinstance(exposure, Path) else exposure
    with answering(references):
        return step.run(given)


@cache
def _official_class(alias: str) -> Any:
    """Return the class of a step, from the first pipeline that has it."""
    from jwst.pipeline import Detector1Pipeline, Image2Pipeline, Image3Pipeline

    # Each step asks for garbage collection: what was imported is no garbage.
    gc.collect()
    gc.freeze()
    for pipeline in (Detector1Pipeline, Image2Pipeline, Image3Pipeline):
        if alias in pipeline.step_defs:
            return pipeline.step_defs[alias]
    raise KeyError(f"no official pipeline has a step {alias!r}")


def _set(step: Any, name: str, value: Any) -> None:
    """Set a parameter, refusing one that the step does not have."""
    if not hasattr(step, name):
        raise AttributeError(f"the official {type(step).__name__} has no parameter {name!r}")
    setattr(step, name, value)
