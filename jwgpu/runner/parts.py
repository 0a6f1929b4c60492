"""Cutting an exposure into parts, and putting it together again."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from jwgpu.models.ramp import Part, Ramp
from jwgpu.models.stored_planes import Array, Shape
from jwgpu.references.types import Reference
from jwgpu.runner.scratch import ScratchPlanes


def integrations_of(exposure: Ramp, window: range) -> Ramp:
    """Return some integrations, in memory; only frame zero is shared with the exposure."""
    ints = slice(window.start, window.stop)
    shape: Shape = exposure.data.shape
    return Ramp(
        data=exposure.data.read(ints),
        groupdq=exposure.groupdq.read(ints),
        pixeldq=exposure.pixeldq.copy(),
        model=exposure.model,
        zeroframe=None if exposure.zeroframe is None else exposure.zeroframe[ints],
        average_dark_current=exposure.average_dark_current,
        part=Part(shape, window.start, 0, (0, shape[2])),
    )


def rows_of(exposure: Ramp, window: range, halo: int) -> Ramp:
    """Return some rows of all integrations, in memory, with others around them.

    The flags of the pixels are shared with the exposure.
    """
    shape: Shape = exposure.data.shape
    rows = slice(max(0, window.start - halo), min(shape[2], window.stop + halo))
    zeroframe, dark = exposure.zeroframe, exposure.average_dark_current
    return Ramp(
        data=exposure.data.read(rows=rows),
        groupdq=exposure.groupdq.read(rows=rows),
        pixeldq=exposure.pixeldq[rows],
        model=exposure.model,
        zeroframe=None if zeroframe is None else np.ascontiguousarray(zeroframe[:, rows]),
        average_dark_current=None if dark is None else dark[rows],
        part=Part(shape, 0, rows.start, (window.start - rows.start, window.stop - rows.start)),
    )


def reference_of(reference: Any, part: Ramp) -> Any:
    """Return what a reference has for a part of an exposure: all of it, or the part's rows."""
    place = part.part
    if not isinstance(reference, Reference) or place is None:
        return reference
    n_rows = part.image_shape[0]
    if n_rows == place.shape[2]:
        return reference
    rows = slice(place.first_row, place.first_row + n_rows)
    cut: dict[str, Any] = {}
    for field in fields(reference):
        value = getattr(reference, field.name)
        if getattr(value, "ndim", 0) >= 2 and value.shape[-2:] == place.shape[2:]:
            cut[field.name] = np.ascontiguousarray(value[..., rows, :])
    return replace(reference, **cut)


class Gathering:
    """An exposure that is written into scratch files, integrations by integrations.

    Parameters
    ----------
    exposure : Ramp
        As it was before; `finish` makes it what was gathered.
    folder : Path
        Where new scratch files go.
    """

    def __init__(self, exposure: Ramp, folder: Path) -> None:
        self.exposure, self.folder = exposure, folder
        self.data: ScratchPlanes | None = None
        self.groupdq: ScratchPlanes | None = None
        self.pixeldq: Array | None = None
        self.average_dark_current: Any = None

    def take(self, part: Ramp, window: range) -> None:
        """Take what has become of some integrations."""
        ints = slice(window.start, window.stop)
        if self.data is None or self.groupdq is None:
            shape = (self.exposure.data.shape[0], *part.data.shape[1:])
            self.data = self._planes(self.exposure.data, shape, part.data.dtype)
            self.groupdq = self._planes(self.exposure.groupdq, shape, part.groupdq.dtype)
        self.data.write(ints, part.data)
        self.groupdq.write(ints, part.groupdq)
        # Each part began with the flags of the exposure: steps only ever set some.
        if self.pixeldq is None:
            self.pixeldq = part.pixeldq
        else:
            self.pixeldq |= part.pixeldq
        if part.zeroframe is not None:
            self.exposure.zeroframe[ints] = part.zeroframe
        self.average_dark_current = part.average_dark_current

    def finish(self) -> None:
        """Put what was gathered into the exposure."""
        exposure = self.exposure
        exposure.data, exposure.groupdq = self.data, self.groupdq
        exposure.pixeldq = self.pixeldq
        exposure.average_dark_current = self.average_dark_current

    def _planes(self, before: Any, shape: Shape, dtype: Any) -> ScratchPlanes:
        """Return the file that was there before, if it can be used, or a new one."""
        if isinstance(before, ScratchPlanes) and before.shape == shape:
            return before
        return ScratchPlanes(self.folder, shape, dtype)
