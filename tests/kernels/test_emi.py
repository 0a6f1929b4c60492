from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from astropy.stats import sigma_clipped_stats
from hypothesis import given, settings
from hypothesis import strategies as st
from jwst.emicorr import emicorr as official
from scipy.interpolate import interp1d

from jwgpu.kernels import emi
from jwgpu.kernels.compiled import set_threads
from jwgpu.kernels.emi import folded, folded_cpu, joint

CLOCK = emi.Clock(row_clocks=28, samples=1, reset_clocks=8512, rows=12, groups=7)


def waveform(bins: int = 500) -> np.ndarray:
    turn = 2 * np.pi * (np.arange(bins) + 0.5) / bins
    return np.sin(turn) + 0.4 * np.cos(2 * turn + 1.0)


def samples(seed: int = 0, ints: int = 2, groups: int = 7, columns: int = 48) -> np.ndarray:
    random = np.random.default_rng(seed)
    bias = random.normal(1e4, 300, (1, 1, 12, columns))
    slope = random.exponential(20, (1, 1, 12, columns))
    noise = random.normal(0, 4, (ints, groups, 12, columns))
    return (bias + slope * np.arange(groups)[:, None, None] + noise).astype(np.float32)


def fit_and_subtract(
    device: Any, data: np.ndarray, clock: emi.Clock, period: float, separately: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the corrected samples, amplitudes and phases."""
    pixeldq = device.send(np.zeros(data.shape[2:], np.uint32))
    pieces = device.send(joint.waveform_pieces(waveform()))
    sent = device.send(data.copy())
    sums, counts = emi.sum_by_phase(sent, pixeldq, clock, period, 500)
    amplitudes, phases = joint.fit_waveform(sums, counts, pieces, clock, period, separately)
    emi.subtract_waveform(sent, clock, period, pieces, amplitudes, phases)
    return device.fetch(sent), device.fetch(amplitudes), device.fetch(phases)


def add_wave(data: np.ndarray, amplitude: float, phase: float, clock: emi.Clock = CLOCK) -> None:
    turns = clock.integration_clocks / 256.0
    phases = phase + np.arange(data.shape[0]) * turns
    pieces = joint.waveform_pieces(waveform())
    emi.subtract_waveform(data, clock, 256.0, pieces, np.full(len(phases), -amplitude), phases)


@pytest.mark.parametrize("separately", [False, True])
@pytest.mark.parametrize("period", [256.0, 457.62287, 9960.9, 71.3])
def test_the_joint_fit_equals_official(device: Any, period: float, separately: bool) -> None:
    data = samples()
    add_wave(data, 5.0, 0.2)
    expected = official.emicorr_refwave(
        data.copy(), np.zeros(data.shape[2:], np.uint32), waveform(), 1, 28, 8512, period,
        fit_ints_separately=separately,
    )  # fmt: skip
    found, *_ = fit_and_subtract(device, data, CLOCK, period, separately)
    np.testing.assert_allclose(found, expected, rtol=2e-7)


@pytest.mark.parametrize("phase", [0.0, 0.3, 0.9995, 0.0006])
def test_amplitude_and_phase_come_back(device: Any, phase: float) -> None:
    data = samples(3)
    add_wave(data, 50.0, phase)
    _, amplitudes, phases = fit_and_subtract(device, data, CLOCK, 256.0)
    np.testing.assert_allclose(amplitudes, 50.0, rtol=0.02)
    distance = (phases[0] - phase + 0.5) % 1 - 0.5
    assert abs(distance) < 0.01


@pytest.mark.parametrize("vertex", np.arange(0, 1, 0.0073))
def test_the_best_phase_is_the_vertex_of_a_parabola(device: Any, vertex: float) -> None:
    trials = np.arange(500) / 500
    chi2 = -np.cos(2 * np.pi * (trials - vertex)) * 1e6
    found = joint.best_phase(device.send(chi2))
    assert abs((found - vertex + 0.5) % 1 - 0.5) < 1e-5
    if 0.002 < vertex < 0.996:
        assert found == pytest.approx(official.get_best_phase(trials, chi2), abs=1e-6)


def test_the_official_phase_at_the_end_of_the_turn_is_wrong() -> None:
    """Its parabola goes through phases a turn apart: half a turn from the vertex."""
    trials = np.arange(500) / 500
    chi2 = -np.cos(2 * np.pi * (trials - 0.0002))
    assert abs(official.get_best_phase(trials, chi2) - 0.0002) > 0.4
    assert joint.best_phase(chi2) == pytest.approx(0.0002, abs=1e-6)


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_without_a_wave_there_is_nothing_to_subtract(device: Any, value: float) -> None:
    data = np.full((1, 4, 12, 16), value, np.float32)
    found, amplitudes, _ = fit_and_subtract(device, data, CLOCK, 256.0)
    np.testing.assert_array_equal(found, data)
    np.testing.assert_array_equal(amplitudes, 0.0)


@given(bins=st.integers(4, 600), seed=st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_the_waveform_is_the_official_spline(bins: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    wave = random.normal(0, 1, bins)
    around = np.concatenate([wave[-1:], wave, wave[:1]])
    expected = interp1d((np.arange(bins + 2) - 0.5) / bins, around, kind="cubic")
    phases = np.concatenate([random.random(50), [0.0, np.nextafter(1.0, 0.0)]])
    found = emi.evaluate_waveform(joint.waveform_pieces(wave), phases)
    np.testing.assert_allclose(found, expected(phases), rtol=1e-9, atol=1e-9)
    turned = emi.evaluate_waveform(joint.waveform_pieces(wave), phases[:50] - 3.0)
    np.testing.assert_allclose(turned, found[:50], rtol=1e-6, atol=1e-9)


@given(
    values=st.lists(st.floats(-1e4, 1e4, width=32), max_size=80),
    outliers=st.lists(st.sampled_from([np.nan, np.inf, -np.inf, 1e8]), max_size=4),
)
@settings(max_examples=60, deadline=None)
@pytest.mark.filterwarnings("ignore")
def test_the_clipped_mean_is_that_of_astropy(values: list[float], outliers: list[float]) -> None:
    both = np.sort(np.array(values + outliers, np.float32))
    found = folded_cpu.clipped_mean(both)
    expected = sigma_clipped_stats(both.astype(np.float64))[0] if both.size else np.nan
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@given(n=st.integers(1, 300), length=st.floats(1, 2000))
@settings(max_examples=60, deadline=None)
def test_resampling_is_the_official_one(n: int, length: float) -> None:
    wave = np.arange(n, dtype=float)
    found = folded.resample(wave, length)
    try:
        expected = official.rebin(wave, [length])
    except IndexError:  # rounding takes it one beyond the last
        expected = np.minimum(np.arange(found.size) * (n / length), n - 1).astype(int)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("few", [False, True])
@given(values=st.lists(st.floats(-100, 100, width=32) | st.just(np.nan), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_the_bias_is_the_median_without_nan(few: bool, values: list[float]) -> None:
    data = np.array(values, np.float32)
    found = folded_cpu.bias_of(data.copy(), data.size, few)
    if np.isnan(data).all():
        assert np.isnan(found)
    else:
        assert found == (np.nanmin(data) if few else np.nanmedian(data))


@pytest.mark.parametrize("n", [*range(1, 20), 31, 32, 33, 100])
def test_columns_are_sorted(n: int) -> None:
    values = np.random.default_rng(n).normal(size=(n + 1, 16)).round(1).astype(np.float32)
    tile = values.copy()
    folded_cpu.sort_columns(tile, n)
    np.testing.assert_array_equal(tile[:n], np.sort(values[:n], axis=0))
    np.testing.assert_array_equal(tile[n], values[n])


@pytest.mark.parametrize("n_bins", [1, 7, 128, 500])
def test_bins_are_open_below_and_closed_above(n_bins: int) -> None:
    edges = np.arange(n_bins + 1) / n_bins
    for place, edge in enumerate(edges):
        assert folded_cpu.bin_of(edge, n_bins) == place - 1
        if edge < 1:
            assert folded_cpu.bin_of(np.nextafter(edge, 2), n_bins) == place


def test_results_are_the_same_for_any_number_of_threads(device: Any) -> None:
    data = samples(5, columns=160)
    add_wave(data, 5.0, 0.2)
    results = []
    try:
        for threads in (1, 2, 3):
            set_threads(threads)
            fitted, *_ = fit_and_subtract(device, data, CLOCK, 256.0)
            wave = emi.fold_residuals(device.send(data), CLOCK, 256.0, 128, False)
            results.append((fitted, device.fetch(wave)))
    finally:
        set_threads(0)
    for fitted, wave in results[1:]:
        np.testing.assert_array_equal(fitted, results[0][0])
        np.testing.assert_array_equal(wave, results[0][1])


def test_folding_finds_the_wave(device: Any) -> None:
    data = samples(6, ints=1, groups=60, columns=160)
    clock = emi.Clock(28, 1, 8512, 12, 60)
    add_wave(data, 20.0, 0.0, clock)
    wave = device.fetch(emi.fold_residuals(device.send(data), clock, 256.0, 64, False))
    turn = (np.arange(64) + 0.5) / 64
    expected = 20.0 * emi.evaluate_waveform(joint.waveform_pieces(waveform()), turn)
    assert np.corrcoef(wave, expected)[0, 1] > 0.95
