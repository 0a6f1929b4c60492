"""Simulated exposures hold what their settings and their truth say."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jwgpu.errors import ParameterError
from jwgpu.models.flags import REFERENCE_PIXEL
from jwgpu.simulate import Settings, simulate_exposure
from jwgpu.simulate.detector_maps import detector_maps
from jwgpu.simulate.geometry import DETECTORS, full_frame
from jwgpu.simulate.pedestal import pink_noise
from jwgpu.simulate.readout import READ_PATTERNS
from jwgpu.simulate.response import (
    forward_coefficients,
    inverse_coefficients,
    measured_counts,
)
from jwgpu.simulate.scene import group_of_frame
from jwgpu.simulate.subarrays import subarrays

QUIET = {
    "shot_noise": False,
    "read_noise": 0.0,
    "ktc_noise": 0.0,
    "flicker_noise": 0.0,
    "drift": 0.0,
    "odd_even": 0.0,
    "cosmic_rays": 0.0,
    "bad_pixels": False,
}


def linear(counts: np.ndarray, strength: np.ndarray) -> np.ndarray:
    coefficients = forward_coefficients(strength).astype(np.float64)
    return sum(c * counts**n for n, c in enumerate(coefficients))


@pytest.mark.parametrize("name", DETECTORS)
def test_every_detector_and_subarray_lies_on_the_detector(name: str) -> None:
    detector = DETECTORS[name]
    for window in subarrays(detector).values():
        assert window.xstart >= 1
        assert window.ystart >= 1
        assert window.xstart + window.xsize - 1 <= detector.xsize
        assert window.ystart + window.ysize - 1 <= detector.ysize


@pytest.mark.parametrize(
    ("chosen", "seconds"),
    [
        ({"instrument": "NIRCAM"}, 10.73677),
        ({"instrument": "NIRCAM", "subarray": "SUB160"}, 0.27864),
        ({"instrument": "NIRCAM", "detector": "NRCALONG", "subarray": "SUBGRISM256"}, 1.34669),
        ({"instrument": "NIRISS", "subarray": "SUB80"}, 0.07544),
        ({"instrument": "NIRISS", "subarray": "SUBSTRIP96"}, 2.214),
        ({"instrument": "NIRSPEC", "subarray": "SUB2048"}, 0.902),
        ({"instrument": "MIRI"}, 2.77504),
        ({"instrument": "MIRI", "readpatt": "SLOWR1"}, 23.88906),
    ],
)
def test_frame_times_are_those_of_real_exposures(chosen: dict, seconds: float) -> None:
    assert Settings(**chosen).frame_time == pytest.approx(seconds, abs=1e-5)


@pytest.mark.parametrize("name", [n for n, p in READ_PATTERNS.items() if not p.is_irs2])
def test_every_read_pattern_gives_the_groups_asked_for(name: str) -> None:
    pattern = READ_PATTERNS[name]
    chosen = Settings(
        pattern.instrument, window=(1, 1, 8, 8), readpatt=name, ngroups=3, nints=2, n_stars=1
    )
    simulation = simulate_exposure(chosen)
    assert simulation.data.shape == (2, 3, 8, 8)
    assert simulation.data.dtype == np.uint16
    averages = pattern.instrument == "NIRCAM" and pattern.nframes > 1
    assert (simulation.zeroframe is not None) == averages
    assert (simulation.refout is not None) == (pattern.instrument == "MIRI")


def test_same_seed_gives_the_same_numbers_whatever_the_threads() -> None:
    chosen = Settings(subarray="SUB320", ngroups=4, readpatt="BRIGHT2", seed=3)
    first, second = simulate_exposure(chosen), simulate_exposure(chosen, threads=3)
    assert np.array_equal(first.data, second.data)
    assert np.array_equal(first.zeroframe, second.zeroframe)
    assert np.array_equal(first.truth.cosmic_rays, second.truth.cosmic_rays)
    other = simulate_exposure(dataclasses.replace(chosen, seed=4))
    assert not np.array_equal(first.data, other.data)


def test_windows_are_cut_from_one_full_frame() -> None:
    small = Settings(window=(101, 31, 40, 20), detector_seed=5)
    whole = detector_maps(small, full_frame(small.camera))
    part = detector_maps(small)
    for field in dataclasses.fields(part):
        ours, cut = getattr(part, field.name), getattr(whole, field.name)[30:50, 100:140]
        assert np.array_equal(ours, cut), field.name


@pytest.mark.parametrize("instrument", ["NIRCAM", "MIRI"])
def test_without_noise_the_ramp_is_the_truth(instrument: str) -> None:
    """Straightening the counts as the pipeline would gives the simulated rates back."""
    chosen = Settings(instrument, window=(9, 9, 64, 48), ngroups=6, dark=0.0, **QUIET)
    simulation, maps = simulate_exposure(chosen), detector_maps(chosen)
    counts = simulation.data[0].astype(np.float64)
    if instrument == "NIRCAM":
        counts -= maps.superbias
    straight = linear(counts, maps.nonlinearity)
    # MIRI settles after its reset and is pulled down in its last frame.
    steps = np.diff(straight, axis=0)[3:5] if instrument == "NIRCAM" else np.diff(straight, axis=0)
    full = simulation.truth.saturated_group[0]
    rates = steps[0 if instrument == "NIRCAM" else 3] / chosen.group_time
    good = full == chosen.ngroups
    error = np.abs(rates - simulation.truth.blurred_rate)[good] * chosen.group_time
    assert good.mean() > 0.9
    assert error.max() < (2.5 if instrument == "NIRCAM" else 8.0)


def test_cosmic_rays_step_where_and_when_the_truth_says() -> None:
    chosen = Settings(
        window=(101, 101, 64, 64), ngroups=8, nints=2, n_stars=0, ipc=0.0, dark=0.0, sky=1e-6,
        **{**QUIET, "cosmic_rays": 0.01},
    )  # fmt: skip
    simulation = simulate_exposure(chosen)
    gain = detector_maps(chosen).gain
    hits = simulation.truth.cosmic_rays
    assert set(np.unique(hits["integration"])) == {0, 1}
    steps = np.diff(simulation.data.astype(np.float64), axis=1)
    expected = np.zeros_like(steps)
    late = hits[hits["group"] > 0]
    where = (late["integration"], late["group"] - 1, late["y"], late["x"])
    np.add.at(expected, where, late["electrons"] / gain[late["y"], late["x"]])
    once = expected < 20000
    # The response falls short of linear by a few per cent.
    assert np.all(np.abs(steps - expected)[once] <= 2.0 + 0.07 * expected[once])


def test_a_hit_between_groups_shows_in_the_next_one() -> None:
    chosen = Settings(readpatt="SHALLOW4", window=(1, 1, 8, 8))
    frames = np.arange(15)
    first = [0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3]
    assert group_of_frame(chosen, frames).tolist() == first


def test_frames_are_averaged_as_on_board() -> None:
    """Four frames of a group have the mean of their ramp, and less noise than one."""
    common = {"instrument": "NIRISS", "window": (101, 101, 64, 64), "n_stars": 0, "ngroups": 4}
    one = simulate_exposure(Settings(readpatt="NIS", **common, **QUIET))
    frames = simulate_exposure(
        Settings(readpatt="NISRAPID", **{**common, "ngroups": 16}, **QUIET)
    ).data[0]
    means = frames.reshape(4, 4, 64, 64).astype(np.float64).mean(axis=1)
    assert np.abs(one.data[0] - np.floor(means)).max() <= 1.0


def test_reference_pixels_see_no_light() -> None:
    chosen = Settings(window=(1, 1, 64, 64), ngroups=3, sky=0.5, n_stars=0, **QUIET)
    simulation = simulate_exposure(chosen)
    edge = (simulation.truth.flags & REFERENCE_PIXEL) != 0
    assert edge[:4].all()
    assert edge[:, :4].all()
    assert not edge[4:, 4:].any()
    growth = simulation.data[0, -1].astype(int) - simulation.data[0, 0]
    assert np.all(growth[edge] == 0)
    assert np.all(growth[~edge] > 1000)


@pytest.mark.parametrize("length", [1000, 1001])
def test_flicker_noise_has_unit_variance_and_falls_with_frequency(length: int) -> None:
    noise = pink_noise(np.random.default_rng(1), length, 400).astype(np.float64)
    assert noise.var() == pytest.approx(1.0, rel=0.1)
    power = np.mean(np.abs(np.fft.rfft(noise, axis=0)) ** 2, axis=1)
    assert power[10:20].mean() / power[100:200].mean() == pytest.approx(10.0, rel=0.15)


@pytest.mark.parametrize("name", ["NRCA1", "NIS", "GUIDER2", "MIRIMAGE"])
def test_amplifiers_and_odd_columns_lie_along_the_read_out(name: str) -> None:
    """Turned into the detector's orientation, four stripes and odd lines differ in each frame."""
    detector = DETECTORS[name]
    chosen = Settings(
        detector.instrument, detector.name, ngroups=2, n_stars=0, sky=1e-9,
        **{**QUIET, "drift": 50.0, "odd_even": 20.0, "dark": 0.0},
    )  # fmt: skip
    # A few rows or columns across all amplifiers would do, but stripes need the full frame.
    step = np.diff(simulate_exposure(chosen).data[0].astype(float), axis=0)[0]
    fast, slow = detector.fast_axis, detector.slow_axis
    if abs(fast) == 2:
        step = step[:: np.sign(fast), :: np.sign(slow)].T
    else:
        step = step[:: np.sign(slow), :: np.sign(fast)]
    if detector.is_mid_infrared:
        stripes = [step[parity::2, amplifier::4] for amplifier in range(4) for parity in (0, 1)]
    else:
        stripes = [
            step[:, first + parity : first + 512 : 2]
            for first in range(0, 2048, 512)
            for parity in (0, 1)
        ]
    within = [float(stripe.std()) for stripe in stripes]
    between = [float(np.median(stripe)) for stripe in stripes]
    assert max(within) < 2.0
    assert np.std(between) > 10.0


