"""The reference-pixel correction on a GPU: many images at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.kernels.lanes import LANES
from jwgpu.kernels.launching import launch
from jwgpu.kernels.reference_pixels.layout import NearInfraredLayout, Sections

#: Images at a time, which bounds the memory for their side pixels (128 kB each).
IMAGES_AT_A_TIME = 256


def subtract_drift(
    images: Any, layout: NearInfraredLayout, sigma_limit: float, side_length: int, side_gain: float
) -> None:
    """Contract in the package."""
    for first in range(0, images.shape[0], IMAGES_AT_A_TIME):
        some = images[first : first + IMAGES_AT_A_TIME]
        offsets = _offsets(some, 0, layout, sigma_limit)
        of_row = _side_signals(some, offsets, layout, side_length, side_gain)
        n, n_y, n_x = some.shape
        numbers = map(np.int32, (n, n_y, n_x, offsets.shape[1]))
        launch(
            __file__,
            "subtract_sum",
            (n_x, n_y, n),
            (
                some, offsets, layout.section_of_line, of_row, *numbers,
                np.bool_(layout.fast_along_x),
            ),
            block=(64, 4),
        )  # fmt: skip


def subtract_drift_from_differences(data: Any, sections: Sections, sigma_limit: float) -> None:
    """Contract in the package."""
    groups, n_y, n_x = data.shape[1:]
    ints_at_a_time = max(1, 32768 // groups)
    for first in range(0, data.shape[0], ints_at_a_time):
        images = data[first : first + ints_at_a_time].reshape(-1, n_y, n_x)
        offsets = _offsets(images, groups, sections, sigma_limit)
        n = images.shape[0]
        numbers = map(np.int32, (n, groups, n_y, n_x, offsets.shape[1]))
        launch(
            __file__,
            "subtract_from_difference",
            (n_x, n_y, n),
            (images, offsets, *numbers),
            block=(64, 4),
        )


def _offsets(images: Any, groups: int, sections: Sections, limit: float) -> Any:
    """Return the offsets (images, sections) float64."""
    xp = namespace_of(images)
    n, n_y, n_x = images.shape
    edges, n_sections = sections.bounds.shape[:2]
    offsets = xp.empty((n, n_sections), xp.float64)
    arguments = (
        images, sections.pixels, sections.bounds, np.int32(n), np.int64(n_y * n_x),
        np.int32(groups), np.int32(edges), np.int32(n_sections), np.float64(limit), offsets,
    )  # fmt: skip
    launch(__file__, "find_offsets", n * n_sections * LANES, arguments, block=128)
    return offsets


def _side_signals(
    images: Any, offsets: Any, layout: NearInfraredLayout, length: int, gain: float
) -> Any:
    """Return the signal (images, lines along the fast axis) float64; None without side pixels."""
    if layout.side_pixels.shape[0] == 0:
        return None
    xp = namespace_of(images)
    n, n_y, n_x = images.shape
    rows, width = layout.side_pixels.shape[1:]
    n_lines = layout.row_of_line.size
    values = xp.empty((n, 2, width, rows), xp.float64)
    numbers = map(np.int32, (n_x, offsets.shape[1], rows, width))
    arguments = (
        images, layout.side_pixels, layout.section_of_line, offsets, np.int32(n),
        np.int64(n_y * n_x), *numbers, np.bool_(layout.fast_along_x), values,
    )  # fmt: skip
    launch(__file__, "read_side_pixels", (rows, 2 * width, n), arguments)
    of_row = xp.empty((n, n_lines), xp.float64)
    numbers = map(np.int32, (n, n_lines, rows, width, length))
    arguments = (values, layout.row_of_line, *numbers, np.float64(gain), of_row)
    launch(__file__, "find_side_signals", (n_lines, n), arguments)
    return of_row
