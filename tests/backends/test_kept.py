from __future__ import annotations

import numpy as np

from jwgpu.backends.kept import kept_on_device
from jwgpu.kernels.ramp_fit import cuda as ramp_fit


def test_tables_are_made_once_until_memory_is_given_back(gpu):
    made = []

    @kept_on_device(maxsize=2)
    def table(xp, number, length):
        made.append(length)
        return xp.zeros(length, xp.float32)

    first = table(gpu.xp, 0, 5)
    assert table(gpu.xp, 0, 5) is first
    gpu.give_back_memory()
    table(gpu.xp, 0, 5)
    assert made == [5, 5]


def test_weights_of_ramps_are_given_back(gpu):
    like = gpu.send(np.zeros(3, np.float32))
    gpu.give_back_memory()
    before = gpu.free_memory()
    ramp_fit._weights(like, 100, "levers")
    assert gpu.free_memory() < before - 100_000
    gpu.give_back_memory()
    assert gpu.free_memory() >= before - 1000
