"""Likelihood fit: equal to the official one, to a dense matrix, and to the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from likelihood import FRAME, exposure, read_times, use_our_powers
from stcal.ramp_fitting import likely_fit
from stcal.ramp_fitting.ramp_fit_class import RampData
from stdatamodels.jwst.datamodels import dqflags

from jwgpu.backends import get_device
from jwgpu.kernels.compiled import set_threads
from jwgpu.kernels.likelihood_fit import fit_ramps_by_likelihood
from jwgpu.models.flags import DO_NOT_USE, JUMP_DET, SATURATED

#: Chi-square of few differences is a small difference of large sums.
CHI_SQUARE_ATOL = 1e-6


def official(
    arrays: dict[str, Any],
    times: Any,
    *,
    frames: int = 1,
    zeroframe: Any = None,
    dark: Any = None,
    sigma: float | None = None,
) -> tuple[Any, Any, Any]:
    """Return the official rates, rates by integration, and flags of the groups."""
    ramps = RampData()
    pixeldq = arrays["pixeldq"]
    dark = np.zeros(pixeldq.shape, np.float32) if dark is None else dark
    data, groupdq = arrays["data"].copy(), arrays["groupdq"].copy()
    ramps.set_arrays(data, groupdq, pixeldq.copy(), dark, zeroframe=zeroframe)
    ramps.set_meta("NIRCAM", FRAME, FRAME * frames, 0, frames)
    ramps.set_dqflags(dqflags.pixel)
    ramps.read_pattern = [np.array(group) for group in times]
    ramps.rejection_threshold = sigma
    with np.errstate(all="ignore"):
        rate, rateints, _ = likely_fit.likely_ramp_fit(ramps, arrays["readnoise"], arrays["gain"])
    return rate, rateints, groupdq


def fit(device: Any, arrays: dict[str, Any], times: Any, **options: Any) -> tuple[Any, ...]:
    """Return our rates, rates by integration, chi-square, and flags of the groups."""
    sent = {name: device.send(array.copy()) for name, array in arrays.items()}
    options = {
        name: device.send(value) if isinstance(value, np.ndarray) else value
        for name, value in options.items()
    }
    rate, rateints, chi = fit_ramps_by_likelihood(
        **sent, read_times=times, save_chi_square=True, **options
    )
    fetched = [type(fit)(*(device.fetch(array) for array in fit)) for fit in (rate, rateints)]
    return *fetched, device.fetch(chi), device.fetch(sent["groupdq"])


def assert_same(mine: tuple[Any, ...], theirs: tuple[Any, Any, Any]) -> None:
    for found, expected in zip(mine, theirs[:2], strict=False):
        for name in ("data", "err", "var_poisson", "var_rnoise"):
            value = expected["slope" if name == "data" else name]
            assert getattr(found, name).dtype == value.dtype == np.float32
            np.testing.assert_allclose(getattr(found, name), value, 1e-5, err_msg=name)
        assert found.dq.dtype == expected["dq"].dtype
        np.testing.assert_array_equal(found.dq, expected["dq"])
    np.testing.assert_allclose(mine[2], theirs[0]["chisq"], 1e-5, CHI_SQUARE_ATOL)
    np.testing.assert_array_equal(mine[3], theirs[2])


@pytest.fixture(autouse=True)
def _our_powers(monkeypatch):
    use_our_powers(monkeypatch)


@pytest.mark.parametrize(
    ("shape", "frames", "gap"),
    [
        ((1, 10, 20, 300), 1, 0),
        ((3, 5, 20, 40), 1, 2),  # five groups without light: a singular pair
        ((2, 4, 20, 40), 1, 0),
        ((2, 8, 20, 40), 4, 1),
        ((2, 4, 20, 40), 2, 0),
        ((4, 7, 10, 30), 1, 0),
        ((1, 40, 5, 40), 1, 0),  # the determinant is scaled on the way
    ],
    ids=str,
)
def test_equals_official(device, shape, frames, gap):
    arrays = exposure(shape, 1, frames=frames, gap=gap)
    times = read_times(shape[1], frames, gap)
    mine = fit(device, arrays, times)
    assert_same(mine, official(arrays, times, frames=frames))
    found = (mine[3] & ~arrays["groupdq"] & JUMP_DET) > 0
    assert found.any()


@pytest.mark.parametrize("frames", [2, 8])
def test_zero_frame_equals_official(device, frames):
    arrays = exposure((2, 6, 10, 40), 2, frames=frames)
    random = np.random.default_rng(3)
    zeroframe = arrays["data"][:, 0] * random.uniform(0.8, 1.0, (2, 10, 40))
    zeroframe = (zeroframe * (random.random(zeroframe.shape) < 0.9)).astype(np.float32)
    times = read_times(6, frames)
    mine = fit(device, arrays, times, zeroframe=zeroframe)
    assert_same(mine, official(arrays, times, frames=frames, zeroframe=zeroframe))
    without = fit(device, arrays, times)
    assert not np.array_equal(mine[0].data, without[0].data, equal_nan=True)


def test_zero_frame_of_a_single_frame_is_ignored(device):
    arrays = exposure((1, 6, 5, 40))
    times = read_times(6)
    mine = fit(device, arrays, times, zeroframe=np.zeros((1, 5, 40), np.float32))
    np.testing.assert_array_equal(mine[0].data, fit(device, arrays, times)[0].data)


def test_dark_current_and_thresholds_equal_official(device):
    arrays = exposure((2, 8, 10, 40), 4)
    dark = np.random.default_rng(5).uniform(0, 1, (10, 40)).astype(np.float32)
    times = read_times(8)
    plain = fit(device, arrays, times)
    mine = fit(device, arrays, times, average_dark_current=dark)
    assert_same(mine, official(arrays, times, dark=dark))
    assert (mine[0].var_poisson > plain[0].var_poisson).any()
    mine = fit(device, arrays, times, thresholds=(9.0, 11.829158081900795))
    assert_same(mine, official(arrays, times, sigma=3.0))
    assert not np.array_equal(mine[3], plain[3])


def test_uneven_groups_equal_official(device):
    arrays = exposure((2, 6, 10, 40), 6)
    times = [[3.0], [10.0], [11.0, 12.0], [30.0], [31.5], [60.0, 61.0, 62.0]]
    assert_same(fit(device, arrays, times), official(arrays, times))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("gain", value) for value in (0.0, -1.0, np.nan, np.inf)),
        *(("readnoise", value) for value in (0.0, np.nan)),
        *(("data", value) for value in (np.nan, np.inf, -np.inf, 0.0)),
    ],
)
def test_bad_values_equal_official(device, name, value):
    """Wherever they are, and flagged or not: officially a flagged NaN spoils its ramp too."""
    arrays = exposure((2, 6, 8, 30), 7)
    if name == "data":
        arrays["data"][:, 2, ::2] = value
        arrays["groupdq"][:, 2, ::4] |= DO_NOT_USE
    else:
        arrays[name][::2] = value
    times = read_times(6)
    assert_same(fit(device, arrays, times), official(arrays, times))


def test_large_noise_does_not_overflow(device):
    """The determinant of the covariance matrix of 39 differences would."""
    arrays = exposure((1, 40, 4, 20), 11, flagged=0.0)
    arrays["readnoise"] *= np.float32(1e9)
    times = read_times(40)
    mine = fit(device, arrays, times)
    assert_same(mine, official(arrays, times))
    assert np.isfinite(mine[0].data).all()


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(*(st.integers(*limits) for limits in ((1, 4), (4, 9), (1, 3), (2, 20)))),
    frames=st.sampled_from([1, 1, 2, 4]),
    flagged=st.sampled_from([0.0, 0.3, 1.0]),
    seed=st.integers(0, 10**6),
)
def test_any_exposure_equals_official(shape, frames, flagged, seed):
    with pytest.MonkeyPatch.context() as patch:
        use_our_powers(patch)
        arrays = exposure(shape, seed, frames=frames, flagged=flagged, hits=0.2)
        times = read_times(shape[1], frames)
        mine = fit(get_device("cpu"), arrays, times)
        assert_same(mine, official(arrays, times, frames=frames))


@pytest.mark.parametrize("flag", [DO_NOT_USE, SATURATED, JUMP_DET])
def test_nothing_usable_has_no_rate(device, flag):
    arrays = exposure((2, 5, 3, 20), flagged=0.0)
    arrays["groupdq"][...] = flag
    rate, rateints, _, groupdq = fit(device, arrays, read_times(5))
    assert np.isnan(rate.data).all()
    assert np.isnan(rateints.data).all()
    assert ((rate.dq & flag) == flag).all()
    assert ((rate.dq & DO_NOT_USE) > 0).all() or flag == JUMP_DET
    assert (groupdq == flag).all()


@pytest.mark.parametrize("times", [read_times(3), read_times(5)])
def test_too_few_groups_or_times_are_refused(device, times):
    arrays = exposure((1, len(times) if len(times) < 4 else 6, 3, 20))
    with pytest.raises(ValueError, match="groups, times of"):
        fit(device, arrays, times)


def covariance(rate: float, gain: float, noise: float, times: list[list[float]]) -> Any:
    """Covariance matrix of the differences of the groups' means, by summing over the reads."""
    reads = [(g, t) for g, group in enumerate(times) for t in group]
    means = np.zeros((len(times), len(reads)))
    for r, (g, _) in enumerate(reads):
        means[g, r] = 1 / len(times[g])
    t = np.array([time for _, time in reads])
    # Photons up to the earlier of two reads are common to both.
    of_reads = rate / gain * np.minimum(t[:, None], t) + noise**2 / 2 * np.eye(t.size)
    step = np.diff(np.eye(len(times)), axis=0) / np.diff(means @ t)[:, None]
    return step @ means @ of_reads @ means.T @ step.T


