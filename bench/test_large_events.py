"""Time of finding snowballs and showers, without the jumps before; small unless benchmarked."""

from __future__ import annotations

import numpy as np
import pytest

from jwgpu.kernels.large_events import (
    ShowerSettings,
    SnowballSettings,
    flag_showers,
    flag_snowballs,
)
from jwgpu.kernels.regions import Search, find_regions
from jwgpu.models.flags import JUMP_DET, SATURATED


def flags_with_hits(shape, n_snowballs):
    """Return flags: hits with their neighbours in 1 pixel of 1000, snowballs with cores."""
    random = np.random.default_rng(1)
    flags = np.zeros(shape, np.uint8)
    rows, columns = (axis - 30 for axis in np.mgrid[:61, :61])
    distance = np.hypot(rows, columns)
    for group in range(1, shape[1]):
        y, x = np.nonzero(random.random((shape[2] - 2, shape[3] - 2)) < 1e-3)
        for dy, dx in ((0, 1), (1, 0), (1, 1), (1, 2), (2, 1)):
            flags[:, group, y + dy, x + dx] |= JUMP_DET
        for _ in range(n_snowballs):
            y, x = random.integers(0, shape[2] - 61), random.integers(0, shape[3] - 61)
            radius = random.uniform(4, 30)
            flags[:, group, y : y + 61, x : x + 61][:, distance < radius] |= JUMP_DET
            flags[:, group:, y : y + 61, x : x + 61][..., distance < radius / 3] = SATURATED
    return flags


@pytest.mark.parametrize("needs_core", [True, False], ids=["cores", "all jumps"])
def test_snowballs(benchmark, needs_core):
    shape = (1, 3, 96, 128) if benchmark.disabled else (1, 10, 2048, 2048)
    flags = flags_with_hits(shape, n_snowballs=12)
    target = flags.copy()

    def restore():
        target[:] = flags

    def run():
        flag_snowballs(target, SnowballSettings(needs_core=needs_core))

    benchmark.pedantic(run, setup=restore, rounds=3)


def test_showers(benchmark):
    shape = (2, 12, 64, 72) if benchmark.disabled else (2, 40, 1024, 1032)
    random = np.random.default_rng(1)
    image = shape[2:]
    data = np.empty(shape, np.float32)
    for ramp in data:
        signal = np.zeros(image, np.float32)
        for group in ramp:
            signal += 10 + 3 * random.standard_normal(image, np.float32)
            y, x = random.integers(0, image[0] - 30), random.integers(0, image[1] - 30)
            signal[y : y + 30, x : x + 30] += 12
            group[:] = signal + 3 * random.standard_normal(image, np.float32)
    flags = (random.random(shape) < 1e-3).astype(np.uint8) * np.uint8(JUMP_DET)
    target = flags.copy()
    gain, readnoise = np.full(image, 5.0, np.float32), np.full(image, 5.0, np.float32)
    settings = ShowerSettings(following_groups=5, largest_change=30.0)

    def restore():
        target[:] = flags

    def run():
        flag_showers(data, target, np.zeros(image, np.uint32), gain, readnoise, settings)

    benchmark.pedantic(run, setup=restore, rounds=3)


def test_regions(benchmark):
    shape = (1, 2, 96, 128) if benchmark.disabled else (1, 2, 2048, 2048)
    planes = flags_with_hits(shape, n_snowballs=5)[0]
    benchmark(find_regions, planes, [Search(1, JUMP_DET, 5.0)])
