"""The reference-pixel correction of NIRSpec's IRS2 readout: bad reference pixels, and the order.

Rows of reference pixels are called bad as a whole: a row of the stored image is one pixel of the
line as it is read 2048 times.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.errors import ReferenceFileError
from jwgpu.kernels.irs2 import mean_image, pair_statistics, subtract_reference
from jwgpu.kernels.irs2.layout import (
    LINES,
    OUTPUT_ROWS,
    OUTPUTS,
    PERIOD,
    REFERENCE_RUN,
    ROWS,
    SCIENCE_RUN,
    InterleavedLayout,
)
from jwgpu.kernels.reference_pixels.layout import BORDER, NearInfraredLayout
from jwgpu.models.flags import BAD_REF_PIXEL, DO_NOT_USE
from jwgpu.models.ramp import Ramp
from jwgpu.references.types import RefPixReference
from jwgpu.runner.parts import in_integrations

log = logging.getLogger(__name__)

Array: TypeAlias = Any

#: Rounds of sigma clipping at most, as astropy's default.
_CLIPPING_ROUNDS = 5


@dataclass(frozen=True)
class Replacement:
    """A bad row, and the good ones whose mean replaces it; 0 does if there are none."""

    row: int
    sources: tuple[int, ...]


def find_bad_rows(ramp: Ramp, layout: InterleavedLayout, sigma: float) -> Array:
    """Return, (y,) bool on the host, the rows of reference pixels that are bad now and then.

    The two readings of a pixel make a pair. In each output a pair is bad if the mean of its
    absolute difference, its mean or its standard deviation, in any integration, is more than
    `sigma` standard deviations above the mean of all pairs. Row flags with BAD_REF_PIXEL before
    count as bad, and are left out of the statistics.

    A pixel of the detector itself that is flagged BAD_REF_PIXEL makes its whole row bad, as in
    release 3.0: the row is replaced and must not be used.
    """
    is_flagged = _flagged_rows(ramp)
    if (is_flagged & ~np.asarray(_tolist(layout.is_interleaved))).any():
        log.warning("rows of the detector have BAD_REF_PIXEL: all their pixels are given up")
    is_bad = is_flagged.copy()
    first_rows = _pair_rows()
    xp = namespace_of(ramp.pixeldq)
    rows = xp.asarray(first_rows, dtype=xp.int32)
    places = ((part, k) for part in in_integrations(ramp) for k in range(part.data.shape[0]))
    for part, k in places:
        statistics = np.asarray(_tolist(pair_statistics(part.data[k], rows)))
        for output in range(OUTPUTS):
            of_output = first_rows // OUTPUT_ROWS == output
            usable = of_output & ~(is_flagged[first_rows] | is_flagged[first_rows + 1])
            for values in statistics[usable].T:
                found = first_rows[usable][_is_high(values, sigma)]
                is_bad[found] = is_bad[found + 1] = True
    log.info("%d of the interleaved reference pixels are bad", int(is_bad.sum()))
    return is_bad


def flag_bad_rows(ramp: Ramp, is_bad: Array) -> None:
    """Flag rows of reference pixels, in ``ramp.pixeldq``."""
    xp = namespace_of(ramp.pixeldq)
    bad = xp.asarray(is_bad[:, None])
    flags = xp.where(bad, BAD_REF_PIXEL | DO_NOT_USE, 0)
    ramp.pixeldq |= xp.asarray(flags, dtype=ramp.pixeldq.dtype)


def replace_bad_rows(ramp: Ramp, layout: InterleavedLayout) -> None:
    """Replace the rows that have BAD_REF_PIXEL, in all groups and in the zero frames."""
    is_bad = _flagged_rows(ramp)
    is_reference = np.asarray(_tolist(layout.is_interleaved))
    for first in range(0, ROWS, OUTPUT_ROWS):
        bad_rows = first + np.flatnonzero(is_bad[first : first + OUTPUT_ROWS])
        _apply(ramp, replacements(bad_rows, is_bad, is_reference, first))


def replace_listed_rows(ramp: Ramp, layout: InterleavedLayout, reference: RefPixReference) -> None:
    """Replace the reference pixels that the reference file says are bad, where not done yet.

    Raises
    ------
    ReferenceFileError
        If the file speaks of an output that there is not.
    """
    if reference.bad_pixels is None:
        log.warning("%s has no table of bad reference pixels (DQ)", reference.path)
        return
    # Positions along the line, which are rows counted from its other end on NRS2.
    rows = layout.row(np.arange(ROWS))
    is_bad = _flagged_rows(ramp)[rows]
    is_reference = np.asarray(_tolist(layout.is_interleaved))
    for output, pair, mask in _tolist(reference.bad_pixels):
        if not 0 <= output < OUTPUTS:
            raise ReferenceFileError(
                f"{reference.path}: its table DQ speaks of output {output}: there are 1 to 4"
            )
        # Even outputs are read from the other end: what is first there is second here.
        which = pair if output % 2 else 3 - pair
        start = output * OUTPUT_ROWS + SCIENCE_RUN // 2 + 2 * (which - 1)
        visits = [k for k in range(OUTPUT_ROWS // PERIOD) if mask >> k & 1]
        listed = [start + k * PERIOD + i for k in visits for i in (0, 1)]
        new = [place for place in listed if not is_bad[place]]
        is_bad[new] = True
        found = replacements(new, is_bad, is_reference, output * OUTPUT_ROWS)
        _apply(
            ramp,
            [Replacement(int(rows[r.row]), tuple(int(rows[s]) for s in r.sources)) for r in found],
        )


def replacements(
    bad: Iterable[int], is_bad: Array, is_reference: Array, first: int
) -> list[Replacement]:
    """Choose what replaces the `bad` rows of the output that begins with row `first`.

    That is the mean of the same reading in the visits before and after, or one of them; else the
    nearest other pair of the visit.
    """
    stop = first + OUTPUT_ROWS

    def is_good(row: int) -> bool:
        return first <= row < stop and not is_bad[row]

    found = []
    for row in map(int, bad):
        sources = [near for near in (row - PERIOD, row + PERIOD) if is_good(near)]
        if not sources:
            others = (row - 2, row + 2)
            sources = [near for near in others if is_good(near) and is_reference[near]][:1]
        found.append(Replacement(row, tuple(sources)))
    return found


def subtract_references(
    ramp: Ramp, layout: InterleavedLayout, reference: RefPixReference, *, keep_reference: bool
) -> None:
    """Subtract what reference output and reference pixels see, from groups and zero frames.

    The official package leaves zero frames alone (and fails on them in linearity). Here one is
    corrected as another group of its integration would be; exactly zero, no value, stays so.
    """
    xp = namespace_of(ramp.data)
    for i, images in enumerate(ramp.data):
        offset = mean_image(images)
        filters = (reference.alpha, reference.beta, layout)
        if has_zero_frame(ramp):
            frame = ramp.zeroframe[i : i + 1]
            is_empty = frame == 0.0
            subtract_reference(frame, offset, *filters, keep_reference=keep_reference)
            ramp.zeroframe[i : i + 1] = xp.where(is_empty, 0.0, frame)
        # A single group is its own mean: nothing would be subtracted.
        if images.shape[0] > 1 or keep_reference:
            subtract_reference(images, offset, *filters, keep_reference=keep_reference)


def strip_references(ramp: Ramp, layout: InterleavedLayout) -> None:
    """Leave in all arrays only the detector's own rows: 2048 instead of 3200."""
    ramp.data = _closed_up(ramp.data, layout.science_rows)
    ramp.groupdq = _closed_up(ramp.groupdq, layout.science_rows)
    ramp.pixeldq = ramp.pixeldq[layout.science_rows]
    if ramp.zeroframe is not None and ramp.zeroframe.shape[-2] == ROWS:
        ramp.zeroframe = _closed_up(ramp.zeroframe, layout.science_rows)


