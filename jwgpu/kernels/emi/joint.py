"""Fit of a waveform together with the ramps: amplitude and phase that make the ramps straightest.

Every pixel read at the same phase of the wave has the same wave along its ramp, so that chi squared
depends on the samples only through their sums over such pixels. For a trial phase let ``z`` be the
wave in each bin of phase and group. A straight line is fitted to each bin's ramp, less ``c z``; the
chi squared of these fits is ``a c**2 + b c`` and a constant, which gives the best amplitude ``c``
in closed form. The phase is searched on a grid and refined by a parabola.
"""

from __future__ import annotations

import logging
import math
from typing import Any

from jwgpu.backends import namespace_of
from jwgpu.kernels.emi import Clock, evaluate_waveform

log = logging.getLogger(__name__)

#: Trial phases in a turn.
TRIALS = 500

#: Trial phases that are multiplied at a time.
_TOGETHER = 16

#: Chi squared that differ by less are equal, and the first counts. Where a wave turns by half from
#: group to group (SUB128 at 390.625 Hz), phases half a turn apart fit equally well: they differ in
#: what is the same in all groups, and no slope depends on that.
_TIE = 1e-11

#: Sums of squares below this are no wave at all.
_NO_WAVE = 1e-8


def waveform_pieces(waveform: Any) -> Any:
    """Return a waveform as pieces of cubic polynomials: a spline with not-a-knot ends.

    Parameters
    ----------
    waveform : ndarray, (bins,) float
        One turn, a value at the middle of each bin; at least 4.

    Returns
    -------
    ndarray, (bins + 1, 4) float64
        Coefficients, constant first, in bins from the middle of one bin to that of the next; the
        first piece starts half a bin before the turn.
    """
    import numpy as np

    values = np.asarray(waveform, dtype=np.float64)
    around = np.concatenate([values[-1:], values, values[:1]])
    bend = _second_derivatives(around)
    rise = np.diff(around) - (2 * bend[:-1] + bend[1:]) / 6
    pieces = [around[:-1], rise, bend[:-1] / 2, np.diff(bend) / 6]
    return np.ascontiguousarray(np.stack(pieces, axis=1))


def _second_derivatives(values: Any) -> Any:
    """Return the second derivatives of a cubic spline at its knots, a unit apart: (n,) float64.

    That the first two pieces are one polynomial makes the equation of the second knot one of that
    knot alone; so at the other end. Between them the equations are tridiagonal.
    """
    import numpy as np

    n = values.size
    right = (6 * (values[:-2] - 2 * values[1:-1] + values[2:])).tolist()
    found = [right[0] / 6]
    factors = [0.0]
    for value in right[1:-1]:
        factor = 1 / (4 - factors[-1])
        factors.append(factor)
        found.append((value - found[-1]) * factor)
    found.append(right[-1] / 6)
    for k in range(n - 4, 0, -1):
        found[k] -= factors[k] * found[k + 1]
    inner = np.array(found)
    first, last = 2 * inner[0] - inner[1], 2 * inner[-1] - inner[-2]
    return np.concatenate([[first], inner, [last]])


def fit_waveform(
    sums: Any, counts: Any, pieces: Any, clock: Clock, period: float, separately: bool
) -> tuple[Any, Any]:
    """Fit the amplitude and phase of a waveform to samples summed by phase.

    Parameters
    ----------
    sums : array, (ints, bins, groups) float64
        In DN, from :func:`jwgpu.kernels.emi.sum_by_phase`; at least 3 groups.
    counts : array, (ints, bins) float64
    pieces : array, (bins + 1, 4) float64
        The waveform.
    clock : Clock
    period : float
        In cycles of the pixel clock.
    separately : bool
        Fit each integration by itself, not all with one amplitude and phase.

    Returns
    -------
    amplitudes, phases : array, (ints,) float64
        Factor on the waveform (0 where there is nothing to fit), and its phase in turns when the
        first pixel of the integration is read.
    """
    xp = namespace_of(sums, counts, pieces)
    ints = sums.shape[0]
    a, b = _coefficients(sums, counts, pieces, clock.frame_clocks / period % 1)
    gap = clock.frame_clocks / period % 1 * clock.groups + clock.reset_clocks / period
    gaps = [gap * i for i in range(ints)]
    groups = [[i] for i in range(ints)] if separately else [list(range(ints))]
    amplitudes, phases = [], []
    trials = xp.arange(TRIALS) * 1.0 / TRIALS
    for members in groups:
        chi2, _ = _best_amplitudes(a, b, trials, members, gaps)
        phase = best_phase(chi2)
        _, amplitude = _best_amplitudes(a, b, xp.asarray([phase]), members, gaps)
        for i in members:
            amplitudes.append(float(amplitude[0]))
            phases.append(phase + gaps[i])
    return xp.asarray(amplitudes), xp.asarray(phases)


