"""EMI on a GPU: what the CPU computes, bit for bit where sums run in the same order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jwgpu.kernels import emi
from jwgpu.kernels.emi import Clock, folded, joint

#: Sums over a bin run in another order; the mean of up to 1e5 values is wrong by this at most.
ORDER = {"rtol": 1e-12, "atol": 1e-10}

PERIODS = [256.0, 457.62287, 9960.9, 71.3]


def made(seed=0, shape=(2, 7, 12, 48)):
    random = np.random.default_rng(seed)
    _, groups, rows, columns = shape
    bias = random.normal(1e4, 300, (1, 1, rows, columns))
    slope = random.exponential(20, (1, 1, rows, columns))
    data = bias + slope * np.arange(groups)[:, None, None] + random.normal(0, 4, shape)
    data[random.random(shape) < 0.01] += 5000
    pixeldq = (random.random((rows, columns)) < 0.1).astype(np.uint32)
    return data.astype(np.float32), pixeldq


def clock_of(data, row_clocks=28, samples=1):
    return Clock(row_clocks, samples, 8512, data.shape[2], data.shape[1])


def check_sums(gpu, data, pixeldq, clock, period, bins):
    want = emi.sum_by_phase(data, pixeldq, clock, period, bins)
    found = emi.sum_by_phase(gpu.send(data), gpu.send(pixeldq), clock, period, bins)
    for mine, other in zip(found, want, strict=True):
        np.testing.assert_array_equal(gpu.fetch(mine), other)
    return want


@pytest.mark.parametrize("period", PERIODS)
@pytest.mark.parametrize("bins", [500, 3])
def test_sums(gpu, period, bins):
    data, pixeldq = made()
    sums, counts = check_sums(gpu, data, pixeldq, clock_of(data), period, bins)
    assert np.count_nonzero(sums) and counts.max() > 1


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    shape=st.tuples(
        st.integers(1, 3),
        st.integers(1, 5),
        st.integers(1, 70),
        st.integers(4, 9).map(lambda n: 4 * n),
    ),
    samples=st.sampled_from([1, 9]),
)
def test_sums_of_any_shape(seed, shape, samples):
    from devices import open_device

    data, pixeldq = made(seed, shape)
    check_sums(open_device("emulated"), data, pixeldq, clock_of(data, 90, samples), 256.0, 20)


def test_sums_with_nothing_good(gpu):
    data, pixeldq = made()
    data[1, 2, 5, 7] = np.nan  # no pixel is steady beside one that has no number
    check_sums(gpu, data, pixeldq, clock_of(data), 256.0, 30)
    check_sums(gpu, np.abs(data), np.ones_like(pixeldq), clock_of(data), 256.0, 30)


@pytest.mark.parametrize("separately", [False, True])
@pytest.mark.parametrize("period", PERIODS)
def test_joint_fit_and_subtraction(gpu, period, separately):
    data, pixeldq = made()
    clock = clock_of(data)
    turn = 2 * np.pi * (np.arange(500) + 0.5) / 500
    pieces = joint.waveform_pieces(np.sin(turn) + 0.4 * np.cos(2 * turn + 1.0))
    emi.subtract_waveform(data, clock, period, pieces, np.full(2, -5.0), np.array([0.2, 0.7]))

    def fitted(send):
        sent = send(data.copy())
        sums, counts = emi.sum_by_phase(sent, send(pixeldq), clock, period, 500)
        wave = joint.fit_waveform(sums, counts, send(pieces), clock, period, separately)
        emi.subtract_waveform(sent, clock, period, send(pieces), *wave)
        return sent, *wave

    want = fitted(lambda array: array)
    found = [gpu.fetch(array) for array in fitted(gpu.send)]
    # Products of matrices are summed in another order; what follows is float32 of about 1e4.
    np.testing.assert_allclose(found[1], want[1], rtol=1e-9)
    np.testing.assert_allclose(found[2], want[2], rtol=1e-9)
    np.testing.assert_allclose(found[0], want[0], rtol=1.2e-7)


def check_subtraction(gpu, data, n_values):
    pieces = joint.waveform_pieces(np.random.default_rng(1).normal(0, 5, 37))
    amplitudes, phases = np.array([3.0, 0.0]), np.array([12.3, 0.9])
    want, found = data.copy(), gpu.send(data.copy())
    emi.subtract_waveform(want, clock_of(data), 71.3, pieces, amplitudes, phases)
    sent = [gpu.send(array) for array in (pieces, amplitudes, phases)]
    emi.subtract_waveform(found, clock_of(data), 71.3, *sent)
    np.testing.assert_array_equal(gpu.fetch(found), want)
    assert (want[0] != data[0]).all()
    values = np.linspace(-3, 3, n_values).reshape(5, -1)
    waves = emi.evaluate_waveform(gpu.send(pieces), gpu.send(values))
    np.testing.assert_array_equal(gpu.fetch(waves), emi.evaluate_waveform(pieces, values))


def test_subtraction_of_a_given_wave(gpu):
    check_subtraction(gpu, made()[0], 500)


def check_fold(gpu, data, clock, period, bins, has_reference=False):
    want = emi.fold_residuals(data, clock, period, bins, has_reference)
    found = emi.fold_residuals(gpu.send(data), clock, period, bins, has_reference)
    np.testing.assert_allclose(gpu.fetch(found), want, **ORDER)
    table = np.arange(np.ceil(period) + 1)
    results = data.copy(), gpu.send(data.copy())
    emi.subtract_table(results[0], clock, period, table, has_reference)
    emi.subtract_table(results[1], clock, period, gpu.send(table), has_reference)
    np.testing.assert_array_equal(gpu.fetch(results[1]), results[0])
    return want


@pytest.mark.parametrize("groups", [3, 4, 5, 9])
@pytest.mark.parametrize("has_reference", [False, True])
def test_folding(gpu, groups, has_reference):
    data, _ = made(1, (2, groups, 12, 48))
    want = check_fold(gpu, data, clock_of(data), 256.0, 50, has_reference)
    assert np.isfinite(want).all() == (groups > 3)  # a line through a single group is none


@pytest.mark.parametrize("period", PERIODS)
def test_folding_at_any_period(gpu, period):
    data, _ = made(2)
    want = check_fold(gpu, data, clock_of(data, samples=9), period, 64)
    assert np.isfinite(want).any()


def test_folding_of_what_has_no_number(gpu):
    data, _ = made(3)
    data[0, 2:, 3, 4] = np.nan
    data[1, :, 5, 20:24] = np.inf
    with np.errstate(all="ignore"):
        check_fold(gpu, data, clock_of(data), 256.0, 30)
    data[:, :, :6] = 7.0  # no scatter
    with np.errstate(all="ignore"):
        check_fold(gpu, np.nan_to_num(data, posinf=0.0), clock_of(data), 256.0, 3)


def test_folding_a_few_rows_at_a_time(gpu, monkeypatch):
    from jwgpu.kernels.emi import folded_cuda

    data, _ = made(4)
    monkeypatch.setattr(folded_cuda, "_SAMPLES", 7 * 48 * 5)
    check_fold(gpu, data, clock_of(data), 256.0, 30)


@pytest.mark.parametrize("wave", [[np.nan, 1.0, 2.0, 3.0], [2.0] * 4, [1.0, 0.0, 2.0, 0.0]])
def test_best_shift(gpu, wave):
    known = np.array([0.0, 1.0, 0.0, 2.0])
    want = folded.best_shift(known, np.array(wave))
    assert folded.best_shift(gpu.send(known), gpu.send(np.array(wave))) == want
    assert want == (3 if wave[0] == 1.0 else 0)


@pytest.mark.races
def test_each_kernel_once(gpu):
    data, pixeldq = made(5, (2, 4, 3, 16))
    check_sums(gpu, data, pixeldq, clock_of(data), 71.3, 4)
    check_fold(gpu, data, clock_of(data), 71.3, 4)
    check_subtraction(gpu, data, 10)