def mean_layout(ramp: Ramp, layout: InterleavedLayout, *, odd_even: bool) -> NearInfraredLayout:
    """Return the layout by which the mean of the first and last lines is subtracted.

    Sections are the five outputs, or their odd and even pixels apart. A visit's first pair of
    reference pixels is of the odd ones, its second of the even ones, which begin with the second
    pixel of a line.
    """
    place = np.arange(ROWS)
    parities = 2 if odd_even else 1
    visit = (place - SCIENCE_RUN // 2) % PERIOD
    is_even = np.where(visit < REFERENCE_RUN, visit >= REFERENCE_RUN // 2, place % 2 == 1)
    section = place // OUTPUT_ROWS * parities + (is_even if odd_even else 0)
    rows = layout.row(place)
    xp = namespace_of(ramp.pixeldq)
    sets: list[list[Array]] = []
    for lines in (range(LINES - BORDER, LINES), range(BORDER)):
        columns = np.array([LINES - 1 - line if layout.is_reversed else line for line in lines])
        index = rows[:, None] * LINES + columns
        border = ramp.pixeldq[:, int(columns.min()) : int(columns.max()) + 1]
        is_good = np.asarray(_tolist((border & DO_NOT_USE) == 0))
        good = is_good[rows[:, None], columns - columns.min()]
        sets.append([index[section == k][good[section == k]] for k in range(OUTPUTS * parities)])
    for output in range(OUTPUTS):
        of_output = range(output * parities, (output + 1) * parities)
        if not all(any(edge[k].size for edge in sets) for k in of_output):
            for edge in sets:
                for k in of_output:
                    edge[k] = edge[k][:0]
    sizes = np.array([[one.size for one in edge] for edge in sets])
    stops = np.cumsum(sizes.reshape(-1)).reshape(sizes.shape)
    of_row = np.empty(ROWS, np.int32)
    of_row[rows] = section

    def send(values: Any) -> Array:
        return xp.ascontiguousarray(xp.asarray(values, dtype=xp.int32))

    return NearInfraredLayout(
        pixels=send(np.concatenate([one for edge in sets for one in edge])),
        bounds=send(np.stack([stops - sizes, stops], axis=-1)),
        section_of_line=send(of_row),
        row_of_line=send(np.arange(LINES)),
        side_pixels=xp.zeros((0, 0, 0), dtype=xp.int32),
        fast_along_x=False,
    )


def has_zero_frame(ramp: Ramp) -> bool:
    """Tell whether zero frames are there and in use."""
    return ramp.zeroframe is not None and bool(ramp.meta.exposure.zero_frame)


def _pair_rows() -> Array:
    """Return the first rows of all pairs; they are the same from either end of the line."""
    first = np.arange(SCIENCE_RUN // 2, ROWS, PERIOD)
    return (first[:, None] + np.arange(0, REFERENCE_RUN, 2)).reshape(-1)


def _flagged_rows(ramp: Ramp) -> Array:
    """Return, on the host, which rows have a pixel with BAD_REF_PIXEL."""
    flagged = ((ramp.pixeldq & BAD_REF_PIXEL) != 0).any(axis=1)
    return np.asarray(_tolist(flagged), dtype=bool)


def _is_high(values: Array, sigma: float) -> Array:
    """Tell which `values` are above the mean of the clipped ones by `sigma` standard deviations.

    Clipped are those beyond `sigma` standard deviations from the median, for up to five rounds;
    what was clipped once stays out, also where a later limit would let it in.
    """
    # All in single precision: so do the official package and astropy.
    values = values.astype(np.float32)
    kept = values[np.isfinite(values)]
    for _ in range(_CLIPPING_ROUNDS):
        if kept.size == 0:
            return np.zeros(values.shape, bool)
        centre, reach = np.median(kept), kept.std() * np.float32(sigma)
        before = kept.size
        kept = kept[(kept >= centre - reach) & (kept <= centre + reach)]
        if kept.size == before:
            break
    if kept.size == 0:
        return np.zeros(values.shape, bool)
    return values - kept.mean() > np.float32(sigma) * kept.std()


def _apply(ramp: Ramp, found: Sequence[Replacement]) -> None:
    arrays = [ramp.data] if not has_zero_frame(ramp) else [ramp.data, ramp.zeroframe]
    for array in arrays:
        for one in found:
            if len(one.sources) == 2:
                before, after = one.sources
                array[..., one.row, :] = (array[..., before, :] + array[..., after, :]) / 2
            else:
                array[..., one.row, :] = array[..., one.sources[0], :] if one.sources else 0.0


def _closed_up(array: Array, rows: Array) -> Array:
    """Return `array` (…, 3200, x) with only some `rows`, in ascending order, in its own memory."""
    images = array.reshape(-1, *array.shape[-2:])
    size = rows.size * images.shape[2]
    flat = images.reshape(-1)
    for i in range(images.shape[0]):
        # Never ahead of what is still to be read.
        flat[i * size : (i + 1) * size] = images[i][rows].reshape(-1)
    shape = (*array.shape[:-2], rows.size, array.shape[-1])
    return flat[: images.shape[0] * size].reshape(shape)


def _tolist(array: Array) -> Any:
    """Return the values of a small array on the host."""
    return array.tolist()