@pytest.mark.parametrize("frames", [1, 4])
def test_the_fit_is_that_of_a_dense_matrix(device, frames):
    """Generalised least squares without the recursions: rate, error, chi-square."""
    arrays = exposure((1, 7, 1, 30), 8, frames=frames, hits=0.0, flagged=0.0)
    arrays["groupdq"][0, 4, 0, ::3] = DO_NOT_USE
    times = read_times(7, frames)
    never = (1e30, 1e30)
    rate, _, chi, _ = fit(device, arrays, times, thresholds=never)
    for x in range(30):
        gain, noise = (float(arrays[name][0, x]) for name in ("gain", "readnoise"))
        time = np.diff([np.mean(group) for group in times])
        steps = np.diff(arrays["data"][0, :, 0, x]).astype(np.float64) / time
        used = np.ones(6, bool)
        used[3:5] = x % 3 != 0
        # The rate of the first fit gives the noise of the second.
        guess = max(np.median(steps), 0.0)
        for _ in range(2):
            full = covariance(guess, gain, noise, times)
            inverse = np.linalg.inv(full[np.ix_(used, used)])
            best = inverse.sum(axis=0) @ steps[used] / inverse.sum()
            guess = max(best, 0.0)
        rest = steps[used] - best
        np.testing.assert_allclose(rate.data[0, x], best, 1e-5, 1e-5)
        np.testing.assert_allclose(rate.err[0, x], inverse.sum() ** -0.5, 1e-5)
        np.testing.assert_allclose(chi[0, x], rest @ inverse @ rest, 1e-4, 1e-5)


