"""Ramp fitting: equal to the official package's, true to simulated rates, and robust."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stcal.ramp_fitting.ramp_fit import ramp_fit_data
from stcal.ramp_fitting.ramp_fit_class import RampData

from jwgpu.kernels import compiled
from jwgpu.kernels.ramp_fit import Fit, Timing, fit_ramps
from jwgpu.models.flags import (
    AD_FLOOR,
    CHARGELOSS,
    DO_NOT_USE,
    DROPOUT,
    HOT,
    JUMP_DET,
    NO_GAIN_VALUE,
    PERSISTENCE,
    PIXEL,
    SATURATED,
)

RAPID = Timing(group_time=10.73677, frame_time=10.73677, nframes=1, groupgap=0)
SHALLOW = Timing(group_time=53.68387, frame_time=10.73677, nframes=4, groupgap=1)
SMALL = (24, 37)

RTOL = 1e-5
#: Sums of samples that cancel keep a rounding error of the samples, not of the sum.
ATOL = 1e-9


class Case(NamedTuple):
    """Arguments of `fit_ramps`."""

    data: Any
    groupdq: Any
    pixeldq: Any
    gain: Any
    readnoise: Any
    timing: Timing = RAPID
    zeroframe: Any = None
    average_dark_current: Any = None
    suppress_one_group: bool = True
    groups: tuple[int, int] | None = None


def plain(shape: tuple[int, ...], seed: int = 0, timing: Timing = RAPID) -> Case:
    """Ramps of many rates with noise, without flags."""
    random = np.random.default_rng(seed)
    image = shape[-2:]
    rate = 10 ** random.uniform(-1, 3.5, image) * random.choice([1, 1, 1, -0.01], image)
    time = timing.group_time * np.arange(1, shape[1] + 1)[:, None, None]
    data = rate * time + random.normal(0, 15, shape) + random.choice([0, 1000], image)
    return Case(
        data.astype(np.float32),
        np.zeros(shape, np.uint8),
        np.zeros(image, np.uint32),
        random.uniform(0.5, 3, image).astype(np.float32),
        random.uniform(3, 20, image).astype(np.float32),
        timing,
    )


def flagged(case: Case, seed: int) -> Case:
    """Flags of every kind at random; with saturation that stays once it is there."""
    random = np.random.default_rng(seed)
    groupdq = case.groupdq.copy()
    often = random.choice([0.02, 0.1, 0.4])
    flags = (DO_NOT_USE, SATURATED, JUMP_DET, PERSISTENCE, DROPOUT, AD_FLOOR, CHARGELOSS)
    for flag in flags:
        hit = random.random(groupdq.shape) < often * random.choice([0, 1, 0.2])
        groupdq |= np.where(hit, flag, 0).astype(np.uint8)
    n_groups = groupdq.shape[1]
    start = random.integers(0, 3 * n_groups, (groupdq.shape[0], 1, *groupdq.shape[2:]))
    later = np.arange(n_groups)[:, None, None] >= start
    groupdq |= np.where(later, SATURATED, 0).astype(np.uint8)
    return case._replace(groupdq=groupdq)


def spoiled(case: Case, seed: int) -> Case:
    """References and samples of every kind of bad value, and bad pixels."""
    random = np.random.default_rng(seed)

    def strew(array: Any, *values: float) -> Any:
        dice = random.random(array.shape)
        result = array.copy()
        for k, value in enumerate(values):
            result[(dice > 0.03 * k) & (dice < 0.03 * (k + 1))] = value
        return result

    pixeldq = random.integers(0, 2**32, case.pixeldq.shape, dtype=np.uint32)
    return case._replace(
        data=strew(case.data, np.nan, np.inf),
        gain=strew(case.gain, np.nan, 0, -1.5),
        readnoise=strew(case.readnoise, np.nan, 0, 1e4, np.inf, 1e7),
        pixeldq=np.where(random.random(pixeldq.shape) < 0.2, pixeldq, 0).astype(np.uint32),
    )


def random_case(seed: int) -> Case:
    """Return anything that may come."""
    random = np.random.default_rng(seed)
    shape = (random.integers(1, 5), random.choice([1, 2, 3, 4, 5, 7, 10, 17, 40]), *SMALL)
    timing = Timing(
        float(random.choice([10.7, 21.47, 2.775])),
        float(random.choice([10.73676, 2.775])),
        int(random.choice([1, 4, 8])),
        int(random.choice([0, 1, 2])),
        int(random.choice([0, 2])),
    )
    case = flagged(plain(shape, seed, timing), seed)
    if seed % 3:
        case = spoiled(case, seed)
    if seed % 2:
        zeroframe = random.choice([0, 50, 100, np.nan], (shape[0], *SMALL)).astype(np.float32)
        case = case._replace(zeroframe=zeroframe)
    if seed % 5:
        dark = random.uniform(-0.2, 2, SMALL).astype(np.float32)
        case = case._replace(average_dark_current=dark)
    return case._replace(suppress_one_group=seed % 4 > 1)


def official(case: Case, save_segments: bool = False, instrument: str = "NIRCAM") -> Any:
    """Return what the official package makes of a copy: rate, rateints, segments."""
    ramp = RampData()
    ramp.algorithm = "OLS_C"
    has_lost_charge = np.any(case.groupdq & CHARGELOSS)
    dark = case.average_dark_current
    zeroframe = case.zeroframe
    ramp.set_arrays(
        case.data.copy(),
        case.groupdq.copy(),
        case.pixeldq.copy(),
        np.zeros(case.pixeldq.shape, np.float32) if dark is None else dark.copy(),
        orig_gdq=case.groupdq.copy() if has_lost_charge else None,
        zeroframe=None if zeroframe is None else zeroframe.copy(),
    )
    group_time, frame_time, nframes, groupgap, drop_frames = case.timing
    ramp.set_meta(instrument, frame_time, group_time, groupgap, nframes, drop_frames)
    ramp.set_dqflags(PIXEL)
    ramp.start_row, ramp.num_rows = 0, case.data.shape[2]
    ramp.suppress_one_group_ramps = case.suppress_one_group and case.data.shape[1] > 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return ramp_fit_data(
            ramp,
            save_segments,
            case.readnoise.copy(),
            case.gain.copy(),
            "OLS_C",
            "optimal",
            "none",
        )


def ours(case: Case, device: Any, save_segments: bool = False) -> Any:
    """Fit on a device, and return host arrays."""
    arguments = {
        name: device.send(value) if isinstance(value, np.ndarray) else value
        for name, value in case._asdict().items()
    }
    results = fit_ramps(**arguments, save_segments=save_segments)
    return [
        None if result is None else type(result)(*(device.fetch(array) for array in result))
        for result in results
    ]


def assert_same(mine: Any, theirs: dict[str, Any]) -> None:
    """Flags identical, floats to rounding, NaN where they have NaN; the same dtypes."""
    for name, expected in theirs.items():
        found = getattr(mine, "data" if name == "slope" and isinstance(mine, Fit) else name)
        assert found.dtype == expected.dtype, name
        if expected.dtype.kind == "u":
            np.testing.assert_array_equal(found, expected, err_msg=name)
        else:
            np.testing.assert_allclose(found, expected, RTOL, ATOL, err_msg=name)


def with_good_column(case: Case) -> Case:
    """Return the case with another column, of unflagged ramps of the same samples."""
    wide = {
        name: np.concatenate([value, value], axis=-1)
        for name, value in case._asdict().items()
        if isinstance(value, np.ndarray)
    }
    wide["groupdq"][..., case.groupdq.shape[-1] :] = 0
    return case._replace(**wide)


def assert_equals_official(case: Case, device: Any, instrument: str = "NIRCAM") -> Any:
    """Compare all three results, and return ours."""
    mine = ours(case, device, save_segments=True)
    theirs = official(case, save_segments=True, instrument=instrument)
    if theirs[0] is None:  # all saturated from the start: it says nothing then
        assert_equals_official(with_good_column(case), device, instrument)
        return mine
    for found, expected in zip(mine, theirs, strict=True):
        assert_same(found, expected)
    return mine


@pytest.mark.parametrize("seed", range(60))
def test_anything_equals_official(seed, device):
    assert_equals_official(random_case(seed), device)


@pytest.mark.parametrize("timing", [RAPID, SHALLOW], ids=["rapid", "shallow"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (3, 2), (1, 10), (4, 5), (2, 64)])
def test_flagged_ramps_equal_official(shape, timing, device):
    case = flagged(plain((*shape, *SMALL), 5, timing), 6)
    rate, rateints, _ = assert_equals_official(case, device)
    assert np.any(np.isnan(rate.data))
    assert np.any(rateints.data > 0)


@pytest.mark.parametrize("seed", range(12))
def test_miri_without_first_and_last_groups_equals_official(seed, device):
    """Groups that no pixel may use are left out, and then a jump in the first counts for nothing.

    Quirk: single groups are suppressed before that.
    """
    random = np.random.default_rng(seed)
    case = flagged(plain((2, 8, *SMALL), seed), seed)
    first, stop = int(random.integers(0, 4)), 8 - int(random.integers(0, 2))
    case.groupdq[:, :first] |= DO_NOT_USE
    case.groupdq[:, stop:] |= DO_NOT_USE
    case = case._replace(groups=(first, stop), suppress_one_group=bool(seed % 2))
    assert_equals_official(case, device, "MIRI")


def one_pixel(groupdq: list[int], data: list[float] | None = None, **changes: Any) -> Case:
    """Return one ramp of 10 DN a group on a bias of 100 DN, if no samples are given."""
    n_groups = len(groupdq)
    samples = 100 + 10 * np.arange(1, n_groups + 1) if data is None else np.array(data)
    case = Case(
        samples.reshape(1, n_groups, 1, 1).astype(np.float32),
        np.array(groupdq, np.uint8).reshape(1, n_groups, 1, 1),
        np.zeros((1, 1), np.uint32),
        np.full((1, 1), 2, np.float32),
        np.full((1, 1), 8, np.float32),
        Timing(group_time=10.0, frame_time=5.0, nframes=1, groupgap=1),
    )
    return case._replace(**changes)


D, S, J, P = DO_NOT_USE, SATURATED, JUMP_DET, PERSISTENCE


@pytest.mark.parametrize(
    ("groupdq", "rate", "dq"),
    [
        ([0, 0, 0, 0], 1.0, 0),
        ([0, 0, J, 0], 1.0, J),  # two segments: the jump begins the second
        ([0, 0, D | J, 0, 0], 1.0, J),  # a jump with another flag begins none
        ([0, J, J, 0, 0], 1.0, J),  # only the last of two jumps counts to the segment
        ([0, 0, S, S], 1.0, S),
        ([P, P, P, P], 1.0, P),  # persistence does no harm
        ([0, S, S, S], np.nan, D | S),  # a single group is suppressed
        ([S, S, S, S], np.nan, D | S),
        ([S, 0, 0, 0], np.nan, D | S),  # quirk: saturated from the start, whatever follows
        ([D, D, D, D], np.nan, D),
        ([J, J, J, J], 0.0, J),  # quirk: no segment, but not flagged as unusable
        ([0, D, 0, D], 11.0, 0),  # two single groups: the first, over a group time
    ],
)
def test_what_one_ramp_gives(groupdq, rate, dq, device):
    """In DN/s; the pixel's flags are those of its groups."""
    for fit in assert_equals_official(one_pixel(groupdq), device)[:2]:
        np.testing.assert_allclose(fit.data.ravel(), rate, rtol=1e-6)
        assert fit.dq.ravel() == dq


