"""Steps that take ramps, in stage 1, as well as count rates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jwgpu.errors import InputError
from jwgpu.models import reading
from jwgpu.models.ramp import Ramp
from jwgpu.models.rates import Rates
from jwgpu.runner.blocks import Blocks
from jwgpu.runner.room import calibrate_if_too_large
from jwgpu.steps.base import CalibrationStep


class RampOrRateStep(CalibrationStep):
    """A step that changes the ramps, or the count rates, of an exposure in place."""

    def open(self, source: Any) -> Ramp | Rates:
        """Open a file, or wrap an official data model.

        Raises
        ------
        InputError
            If it holds neither ramps nor images of count rates.
        """
        from stdatamodels.jwst import datamodels

        if isinstance(source, (str, Path)):
            if _has_ramps(source):
                from jwgpu.kernels.compiled import threads

                return reading.read_ramp(source, threads=threads())
            source = self._datamodels_open(str(source))
        if isinstance(source, datamodels.RampModel):
            return reading.ramp_of(source)
        return _rates_of(source)

    def in_blocks(self, source: str | Path) -> Blocks | None:
        """Return a file's ramps for their way in blocks; None to take it in one piece."""
        if self.session.budget() is None or not _has_ramps(source):
            return None
        return calibrate_if_too_large(self, source, reading.read_metadata(source), [self])

    def as_model(self, exposure: Ramp | Rates) -> Any:
        """Return the exposure as the official data model that it came from."""
        if isinstance(exposure, Ramp):
            return reading.model_of(exposure)
        exposure.model.data = exposure.data
        return exposure.model


def _has_ramps(path: str | Path) -> bool:
    from jwgpu.models.fits_arrays import FitsFile

    if not str(path).lower().endswith((".fits", ".fits.gz")):
        return False
    with FitsFile(str(path)) as file:
        samples = file.find("SCI")
        return samples is not None and len(samples.shape) == 4


def _rates_of(model: Any) -> Rates:
    import numpy as np

    data = getattr(model, "data", None)
    if getattr(data, "ndim", 0) not in (2, 3):
        raise InputError(
            f"{model.meta.filename}: holds neither ramps nor an image, or cube, of count rates; "
            "give a _ramp, _rate or _rateints file"
        )
    return Rates(
        data=np.ascontiguousarray(data, np.float32),
        dq=np.ascontiguousarray(model.dq, np.uint32),
        err=None,
        var_poisson=None,
        var_rnoise=None,
        model=model,
    )
