"""How much memory an exposure takes, and how large its blocks may be."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from jwgpu.errors import JwgpuError, ParameterError
from jwgpu.models.fits_arrays import FitsFile

#: Bytes of the process itself: Python, its libraries, compiled kernels, scratch of the threads.
#: Measured at the end of a run: 380 MB.
PROCESS = 400_000_000

#: Bytes of memory for each byte of a raw file, with which any calibration fits: raw samples of two
#: bytes become five, and steps take as much again, and some more.
AMPLE = 12

#: Bytes of a sample (float32 and its flags), and of a pixel of count rates (five arrays).
SAMPLE = 5
RATE = 20

#: Bytes of a pixel for the images that a step works with beside the exposure: flags of the pixels,
#: as they were and as they become, and scratch.
IMAGE_SCRATCH = 40

_UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4}
_BINARY_UNITS = {"K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}

#: Extensions of references that no step reads.
_UNREAD = ("ERR", "DQ_DEF", "ASDF")


def bytes_of(text: Any) -> int | None:
    """Return the bytes that a user means: ``4GB``, ``800 MB``, ``2GiB`` or a number.

    Raises
    ------
    ParameterError
        If it means nothing, or nothing positive.
    """
    if text is None or str(text).strip().lower() in ("", "none"):
        return None
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([KMGT]?)(I?)B?\s*", str(text).upper())
    if found is None or (found[3] and not found[2]):
        raise ParameterError(
            f"max_memory is {text!r}: give bytes with a unit, such as 4GB or 800MB"
        )
    units = _BINARY_UNITS if found[3] else _UNITS
    result = int(float(found[1]) * units[found[2]])
    if result < 1:
        raise ParameterError(f"max_memory is {text!r}: it must be more than nothing")
    return result


def readable(n_bytes: float) -> str:
    """Return bytes as a user writes them."""
    return f"{n_bytes / 1e9:.2f}GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.0f}MB"


@dataclass(frozen=True)
class Budget:
    """The memory that an exposure may take.

    Attributes
    ----------
    limit : int
        Bytes to stay below.
    process : int
        Bytes of it that the process takes itself.
    name : str
        What sets the limit, for messages: ``max_memory=4GB``.
    """

    limit: int
    process: int
    name: str

    @property
    def room(self) -> int:
        """Bytes that are left for the exposure."""
        return self.limit - self.process


@dataclass(frozen=True)
class Size:
    """How large an exposure is.

    Attributes
    ----------
    shape : tuple of int
        (ints, groups, y, x).
    has_zeroframe : bool
    """

    shape: tuple[int, int, int, int]
    has_zeroframe: bool = False

    @property
    def pixels(self) -> int:
        """Pixels of an image."""
        return self.shape[2] * self.shape[3]

    @property
    def samples(self) -> int:
        """Bytes of samples and flags."""
        return SAMPLE * self.shape[0] * self.shape[1] * self.pixels

    @property
    def rates(self) -> int:
        """Bytes of both products."""
        return RATE * (self.shape[0] + 1) * self.pixels

    @property
    def rate(self) -> int:
        """Bytes of the count rate of the exposure."""
        return RATE * self.pixels

    @property
    def zeroframe(self) -> int:
        """Bytes of the zero frames."""
        return 4 * self.shape[0] * self.pixels if self.has_zeroframe else 0

    @property
    def always(self) -> int:
        """Bytes of the images that are held in memory while the exposure is in a file."""
        return IMAGE_SCRATCH * self.pixels

    @property
    def integration(self) -> int:
        """Bytes of an integration in memory."""
        return (SAMPLE * self.shape[1] + (4 if self.has_zeroframe else 0)) * self.pixels

    @property
    def row(self) -> int:
        """Bytes of a row of all integrations in memory, and of what is found in it."""
        ints, groups, _, columns = self.shape
        neighbors = ints * (groups // 8 + 1)
        zeroframe = 4 * ints if self.has_zeroframe else 0
        return columns * (SAMPLE * ints * groups + neighbors + zeroframe + RATE * (ints + 1))

    def in_one_piece(self, references: int) -> int:
        """Estimate the peak of memory without blocks, with so many bytes of references.

        What the process takes itself is not counted.
        """
        return self.always + self.samples + self.zeroframe + self.rates + references


def size_of_references(paths: Iterable[Any], shape: tuple[int, ...]) -> int:
    """Estimate the bytes of some references, cut to an exposure of this shape.

    Of the groups of a dark no more than 64, or the exposure's own, are counted: few are read.
    """
    total = 0
    for path in paths:
        if not isinstance(path, str) or not path.lower().endswith((".fits", ".fits.gz")):
            continue
        try:
            with FitsFile(path) as file:
                images = [e.shape for e in file.extensions if e.name not in _UNREAD]
        except JwgpuError:
            continue  # whoever needs it tells what is wrong
        for image in images:
            if len(image) < 2:
                continue
            planes = min(image[-1], shape[-1]) * min(image[-2], shape[-2])
            groups = image[-3] if len(image) > 2 else 1
            total += 4 * planes * min(groups, max(shape[1], 64)) * math.prod(image[:-3])
    return total