def test_single_group_is_divided_by_the_time_of_its_reads(device):
    case = one_pixel([0, S, S, S], suppress_one_group=False)
    rate, _, _ = assert_equals_official(case, device)
    # One frame a group: 110 DN at 5 s. Several: at the mean of their times.
    assert rate.data == 22.0
    averaged = case._replace(timing=case.timing._replace(nframes=3))
    assert assert_equals_official(averaged, device)[0].data == 11.0


def test_exposure_of_one_group_is_never_suppressed(device):
    rate, _, _ = assert_equals_official(one_pixel([0], suppress_one_group=True), device)
    assert rate.data == 22.0


@pytest.mark.parametrize(
    ("zeroframe", "rate", "dq"), [(40.0, 8.0, S), (0.0, np.nan, S | D), (np.nan, np.nan, S)]
)
def test_frame_zero_replaces_saturated_ramps(zeroframe, rate, dq, device):
    """Over the frame time; exactly 0 says that it is saturated too."""
    frame = np.full((1, 1, 1), zeroframe, np.float32)
    case = one_pixel([S, S, S], zeroframe=frame, suppress_one_group=False)
    fit, _, _ = assert_equals_official(case, device)
    np.testing.assert_array_equal(fit.data, [[rate]])
    assert fit.dq == dq
    suppressed = case._replace(suppress_one_group=True)
    assert np.isnan(assert_equals_official(suppressed, device)[0].data)