def test_the_truth_comes_back(device):
    """Unit pulls, chi-square as expected, jumps found and nothing else."""
    random = np.random.default_rng(9)
    shape, gain, noise, rate = (1, 12, 20, 500), 2.0, 10.0, 30.0
    data = np.cumsum(random.poisson(rate * gain * FRAME, shape) / gain, axis=1)
    data += random.normal(0, noise / np.sqrt(2), shape)
    hit = np.zeros(shape, bool)
    hit[0, 6, ::2] = True
    data[:, 6:, ::2] += 300.0
    image = shape[2:]
    arrays = {
        "data": data.astype(np.float32),
        "groupdq": np.zeros(shape, np.uint8),
        "pixeldq": np.zeros(image, np.uint32),
        "gain": np.full(image, gain, np.float32),
        "readnoise": np.full(image, noise, np.float32),
    }
    fitted, _, chi, groupdq = fit(device, arrays, read_times(12))
    pulls = (fitted.data - rate) / fitted.err
    assert abs(pulls.mean()) < 0.05
    assert pulls.std() == pytest.approx(1.0, abs=0.03)
    np.testing.assert_allclose(fitted.err**2, fitted.var_poisson + fitted.var_rnoise, 0.02)
    found = (groupdq & JUMP_DET) > 0
    assert found[hit].mean() > 0.999
    assert found[~hit].mean() < 1e-4
    assert chi[1::2].mean() == pytest.approx(10.0, abs=0.3)
    assert ((fitted.dq & JUMP_DET) > 0).mean() == pytest.approx(0.5, abs=0.01)


def test_any_number_of_threads_gives_the_same(device):
    arrays = exposure((2, 6, 9, 40), 10)
    results = []
    try:
        for threads in (1, 3):
            set_threads(threads)
            results.append(fit(device, arrays, read_times(6)))
    finally:
        set_threads(0)
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
