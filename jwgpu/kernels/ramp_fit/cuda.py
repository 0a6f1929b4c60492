"""Ramp fitting on a GPU: allocate and launch."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.backends.kept import kept_on_device
from jwgpu.kernels.launching import launch
from jwgpu.kernels.ramp_fit import Fit, Segments, Timing
from jwgpu.kernels.ramp_fit.results import empty_fit, no_segments_yet
from jwgpu.kernels.ramp_fit.setup import Setup, setup_of
from jwgpu.kernels.ramp_fit.weights import Weights, optimal_weights

_SAVE = Path(__file__).with_name("save.cu")

#: Differences that are sorted in registers; of more the median is searched for.
_STEPS = (9, 16)
#: Shared memory of a block, in bytes, that every GPU has.
_SHARED = 48 << 10
#: Threads of a block, from as many as suits short ramps to the least that makes sense.
_BLOCKS = (128, 64, 32)
#: Device memory, in bytes, for ramps that are too long for shared memory.
_SPACE = 256 << 20
_BYTES_A_SAMPLE = 5


class _Place(NamedTuple):
    """Where threads keep the ramps that they work on.

    Attributes
    ----------
    block, n_slots, shared : int
        Threads of a block, and in all; bytes of shared memory.
    samples, flags : array or None
        (groups, slots) float32 and uint8, if shared memory is not used.
    """

    block: int
    n_slots: int
    shared: int
    samples: Any = None
    flags: Any = None


def fit_ramps(
    data: Any,
    groupdq: Any,
    pixeldq: Any,
    gain: Any,
    readnoise: Any,
    timing: Timing,
    *,
    groups: tuple[int, int],
    zeroframe: Any,
    average_dark_current: Any,
    suppress_one_group: bool,
    save_segments: bool,
    is_last_use: bool,
) -> tuple[Fit, Fit, Segments | None]:
    """See `jwgpu.kernels.ramp_fit.fit_ramps`."""
    del is_last_use
    xp = namespace_of(data)
    ints, _, rows, columns = data.shape
    n_groups = int(groups[1] - groups[0])
    setup = setup_of(
        timing,
        groups[0],
        suppress_one_group=suppress_one_group,
        has_zeroframe=zeroframe is not None,
        has_dark=average_dark_current is not None,
    )
    arrays = (data, groupdq, pixeldq, gain, readnoise, zeroframe, average_dark_current)
    place = _place(xp, n_groups, rows * columns)
    exposure = _exposure(arrays, n_groups, place, setup)
    rate, rateints = empty_fit(xp, (rows, columns)), empty_fit(xp, (ints, rows, columns))
    levers = _weights(data, n_groups, "levers")
    steps = next((steps for steps in _STEPS if steps >= n_groups - 1), 0)
    _launch(__file__, "fit_ramps", (*exposure, levers, *rate, *rateints), place, steps)
    if not save_segments:
        return rate, rateints, None
    return rate, rateints, _save(exposure, n_groups, place, rateints.data)


def _save(exposure: tuple[Any, ...], n_groups: int, place: _Place, rates: Any) -> Segments:
    """Return the segments of all ramps, given the rates (ints, y, x) of the integrations."""
    xp = namespace_of(rates)
    most = xp.zeros(2, xp.int32)
    _launch(_SAVE, "count_segments", (*exposure, most), place, 0)
    n_segments, n_jumps = most.tolist()
    segments = no_segments_yet(xp, rates.shape, n_segments, n_jumps)
    weights = (_weights(rates, n_groups, name) for name in Weights._fields)
    sizes = (np.int32(n_segments), np.int32(n_jumps))
    arguments = (*exposure, *weights, rates, *sizes, *segments)
    _launch(_SAVE, "save_segments", arguments, place, 0)
    return segments


def _place(xp: Any, n_groups: int, n_pixels: int) -> _Place:
    """Find room for the ramps of as many threads as suits their length."""
    size = _BYTES_A_SAMPLE * n_groups
    for block in _BLOCKS:
        if block * size <= _SHARED:
            return _Place(block, n_pixels, block * size)
    n_slots = min(n_pixels, max(_SPACE // size, 1))
    shape = (n_groups, n_slots)
    return _Place(_BLOCKS[-1], n_slots, 0, xp.empty(shape, xp.float32), xp.empty(shape, xp.uint8))


def _exposure(
    arrays: tuple[Any, ...], n_groups: int, place: _Place, setup: Setup
) -> tuple[Any, ...]:
    """Return what all kernels are given: EXPOSURE_PARAMETERS in exposure.cuh."""
    ints, n_groups_in_all, *image = arrays[0].shape
    sizes = (ints, n_groups_in_all, setup.first_group, n_groups, prod(image), place.n_slots)
    times = (setup.group_time, setup.frame_time, setup.first_read_time)
    return (
        *arrays,
        place.samples,
        place.flags,
        *(np.int32(size) for size in sizes),
        *(np.float64(value) for value in (*times, setup.noise_scale, setup.reads_before)),
        np.bool_(setup.suppress_one_group),
    )


def _launch(
    source: Path | str, function: str, arguments: tuple[Any, ...], place: _Place, steps: int
) -> None:
    launch(
        source,
        function,
        place.n_slots,
        arguments,
        block=place.block,
        shared_memory=place.shared,
        defines={"STEPS": steps},
    )


def _weights(like: Any, longest: int, name: str) -> Any:
    """Return a table of the weights on the device of an array; see `Weights`."""
    with like.device:
        return _sent_weights(namespace_of(like), like.device.id, longest, name)


@kept_on_device(maxsize=16)
def _sent_weights(xp: Any, device: int, longest: int, name: str) -> Any:
    # Made on the host, once for all exposures: powers by another library would differ.
    del device
    return xp.asarray(getattr(optimal_weights(longest), name))
