"""From samples folded by phase to the table that is subtracted, one entry for each clock cycle."""

from __future__ import annotations

import math
from typing import Any

from jwgpu.backends import namespace_of


def table_of(
    folded: Any, period: float, waveform: Any | None = None, is_scaled: bool = True
) -> Any:
    """Return what to subtract at each cycle of a wave.

    Without a known waveform that is the folded wave itself. A known waveform is turned to where it
    correlates best with the folded wave, and scaled to its amplitude by a straight line.

    Parameters
    ----------
    folded : array, (bins,) float64
        From :func:`jwgpu.kernels.emi.fold_residuals`, in DN.
    period : float
        In cycles of the pixel clock.
    waveform : array, (n,) float, optional
        The known waveform, one turn.
    is_scaled : bool
        Whether the known waveform is scaled; if not, it is in DN.

    Returns
    -------
    array, (at least period,) float64
        In DN; 0 where there is nothing to subtract.
    """
    xp = namespace_of(folded)
    wave = folded - _median(xp, folded)
    table = resample(wave, period)
    if waveform is not None:
        known = xp.asarray(waveform, dtype=wave.dtype)
        shift = best_shift(known, resample(wave, known.shape[0]))
        turned = resample(xp.roll(known, shift), period)
        n = min(table.shape[0], turned.shape[0])
        table = turned * slope_of(turned[:n], table[:n]) if is_scaled else turned
    return xp.where(xp.isfinite(table), table, 0.0)


def _median(xp: Any, values: Any) -> Any:
    """Return the median, NaN if one of them is, which not every namespace promises."""
    ordered = xp.sort(values)  # NaN come last
    n = values.shape[0]
    middle = (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
    return xp.where(xp.isnan(ordered[-1]), xp.nan, middle)


def resample(wave: Any, length: float) -> Any:
    """Return `wave` stretched to a length: of the values before each place, the nearest.

    Parameters
    ----------
    wave : array, (n,) float64
    length : float
        Need not be whole; the result has as many entries as begin before it.
    """
    xp = namespace_of(wave)
    n = wave.shape[0]
    step = n / length
    places = xp.arange(math.ceil(n / step)) * step
    return wave[xp.minimum(places.astype(int), n - 1)]


def best_shift(known: Any, wave: Any) -> int:
    """Return by how many entries `known` must be rolled to correlate best with `wave`.

    Parameters
    ----------
    known, wave : array, (n,) float64

    Returns
    -------
    int
        0 where `wave` holds NaN or is constant.
    """
    xp = namespace_of(known, wave)
    n = known.shape[0]
    centred = wave - xp.mean(wave)
    rolls = (xp.arange(n)[None, :] - xp.arange(n)[:, None]) % n
    products = (known - xp.mean(known))[rolls] @ centred
    # With NaN all are: what is the largest then, a GPU leaves open.
    return int(xp.argmax(xp.where(xp.isnan(products), 0.0, products)))


def slope_of(x: Any, y: Any) -> float:
    """Return the slope of the straight line through (x, y), both (n,); NaN if there is none."""
    xp = namespace_of(x, y)
    centred = x - xp.mean(x)
    squares = float(xp.sum(centred * centred))
    return float(xp.sum(centred * (y - xp.mean(y)))) / squares if squares else math.nan
