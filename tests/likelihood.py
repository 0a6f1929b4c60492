"""What tests of the likelihood fit share: ramps, and an official fit that is repeatable."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numba
import numpy as np
from stcal.ramp_fitting import likely_fit

from jwgpu.kernels.likelihood_fit.root_cpu import power_of
from jwgpu.models.flags import CHARGELOSS, DO_NOT_USE, JUMP_DET, OUTLIER, SATURATED

FRAME = 10.0  # s


@numba.njit(error_model="numpy")
def powers(values: Any, power: float) -> Any:
    """Return the powers of an array as our fit takes them."""
    result = np.empty_like(values)
    for index in range(values.size):
        result.flat[index] = power_of(values.flat[index], power)
    return result


class _OurPowers(np.ndarray):
    """An array whose powers are ours."""

    def __pow__(self, exponent: Any) -> Any:
        return super().__pow__(2) if exponent == 2 else powers(np.asarray(self), float(exponent))


def use_our_powers(monkeypatch: Any) -> None:
    """Let the official fit take roots as ours does.

    They are those of the C library but for the last bit of a few in a thousand; those of NumPy on
    a machine with AVX-512 differ in one of twenty. Where a ramp has three usable differences or
    fewer, or five groups and no light, the official fit leaves to rounding whether there is a
    jump, and so its result depends on the machine.
    """

    def ones(shape: Any, *arguments: Any, **keywords: Any) -> Any:
        array = np.ones(shape, *arguments, **keywords)
        return array.view(_OurPowers) if array.dtype == np.float64 and array.ndim == 2 else array

    numpy = SimpleNamespace(**{**vars(np), "ones": ones})
    monkeypatch.setattr(likely_fit, "np", numpy)


def read_times(groups: int, frames: int = 1, gap: int = 0) -> list[list[float]]:
    return [[(k * (frames + gap) + f) * FRAME for f in range(1, frames + 1)] for k in range(groups)]


def exposure(
    shape: tuple[int, ...],
    seed: int = 0,
    *,
    frames: int = 1,
    gap: int = 0,
    hits: float = 0.05,
    flagged: float = 0.1,
) -> dict[str, Any]:
    """Return ramps of 0.01 to 1000 DN/s, with jumps and flags at random, some of them unlit."""
    random = np.random.default_rng(seed)
    image = shape[2:]
    rate = 10 ** random.uniform(-2, 3, image) * (random.random(image) < 0.9)
    gain = random.uniform(1, 3, image).astype(np.float32)
    noise = random.uniform(5, 20, image).astype(np.float32)
    steps = random.poisson(rate * gain * FRAME * (frames + gap), shape) / gain
    steps += (random.random(shape) < hits) * 10 ** random.uniform(1, 4, shape)
    read = random.normal(0, 1, shape) * noise / np.sqrt(2 * frames)
    flags = [DO_NOT_USE, SATURATED, JUMP_DET, OUTLIER, CHARGELOSS]
    groupdq = random.choice(flags, shape) * (random.random(shape) < flagged / 2)
    start = random.integers(0, shape[1], (shape[0], 1, *image))
    saturates = random.random((shape[0], 1, *image)) < flagged
    groupdq |= SATURATED * (saturates & (np.arange(shape[1])[:, None, None] >= start))
    return {
        "data": (np.cumsum(steps, axis=1) + read + 500).astype(np.float32),
        "groupdq": groupdq.astype(np.uint8),
        "pixeldq": random.choice([0, 0, 1, 2, 1024], image).astype(np.uint32),
        "gain": gain,
        "readnoise": noise,
    }
