"""Likelihood fit in CUDA: bit for bit what the CPU finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from likelihood import exposure, powers, read_times

from jwgpu.backends import get_device
from jwgpu.kernels.launching import launch
from jwgpu.kernels.likelihood_fit import cuda, fit_ramps_by_likelihood
from jwgpu.models.flags import DO_NOT_USE, JUMP_DET

ROOTS = """
#include "likelihood_fit/root.cuh"

extern "C" __global__ void roots(const double* values, double power, int n, double* found)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) found[i] = power_of(values[i], power);
}
"""

UNEVEN = [[3.0], [10.0], [11.0, 12.0], [30.0], [31.5], [60.0, 61.0, 62.0]]


def fit(device: Any, arrays: dict[str, Any], times: Any, **options: Any) -> list[Any]:
    """Return all arrays of both rates, chi-square, and the flags of the groups."""
    sent = {name: device.send(array.copy()) for name, array in arrays.items()}
    options = {
        name: device.send(value) if isinstance(value, np.ndarray) else value
        for name, value in options.items()
    }
    rate, rateints, chi = fit_ramps_by_likelihood(**sent, read_times=times, **options)
    found = [*rate, *rateints, sent["groupdq"]] + ([] if chi is None else [chi])
    return [device.fetch(array) for array in found]


def assert_same(gpu: Any, arrays: dict[str, Any], times: Any, **options: Any) -> list[Any]:
    """Compare both devices; return what the CPU finds."""
    want = fit(get_device("cpu"), arrays, times, **options)
    for mine, theirs in zip(fit(gpu, arrays, times, **options), want, strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)
    return want


@pytest.mark.parametrize(
    ("shape", "frames", "gap"),
    [
        ((1, 10, 5, 67), 1, 0),
        ((3, 5, 6, 40), 1, 2),  # five groups without light: a singular pair
        ((2, 4, 1, 33), 1, 0),
        ((2, 8, 6, 40), 4, 1),
        ((1, 40, 2, 40), 1, 0),  # the determinant is scaled on the way
        ((1, 12, 2, 40), 2, 0),
    ],
    ids=str,
)
def test_equals_the_cpu(gpu, shape, frames, gap):
    arrays = exposure(shape, 1, frames=frames, gap=gap, hits=0.1)
    found = assert_same(gpu, arrays, read_times(shape[1], frames, gap), save_chi_square=True)
    flags = found[10]
    assert (flags & ~arrays["groupdq"] & JUMP_DET).any()
    assert np.isfinite(found[0]).any()


@pytest.mark.parametrize("frames", [1, 2, 8])
def test_options_equal_the_cpu(gpu, frames):
    arrays = exposure((2, 6, 5, 40), 2, frames=frames)
    random = np.random.default_rng(3)
    zeroframe = (arrays["data"][:, 0] * random.uniform(0.5, 1.0, (2, 5, 40))).astype(np.float32)
    dark = random.uniform(0, 5, (5, 40)).astype(np.float32)
    times = read_times(6, frames)
    options = {"zeroframe": zeroframe, "average_dark_current": dark, "thresholds": (9.0, 11.8)}
    plain = fit(get_device("cpu"), arrays, times)
    for chosen in (*options, None):
        given = {chosen: options[chosen]} if chosen else options
        found = assert_same(gpu, arrays, times, **given)
        is_ignored = chosen == "zeroframe" and frames == 1
        assert is_ignored == all(
            np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
            for one, other in zip(found, plain, strict=True)
        )


def test_uneven_groups_equal_the_cpu(gpu):
    assert_same(gpu, exposure((2, 6, 6, 40), 6), UNEVEN, save_chi_square=True)


@pytest.mark.parametrize("frames", [1, 4])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("gain", value) for value in (0.0, -1.0, np.nan, np.inf)),
        *(("readnoise", value) for value in (0.0, np.nan, 1e19)),
        *(("data", value) for value in (np.nan, np.inf, -np.inf, 0.0)),
    ],
)
def test_bad_values_equal_the_cpu(gpu, name, value, frames):
    arrays = exposure((2, 6, 4, 30), 7, frames=frames)
    if name == "data":
        arrays["data"][:, 2, ::2] = value
        arrays["data"][:, 0, :, ::7] = value
        arrays["groupdq"][:, 2, 1::2] |= DO_NOT_USE
    else:
        arrays[name][::2] = value
    assert_same(gpu, arrays, read_times(6, frames), save_chi_square=True)


@pytest.mark.races
def test_each_kernel_once(gpu):
    arrays = exposure((2, 6, 2, 20), 8, hits=0.3)
    assert_same(gpu, arrays, read_times(6))


def test_few_lanes_take_the_ramps_in_turn(gpu, monkeypatch):
    """Also those with jumps, which each warp puts off: more of them than it has lanes."""
    arrays = exposure((3, 6, 7, 61), 8, hits=0.3)
    times = read_times(6)
    assert_same(gpu, arrays, times)
    monkeypatch.setattr(cuda, "_WORKSPACE", 1)
    assert_same(gpu, arrays, times)


@pytest.mark.parametrize("flag", [DO_NOT_USE, JUMP_DET])
def test_nothing_usable_equals_the_cpu(gpu, flag):
    arrays = exposure((2, 5, 3, 20), flagged=0.0)
    arrays["groupdq"][...] = flag
    found = assert_same(gpu, arrays, read_times(5), save_chi_square=True)
    assert np.isnan(found[0]).all()


@pytest.mark.parametrize("ints", [2, 5, 12])
def test_integrations_of_any_sign_are_combined_alike(gpu, ints):
    """Rates below zero, of exactly zero, and unknown; an even and an odd number of them."""
    arrays = exposure((ints, 4, 3, 40), 9, flagged=0.5)
    arrays["data"][:, :, 0] *= -1
    arrays["data"][:, :, 1, ::2] = 500.0
    assert_same(gpu, arrays, read_times(4))


def test_roots_are_those_of_the_cpu(gpu, tmp_path):
    """Also of numbers that determinants seldom are."""
    special = [
        0.0,
        -0.0,
        -1.0,
        np.inf,
        -np.inf,
        np.nan,
        5e-324,
        1e-310,
        1.0,
        1.7976931348623157e308,
    ]
    values = np.concatenate([special, 10 ** np.random.default_rng(2).uniform(-300, 300, 500)])
    source = tmp_path / "roots.cu"
    source.write_text(ROOTS)
    sent, found = gpu.send(values), gpu.xp.empty(values.size, np.float64)
    launch(source, "roots", values.size, (sent, np.float64(1 / 3), np.int32(values.size), found))
    np.testing.assert_array_equal(gpu.fetch(found), powers(values, 1 / 3))


@settings(max_examples=15, deadline=None)
@given(
    shape=st.tuples(*(st.integers(*limits) for limits in ((1, 4), (4, 12), (1, 3), (1, 40)))),
    frames=st.sampled_from([1, 2, 4]),
    flagged=st.sampled_from([0.0, 0.3, 1.0]),
    seed=st.integers(0, 10**6),
)
def test_any_exposure_equals_the_cpu(emulated, shape, frames, flagged, seed):
    arrays = exposure(shape, seed, frames=frames, flagged=flagged, hits=0.2)
    assert_same(emulated, arrays, read_times(shape[1], frames), save_chi_square=True)


@pytest.fixture(scope="module")
def emulated() -> Any:
    from devices import open_device

    return open_device("emulated")
