"""Showers on a GPU: allocate and launch."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.kernels.large_events import CLIPPING
from jwgpu.kernels.launching import launch
from jwgpu.models.flags import DO_NOT_USE, SATURATED

_HERE: Final = Path(__file__).parent
#: Pixels of images that are worked on together: enough to keep a GPU busy.
_PIXELS: Final = 1 << 25
#: Rows of images for which a grid has room: 65535 blocks of 8.
_MOST_ROWS: Final = 65535 * 8
#: Values that a workspace holds: 64 MiB, so that most of it stays in the cache; of long series
#: more, up to 1 GiB, since fewer pixels would leave most of a GPU idle.
_WORKSPACE: Final = 1 << 24
_LARGEST_WORKSPACE: Final = 1 << 28
_FEWEST_PIXELS: Final = 1 << 13


def find_noise(
    data: Any,
    groupdq: Any,
    gain: Any,
    readnoise: Any,
    frames_averaged: int,
    jumps_were_searched: bool,
    center: Any,
    sigma: Any,
) -> None:
    """See `jwgpu.kernels.large_events.cpu.find_noise`."""
    n_ints, n_groups = data.shape[:2]
    n_pixels = prod(data.shape[2:])
    options = (np.float32(frames_averaged), unusable_flags(jumps_were_searched))
    for keys, first, some in workspaces(data, n_ints * (n_groups - 1), "uint32"):
        arrays = (data, groupdq, gain, readnoise, keys, center, sigma)
        sizes = (np.int32(size) for size in (n_ints, n_groups, n_pixels, first, some))
        launch(_HERE / "noise.cu", "find_noise", some, (*arrays, *sizes, *options))


def clip_noise(
    data: Any,
    groupdq: Any,
    group: int,
    gain: Any,
    jumps_were_searched: bool,
    center: Any,
    sigma: Any,
) -> None:
    """See `jwgpu.kernels.large_events.cpu.clip_noise`."""
    n_ints, n_groups = data.shape[:2]
    n_pixels = prod(data.shape[2:])
    options = (np.float64(CLIPPING), unusable_flags(jumps_were_searched))
    for work, first, some in workspaces(data, n_ints, "float32"):
        arrays = (data, groupdq, gain, work, center, sigma)
        sizes = (np.int32(size) for size in (n_ints, n_groups, n_pixels, group, first, some))
        launch(_HERE / "clip.cu", "clip_noise", some, (*arrays, *sizes, *options))


def workspaces(data: Any, n_values: int, dtype: str) -> Iterator[tuple[Any, int, int]]:
    """Yield an array (values, some pixels), and which pixels it is for: the first, how many."""
    n_pixels = prod(data.shape[2:])
    n_each = max(n_values, 1)
    enough = min(_FEWEST_PIXELS, _LARGEST_WORKSPACE // n_each)
    at_once = min(n_pixels, max(_WORKSPACE // n_each, enough, 1))
    values = namespace_of(data).empty(n_values * at_once, dtype)
    for first in range(0, n_pixels, max(at_once, 1)):
        yield values, first, min(at_once, n_pixels - first)


def images_at_once(n_rows: int, n_columns: int) -> int:
    """Return how many images to work on together."""
    return max(1, min(_PIXELS // max(n_rows * n_columns, 1), _MOST_ROWS // max(n_rows, 1)))


def find_ratios(
    data: Any,
    groupdq: Any,
    places: list[tuple[int, int]],
    pixeldq: Any,
    gain: Any,
    center: Any,
    sigma: Any,
    jumps_were_searched: bool,
    ratio: Any,
    is_good: Any,
) -> None:
    """See `jwgpu.kernels.large_events.cpu.find_ratios`."""
    n_rows, n_columns = center.shape
    margin = (ratio.shape[1] - n_rows) // 2
    where = namespace_of(data).asarray(np.array(places, np.int32))
    arrays = (data, groupdq, where, pixeldq, gain, center, sigma, ratio, is_good)
    sizes = (data.shape[1], n_rows, n_columns, margin, len(places))
    numbers = (*(np.int32(size) for size in sizes), unusable_flags(jumps_were_searched))
    n_threads = (n_columns, n_rows * len(places))
    launch(_HERE / "ratios.cu", "find_ratios", n_threads, (*arrays, *numbers), block=(32, 8))


def find_usable_groups(groupdq: Any, pixeldq: Any) -> Any:
    """Fetch, (ints, groups) bool, the groups in which a pixel is usable."""
    n_ints, n_groups = groupdq.shape[:2]
    found = namespace_of(groupdq).empty((n_ints, n_groups), "uint8")
    arguments = (groupdq, pixeldq, found, np.int32(pixeldq.size))
    n_threads = 1024 * n_ints * n_groups
    launch(_HERE / "ratios.cu", "find_usable_groups", n_threads, arguments, block=1024)
    return found.get() != 0


def flag_marked(
    data: Any, planes: Any, pixeldq: Any, gain: Any, marks: Any, largest_change: float
) -> None:
    """See `jwgpu.kernels.large_events.cpu.flag_marked`."""
    n_groups, n_pixels = planes.shape[0], pixeldq.size
    arrays = (data, planes, pixeldq, gain, marks)
    numbers = (np.int32(n_groups), np.int32(n_pixels), np.float32(largest_change))
    launch(_HERE / "marked.cu", "flag_marked", n_pixels, (*arrays, *numbers))


def unusable_flags(jumps_were_searched: bool) -> Any:
    """Return the flags that make a sample unusable whatever other flags it has."""
    return np.uint8(DO_NOT_USE | SATURATED if jumps_were_searched else 0)
