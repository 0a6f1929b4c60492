"""Polynomials on a GPU: the numbers of the CPU, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_linearity import ARRAYS, make_exposure

from jwgpu.backends import get_device
from jwgpu.errors import DeviceError
from jwgpu.kernels.linearity import cuda, straighten, straighten_reads, straighten_zeroframe

CPU = get_device("cpu")


def run(device: Any, exposure: dict[str, Any], frames: int = 0) -> dict[str, Any]:
    """Straighten a copy of an exposure, and return all its arrays."""
    sent = {name: device.send(exposure[name].copy()) for name in ARRAYS}
    data, groupdq, pixeldq, coefficients, inverse, dq = sent.values()
    if frames:
        straighten_reads(data, groupdq, pixeldq, coefficients, inverse, dq, frames)
    else:
        straighten(data, groupdq, pixeldq, coefficients, dq)
    return {name: device.fetch(array) for name, array in sent.items()}


def assert_equals_cpu(gpu: Any, exposure: dict[str, Any], frames: int = 0) -> None:
    expected = run(CPU, exposure, frames)
    for name, found in run(gpu, exposure, frames).items():
        np.testing.assert_array_equal(found, expected[name], err_msg=name)
    assert np.any(expected["data"] != exposure["data"])


@pytest.mark.parametrize("terms", [pytest.param(2, marks=pytest.mark.races), 3, 7, 8, 9, 17])
def test_samples(gpu: Any, terms: int) -> None:
    assert_equals_cpu(gpu, make_exposure((3, 5, 7, 37), terms, seed=terms))


@pytest.mark.parametrize("frames", [1, 2, 8, 11])
@pytest.mark.parametrize(
    "shape", [(2, 6, 5, 61), (1, 2, 3, 300), pytest.param((3, 3, 1, 5), marks=pytest.mark.races)]
)
def test_reads(gpu: Any, frames: int, shape: tuple[int, int, int, int]) -> None:
    assert_equals_cpu(gpu, make_exposure(shape, 6, seed=frames), frames)


@pytest.mark.parametrize(("terms", "inverse_terms"), [(3, 7), (12, 5)])
def test_polynomials_of_different_lengths(gpu: Any, terms: int, inverse_terms: int) -> None:
    exposure = make_exposure((2, 5, 6, 30), terms, seed=terms)
    exposure["inverse"] = make_exposure((1, 1, 6, 30), inverse_terms, seed=1)["inverse"]
    assert_equals_cpu(gpu, exposure, 4)


@pytest.mark.parametrize("plenty", [1, 400, 1 << 30])
def test_it_does_not_matter_how_pixels_are_shared_out(
    gpu: Any, plenty: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda, "_PLENTY", plenty)
    exposure = make_exposure((3, 5, 4, 30), 4, seed=1)
    assert_equals_cpu(gpu, exposure)
    assert_equals_cpu(gpu, exposure, 4)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 0.0, -0.0, 1e30])
def test_values_beyond_all_bounds(gpu: Any, value: float) -> None:
    exposure = make_exposure((1, 4, 4, 9), 5, seed=3)
    exposure["data"][:, 1] = value
    assert_equals_cpu(gpu, exposure)
    assert_equals_cpu(gpu, exposure, 4)


@pytest.mark.races
def test_zeroframe(gpu: Any) -> None:
    exposure = make_exposure((3, 1, 6, 43), 6, seed=8)
    frames = exposure["data"][:, 0].copy()
    frames[:, 2:4] = 0
    arrays = (frames, exposure["coefficients"], exposure["dq"])
    results = []
    for device in (gpu, CPU):
        sent = [device.send(array.copy()) for array in arrays]
        straighten_zeroframe(*sent)
        results.append([device.fetch(array) for array in sent])
    for found, expected in zip(*results, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert np.all(results[0][0][:, 2:4] == 0)
    assert np.any(results[0][0] != frames)


def test_more_terms_than_fit_are_refused(gpu: Any) -> None:
    with pytest.raises(DeviceError, match="33 terms"):
        run(gpu, make_exposure((1, 1, 2, 2), 33, seed=0))


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(2, 5), st.integers(1, 4), st.integers(1, 40)),
    terms=st.integers(2, 8),
    frames=st.integers(0, 5),
)
def test_any_shape(gpu: Any, shape: tuple[int, int, int, int], terms: int, frames: int) -> None:
    exposure = make_exposure(shape, terms, seed=sum(shape))
    expected = run(CPU, exposure, frames)
    for name, found in run(gpu, exposure, frames).items():
        np.testing.assert_array_equal(found, expected[name], err_msg=name)