@pytest.mark.parametrize("gain", [0.0, -1.0, np.nan])
def test_without_gain_there_is_no_rate(gain, device):
    case = one_pixel([0, 0, 0, 0], gain=np.full((1, 1), gain, np.float32))
    for fit in assert_equals_official(case, device)[:2]:
        assert np.isnan(fit.data)
        assert fit.dq == DO_NOT_USE | NO_GAIN_VALUE
        assert fit.err == fit.var_poisson == fit.var_rnoise == 0


def test_flags_of_the_pixel_are_kept(device):
    case = one_pixel([0, 0, J, 0], pixeldq=np.full((1, 1), HOT, np.uint32))
    for fit in assert_equals_official(case, device)[:2]:
        assert fit.dq == HOT | JUMP_DET


def test_errors_of_a_single_integration(device):
    """Quirk: the errors of rate and rateints differ where a ramp has several segments."""
    rate, rateints, _ = assert_equals_official(one_pixel([0, 0, J, 0, 0, 0]), device)
    for name in ("data", "var_poisson", "var_rnoise", "dq"):
        np.testing.assert_array_equal(getattr(rate, name), getattr(rateints, name)[0])
    assert rate.err**2 == pytest.approx(rate.var_poisson + rate.var_rnoise, rel=1e-6)
    assert abs(rateints.err[0] / rate.err - 1) > 1e-3
    rate, rateints, _ = assert_equals_official(one_pixel([0, 0, 0, 0, 0, 0]), device)
    np.testing.assert_allclose(rate.err, rateints.err[0], rtol=1e-6)


