"""Electromagnetic interference in MIRI's raw samples: periodic waves, phased to the pixel clock.

The phase of a wave at a pixel follows from when the pixel was read. So the samples of an exposure
can be summed by phase in one pass, and the wave found from these sums alone. Two ways of finding
it are here: a fit of a known waveform together with straight ramps
(:mod:`jwgpu.kernels.emi.joint`), and the folding of what is left when ramps are taken away
(:mod:`jwgpu.kernels.emi.folded`).

Source: JWST calibration documents, "MIRI EMI Correction"; the joint fit as in release 3.0.
"""

from __future__ import annotations

from typing import Any

from jwgpu.backends import implementation
from jwgpu.kernels.emi.clock import MIRI_CLOCKS, Clock, period_of

__all__ = [
    "MIRI_CLOCKS",
    "Clock",
    "evaluate_waveform",
    "fold_residuals",
    "period_of",
    "scatter_along_ramps",
    "subtract_table",
    "subtract_waveform",
    "sum_by_phase",
]


def scatter_along_ramps(data: Any) -> Any:
    """Return the standard deviation of each pixel along each integration.

    Parameters
    ----------
    data : array, (ints, groups, y, x) float32
        Samples in DN.

    Returns
    -------
    array, (ints, y, x) float32
        In DN.
    """
    return implementation(__name__, data).scatter_along_ramps(data)


def sum_by_phase(
    data: Any, pixeldq: Any, clock: Clock, period: float, n_bins: int, limit: float | None = None
) -> tuple[Any, Any]:
    """Sum the samples of steady, unflagged pixels by the phase at which the first group is read.

    Steady is a pixel whose standard deviation along an integration is less than twice the median of
    all (float32 throughout, so that the choice is the official one). The second and third pixel
    that each amplifier reads in a row are left out.

    Parameters
    ----------
    data : array, (ints, groups, y, x) float32
        Samples in DN; x is a multiple of 4.
    pixeldq : array, (y, x) uint32
    clock : Clock
    period : float
        Of the wave, in cycles of the pixel clock.
    n_bins : int
        Bins of phase.
    limit : float, optional
        Standard deviation from which on a pixel is not steady, in DN, where these are only some
        integrations of an exposure: twice the median of all (float32).

    Returns
    -------
    sums : array, (ints, bins, groups) float64
        In DN.
    counts : array, (ints, bins) float64
        Pixels that were summed.
    """
    body = implementation(__name__, data, pixeldq)
    sums, counts = body.sum_by_phase(data, pixeldq, clock, float(period), int(n_bins), limit)
    return sums, counts


def evaluate_waveform(pieces: Any, phases: Any) -> Any:
    """Evaluate a waveform, given as pieces of cubic polynomials, at phases.

    Parameters
    ----------
    pieces : array, (bins + 1, 4) float64
        From :func:`jwgpu.kernels.emi.joint.waveform_pieces`.
    phases : array, any shape, float64
        In turns; whole turns do not count.

    Returns
    -------
    array, the shape of `phases`, float64
    """
    return implementation(__name__, pieces, phases).evaluate_waveform(pieces, phases)


def subtract_waveform(
    data: Any, clock: Clock, period: float, pieces: Any, amplitudes: Any, phases: Any
) -> None:
    """Subtract a waveform from each sample, in place.

    Parameters
    ----------
    data : array, (ints, groups, y, x) float32
        In DN.
    clock : Clock
    period : float
        In cycles of the pixel clock.
    pieces : array, (bins + 1, 4) float64
        The waveform.
    amplitudes, phases : array, (ints,) float64
        Factor on the waveform, and its phase when the first pixel of the integration is read.
    """
    implementation(__name__, data, pieces).subtract_waveform(
        data, clock, float(period), pieces, amplitudes, phases
    )


def fold_residuals(
    data: Any, clock: Clock, period: float, n_bins: int, last_column_is_reference: bool
) -> Any:
    """Average by phase what is left of the samples when ramp and bias are taken away.

    From each pixel of an integration goes a straight line through all groups but the first and
    last, then the median (of one or two groups the least) of what is left. The mean of
    the four amplifiers, less the median of each group, is averaged by phase, clipped at three
    standard deviations about the median up to five times.

    Parameters
    ----------
    data : array, (ints, groups, y, x) float32
        The integrations to use, in DN; x is a multiple of 4, at least 16. It may be anything that
        has this shape and gives integration ``i``, an array, as ``data[i]``.
    clock : Clock
    period : float
        In cycles of the pixel clock.
    n_bins : int
        Bins of phase, open below and closed above: a phase of zero belongs to none.
    last_column_is_reference : bool
        Whether the rows end with a reference pixel, which is read later.

    Returns
    -------
    array, (bins,) float64
        Mean in DN, NaN where nothing was read at this phase.
    """
    return implementation(__name__, data[0]).fold_residuals(
        data, clock, float(period), int(n_bins), bool(last_column_is_reference)
    )


def subtract_table(
    data: Any,
    clock: Clock,
    period: float,
    table: Any,
    last_column_is_reference: bool,
    first_integration: int = 0,
) -> None:
    """Subtract from each sample the entry of a table for its phase, in place.

    Parameters
    ----------
    data : array, (ints, groups, y, x) float32
        In DN.
    clock : Clock
    period : float
        In cycles of the pixel clock; one entry of the table for each whole cycle.
    table : array, (at least period,) float64
        In DN.
    last_column_is_reference : bool
        Whether the rows end with a reference pixel, which is read later.
    first_integration : int
        Which of the exposure comes first here, from 0.
    """
    implementation(__name__, data, table).subtract_table(
        data, clock, float(period), table, bool(last_column_is_reference), int(first_integration)
    )
