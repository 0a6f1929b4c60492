"""Putting superstripes together: from an exposure of stripes to one of the detector.

Each integration of a superstripe exposure holds a part of the detector; after the reference pixels
have served, the parts are laid beside each other, and what follows sees plain images.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.models.flags import REFERENCE_PIXEL
from jwgpu.models.ramp import Ramp
from jwgpu.models.stripes import (
    DETECTOR_SIZE,
    KEYWORDS,
    StripedReadout,
    count_superstripes,
    striped_readout,
)

log = logging.getLogger(__name__)

#: Subarrays whose images are those of the whole detector along the slow axis, however few of its
#: lines are read.
_WHOLE = ("SUB17STRIPE_SOSS", "SUB60STRIPE_SOSS", "SUB204STRIPE_SOSS", "SUB680STRIPE_SOSS")

#: Seconds of a pixel; pixels at the end of a line.
_PIXEL_TIME = 10.0e-6
_END_OF_LINE = 12


def collate(ramp: Ramp) -> None:
    """Lay the stripes of a superstripe exposure beside each other, in place.

    Where nothing is read, data are NaN and pixels REFERENCE_PIXEL. Stripes read several times
    within a frame become groups of their own; the times of these are then in
    ``meta.exposure.read_times``. Flags and frame zero are those of the last of these reads, though
    the comments of the official package speak of the first. The GROUP table is lost, as there.

    Parameters
    ----------
    ramp : Ramp
        (ints * stripes, groups, y, x), its ``pixeldq`` (stripes, y, x); is (ints, groups * reads,
        y, x) and (y, x) afterwards, and the keywords and the table INT_TIMES follow.

    Raises
    ------
    InputError
        If the readout is not described.
    """
    readout = striped_readout(ramp.meta) if count_superstripes(ramp.meta) else None
    if readout is None:
        return
    log.info("putting %d superstripes together", readout.n_superstripes)
    lines = lines_together(readout, str(ramp.meta.subarray.name))
    n_reads = max(len(blocks) for blocks in readout.blocks)
    read_times = _read_times(ramp.meta, readout) if n_reads > 1 else None
    _collate_arrays(ramp, readout, lines, n_reads)
    _describe(ramp, readout, lines)
    if read_times is not None:
        ramp.meta.exposure.read_times = read_times


def take_stripe(ramp: Ramp, number: int) -> Ramp:
    """Return one superstripe of an exposure as an exposure of its own, contiguous.

    Parameters
    ----------
    ramp : Ramp
        (ints * stripes, groups, y, x), its ``pixeldq`` (stripes, y, x).
    number : int
        Which, from 0.
    """
    xp = namespace_of(ramp.data)
    mine = slice(number, None, count_superstripes(ramp.meta))
    zeroframe = None if ramp.zeroframe is None else xp.ascontiguousarray(ramp.zeroframe[mine])
    return Ramp(
        data=xp.ascontiguousarray(ramp.data[mine]),
        groupdq=xp.ascontiguousarray(ramp.groupdq[mine]),
        pixeldq=xp.ascontiguousarray(ramp.pixeldq[number]),
        model=ramp.model,
        zeroframe=zeroframe,
    )


def put_stripe(ramp: Ramp, number: int, stripe: Ramp) -> None:
    """Write a superstripe back into the exposure that `take_stripe` took it from."""
    mine = slice(number, None, count_superstripes(ramp.meta))
    ramp.data[mine] = stripe.data
    ramp.groupdq[mine] = stripe.groupdq
    ramp.pixeldq[number] = stripe.pixeldq
    if ramp.zeroframe is not None:
        ramp.zeroframe[mine] = stripe.zeroframe


def lines_together(readout: StripedReadout, subarray: str) -> slice:
    """Return the lines of the detector, in the order of readout, that the images shall have."""
    if subarray in _WHOLE:
        return slice(0, DETECTOR_SIZE)
    blocks = [block.detector for of_stripe in readout.blocks for block in of_stripe]
    return slice(min(block.start for block in blocks), max(block.stop for block in blocks))


def _collate_arrays(ramp: Ramp, readout: StripedReadout, lines: slice, n_reads: int) -> None:
    xp = namespace_of(ramp.data)
    n = readout.n_stripes
    images, groups = ramp.data.shape[:2]
    rows, columns = ramp.image_shape
    n_lines = lines.stop - lines.start
    image = (n_lines, columns) if readout.slow_is_y else (rows, n_lines)
    ints = images // n
    data = xp.full((ints, groups * n_reads, *image), np.nan, dtype=xp.float32)
    groupdq = xp.zeros(data.shape, dtype=xp.uint8)
    pixeldq = xp.full(image, REFERENCE_PIXEL, dtype=xp.uint32)
    zeroframe = None
    if ramp.meta.exposure.zero_frame:
        zeroframe = xp.full((ints, *image), np.nan, dtype=xp.float32)
    for stripe, read, source, target in _moves(readout, lines):
        mine = slice(stripe, ints * n, n)
        data[:, read::n_reads][target] = ramp.data[mine][source]
        groupdq[:, read::n_reads][target] = ramp.groupdq[mine][source]
        pixeldq[target] = ramp.pixeldq[stripe][source]
        if zeroframe is not None and ramp.zeroframe is not None:
            zeroframe[target] = ramp.zeroframe[mine][source]
    ramp.data, ramp.groupdq, ramp.pixeldq, ramp.zeroframe = data, groupdq, pixeldq, zeroframe


def _moves(readout: StripedReadout, lines: slice) -> Iterator[tuple[int, int, Any, Any]]:
    """Yield stripe, read, and where its lines are in its image and in that of all."""
    # Where stripes overlap the last one wins: that of the last read.
    for read, of_read in enumerate(zip(*readout.blocks, strict=True)):
        for stripe, block in enumerate(of_read):
            first = block.detector.start - lines.start
            whole = slice(first, first + block.image.stop - block.image.start)
            sizes = readout.slow_size, lines.stop - lines.start
            source, target = (
                _along_slow(readout, part, size)
                for part, size in zip((block.image, whole), sizes, strict=True)
            )
            yield stripe, read, source, target


def _along_slow(readout: StripedReadout, lines: slice, size: int) -> Any:
    """Return the index, in a stored image of `size` lines, of lines in the order of readout."""
    if readout.slow_axis < 0:
        lines = slice(size - lines.stop, size - lines.start)
    return (..., lines, slice(None)) if readout.slow_is_y else (..., lines)


def _describe(ramp: Ramp, readout: StripedReadout, lines: slice) -> None:
    """Give the ramp the official model, keywords and tables of an exposure without stripes."""
    from stdatamodels.jwst import datamodels

    n = readout.n_stripes
    old, model = ramp.model, datamodels.RampModel()
    model.update(old)
    if "int_times" in old.instance:
        model.int_times = old.int_times
    exposure, subarray = model.meta.exposure, model.meta.subarray
    first = exposure.integration_start or 1
    last = exposure.integration_end or exposure.nints
    _share_times(model, n, math.ceil(first / n))
    exposure.integration_start, exposure.integration_end = math.ceil(first / n), math.ceil(last / n)
    exposure.nints = math.ceil(exposure.nints / n)
    exposure.ngroups = int(ramp.data.shape[1])
    for _, attribute in KEYWORDS.values():
        setattr(subarray, attribute, None)
    subarray.ysize, subarray.xsize = ramp.image_shape
    start = lines.start + 1 if readout.slow_axis > 0 else DETECTOR_SIZE - lines.stop + 1
    setattr(subarray, "ystart" if abs(readout.slow_axis) == 2 else "xstart", start)
    ramp.model = model


def _share_times(model: Any, n: int, first: int) -> None:
    """Keep the times of all stripes in a table of their own; those of integrations span them."""
    times = model.int_times if "int_times" in model.instance else None
    if times is None or not len(times):
        return
    each = np.array(times)
    ints = len(each) // n
    stripes = np.zeros(len(each), model.get_dtype("int_times_stripe"))
    for name in each.dtype.names or ():
        stripes[name] = each[name]
    stripes["integration_number"] = np.repeat(np.arange(ints) + first, n)
    stripes["stripe_number"] = np.arange(len(each)) % n + 1
    whole = each[: ints * n : n].copy()
    last = each[n - 1 : ints * n : n]
    whole["integration_number"] = np.arange(ints) + first
    for clock in ("MJD_UTC", "BJD_TDB"):
        start, end = whole[f"int_start_{clock}"], last[f"int_end_{clock}"]
        whole[f"int_end_{clock}"] = end
        whole[f"int_mid_{clock}"] = (end - start) / 2.0 + start
    model.int_times_stripe = stripes
    model.int_times = whole


def _read_times(meta: Any, readout: StripedReadout) -> list[list[float]]:
    """Return the times in seconds of the frames of each group, after stripes became groups.

    A stripe is read some time after its own reset, and again each time that the readout comes
    back to it; frames follow each other as always.
    """
    exposure, subarray = meta.exposure, meta.subarray
    n_outputs, n_frames = exposure.noutputs, exposure.nframes
    columns = subarray.xsize if readout.slow_is_y else subarray.ysize
    lines = (subarray.multistripe_reads1 or 0) + (subarray.multistripe_reads2 or 0)

    def seconds(n_lines: int, extra_lines: int, extra_clocks: int) -> float:
        per_line = (columns / n_outputs) + _END_OF_LINE
        return float((per_line * (n_lines + extra_lines) + extra_clocks) * _PIXEL_TIME)

    overhead = (1, 1) if n_outputs == 4 else (2 if n_outputs == 1 and columns >= 9 else 3, 0)
    frame = seconds(readout.slow_size, *overhead)
    steps = [frame]
    if lines > 0:
        steps = [seconds(lines, *overhead)]
        steps += [seconds(lines, 0, 0)] * (readout.slow_size // lines - 1)
    times = []
    elapsed = 0.0
    for _ in range(exposure.ngroups):
        for step in steps:
            times.append([elapsed + step + number * frame for number in range(n_frames)])
            elapsed += step
        elapsed += frame * (n_frames - 1 + exposure.groupgap)
    return times
