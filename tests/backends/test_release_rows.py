from __future__ import annotations

import sys

import numpy as np
import pytest

from jwgpu.backends.cpu import release_rows


def resident() -> int:
    """Return the bytes of this process that are in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


@pytest.mark.skipif(sys.platform != "linux", reason="memory is given back on Linux only")
def test_the_memory_of_the_rows_goes_and_only_theirs():
    array = np.ones((4, 5, 512, 2048), np.float32)
    before = resident()
    release_rows(array, 128, 384)
    assert before - resident() > 0.4 * array.nbytes
    assert (array[:, :, :128] == 1).all()
    assert (array[:, :, 384:] == 1).all()


def test_a_view_keeps_its_memory():
    array = np.ones((2, 512, 2048), np.float32)
    release_rows(array[:, 10:], 0, 400)
    release_rows(array.reshape(2, 512, 2048)[::1], 0, 512)
    assert (array == 1).all()


def test_rows_smaller_than_a_page_are_left_alone():
    array = np.ones((3, 8, 16), np.float32)
    release_rows(array, 0, 8)
    assert (array == 1).all()
