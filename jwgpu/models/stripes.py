"""Readouts in stripes: which lines of the detector the image of an exposure is made of.

A line is what the detector reads in one go, along its fast axis; lines follow each other along the
slow axis. A striped readout jumps from line to line: it reads some lines at the start of the
subarray (MSTR_RD1, reference pixels as a rule), skips some (MSTR_SK1), reads a stripe (MSTR_RD2),
skips (MSTR_SK2), reads the next one, and so on until the image is full. With MSTR_RPT it goes back
to the start after each stripe, and reads the same stripe again or, with MSTR_ILV, the next one.

In superstripes (SSTR_NST), each integration reads another part of the detector, SSTR_STP lines
further on; so many integrations together are one integration of the whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from jwgpu.errors import InputError

Array: TypeAlias = np.ndarray[Any, Any]

#: Lines of a near-infrared detector; no other one is read in stripes.
DETECTOR_SIZE = 2048

#: Keywords that describe a striped readout, by field of `StripedReadout`.
KEYWORDS = {
    "first_lines": ("MSTR_RD1", "multistripe_reads1"),
    "first_skip": ("MSTR_SK1", "multistripe_skips1"),
    "stripe_lines": ("MSTR_RD2", "multistripe_reads2"),
    "skip": ("MSTR_SK2", "multistripe_skips2"),
    "repeats": ("MSTR_RPT", "repeat_stripe"),
    "interleaves": ("MSTR_ILV", "interleave_reads1"),
    "step": ("SSTR_STP", "superstripe_step"),
    "n_superstripes": ("SSTR_NST", "num_superstripe"),
}

#: Without these there is no telling where the lines are; others count as zero.
_NEEDED = ("first_lines", "first_skip", "stripe_lines", "skip", "repeats")

#: The other keywords that are needed, where lines are rows of the image, and where columns.
_AXES = {"FASTAXIS": "fastaxis", "SLOWAXIS": "slowaxis"}
_PLACES_Y = {**_AXES, "SUBSTRT2": "ystart", "SUBSIZE2": "ysize"}
_PLACES_X = {**_AXES, "SUBSTRT1": "xstart", "SUBSIZE1": "xsize"}


@dataclass(frozen=True)
class Block:
    """Lines that follow each other both in the image and on the detector, from 0.

    Attributes
    ----------
    image, detector : slice
        Where they are along the slow axis, in the order of their readout.
    """

    image: slice
    detector: slice


@dataclass(frozen=True)
class StripedReadout:
    """How an exposure was read in stripes.

    Attributes
    ----------
    first_lines, first_skip, stripe_lines, skip : int
        Lines read at the start, lines skipped then, lines of a stripe, lines skipped after it.
    repeats, interleaves : bool
        Whether the readout goes back to the start after each stripe, and whether it then goes on
        with the next stripe instead of the same.
    step, n_superstripes : int
        Lines from one superstripe to the next, and how many there are; 0 without superstripes.
    slow_start, slow_size : int
        First line that is read, from 0 in the order of readout; lines in the image.
    fast_axis, slow_axis : int
        Keywords FASTAXIS and SLOWAXIS: ±1 is x, ±2 is y.
    """

    first_lines: int
    first_skip: int
    stripe_lines: int
    skip: int
    repeats: bool
    interleaves: bool
    step: int
    n_superstripes: int
    slow_start: int
    slow_size: int
    fast_axis: int
    slow_axis: int

    @property
    def n_stripes(self) -> int:
        """Superstripes, or 1 without any: how many different images there are."""
        return max(self.n_superstripes, 1)

    @property
    def slow_is_y(self) -> bool:
        """Whether lines are rows of the image, else they are its columns."""
        return abs(self.fast_axis) == 1

    @cached_property
    def blocks(self) -> tuple[tuple[Block, ...], ...]:
        """The stripes of each superstripe's image, without the lines read at the start."""
        return tuple(
            tuple(block for block, is_stripe in self._sequence(number) if is_stripe)
            for number in range(self.n_stripes)
        )

    @cached_property
    def lines(self) -> Array:
        """Where on the detector each line of an image is.

        Returns
        -------
        ndarray, (stripes, lines) int
            Along the slow axis as images are stored, not as they are read; counted from 0.
        """
        lines = np.empty((self.n_stripes, self.slow_size), np.intp)
        for number in range(self.n_stripes):
            for block, _ in self._sequence(number):
                lines[number, block.image] = range(block.detector.start, block.detector.stop)
        return lines if self.slow_axis > 0 else DETECTOR_SIZE - 1 - lines[:, ::-1]

    def _sequence(self, number: int) -> list[tuple[Block, bool]]:
        """Return what is read for one image, in order, and whether it is a stripe."""
        offset = self.first_skip + self.step * number
        found: list[tuple[Block, bool]] = []
        done, line, returns = 0, self.slow_start, 0
        while done < self.slow_size:
            if not found or self.repeats:
                line = self.slow_start
                if self.first_lines:
                    found.append((_block(done, line, self.first_lines), False))
                    done, line = done + self.first_lines, line + self.first_lines
                if self.interleaves and returns:
                    # Parity: the official package then forgets which superstripe it is.
                    line += self.first_skip + returns * (self.skip + self.stripe_lines)
                else:
                    line += offset
                returns += 1
            else:
                line += self.skip
            found.append((_block(done, line, self.stripe_lines), True))
            done, line = done + self.stripe_lines, line + self.stripe_lines
        return found

    def check(self, name: str) -> None:
        """Check that the lines make up the image, and are on the detector.

        Raises
        ------
        InputError
            If they do not.
        """
        if self.stripe_lines < 1 or self.first_lines < 0 or self.slow_size < 1:
            raise InputError(f"{name}: MSTR_RD1, MSTR_RD2 describe no readout; correct them")
        for number in range(self.n_stripes):
            last, _ = self._sequence(number)[-1]
            if last.image.stop != self.slow_size:
                raise InputError(
                    f"{name}: stripes of {self.first_lines} + {self.stripe_lines} lines do not "
                    f"make up an image of {self.slow_size}; correct MSTR_RD1, MSTR_RD2, MSTR_RPT"
                )
        if self.lines.min() < 0 or self.lines.max() >= DETECTOR_SIZE:
            raise InputError(
                f"{name}: stripes reach beyond the detector; correct the start of the subarray and "
                f"{', '.join(keyword for keyword, _ in KEYWORDS.values())}"
            )

    def arrange(self, image: Array) -> Array:
        """Take the lines of the exposure out of an image of the detector.

        Parameters
        ----------
        image : ndarray, (..., y, x)
            All of the detector along the slow axis.

        Returns
        -------
        ndarray
            (..., y, x), or (stripes, ..., y, x) for superstripes; C-contiguous.
        """
        axis = -2 if self.slow_is_y else -1
        images = [np.take(image, lines, axis=axis) for lines in self.lines]
        return np.stack(images) if self.n_superstripes else images[0]


