"""Where the reference pixels of an image are, for any orientation and subarray.

"Detector frame": pixels of a row follow each other in time along the fast axis, rows along the slow
axis. Amplifiers divide the fast axis. The stored (science) image may be mirrored and transposed
against it; keywords FASTAXIS and SLOWAXIS say how (1 is x, 2 is y, negative is mirrored).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from jwgpu.backends import namespace_of

Array: TypeAlias = Any

#: Pixels along each axis of a near-infrared detector, and the width of its border of reference
#: pixels.
DETECTOR_SIZE = 2048
BORDER = 4
AMPLIFIERS = 4
#: MIRI: the columns of an amplifier are this far apart; its right reference columns start here.
MIRI_RIGHT_COLUMN = 1028


@dataclass(frozen=True)
class Placement:
    """How a stored image lies on a near-infrared detector.

    Attributes
    ----------
    rows, columns : int
        Shape of the stored image.
    row_start, column_start : int
        Its first row and column on the detector, from 0, in the orientation in which it is stored.
    fast_axis, slow_axis : int
        Keywords FASTAXIS and SLOWAXIS: ±1 or ±2.
    """

    rows: int
    columns: int
    row_start: int
    column_start: int
    fast_axis: int
    slow_axis: int

    @property
    def fast_along_x(self) -> bool:
        """Whether the detector's rows are rows of the stored image (else they are its columns)."""
        return abs(self.fast_axis) == 1

    @property
    def n_fast(self) -> int:
        """Pixels of the image along the fast axis."""
        return self.columns if self.fast_along_x else self.rows

    @property
    def n_slow(self) -> int:
        """Pixels of the image along the slow axis."""
        return self.rows if self.fast_along_x else self.columns

    @property
    def fast_start(self) -> int:
        """Coordinate on the detector's fast axis where the image begins."""
        start = self.column_start if self.fast_along_x else self.row_start
        return start if self.fast_axis > 0 else DETECTOR_SIZE - start - self.n_fast

    @property
    def slow_start(self) -> int:
        """The same on the slow axis."""
        start = self.row_start if self.fast_along_x else self.column_start
        return start if self.slow_axis > 0 else DETECTOR_SIZE - start - self.n_slow

    def in_detector_frame(self, image: Array) -> Array:
        """Return a view of `image` (y, x) with the axes (slow, fast)."""
        view = image if self.fast_along_x else image.T
        return view[:: 1 if self.slow_axis > 0 else -1, :: 1 if self.fast_axis > 0 else -1]

    def flat_index(self, slow: Array, fast: Array) -> Array:
        """Return indices into the flat stored image of pixels counted in the detector frame."""
        slow_step, fast_step = (self.columns, 1) if self.fast_along_x else (1, self.columns)
        along_slow = slow if self.slow_axis > 0 else self.n_slow - 1 - slow
        along_fast = fast if self.fast_axis > 0 else self.n_fast - 1 - fast
        return along_slow * slow_step + along_fast * fast_step


@dataclass(frozen=True)
class Sections:
    """Sets of good reference pixels, each for one section of the image and one edge.

    Attributes
    ----------
    pixels : array, (n,) int32
        Flat indices into a stored image.
    bounds : array, (edges, sections, 2) int32
        Each set's first index into `pixels`, and the first beyond it.
    """

    pixels: Array
    bounds: Array


@dataclass(frozen=True)
class NearInfraredLayout(Sections):
    """The sections of a near-infrared image, and its side reference pixels.

    Attributes
    ----------
    section_of_line : array, (n_fast,) int32
        Section of each stored line across the fast axis.
    row_of_line : array, (n_slow,) int32
        Coordinate on the detector's slow axis of each stored line along the fast axis.
    side_pixels : array, (2, rows of the detector, 4) int32
        Flat indices of the side reference pixels; -1 where bad or outside the image. Length 0 in
        the first axis: no side signal.
    fast_along_x : bool
        Whether a line across the fast axis is a column of the stored image.
    """

    section_of_line: Array
    row_of_line: Array
    side_pixels: Array
    fast_along_x: bool


