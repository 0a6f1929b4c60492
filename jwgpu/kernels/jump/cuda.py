"""Finding jumps on a GPU: what is allocated and launched. See `jwgpu.kernels.jump.cpu`.

Samples of all integrations lie one behind the other, (samples, pixels): the kernels see no rows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.kernels.jump.limits import AfterJump, Limits
from jwgpu.kernels.launching import launch

_MANY: Final = Path(__file__).with_name("many_samples.cu")
_SPREAD: Final = Path(__file__).with_name("spread.cu")
_SIGMA_CLIP: Final = Path(__file__).with_name("sigma_clip.cu")

#: Numbers of samples that a kernel is compiled for, which keeps them in registers.
IN_REGISTERS: tuple[int, ...] = (8, 12, 16, 24, 32, 48, 64)

#: Threads of a block where each has counters in shared memory, and how many: BINS in ranks.cuh.
_COUNTING_BLOCK: Final = 64
_BINS: Final = 64

_BLOCK: Final = 256
#: Pixels of a plane that a thread looks at, and those that are looked at first.
_LOOKED_AT_EACH: Final = 16
_LOOKED_AT_FIRST: Final = 1024

#: Clipping: threads of a block, all that are started, and the bytes that they may work in.
_CLIPPING_BLOCK: Final = 32
_CLIPPING_THREADS: Final = 1 << 17
SHARED_BYTES: int = 48 << 10
WORKSPACE_BYTES: int = 256 << 20


def full_groups(groupdq: Any, flags: int) -> Any:
    """Return, (ints, groups) bool, the groups of which every pixel has one of ``flags``."""
    xp = namespace_of(groupdq)
    n_ints, n_groups, n_rows, n_columns = groupdq.shape
    n_planes, n_pixels = n_ints * n_groups, n_rows * n_columns
    # Of most groups the first look shows that they are not full.
    stride = max(n_pixels // _LOOKED_AT_FIRST, 1)
    candidates = xp.ones(n_planes, xp.uint32)
    _check_planes(groupdq, flags, n_pixels, n_planes, stride, None, candidates)
    is_full = xp.ones(n_planes, xp.uint32)
    _check_planes(groupdq, flags, n_pixels, n_planes, 1, candidates, is_full)
    return (is_full != 0).reshape(n_ints, n_groups)


def _check_planes(
    groupdq: Any,
    flags: int,
    n_pixels: int,
    n_planes: int,
    stride: int,
    candidates: Any,
    is_full: Any,
) -> None:
    sizes = (np.int64(n_pixels), np.int64(n_planes), np.int64(stride), np.int32(_LOOKED_AT_EACH))
    arguments = (groupdq, np.int32(flags), *sizes, candidates, is_full)
    n_looked_at = -(-n_pixels // stride)
    n_blocks = n_planes * -(-n_looked_at // (_BLOCK * _LOOKED_AT_EACH))
    launch(_SPREAD, "check_planes", n_blocks * _BLOCK, arguments, block=_BLOCK)


def clear_full_groups(groupdq: Any, is_full: Any) -> None:
    """Take JUMP_DET, if alone, off groups in which each sample is JUMP_DET or DO_NOT_USE."""
    n_pixels = groupdq.shape[2] * groupdq.shape[3]
    arguments = (groupdq, is_full, np.int32(is_full.size), np.int64(n_pixels))
    launch(_SPREAD, "clear_full_groups", n_pixels, arguments)


def clear_unusable(groupdq: Any) -> None:
    """Take JUMP_DET off samples that are of no use."""
    launch(_SPREAD, "clear_unusable", groupdq.size, (groupdq, np.int64(groupdq.size)))


def clip_jumps(data: Any, groupdq: Any, gain: Any, rejection: float, step: int) -> None:
    """Flag what sigma clipping finds among differences that lie ``step`` apart."""
    xp = namespace_of(data)
    n_ints, n_groups, n_rows, n_columns = data.shape
    n_pixels = n_rows * n_columns
    n_sets, n_values = (1, n_ints * (n_groups - 1)) if step == 1 else (n_groups - 1, n_ints)
    sizes = (np.int32(n_ints * n_groups), np.int32(n_groups), np.int64(n_pixels), np.int32(n_sets))
    given = (data, groupdq, gain, *sizes, np.float64(rejection))
    n_listed = xp.zeros(1, xp.uint64)
    listed = xp.empty(n_pixels * n_sets, xp.int64)
    n_blocks = -(-n_pixels // _BLOCK) * n_sets
    launch(_SIGMA_CLIP, "list_sets", n_blocks * _BLOCK, (*given, n_listed, listed), block=_BLOCK)

    n_threads = min(-(-listed.size // _CLIPPING_BLOCK) * _CLIPPING_BLOCK, _CLIPPING_THREADS)
    shared, workspace = 4 * n_values * _CLIPPING_BLOCK, None
    if shared > SHARED_BYTES:
        n_blocks = max(min(n_threads, WORKSPACE_BYTES // (4 * n_values)) // _CLIPPING_BLOCK, 1)
        n_threads = n_blocks * _CLIPPING_BLOCK
        shared, workspace = 0, xp.empty((n_values, n_threads), xp.float32)
    arguments = (*given, n_listed, listed, workspace)
    block = _CLIPPING_BLOCK
    launch(_SIGMA_CLIP, "clip_listed", n_threads, arguments, block=block, shared_memory=shared)


def flag_jumps(
    data: Any, groupdq: Any, gain: Any, readnoise: Any, limits: Limits, after: AfterJump | None
) -> Any:
    """Flag jumps, their neighbours and what follows them; return the jumps of each row, (y,)."""
    xp = namespace_of(data)
    n_ints, n_groups, n_rows, n_columns = data.shape
    n_samples, n_pixels = n_ints * n_groups, n_rows * n_columns
    n_words = -(-n_samples // 8)
    marks = xp.empty((n_words, n_pixels), xp.uint8) if limits.flag_neighbors else None
    centers = xp.empty(n_pixels, xp.float64) if after is not None else None
    n_jumps = xp.zeros(n_rows, xp.uint64)
    sizes = (np.int32(n_samples), np.int32(n_groups), np.int64(n_pixels))
    numbers = (
        np.int32(limits.method),
        np.float64(limits.frames_averaged),
        np.float64(limits.rejection),
        np.float64(limits.three_differences),
        np.float64(limits.two_differences),
        np.float64(limits.neighbors_above),
        np.float64(limits.neighbors_below),
    )
    arrays = (data, groupdq, gain, readnoise)
    arguments = (*arrays, *sizes, np.int32(n_columns), *numbers, marks, centers, n_jumps)
    _find_jumps(n_pixels, n_samples, arguments)
    if marks is not None:
        image = (np.int32(n_words), np.int64(n_pixels), np.int32(n_columns))
        launch(_SPREAD, "flag_neighbors", n_pixels, (marks, groupdq, *image))
    if after is not None:
        first = (np.float64(after.electrons_1), np.int32(after.groups_1))
        second = (np.float64(after.electrons_2), np.int32(after.groups_2))
        given = (data, groupdq, gain, centers, *sizes, *first, *second)
        launch(_SPREAD, "flag_after_jumps", n_pixels, given)
    return n_jumps


def _find_jumps(n_pixels: int, n_samples: int, arguments: tuple[Any, ...]) -> None:
    """Find the jumps of each pixel, with its samples in registers if there are few."""
    room = next((size for size in IN_REGISTERS if size >= n_samples), None)
    if room is not None:
        launch(__file__, "find_jumps", n_pixels, arguments, block=128, defines={"SAMPLES": room})
        return
    block, shared = _COUNTING_BLOCK, 4 * _BINS * _COUNTING_BLOCK
    launch(_MANY, "find_jumps_in_many", n_pixels, arguments, block=block, shared_memory=shared)