def test_read_noise_counts_groups_with_lost_charge(device):
    """The variance by read noise, and only that, is as if they had been used."""
    lost = CHARGELOSS | DO_NOT_USE
    charged, _, _ = assert_equals_official(one_pixel([0, 0, 0, lost, lost, lost]), device)
    short, _, _ = assert_equals_official(one_pixel([0, 0, 0, D, D, D]), device)
    whole, _, _ = assert_equals_official(one_pixel([0] * 6), device)
    np.testing.assert_allclose(charged.var_rnoise, whole.var_rnoise)
    assert whole.var_rnoise < short.var_rnoise
    for name in ("data", "err", "var_poisson"):
        np.testing.assert_array_equal(getattr(charged, name), getattr(short, name))


def test_variances_are_those_of_the_equations(device):
    """The documents' equations for one segment."""
    n, gain, noise = 6, 2.0, 8.0
    rate, _, segments = ours(one_pixel([0] * n), device, save_segments=True)
    # From the noise of the difference of two frames, in DN, to that of one read.
    expected = 12 * (noise / np.sqrt(2)) ** 2 / ((n**3 - n) * 10.0**2)
    np.testing.assert_allclose(rate.var_rnoise, expected, rtol=1e-6)
    np.testing.assert_allclose(rate.var_poisson, 1.0 / (10.0 * gain * (n - 1)), rtol=1e-6)
    np.testing.assert_allclose(segments.yint.ravel(), 110.0, rtol=1e-6)


