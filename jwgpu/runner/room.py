"""Whether an exposure is to be calibrated in blocks: by what it needs, and what there is."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jwgpu.models import reading
from jwgpu.models.ramp import Ramp
from jwgpu.runner import parts
from jwgpu.runner.blocks import Blocks
from jwgpu.runner.memory import readable, size_of_references

log = logging.getLogger(__name__)

#: A calibration step, `jwgpu.steps.base.CalibrationStep`, which this room does not know.
Step = Any


def calibrate_if_too_large(
    step: Step, source: str | Path, model: Any, steps: Sequence[Step]
) -> Blocks | None:
    """Return an exposure for its way in blocks, if it is too large to be calibrated in one piece.

    Parameters
    ----------
    step : CalibrationStep
        The pipeline or step that runs, with its session.
    source : str or Path
        The FITS file.
    model : JwstDataModel
        Its metadata.
    steps : sequence of CalibrationStep
        What is to be done.

    Returns
    -------
    Blocks or None
        None without a limit of memory, or if the calibration in one piece stays below it.
    """
    from jwgpu.kernels.compiled import threads

    session = step.session
    budget = session.budget()
    if budget is None or session.surely_fits(source, budget):
        return None
    exposure = reading.read_ramp(source, model, threads(), in_memory=False)
    needed = peak_in_one_piece(exposure, steps)
    if needed <= budget.room and not session.attempt:
        return None
    log.info(
        "about %s of memory would be needed, the limit is %s: calibrating in blocks",
        readable(budget.process + needed),
        budget.name,
    )
    reading.forget_ahead(source)  # all of it, in memory
    name = step.make_output_path(basepath=exposure.meta.filename, suffix="rate")
    cut_down = 4**session.attempt
    return Blocks(exposure, budget, Path(name).parent, session.device, cut_down, session.observer)


def peak_in_one_piece(exposure: Ramp, steps: Iterable[Step]) -> int:
    """Estimate the bytes of memory that calibration without blocks takes at its peak.

    What the process takes itself is not counted.
    """
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
    return parts.size_of(exposure).in_one_piece(largest)
