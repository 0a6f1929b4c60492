"""Cutting an exposure into parts, and putting it together again."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from jwgpu.backends import namespace_of
from jwgpu.backends.device import Device
from jwgpu.errors import TooLittleMemoryError
from jwgpu.models.ramp import Part, Ramp
from jwgpu.models.stored_planes import ALL, Shape, StoredPlanes
from jwgpu.models.stripes import count_superstripes
from jwgpu.references.types import Reference
from jwgpu.runner.memory import Budget, Size, readable
from jwgpu.runner.scratch import ScratchPlanes


@dataclass
class Storage:
    """Where an exposure is kept that is calibrated in blocks.

    Attributes
    ----------
    folder : Path
        Where scratch files go.
    budget : Budget
        The memory that there is for blocks, and all that is held beside them.
    device : Device
        Where parts are sent, and images of the exposure are.
    cut_down : int
        What part of the blocks that fit is taken, where they turned out to be too large.
    held : int
        Bytes that the running steps hold: references, and what they found.
    who : str
        The step that is running, for messages.
    """

    folder: Path
    budget: Budget
    device: Device
    cut_down: int = 1
    held: int = 0
    who: str = ""

    @contextmanager
    def holding(self, exposure: Ramp, n_bytes: int) -> Iterator[None]:
        """Count some bytes as held meanwhile.

        Raises
        ------
        TooLittleMemoryError
            If there is no room for them beside an integration.
        """
        self.held += n_bytes
        try:
            windows_of(exposure, Cutting(False))
            yield
        finally:
            self.held -= n_bytes


@dataclass(frozen=True)
class Cutting:
    """How an exposure is cut.

    Attributes
    ----------
    by_rows : bool
        Whether blocks are of rows, each of all integrations, or of integrations.
    halo : int
        Rows on either side that a block of rows needs beside its own.
    more : float
        Memory that steps take for each block beside it, as a share of the block's own.
    """

    by_rows: bool
    halo: int = 0
    more: float = 0.0

    @property
    def unit(self) -> str:
        """What blocks are counted in."""
        return "rows" if self.by_rows else "integrations"


def size_of(exposure: Ramp) -> Size:
    """Return how large an exposure is."""
    return Size(exposure.data.shape, exposure.zeroframe is not None)


def memory_of(exposure: Ramp, cutting: Cutting) -> tuple[int, int]:
    """Return the bytes that are needed whatever the blocks are, and those of a row or so."""
    size = size_of(exposure)
    fixed = exposure.storage.budget.process + size.always + exposure.storage.held
    if cutting.by_rows:
        return fixed + size.rate, int(size.row * (1 + cutting.more))
    # Superstripes of one integration of the detector stay together.
    together = max(1, count_superstripes(exposure.meta))
    return fixed, int(together * size.integration * (1 + cutting.more))


def windows_of(exposure: Ramp, cutting: Cutting) -> list[range]:
    """Return the blocks, of integrations or rows, that fit into the memory.

    Raises
    ------
    TooLittleMemoryError
        If not even the smallest do.
    """
    fixed, each = memory_of(exposure, cutting)
    ints, _, rows, _ = exposure.data.shape
    together = 1 if cutting.by_rows else max(1, count_superstripes(exposure.meta))
    n = rows if cutting.by_rows else ints // together
    # The rows around, and those of the block before that are remembered.
    around = 3 * cutting.halo
    longest = (exposure.storage.budget.limit - fixed) // each - around
    if longest < 1:
        needed = fixed + (1 + around) * each
        raise TooLittleMemoryError(
            f"{exposure.meta.filename}: {exposure.storage.budget.name} is too little for "
            f"{exposure.storage.who}, which takes {readable(needed)} at least; give more"
        )
    longest = max(1, min(longest, n) // exposure.storage.cut_down)
    n_blocks = -(-n // longest)
    bounds = [n * k // n_blocks * together for k in range(n_blocks + 1)]
    return [range(bounds[k], bounds[k + 1]) for k in range(n_blocks)]


def in_integrations(exposure: Ramp, more: float = 0.0) -> Iterator[Ramp]:
    """Go through an exposure, some integrations at a time: all, if it is in memory."""
    if exposure.storage is None:
        yield exposure
        return
    for window in windows_of(exposure, Cutting(False, 0, more)):
        part = integrations_of(exposure, window)
        yield part
        _forget(part)


class StoredIntegrations:
    """The first integrations of an exposure in files, each read when it is asked for.

    Attributes
    ----------
    shape : tuple of int
        (ints, groups, y, x).
    """

    def __init__(self, exposure: Ramp, n: int) -> None:
        self._exposure = exposure
        self.shape = (n, *exposure.data.shape[1:])

    @property
    def n_samples(self) -> int:
        """Samples of all of them."""
        return math.prod(self.shape)

    def __getitem__(self, integration: int) -> Any:
        """Return the samples of one: (groups, y, x)."""
        found = self._exposure.data.read(slice(integration, integration + 1))[0]
        return self._exposure.storage.device.send(found)


def in_rows(exposure: Any, more: float = 0.0) -> Iterator[Ramp]:
    """Go through an exposure, some rows at a time: all, if it is in memory (as rates are)."""
    if getattr(exposure, "storage", None) is None:
        yield exposure
        return
    for window in windows_of(exposure, Cutting(True, 0, more)):
        part = rows_of(exposure, window, 0)
        yield part
        _forget(part)


def _forget(part: Ramp) -> None:
    """Let the memory of a part go, though whoever loops over parts has it until the next comes."""
    part.data = part.groupdq = part.zeroframe = None


def integrations_of(exposure: Ramp, window: range) -> Ramp:
    """Return some integrations, in memory."""
    ints = slice(window.start, window.stop)
    send = exposure.storage.device.send
    shape: Shape = exposure.data.shape
    zeroframe = exposure.zeroframe
    return Ramp(
        data=send(exposure.data.read(ints)),
        groupdq=send(exposure.groupdq.read(ints)),
        pixeldq=exposure.pixeldq.copy(),
        model=exposure.model,
        zeroframe=None if zeroframe is None else send(zeroframe.read(ints)[:, 0]),
        average_dark_current=exposure.average_dark_current,
        part=Part(shape, window.start, 0, (0, shape[2])),
        storage=exposure.storage,
    )


def rows_of(exposure: Ramp, window: range, halo: int) -> Ramp:
    """Return some rows of all integrations, in memory, with others around them.

    The flags of the pixels are shared with the exposure.
    """
    shape: Shape = exposure.data.shape
    rows = slice(max(0, window.start - halo), min(shape[2], window.stop + halo))
    zeroframe, dark = exposure.zeroframe, exposure.average_dark_current
    send = exposure.storage.device.send
    return Ramp(
        data=send(exposure.data.read(rows=rows)),
        groupdq=send(exposure.groupdq.read(rows=rows)),
        pixeldq=exposure.pixeldq[rows],
        model=exposure.model,
        zeroframe=None if zeroframe is None else send(zeroframe.read(rows=rows)[:, 0]),
        average_dark_current=None if dark is None else dark[rows],
        part=Part(shape, 0, rows.start, (window.start - rows.start, window.stop - rows.start)),
        storage=exposure.storage,
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
            xp = namespace_of(value)
            cut[field.name] = xp.ascontiguousarray(value[..., rows, :])
    return replace(reference, **cut)


def put_together(whole: Any, part: Ramp, piece: Any, n_groups: int | None = None) -> Any:
    """Put what was found in a part of an exposure where it belongs in that of the whole.

    Parameters
    ----------
    whole : array or ScratchPlanes or None
        What was put together before.
    part : Ramp
    piece : array, (y, x), (ints, y, x) or (ints, groups, y, x)
        With the rows and integrations of the part; an image only for parts of rows.
    n_groups : int, optional
        The most groups that any piece can have; those that some lack are zero.

    Returns
    -------
    array or ScratchPlanes
        The piece itself if the part is all of an exposure in memory; an array for an image.
    """
    place: Part | None = getattr(part, "part", None)
    if place is None:
        return piece
    ints, _, rows, columns = place.shape
    first = place.first_row
    own = part.own_rows
    target = slice(first + own.start, first + own.stop)
    if piece.ndim == 2:
        if whole is None:
            whole = namespace_of(piece).empty((rows, columns), dtype=piece.dtype)
        whole[target] = piece[own]
        return whole
    is_cube = piece.ndim == 3
    found = part.storage.device.fetch(piece[:, None] if is_cube else piece)
    if whole is None:
        shape = (ints, found.shape[1] if n_groups is None or is_cube else n_groups, rows, columns)
        whole = ScratchPlanes(
            part.storage.folder,
            shape,
            found.dtype,
            is_cube=is_cube,
            is_sparse=n_groups is not None and not is_cube,
        )
    start = part.first_integration
    there = slice(start, start + found.shape[0])
    whole.write(there, found[:, :, own], target, slice(found.shape[1]))
    return whole


class Gathering:
    """An exposure whose parts are read, and written into scratch files when they are done.

    Parameters
    ----------
    exposure : Ramp
        As it was before; `finish` makes it what was gathered.
    cutting : Cutting
        What the parts are.
    keeps_samples : bool
        Whether samples stay as they are, and need not be written.
    is_fresh : bool
        Whether files that are there must stay as they are: what is gathered may be given up.
    """

    def __init__(
        self,
        exposure: Ramp,
        cutting: Cutting,
        *,
        keeps_samples: bool = False,
        is_fresh: bool = False,
    ) -> None:
        self.exposure, self.cutting = exposure, cutting
        self.keeps_samples, self.is_fresh = keeps_samples, is_fresh
        self.planes: dict[str, ScratchPlanes] = {}
        self.pixeldq: Any = None
        self.last: Ramp | None = None
        self._edge: dict[str, Any] = {}

    def read(self, window: range) -> Ramp:
        """Return a part as it was before."""
        if not self.cutting.by_rows:
            return integrations_of(self.exposure, window)
        part = rows_of(self.exposure, window, self.cutting.halo)
        above, stop = part.part.own_rows if part.part is not None else (0, 0)
        for name in ("data", "groupdq"):
            array = getattr(part, name)
            if above and name in self._edge:
                # The rows above have been written since.
                array[:, :, :above] = self._edge[name][:, :, -above:]
            if self.cutting.halo:
                self._edge[name] = array[:, :, max(0, stop - self.cutting.halo) : stop].copy()
        return part

    def take(self, part: Ramp, window: range) -> None:
        """Take what has become of a part."""
        if self.cutting.by_rows:
            rows = slice(window.start, window.stop)
            for name in ("groupdq",) if self.keeps_samples else ("data", "groupdq"):
                array = getattr(part, name)
                self._write(name, self.exposure.data.shape, ALL, array[:, :, part.own_rows], rows)
            return
        # Superstripes become fewer integrations when they are put together.
        together = len(window) // part.data.shape[0]
        first = window.start // together
        ints = slice(first, first + part.data.shape[0])
        n_ints = self.exposure.data.shape[0] // together
        for name in ("data", "groupdq", "zeroframe"):
            array = getattr(part, name)
            if array is None or (self.keeps_samples and name != "groupdq"):
                continue
            array = array if array.ndim == 4 else array[:, None]
            self._write(name, (n_ints, *array.shape[1:]), ints, array, ALL)
        # Each part began with the flags of the exposure: steps only ever set some.
        if self.pixeldq is None:
            self.pixeldq = part.pixeldq
        else:
            self.pixeldq |= part.pixeldq
        self.last = replace(part, data=None, groupdq=None, zeroframe=None)

    def finish(self) -> None:
        """Put what was gathered into the exposure."""
        exposure = self.exposure
        for name, planes in self.planes.items():
            setattr(exposure, name, planes)
        if self.last is not None:
            exposure.pixeldq = self.pixeldq
            exposure.average_dark_current = self.last.average_dark_current
            exposure.model = self.last.model

    def _write(self, name: str, shape: Any, ints: slice, array: Any, rows: slice) -> None:
        if name not in self.planes:
            self.planes[name] = self._planes(getattr(self.exposure, name), name, shape, array.dtype)
        self.planes[name].write(ints, self.exposure.storage.device.fetch(array), rows)

    def _planes(self, before: StoredPlanes | None, name: str, shape: Any, dtype: Any) -> Any:
        """Return the file that was there before, if it can be used, or a new one."""
        can_stay = isinstance(before, ScratchPlanes) and before.shape == shape
        if can_stay and not self.is_fresh:
            return before
        is_cube = name == "zeroframe"
        return ScratchPlanes(self.exposure.storage.folder, shape, dtype, is_cube=is_cube)