def test_segments_tell_jumps_and_pedestal(device):
    data = [110, 120, 130, 640, 650, 660]
    case = one_pixel([0, 0, 0, J, 0, 0], data)
    _, _, segments = assert_equals_official(case, device)
    assert segments.slope.shape == (1, 2, 1, 1)
    np.testing.assert_allclose(segments.slope.ravel(), [1.0, 1.0], rtol=1e-6)
    np.testing.assert_array_equal(segments.crmag.ravel(), [510.0])
    # Half of the two frames of a group lie before the first one's read: 110 - 1 * 1 / 2.
    np.testing.assert_allclose(segments.pedestal.ravel(), 109.5)


@pytest.mark.parametrize("level", [1.0, 50.0, 2000.0])
def test_rates_are_true_and_errors_honest(level, device):
    """Rates of simulated photons and read noise scatter about the truth as their errors say."""
    random = np.random.default_rng(8)
    gain, noise, groups, image = 2.0, 12.0, 8, (64, 64)
    electrons = random.poisson(level * gain * 10, (2, groups, *image)).cumsum(axis=1)
    data = electrons / gain + random.normal(0, noise / np.sqrt(2), (2, groups, *image))
    case = Case(
        data.astype(np.float32),
        np.zeros(data.shape, np.uint8),
        np.zeros(image, np.uint32),
        np.full(image, gain, np.float32),
        np.full(image, noise, np.float32),
        Timing(10.0, 10.0, 1, 0),
    )
    rate, rateints, _ = ours(case, device)
    for fit in (rate, rateints):
        pull = (fit.data - level) / fit.err
        assert abs(pull.mean()) < 5 / np.sqrt(pull.size)
        assert pull.std() == pytest.approx(1.0, abs=0.1)


def test_result_does_not_depend_on_threads_and_inputs_stay(device):
    case = random_case(4)
    before = [np.copy(value) for value in case[:5]]
    results = []
    for number in (1, 2, 5):
        compiled.set_threads(number)
        try:
            results.append(ours(case, device, save_segments=True))
        finally:
            compiled.set_threads(0)
    for result in results[1:]:
        for one, other in zip(results[0], result, strict=True):
            for mine, theirs in zip(one, other, strict=True):
                np.testing.assert_array_equal(mine, theirs)
    for value, old in zip(case[:5], before, strict=True):
        np.testing.assert_array_equal(value, old)


@given(
    shape=st.tuples(*(st.integers(1, most) for most in (3, 6, 3, 300))),
    sample=st.sampled_from([np.nan, 0.0, -5.0, 65535.0, np.inf]),
    flag=st.sampled_from([0, SATURATED, DO_NOT_USE, JUMP_DET, PERSISTENCE]),
    suppress=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_uniform_exposures_of_any_shape_equal_official(shape, sample, flag, suppress):
    """All NaN, all saturated, one group, one row, and so on; no host but the CPU is asked."""
    case = plain(shape)
    case.data[...] = sample
    case.groupdq[...] = flag
    case = case._replace(suppress_one_group=suppress)
    mine = fit_ramps(**case._asdict())
    theirs = official(case)
    if theirs[0] is None:  # "nothing to do"; for the step to say
        assert flag == SATURATED
        assert np.all(np.isnan(mine[0].data))
        return
    for found, expected in zip(mine[:2], theirs[:2], strict=True):
        assert_same(found, expected)
