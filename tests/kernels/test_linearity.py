"""Polynomials: against the official function, a simulated truth, and special pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stcal.linearity.linearity import linearity_correction

from jwgpu.kernels.compiled import set_threads, threads
from jwgpu.kernels.linearity import straighten, straighten_reads, straighten_zeroframe
from jwgpu.models.flags import DEAD, DO_NOT_USE, NO_LIN_CORR, PIXEL, SATURATED

ARRAYS = ("data", "groupdq", "pixeldq", "coefficients", "inverse", "dq")


def make_exposure(shape: tuple[int, int, int, int], terms: int, seed: int) -> dict[str, Any]:
    """Return ramps, and polynomials with every kind of defect."""
    rng = np.random.default_rng(seed)
    image = shape[2:]
    rate = rng.uniform(0, 6e4 / shape[1], (shape[0], 1, *image))
    data = rate * np.arange(1, shape[1] + 1)[None, :, None, None] + rng.normal(0, 10, shape)
    groupdq = np.where(rng.random(shape) < 0.02, DO_NOT_USE, 0).astype(np.uint8)
    groupdq[data > 5e4] |= SATURATED
    groupdq[rng.random(shape) < 0.01] |= SATURATED  # that come and go
    data[rng.random(shape) < 0.005] = np.nan

    def polynomials() -> Any:
        coefficients = np.zeros((terms, *image), np.float32)
        for term in range(terms):
            coefficients[term] = rng.normal(0, 0.02, image) * 5e4 ** (1 - term)
        coefficients[1] += 1
        coefficients[:, rng.random(image) < 0.03] = 0
        coefficients[1, rng.random(image) < 0.03] = 0
        coefficients[rng.random(coefficients.shape) < 0.01] = np.nan
        return coefficients

    dq = np.where(rng.random(image) < 0.05, NO_LIN_CORR, 0).astype(np.uint32)
    return {
        "data": data.astype(np.float32),
        "groupdq": groupdq,
        "pixeldq": np.where(rng.random(image) < 0.1, DEAD, 0).astype(np.uint32),
        "coefficients": polynomials(),
        "inverse": polynomials(),
        "dq": dq | np.where(rng.random(image) < 0.1, DO_NOT_USE, 0).astype(np.uint32),
    }


def official(exposure: dict[str, Any], frames: int = 0) -> tuple[Any, Any]:
    groups = exposure["data"].shape[1]
    pattern = [[g * frames + r + 1 for r in range(frames)] for g in range(groups)]
    data, groupdq, pixeldq, coefficients, inverse, dq = (exposure[name].copy() for name in ARRAYS)
    data, pixeldq, _ = linearity_correction(
        data,
        groupdq,
        pixeldq,
        coefficients,
        dq,
        PIXEL,
        ilin_coeffs=inverse if frames else None,
        read_pattern=pattern if frames else None,
    )
    return data, pixeldq


def ours(device: Any, exposure: dict[str, Any], frames: int = 0) -> tuple[Any, Any]:
    sent = [device.send(exposure[name].copy()) for name in ARRAYS]
    data, groupdq, pixeldq, coefficients, inverse, dq = sent
    if frames:
        straighten_reads(data, groupdq, pixeldq, coefficients, inverse, dq, frames)
    else:
        straighten(data, groupdq, pixeldq, coefficients, dq)
    np.testing.assert_array_equal(device.fetch(coefficients), exposure["coefficients"])
    return device.fetch(data), device.fetch(pixeldq)


@pytest.mark.parametrize("terms", [2, 3, 4, 5, 6, 9])
def test_equals_official(device: Any, terms: int) -> None:
    exposure = make_exposure((2, 6, 20, 1100), terms, seed=terms)
    (data, pixeldq), (expected, expected_dq) = ours(device, exposure), official(exposure)
    np.testing.assert_array_equal(pixeldq, expected_dq)
    np.testing.assert_array_equal(data, expected)  # the same operations in the same order


@pytest.mark.parametrize("frames", [2, 4, 8])
@pytest.mark.parametrize("shape", [(2, 6, 20, 300), (1, 2, 30, 40), (1, 3, 30, 40)])
def test_reads_equal_official(device: Any, frames: int, shape: tuple[int, int, int, int]) -> None:
    exposure = make_exposure(shape, 6, seed=frames)
    (data, pixeldq), (expected, expected_dq) = (
        ours(device, exposure, frames),
        official(exposure, frames),
    )
    np.testing.assert_array_equal(pixeldq, expected_dq)
    np.testing.assert_allclose(data, expected, rtol=1e-6)
    plain = ours(device, exposure)[0]
    assert np.nanmax(np.abs(data - plain)) > 1  # it is not the plain correction


def test_bad_inverse_is_flagged_but_forward_stays(device: Any) -> None:
    """A quirk of release 3.0: NO_LIN_CORR for the inverse alone, and the pixel is corrected."""
    exposure = make_exposure((1, 5, 4, 4), 3, seed=1)
    exposure["coefficients"][:] = np.array([0, 1, 1e-6], np.float32)[:, None, None]
    exposure["inverse"][:] = np.array([0, 1, -1e-6], np.float32)[:, None, None]
    exposure["inverse"][2, 1, 1] = np.nan
    exposure["dq"][:] = 0
    exposure["groupdq"][:] = 0
    data, pixeldq = ours(device, exposure, 4)
    np.testing.assert_array_equal(pixeldq & NO_LIN_CORR != 0, np.arange(16).reshape(4, 4) == 5)
    assert np.all(data[0, 1:, 1, 1] > exposure["data"][0, 1:, 1, 1])
    np.testing.assert_array_equal(data, official(exposure, 4)[0])


def test_frames_of_a_steep_ramp_come_out_straight(device: Any) -> None:
    """Truth: true counts bent frame by frame, then averaged; only the frame-wise way gets back."""
    frames, groups = 4, 6
    true = 1500.0 * np.arange(1, frames * groups + 1)
    coefficients = np.zeros((4, 1, 1))
    coefficients[1:3, 0, 0] = 1, 3e-6
    measured = (-1 + np.sqrt(1 + 4 * 3e-6 * true)) / (2 * 3e-6)
    inverse = np.polynomial.Polynomial.fit(true, measured, 5, domain=[]).coef[:, None, None]
    data = measured.reshape(1, groups, frames).mean(2)[..., None, None].astype(np.float32)
    expected = true.reshape(groups, frames).mean(1)
    flags = device.send(np.zeros(data.shape, np.uint8))
    zero = device.send(np.zeros((1, 1), np.uint32))
    sent = [device.send(np.ascontiguousarray(c, np.float32)) for c in (coefficients, inverse)]
    plain, reads = device.send(data.copy()), device.send(data.copy())
    straighten(plain, flags, zero, sent[0], zero)
    straighten_reads(reads, flags, zero, *sent, zero, frames)
    assert np.abs(device.fetch(reads)[0, :, 0, 0] - expected).max() < 0.2
    assert np.abs(device.fetch(plain)[0, :, 0, 0] - expected).max() > 5


def test_special_pixels_keep_their_samples(device: Any) -> None:
    coefficients = np.zeros((3, 1, 5), np.float32)
    coefficients[:] = np.array([5, 2, 1], np.float32)[:, None, None]
    coefficients[2, 0, 1] = np.nan
    coefficients[1, 0, 2] = 0
    dq = np.array([[0, 0, 0, NO_LIN_CORR | DEAD, 0]], np.uint32)
    groupdq = np.zeros((1, 1, 1, 5), np.uint8)
    groupdq[..., 4] = SATURATED
    data = device.send(np.full((1, 1, 1, 5), 3, np.float32))
    pixeldq = device.send(np.zeros((1, 5), np.uint32))
    straighten(data, device.send(groupdq), pixeldq, device.send(coefficients), device.send(dq))
    np.testing.assert_array_equal(device.fetch(data)[0, 0, 0], [20, 3, 3, 3, 3])
    flags = [[0, NO_LIN_CORR, NO_LIN_CORR, NO_LIN_CORR | DEAD, 0]]
    np.testing.assert_array_equal(device.fetch(pixeldq), flags)


def test_zeroframe_equals_official(device: Any) -> None:
    exposure = make_exposure((2, 2, 20, 30), 5, seed=8)
    zeroframe = exposure["data"][:, 0].copy()
    zeroframe[:, ::3, ::2] = 0
    data, groupdq, pixeldq, coefficients, _, dq = (exposure[name].copy() for name in ARRAYS)
    expected = linearity_correction(
        data, groupdq, pixeldq, coefficients, dq, PIXEL, zframe=zeroframe.copy()
    )[2]
    result = device.send(zeroframe.copy())
    sent = device.send(exposure["coefficients"]), device.send(exposure["dq"])
    straighten_zeroframe(result, *sent)
    np.testing.assert_array_equal(device.fetch(result), expected)
    assert np.any(expected != zeroframe)


@pytest.mark.parametrize("frames", [0, 3])
def test_same_for_any_number_of_threads(device: Any, frames: int) -> None:
    exposure = make_exposure((1, 4, 37, 200), 6, seed=2)
    before, results = threads(), []
    try:
        for number in (1, 3, 16):
            set_threads(number)
            results.append(ours(device, exposure, frames))
    finally:
        set_threads(before)
    for result in results[1:]:
        np.testing.assert_array_equal(result[0], results[0][0])
        np.testing.assert_array_equal(result[1], results[0][1])


@settings(max_examples=20, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, n) for n in (3, 4, 5, 5)]),
    terms=st.integers(2, 7),
    fill=st.sampled_from([None, np.nan, 0.0]),
)
def test_any_shape(shape: tuple[int, int, int, int], terms: int, fill: float | None) -> None:
    exposure = make_exposure(shape, terms, seed=sum(shape))
    if fill is not None:
        exposure["data"][:] = fill
    data, pixeldq = exposure["data"].copy(), exposure["pixeldq"].copy()
    straighten(data, exposure["groupdq"], pixeldq, exposure["coefficients"], exposure["dq"])
    expected, expected_dq = official(exposure)
    np.testing.assert_array_equal(data, expected)
    np.testing.assert_array_equal(pixeldq, expected_dq)
