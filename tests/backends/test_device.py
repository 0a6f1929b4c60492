from __future__ import annotations

import numpy as np
import pytest

from jwgpu.backends import get_device, implementation, namespace_of
from jwgpu.errors import DeviceError


def test_arrays_come_back_as_they_went(device):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(device.fetch(device.send(array)), array)
    device.wait()


def test_the_cpu_copies_nothing():
    array = np.zeros(3)
    cpu = get_device("cpu")
    assert cpu.send(array) is array
    assert cpu.fetch(array) is array


def test_free_memory_is_what_the_machine_has_to_give(device):
    assert 1e6 < device.free_memory() < 1e15


@pytest.mark.parametrize("name", ["gpu", "", "cuda:", "CPU", "cuda:x"])
def test_unknown_devices_are_named_with_what_there_is(name):
    with pytest.raises(DeviceError, match="auto, cpu, cuda"):
        get_device(name)


def test_the_namespace_is_that_of_the_arrays(device):
    array = device.send(np.zeros(3, np.float32))
    assert namespace_of(array, None, 3.0, array) is device.xp


def test_no_array_has_no_namespace():
    with pytest.raises(DeviceError, match="found none"):
        namespace_of(None, 2)


def test_mixed_arrays_are_refused():
    import array_api_strict

    with pytest.raises(DeviceError, match="array_api_strict and numpy"):
        namespace_of(np.zeros(2), array_api_strict.zeros(2))


def test_a_kernel_body_is_chosen_by_its_arrays():
    body = implementation("jwgpu.kernels.saturation", np.zeros(2))
    assert body.__name__ == "jwgpu.kernels.saturation.cpu"


def test_a_missing_kernel_body_is_named():
    with pytest.raises(DeviceError, match="models has no cpu kernel"):
        implementation("jwgpu.models", np.zeros(2))