def test_saturated_pixels_stop_growing() -> None:
    chosen = Settings(window=(1, 1, 64, 64), ngroups=6, n_stars=6, star_peaks=(5.0, 20.0), **QUIET)
    simulation = simulate_exposure(chosen)
    full = simulation.truth.saturated_group[0]
    y, x = np.nonzero(full < 3)
    assert y.size > 5
    ramps = simulation.data[0, 3:, y, x].astype(int)
    assert np.all(np.ptp(ramps, axis=1) == 0)


@settings(max_examples=25, deadline=None)
@given(st.floats(0.0, 60000.0), st.floats(0.5, 1.5))
def test_response_and_its_inverse_agree(counts: float, strength: float) -> None:
    measured = np.full((1, 1), counts, dtype=np.float32)
    strengths = np.full((1, 1), strength, dtype=np.float32)
    straight = linear(measured.astype(np.float64), strengths).astype(np.float32)
    back = straight.copy()
    measured_counts(back, strengths, [np.empty_like(back) for _ in range(3)])
    if straight < 71000:
        assert back == pytest.approx(measured, abs=0.02)
    polynomial = inverse_coefficients(strengths).astype(np.float64)
    guess = sum(c * straight.astype(np.float64) ** n for n, c in enumerate(polynomial))
    assert guess == pytest.approx(measured, abs=15.0)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"instrument": "HUBBLE"}, "no instrument 'HUBBLE'"),
        ({"detector": "NIS"}, "NIRCAM has no detector 'NIS'"),
        ({"subarray": "SUB64"}, "NRCA1 has no subarray 'SUB64'"),
        ({"readpatt": "FAST"}, "NIRCAM has no read pattern 'FAST'"),
        ({"window": (2000, 1, 64, 64)}, "does not lie on NRCA1"),
        ({"ngroups": 0}, "ngroups is 0"),
    ],
)
def test_impossible_settings_are_refused(chosen: dict, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        Settings(**chosen)