def _coefficients(sums: Any, counts: Any, pieces: Any, group_phase: float) -> tuple[Any, Any]:
    """Return `a` and `b` of each integration and trial phase: (ints, trials)."""
    xp = namespace_of(sums, counts, pieces)
    ints, bins, groups = sums.shape
    t = xp.arange(groups, dtype=sums.dtype)
    s_t, s_tt = float(xp.sum(t)), float(xp.sum(t * t))
    delta = groups * s_tt - s_t**2
    s_y, s_ty = xp.sum(sums, axis=2), xp.sum(sums * t, axis=2)
    of_sz = s_tt * s_y - s_t * s_ty
    of_stz = groups * s_ty - s_t * s_y

    z, turns = _waves(pieces, bins, t * group_phase)
    s_z, s_tz, s_zz = xp.sum(z, axis=2), xp.sum(z * t, axis=2), xp.sum(z * z, axis=2)
    # Products: powers round otherwise on a GPU.
    straight = s_tt * (s_z * s_z) - 2 * s_t * s_z * s_tz + groups * (s_tz * s_tz)
    weight = s_zz - straight / delta

    a = xp.empty((ints, TRIALS), dtype=sums.dtype)
    b = xp.empty((ints, TRIALS), dtype=sums.dtype)
    flat_sums = sums.reshape(ints, -1)
    for first in range(0, TRIALS, _TOGETHER):
        part = slice(first, min(first + _TOGETHER, TRIALS))
        places = turns[part]

        def at(table: Any, places: list[tuple[int, int]] = places) -> Any:
            rows = [table[r, k : k + bins].reshape(-1) for r, k in places]
            return xp.stack(rows).T

        a[:, part] = counts @ at(weight)
        b[:, part] = (2 / delta) * (of_sz @ at(s_z) + of_stz @ at(s_tz)) - 2 * (flat_sums @ at(z))
    return a, b


def _waves(pieces: Any, bins: int, group_phases: Any) -> tuple[Any, list[tuple[int, int]]]:
    """Evaluate the wave at the phases of all bins, groups and trials, each once.

    The bins of phase and the trial phases lie on one grid, on which a trial moves the bins.

    Returns
    -------
    z : array, (n, 2 * bins, groups) float64
        The wave; the grid is cut into `n` sets of places a bin apart, each of two turns.
    turns : list of (int, int)
        For each trial: its set, and the place of the first bin there.
    """
    xp = namespace_of(pieces, group_phases)
    n = math.lcm(bins, TRIALS) // bins
    start = (xp.arange(n)[:, None] / n + xp.arange(bins)[None, :] + 0.5) / bins
    z = evaluate_waveform(pieces, start[:, :, None] + group_phases)
    moves = [trial * n * bins // TRIALS for trial in range(TRIALS)]
    return xp.concatenate([z, z], axis=1), [(move % n, move // n) for move in moves]


def _best_amplitudes(
    a: Any, b: Any, phases: Any, members: list[int], gaps: list[float]
) -> tuple[Any, Any]:
    """Return chi squared (less a constant; NaN without a wave) and amplitude at each phase."""
    xp = namespace_of(a, b, phases)
    total_a, total_b = xp.zeros_like(phases), xp.zeros_like(phases)
    for i in members:
        nearest = _next_trial(phases, gaps[i])
        total_a += a[i, nearest]
        total_b += b[i, nearest]
    is_wave = (xp.abs(total_a) > _NO_WAVE) & xp.isfinite(total_a) & xp.isfinite(total_b)
    safe = xp.where(is_wave, total_a, 1.0)
    amplitude = xp.where(is_wave, -total_b / (2 * safe), 0.0)
    chi2 = xp.where(is_wave, total_a * (amplitude * amplitude) + total_b * amplitude, xp.nan)
    return chi2, amplitude


def _next_trial(phases: Any, gap: float) -> Any:
    """Return the index of the trial phase that is the first at or after ``phases + gap``.

    The same differences, in the same order, as the official package forms them: which trial phase
    is taken where one falls right on the phase depends on their rounding.
    """
    xp = namespace_of(phases)
    near = xp.floor((phases + gap) * TRIALS)[:, None] + xp.arange(-1, 3)
    near = (near % TRIALS).astype(int)
    distance = (near / TRIALS - phases[:, None] - gap) % 1
    return xp.take_along_axis(near, xp.argmin(distance, axis=1)[:, None], axis=1)[:, 0]


def best_phase(chi2: Any) -> float:
    """Return the phase of least chi squared: the vertex of the parabola through three trials.

    The trials follow one another around the turn. (The official package takes those on either side
    of the turn's end to be a turn apart, and so misses the phase when it lies there.)

    Parameters
    ----------
    chi2 : array, (trials,) float64
        NaN where there is nothing to fit.
    """
    xp = namespace_of(chi2)
    if not bool(xp.any(xp.isfinite(chi2))):
        log.warning("EMI: there is nothing to fit a wave to")
        return 0.0
    n = int(chi2.shape[0])
    known = xp.where(xp.isnan(chi2), xp.inf, chi2)
    lowest = float(xp.min(known))
    least = int(xp.argmax(known <= lowest + _TIE * abs(lowest)))
    before, here, after = (float(chi2[k % n]) for k in (least - 1, least, least + 1))
    bend = before - 2 * here + after
    if not 0 < bend < float("inf"):
        log.warning("EMI: chi squared does not depend on the phase of the wave")
        return least / n
    return (least + 0.5 * (before - after) / bend) / n
