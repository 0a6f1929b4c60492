"""MIRI's electromagnetic interference: waves that are phased to the clock of the pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jwgpu.errors import ParameterError
from jwgpu.kernels.emi import MIRI_CLOCKS, Clock, period_of
from jwgpu.simulate.settings import Settings

if TYPE_CHECKING:
    from jwgpu.simulate.recipes import Recipe

#: The frequencies, in Hz, and which of them disturb a subarray.
FREQUENCIES = {"Hz390": 390.625, "Hz218": 218.52055, "Hz10": 10.039216}
_FULL_FRAME = ("Hz10",)
_SUBARRAY = ("Hz390", "Hz218")

_BINS = 500
_START = 0.37  # of the waves, in turns


def frequencies(settings: Settings) -> tuple[str, ...]:
    """Return the names of the frequencies that disturb an exposure."""
    return _FULL_FRAME if settings.place.name == "FULL" else _SUBARRAY


def clock_of(settings: Settings) -> Clock:
    """Return how an exposure is clocked.

    Raises
    ------
    ParameterError
        If its subarray or read pattern is one whose clocking is not known.
    """
    name, pattern = settings.place.name, settings.pattern
    if name == "FULL":
        name += "_SLOW" if pattern.nsamples > 1 else "_FAST"
    if name not in MIRI_CLOCKS or pattern.groupgap:
        raise ParameterError(
            f"interference: the clocking of {name} with {pattern.name} is not known here; choose "
            f"FAST, FASTR1, SLOW or SLOWR1, and one of: {', '.join(MIRI_CLOCKS)}"
        )
    row_clocks, frame_clocks = MIRI_CLOCKS[name]
    return Clock(
        row_clocks=row_clocks,
        samples=pattern.nsamples,
        reset_clocks=frame_clocks if pattern.name.endswith("R1") else 0,
        rows=settings.place.ysize,
        groups=settings.total_frames,
    )


def wave(name: str, turns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the wave of a frequency, of amplitude 1, at phases in turns."""
    phase = 2 * np.pi * turns
    second = 0.3 + 0.1 * list(FREQUENCIES).index(name)
    return (np.sin(phase) + second * np.cos(2 * phase)) / (1 + second)


def interference(
    settings: Settings, integration: int, frame: int, first: int, stop: int
) -> NDArray[np.float32]:
    """Return the interference in some rows of a frame.

    Returns
    -------
    ndarray, float32, shape (stop - first, x)
        In DN.
    """
    clock = clock_of(settings)
    start = integration * clock.integration_clocks + frame * clock.frame_clocks
    rows = np.arange(first, stop)[:, None] * clock.row_clocks
    columns = np.arange(settings.place.xsize)[None, :] // 4 * clock.samples
    times = start + rows + columns
    total = np.zeros(times.shape)
    for name in frequencies(settings):
        total += wave(name, times / period_of(FREQUENCIES[name]) + _START)
    return (total * settings.interference).astype(np.float32)


def emicorr_reference(recipe: Recipe, models: Any) -> Any:
    """Make an EMICORR reference of all waves and subarrays."""
    turns = (np.arange(_BINS) + 0.5) / _BINS
    model = models.EmiModel()
    model.frequencies = {
        name: {"frequency": frequency, "phase_amplitudes": wave(name, turns).astype(np.float32)}
        for name, frequency in FREQUENCIES.items()
    }
    cases = {}
    for name, (row_clocks, frame_clocks) in MIRI_CLOCKS.items():
        names = list(_FULL_FRAME if name.startswith("FULL") else _SUBARRAY)
        detectors = dict.fromkeys(("MIRIMAGE", "MIRIFUSHORT", "MIRIFULONG"), names)
        cases[name] = {
            "rowclocks": row_clocks,
            "frameclocks": frame_clocks,
            "freqs": {"FAST": names, "SLOW": detectors},
        }
    model.subarray_cases = cases
    return model
