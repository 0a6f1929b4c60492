"""What is the same for all IRS2 images: times of interest, window, filter. Small, on the host."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.irs2.layout import (
    IMAGE_TIME,
    LINE_TIME,
    LINES,
    REFERENCE_RUN,
    SCIENCE_RUN,
    VISIT_TIME,
    VISITS,
)

#: Lines at either end of the image that a straight line is fitted to.
BORDER = 4
#: The window of the interpolation reaches so far to either side.
REACH = 15
#: Rounds of low-pass filtering.
ROUNDS = 3
#: Reference pixels of a visit begin at this time of it; they are stretched from two times earlier.
FIRST_TIME = SCIENCE_RUN // 2 + 1
#: The low-pass filter: frequencies of full and of falling transmission. The image's lines are
#: repeated in time, and so is the pass band: it is there at the highest frequencies, too.
FALLING = 110_000 // VISIT_TIME
FULL = (LINE_TIME // VISIT_TIME) * LINES // 2 - FALLING // 2

_VISITS = np.arange(VISITS)[:, None]


def reference_times() -> Any:
    """Return when reference pixels are read, within a line: (128,) int64."""
    return (_VISITS * VISIT_TIME + FIRST_TIME + np.arange(REFERENCE_RUN)).reshape(-1)


def stretched() -> tuple[Any, Any]:
    """Return times that are filled from reference pixels, and from which of them: (256,) int64."""
    times = _VISITS * VISIT_TIME + FIRST_TIME - 2 + np.arange(2 * REFERENCE_RUN)
    # Of r0 r1 r2 r3 come r0 r2 r0 r2 r1 r3 r1 r3, from two times earlier on.
    sources = _VISITS * REFERENCE_RUN + np.array([0, 2, 0, 2, 1, 3, 1, 3])
    return times.reshape(-1), sources.reshape(-1)


def window() -> Any:
    """Return the weights of the interpolation: (31,) float64."""
    # Single precision first: the official window is made so.
    steps = np.arange(1, 2 * REACH + 2, dtype=np.float32) / np.float32(32.0)
    return np.sin(steps * np.float32(np.pi)).astype(np.float64)


def transmission() -> Any:
    """Return the low-pass filter at the frequencies 0…729088, in turns an image: float32."""
    falling = (np.cos(np.arange(FALLING) * (np.pi / FALLING)) + 1.0) / 2.0
    edge = np.concatenate([np.ones(FULL), falling])
    half = IMAGE_TIME // 2
    result = np.zeros(half + 1, np.float32)
    result[: edge.size] = edge
    result[half - edge.size : half] = edge[::-1]
    result[half] = 1.0
    return result


def in_lines(spectrum: Any) -> Any:
    """Put a symmetric spectrum, 0…729088, in the order of the contract: (712, 1025)."""
    whole = np.concatenate([spectrum, spectrum[-2:0:-1]])
    return np.ascontiguousarray(whole.reshape(LINE_TIME, LINES)[:, : LINES // 2 + 1])
