"""Pipelines that begin with the samples up the ramp: how they open an exposure and divide it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jwgpu.models import reading
from jwgpu.models.ramp import Ramp
from jwgpu.pipelines.base import CalibrationPipeline
from jwgpu.runner.blocks import Blocks
from jwgpu.runner.room import calibrate_if_too_large
from jwgpu.steps.base import CalibrationStep

#: The steps that make linear ramps of raw ones.
NEAR_INFRARED = [
    "group_scale",
    "dq_init",
    "saturation",
    "ipc",
    "superbias",
    "refpix",
    "linearity",
]
MID_INFRARED = [
    "group_scale",
    "dq_init",
    "emicorr",
    "saturation",
    "ipc",
    "firstframe",
    "lastframe",
    "reset",
    "linearity",
    "rscd",
]


class RampPipeline(CalibrationPipeline):
    """A pipeline whose steps take the ramps of an exposure one after the other."""

    reads_ramps = True

    def order_for(self, meta: Any, name: str) -> list[str]:
        """Return the aliases of the steps of an exposure, in their order; `name` is for errors.

        Raises
        ------
        JwgpuError
            If this pipeline does not calibrate exposures of this kind.
        """
        raise NotImplementedError

    def calibrate(self, ramp: Ramp, order: Sequence[str]) -> Any:
        """Take a ramp in memory through the steps; return the product."""
        raise NotImplementedError

    def calibrate_in_blocks(self, blocks: Blocks, order: Sequence[str]) -> Any:
        """Do the same with an exposure that does not fit into the memory."""
        raise NotImplementedError

    def process(self, source: Any) -> Any:
        """Run the pipeline on a file or an official data model; stpipe calls this.

        Parameters
        ----------
        source : str, Path or RampModel
            The exposure; a model is left unchanged.

        Returns
        -------
        JwstDataModel
        """
        own, model = self._opened(source)
        name = Path(own).name if isinstance(own, (str, Path)) else str(model.meta.filename)
        order = self.order_for(model.meta, name)
        observer = self.session.observer
        observer.start_exposure(name, ["load", *order, "save"])
        try:
            for step in self.steps_of(order):
                if not step.skip:
                    step.find_references(model.meta)
            opened = [(own, model)]
            del own, model
            # An attempt changes the metadata: another one begins anew.
            return self.session.where_there_is_room(
                lambda: self._calibrate_once(
                    *(opened.pop() if opened else self._opened(source)), order
                ),
                in_blocks=isinstance(source, (str, Path)),
            )
        finally:
            observer.finish_exposure(name)

    def _opened(self, source: Any) -> tuple[Any, Any]:
        """Return a path, or a model that may be changed; and a model with the metadata."""
        source = self._own(source)
        is_file = isinstance(source, (str, Path))
        return source, reading.read_metadata(source) if is_file else source

    def _calibrate_once(self, source: Any, model: Any, order: Sequence[str]) -> Any:
        self.session.observer.start_step("load")
        if isinstance(source, (str, Path)):
            blocks = calibrate_if_too_large(self, source, model, self.steps_of(order))
            if blocks is not None:
                return self.calibrate_in_blocks(blocks, order)
        # Nothing here holds the ramp: it goes when it has been used.
        return self.calibrate(self.load(source, model), order)

    def load(self, source: Any, model: Any) -> Ramp:
        """Return the ramp in memory, on this run's device."""
        from jwgpu.kernels.compiled import threads

        if isinstance(source, (str, Path)):
            return reading.read_ramp(source, model, threads(), device=self.session.device)
        ramp: Ramp = self.session.send(reading.ramp_of(source))
        return ramp

    def steps_of(self, order: Sequence[str]) -> list[CalibrationStep]:
        """Return the steps with these aliases."""
        return [getattr(self, alias) for alias in order]

    def run_steps(self, ramp: Any, order: Sequence[str]) -> Any:
        """Hand an exposure from step to step."""
        for step in self.steps_of(order):
            ramp = self.run_step(step, ramp)
        return ramp