def four_amplifier_layout(
    usable: Array, placement: Placement, *, odd_even: bool, use_sides: bool
) -> NearInfraredLayout:
    """Return the layout of an image that was read through four amplifiers: full frame or stripe.

    The reference pixels are the border of the detector, as far as it is in the image. An amplifier
    that lacks good ones for its odd or its even columns gets no offset at all, as in the official
    package.

    Parameters
    ----------
    usable : array, (y, x) bool
        Pixels that are good (without DO_NOT_USE).
    placement : Placement
        Where the image is on the detector.
    odd_even : bool
        Whether odd and even columns are sections of their own.
    use_sides : bool
        Whether there is a side signal.
    """
    xp = namespace_of(usable)
    parities = 2 if odd_even else 1
    width = DETECTOR_SIZE // AMPLIFIERS
    edges = [
        _overlap(first, first + BORDER, placement.slow_start, placement.n_slow)
        for first in (DETECTOR_SIZE - BORDER, 0)
    ]
    blocks = [
        _block(
            placement,
            edge,
            _overlap(
                amplifier * width, (amplifier + 1) * width, placement.fast_start, placement.n_fast
            ),
            parities,
            parity,
        )
        for edge in edges
        for amplifier in range(AMPLIFIERS)
        for parity in range(parities)
    ]
    found = _usable_pixels(usable, blocks)
    n_sections = AMPLIFIERS * parities
    sets = [found[:n_sections], found[n_sections:]]
    for first in range(0, n_sections, parities):
        of_amplifier = range(first, first + parities)
        if not all(any(one[section].size for one in sets) for section in of_amplifier):
            for one in sets:
                one[first : first + parities] = [pixels[:0] for pixels in one[:parities]]

    fast = xp.arange(placement.n_fast) + placement.fast_start
    section = (fast // width) * parities + (fast % parities)
    good = placement.in_detector_frame(usable)
    sides = _side_pixels(good, placement) if use_sides else _no_side_pixels(xp)
    return _layout(sets, section, sides, placement)


def single_amplifier_layout(
    usable: Array, placement: Placement, *, odd_even: bool
) -> NearInfraredLayout:
    """Return the layout of a subarray that was read through one amplifier.

    All its reference pixels count, wherever they are. If either the odd or the even columns have
    none, nothing is subtracted from either.

    Parameters
    ----------
    usable : array, (y, x) bool
        Good reference pixels (with REFERENCE_PIXEL, without DO_NOT_USE).
    placement : Placement
        Where the image is on the detector.
    odd_even : bool
        Whether odd and even columns are sections of their own.
    """
    xp = namespace_of(usable)
    slow, fast = xp.nonzero(placement.in_detector_frame(usable))
    pixels = placement.flat_index(slow, fast)
    parities = 2 if odd_even else 1
    parity_of_pixel = (fast + placement.fast_start) % parities
    sets = [pixels[parity_of_pixel == parity] for parity in range(parities)]
    if not all(one.size for one in sets):
        sets = [pixels[:0] for _ in sets]
    section = (xp.arange(placement.n_fast) + placement.fast_start) % parities
    return _layout([sets], section, _no_side_pixels(xp), placement)


def striped_layout(
    usable: Array, placement: Placement, fast_start: int, *, odd_even: bool
) -> NearInfraredLayout:
    """Return the layout of an image that was read in stripes.

    Its reference pixels count wherever they are, each for its amplifier. As in the official
    package, an amplifier that lacks good ones for its odd or its even columns gets no offset at
    all, columns are odd or even by their place in the image, and a start of the subarray that is
    mirrored counts from the wrong end.

    Parameters
    ----------
    usable : array, (y, x) bool
        Good reference pixels (with REFERENCE_PIXEL, without DO_NOT_USE).
    placement : Placement
        How the image lies; where it starts does not matter.
    fast_start : int
        Place of the first pixel of a line among those of the detector, from 0.
    odd_even : bool
        Whether odd and even columns are sections of their own.
    """
    xp = namespace_of(usable)
    slow, fast = xp.nonzero(placement.in_detector_frame(usable))
    pixels = placement.flat_index(slow, fast)
    parities = 2 if odd_even else 1
    place = xp.arange(placement.n_fast)
    section = (place + fast_start) // (DETECTOR_SIZE // AMPLIFIERS) * parities + place % parities
    sets = []
    for amplifier in range(AMPLIFIERS):
        first = amplifier * parities
        found = [pixels[section[fast] == first + parity] for parity in range(parities)]
        complete = all(one.size for one in found)
        sets.extend(found if complete else [pixels[:0]] * parities)
    return _layout([sets], section, _no_side_pixels(xp), placement)


def mid_infrared_sections(usable: Array, *, odd_even: bool) -> Sections | None:
    """Return the sections of a full-frame MIRI image, or None if one lacks good reference pixels.

    Section ``amplifier * parities + parity``: the columns ``x % 4 == amplifier`` and, with
    `odd_even`, the rows ``y % 2 == parity``. Edges: left and right.

    Parameters
    ----------
    usable : array, (y, x) bool
        Pixels that are good (without DO_NOT_USE).
    odd_even : bool
        Whether odd and even rows are sections of their own.
    """
    parities = 2 if odd_even else 1
    rows, columns = usable.shape
    blocks = [
        np.arange(parity, rows, parities) * columns + column
        for first in (0, MIRI_RIGHT_COLUMN)
        for column in range(first, first + AMPLIFIERS)
        for parity in range(parities)
    ]
    found = _usable_pixels(usable, blocks)
    if not all(pixels.size for pixels in found):
        return None
    n_sections = AMPLIFIERS * parities
    pixels, bounds = _joined([found[:n_sections], found[n_sections:]], namespace_of(usable))
    return Sections(pixels, bounds)


def _overlap(first: int, stop: int, start: int, length: int) -> range:
    """Return the part of first…stop that an image from `start` on has, counted within the image."""
    return range(max(first - start, 0), max(min(stop - start, length), 0))


def _block(placement: Placement, rows: range, columns: range, parities: int, parity: int) -> Array:
    """Return, on the host, flat indices of a block: of its columns those with that parity.

    Rows and columns are counted in the image, in the detector's frame; parity on the detector.
    """
    shift = (parity - placement.fast_start - columns.start) % parities
    slow = np.arange(rows.start, max(rows.start, rows.stop))[:, None]
    fast = np.arange(columns.start + shift, max(columns.start, columns.stop), parities)
    return placement.flat_index(slow, fast).reshape(-1)


def _usable_pixels(usable: Array, blocks: list[Array]) -> list[Array]:
    """Return those of each block's pixels that are usable, on the host: one copy, for all."""
    index = namespace_of(usable).asarray(np.concatenate(blocks))
    is_usable = np.array(usable.reshape(-1)[index].tolist(), dtype=bool)
    stops = np.cumsum([block.size for block in blocks])
    parts = np.split(is_usable, stops[:-1])
    return [block[part] for block, part in zip(blocks, parts, strict=True)]


def _side_pixels(good: Array, placement: Placement) -> Array:
    xp = namespace_of(good)
    sides = xp.full((2, DETECTOR_SIZE, BORDER), -1, dtype=xp.int32)
    rows = slice(placement.slow_start, placement.slow_start + placement.n_slow)
    slow = xp.arange(placement.n_slow)[:, None]
    for side, first in enumerate((0, DETECTOR_SIZE - BORDER)):
        inside = _overlap(first, first + BORDER, placement.fast_start, placement.n_fast)
        if not len(inside):
            continue
        fast = xp.arange(inside.start, inside.stop)[None, :]
        in_border = inside.start + placement.fast_start - first
        sides[side, rows, in_border : in_border + len(inside)] = xp.where(
            good[:, inside.start : inside.stop], placement.flat_index(slow, fast), -1
        )
    return sides


def _no_side_pixels(xp: Any) -> Array:
    return xp.zeros((0, 0, 0), dtype=xp.int32)


def _layout(
    sets: list[list[Array]], section: Array, sides: Array, placement: Placement
) -> NearInfraredLayout:
    """Join what was found; `section` is in the order of the detector's fast axis."""
    xp = namespace_of(section)
    pixels, bounds = _joined(sets, xp)
    row = xp.arange(placement.n_slow) + placement.slow_start
    return NearInfraredLayout(
        pixels=pixels,
        bounds=bounds,
        section_of_line=_int32(section[:: 1 if placement.fast_axis > 0 else -1]),
        row_of_line=_int32(row[:: 1 if placement.slow_axis > 0 else -1]),
        side_pixels=sides,
        fast_along_x=placement.fast_along_x,
    )


def _joined(sets: list[list[Array]], xp: Any) -> tuple[Array, Array]:
    """Return all pixels one after the other, and the bounds (edges, sections, 2) of the sets."""
    sizes = np.array([[pixels.size for pixels in of_edge] for of_edge in sets])
    stops = np.cumsum(sizes).reshape(sizes.shape)
    bounds = np.stack([stops - sizes, stops], axis=-1).astype(np.int32)
    every = [pixels for of_edge in sets for pixels in of_edge]
    pixels = namespace_of(*every).concatenate(every)
    return xp.asarray(pixels.astype(np.int32)), xp.asarray(bounds)


def _int32(array: Array) -> Array:
    """Return a C-contiguous int32 copy."""
    xp = namespace_of(array)
    return xp.ascontiguousarray(array, dtype=xp.int32)