def is_striped(meta: Any) -> bool:
    """Tell whether an exposure was read in stripes; `meta` is its metadata tree."""
    return _number(meta, "first_lines") is not None or count_superstripes(meta) > 0


def count_superstripes(meta: Any) -> int:
    """Return how many superstripes an exposure has, 0 for none; `meta` is its metadata tree."""
    return int(_number(meta, "n_superstripes") or 0)


def striped_readout(meta: Any) -> StripedReadout | None:
    """Return how an exposure was read in stripes, None if it was not.

    Parameters
    ----------
    meta : ObjectNode, or anything nested with the same names
        Metadata tree of the exposure.

    Raises
    ------
    InputError
        If the keywords are missing or make no sense.
    """
    if not is_striped(meta):
        return None
    name = str(_value(meta, "filename") or "the exposure")
    numbers = {field: _number(meta, field) for field in KEYWORDS}
    missing = [KEYWORDS[field][0] for field in _NEEDED if numbers[field] is None]
    fast_axis = _value(meta, "subarray.fastaxis")
    places = _PLACES_Y if abs(fast_axis or 1) == 1 else _PLACES_X
    values = {keyword: _value(meta, f"subarray.{place}") for keyword, place in places.items()}
    missing += [keyword for keyword, value in values.items() if value is None]
    if missing:
        raise InputError(
            f"{name}: its readout in stripes is not described: lacks {', '.join(missing)}; restore "
            "the keywords from the archive"
        )
    _, slow_axis, start, size = (int(value) for value in values.values())
    counts = {field: int(number or 0) for field, number in numbers.items()}
    if counts["stripe_lines"] <= 0 and counts["n_superstripes"] > 0:
        counts["stripe_lines"] = counts["step"]
    repeats, interleaves = counts.pop("repeats") > 0, counts.pop("interleaves") != 0
    readout = StripedReadout(
        **counts,
        repeats=repeats,
        interleaves=interleaves,
        slow_start=first_line(start, slow_axis, str(_value(meta, "subarray.name"))),
        slow_size=size,
        fast_axis=int(fast_axis),
        slow_axis=slow_axis,
    )
    readout.check(name)
    return readout


def first_line(start: int, slow_axis: int, subarray: str) -> int:
    """Return the first line read, from 0; the keyword counts as images are stored, from 1."""
    if "DHS" in subarray.upper():
        return 0  # whatever the keyword says: early exposures have it wrong
    if slow_axis > 0:
        return start - 1
    # Unlike for other subarrays, the keyword names the line that is read first. A 1 is wrong, too.
    return 0 if start == 1 else DETECTOR_SIZE - start


def _block(image: int, detector: int, size: int) -> Block:
    return Block(slice(image, image + size), slice(detector, detector + size))


def _number(meta: Any, field: str) -> Any:
    return _value(meta, f"subarray.{KEYWORDS[field][1]}")


def _value(tree: Any, place: str) -> Any:
    for name in place.split("."):
        tree = tree.get(name) if isinstance(tree, Mapping) else getattr(tree, name, None)
        if tree is None:
            return None
    return tree
