"""ERR, VAR_POISSON and VAR_RNOISE of the count rates: the equations of the documents.

"Error Propagation" and "Ramp Fitting: Slope and Variance Calculations", R read noise, P Poisson
noise, C both; s segments, i integrations, o the exposure:

=====  ==========================================  =============================
(s)    var_R = 12 R^2 / ((n^3 - n) tgroup^2)       var_P = slope / (tgroup gain (n - 1))
(i)    var = 1 / sum over s of 1 / var             also for C = R + P: its root is ERR
(o)    var = 1 / sum over i of 1 / var             ERR is the root of var_R + var_P
=====  ==========================================  =============================

Every test runs on our products and on the official ones. Where the documents and both packages
differ, the test says so:

- R is "the noise in the difference between 2 frames", but the READNOISE reference is that already;
  it is the noise of one group, READNOISE / sqrt(2), that gives the variance of a slope.
- The slope of var_P is "the median of the first differences in all integrations"; it is the mean
  over the integrations of the median in each.
- Segments are averaged "by their combined variance"; they are averaged by that of read noise, whose
  weights do not depend on the data.
- ERR is "always recomputed as the square root of the sum of all variances": so it is in ``rate``.
  In ``rateints`` it is the root of var_C, which is more for ramps of unlike segments.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from jwgpu.cli import main
from jwgpu.models.flags import DO_NOT_USE, JUMP_DET, SATURATED
from jwgpu.simulate import make_dataset

pytest_plugins = ("official",)

PACKAGES = ("jwgpu", "jwst")
GROUPS, INTEGRATIONS = 10, 3

#: float32 storage; sums in another order.
RTOL = 1e-5


def calibrate(official: Any, data: Any, package: str, folder: Path, **steps: Any) -> Path:
    """Run one package, with its ramp and segments saved; return the folder of its products."""
    steps["ramp_fit"] = {"save_opt": True}
    if package == "jwst":
        parameters = {"save_calibrated_ramp": True}
        return official.detector1(data.exposure, data.references, steps, **parameters).folder
    words = [f"--steps.{s}.{k}={v}" for s, values in steps.items() for k, v in values.items()]
    words += ["--references", str(data.exposure.parent / "references"), "--save_calibrated_ramp"]
    words[-1] += "=true"
    assert main(["detector1", str(data.exposure), "--output-dir", str(folder), *words]) == 0
    return folder


class Arrays:
    """The arrays of one product, in float64."""

    def __init__(self, folder: Path, suffix: str) -> None:
        (path,) = folder.glob(f"*_{suffix}.fits")
        with fits.open(path) as file:
            self.header = file[0].header
            self._arrays = {hdu.name: hdu.data for hdu in file if isinstance(hdu, fits.ImageHDU)}

    def __getitem__(self, name: str) -> np.ndarray:
        array = self._arrays[name]
        return array.astype(np.float64) if array.dtype.kind == "f" else array


class Products:
    """What one package made of an exposure."""

    def __init__(self, folder: Path) -> None:
        self.rate, self.rateints = Arrays(folder, "rate"), Arrays(folder, "rateints")
        self.ramp, self.fitopt = Arrays(folder, "ramp"), Arrays(folder, "fitopt")

    def segment_variances(self) -> tuple[np.ndarray, np.ndarray]:
        """Return var_R and var_P (ints, segments, y, x); infinite where there is no segment."""
        poisson, read = self.fitopt["VAR_POISSON"], self.fitopt["VAR_RNOISE"]
        missing = ~(read > 0)
        return np.where(missing, np.inf, read), np.where(missing, np.inf, poisson)


@pytest.fixture(scope="module")
def data(official):
    """A ramp of many segments: five in a hundred pixels struck in each integration."""
    return official.dataset(
        detector="NRCB1",
        window=(1, 1, 128, 96),
        ngroups=GROUPS,
        nints=INTEGRATIONS,
        seed=5,
        cosmic_rays=0.05,
    )


@pytest.fixture(scope="module", params=PACKAGES)
def products(request, official, data, tmp_path_factory):
    """The products of each package in turn."""
    return Products(calibrate(official, data, request.param, tmp_path_factory.mktemp("ours")))


def harmonic(variances: np.ndarray, axis: int) -> np.ndarray:
    """Combine variances: 1 / sum of 1 / var."""
    with np.errstate(divide="ignore"):
        return 1.0 / np.sum(1.0 / variances, axis=axis)


def segment_lengths(groupdq: np.ndarray) -> list[int]:
    """Split one ramp where it jumps and where a group cannot be used; return the lengths."""
    lengths, length = [], 0
    for flags in groupdq:
        if flags & (SATURATED | DO_NOT_USE):
            lengths, length = [*lengths, length], 0
        elif flags & JUMP_DET:
            lengths, length = [*lengths, length], 1
        else:
            length += 1
    return [n for n in [*lengths, length] if n]


def test_error_of_the_exposure_is_the_root_of_the_sum_of_the_variances(products):
    rate = products.rate
    usable = np.isfinite(rate["ERR"])
    assert usable.mean() > 0.95
    total = rate["VAR_POISSON"] + rate["VAR_RNOISE"]
    np.testing.assert_allclose(rate["ERR"][usable] ** 2, total[usable], rtol=RTOL)
    assert np.all(rate["ERR"][usable & (rate["VAR_RNOISE"] > 0)] > 0)


def test_variances_of_an_integration_follow_from_those_of_its_segments(products):
    read, poisson = products.segment_variances()
    ints = products.rateints
    usable = np.isfinite(read).any(axis=1) & np.isfinite(ints["ERR"]) & (ints["ERR"] > 0)
    assert usable.mean() > 0.95
    assert np.sum(np.isfinite(read).sum(axis=1) > 1) > 1000
    np.testing.assert_allclose(ints["VAR_RNOISE"][usable], harmonic(read, 1)[usable], rtol=RTOL)
    combined = harmonic(read + poisson, 1)
    np.testing.assert_allclose(ints["ERR"][usable] ** 2, combined[usable], rtol=RTOL)
    bright = usable & np.all(poisson > 0, axis=1)
    assert bright.mean() > 0.8
    np.testing.assert_allclose(ints["VAR_POISSON"][bright], harmonic(poisson, 1)[bright], rtol=RTOL)


def test_error_of_an_integration_is_never_less_than_the_sum_of_the_variances(products):
    read, _ = products.segment_variances()
    ints = products.rateints
    total = ints["VAR_POISSON"] + ints["VAR_RNOISE"]
    usable = np.isfinite(ints["ERR"]) & (ints["ERR"] > 0)
    one = usable & (np.isfinite(read).sum(axis=1) == 1)
    several = usable & (np.isfinite(read).sum(axis=1) > 1) & (ints["VAR_POISSON"] > 0)
    np.testing.assert_allclose(ints["ERR"][one] ** 2, total[one], rtol=RTOL)
    # Segments of one length have the same shares of both noises, and so the same sum.
    ratio = ints["ERR"][several] ** 2 / total[several]
    assert ratio.min() > 1 - RTOL
    assert ratio.max() > 1.01


def test_variances_of_the_exposure_follow_from_those_of_the_integrations(products):
    rate, ints = products.rate, products.rateints
    for name in ("VAR_RNOISE", "VAR_POISSON"):
        usable = np.isfinite(rate["ERR"]) & np.all(ints[name] > 0, axis=0)
        assert usable.mean() > 0.8
        expected = harmonic(ints[name], 0)
        np.testing.assert_allclose(rate[name][usable], expected[usable], rtol=RTOL)


def test_rates_are_means_of_the_segments_by_their_read_noise(products):
    read, _ = products.segment_variances()
    slopes = np.nan_to_num(products.fitopt["SLOPE"])
    for part, axes in ((products.rateints, 1), (products.rate, (0, 1))):
        weights = 1.0 / read
        total = weights.sum(axis=axes)
        usable = np.isfinite(part["SCI"]) & (total > 0)
        assert usable.mean() > 0.95
        with np.errstate(invalid="ignore"):
            mean = (slopes * weights).sum(axis=axes) / total
        # Beside a rate near zero stand segments of large rates that cancel.
        scale = np.abs(slopes).max(axis=axes)[usable]
        assert np.max(np.abs(part["SCI"][usable] - mean[usable]) / scale) < RTOL


def test_variances_of_a_segment_follow_from_noise_gain_and_slope(products, data):
    ramp, header = products.ramp, products.ramp.header
    with fits.open(data.references["gain"]) as file:
        gain = file["SCI"].data.astype(np.float64)
    with fits.open(data.references["readnoise"]) as file:
        noise = file["SCI"].data.astype(np.float64) / np.sqrt(2)
    tgroup = header["TGROUP"]
    groupdq, samples = ramp["GROUPDQ"], ramp["SCI"]
    read, poisson = (np.sort(part, axis=1) for part in products.segment_variances())
    bad = (groupdq & (SATURATED | DO_NOT_USE)) != 0
    unusable = bad[:, 1:] | bad[:, :-1] | ((groupdq[:, 1:] & JUMP_DET) != 0)
    differences = np.where(unusable, np.nan, np.diff(samples, axis=1))
    rows, columns = np.nonzero((ramp["PIXELDQ"] & DO_NOT_USE) == 0)
    seen = 0
    for y, x in list(zip(rows, columns, strict=True))[::7]:
        pixel = [segment_lengths(groupdq[i, :, y, x]) for i in range(INTEGRATIONS)]
        # One or two groups alone are special cases, which the documents treat apart.
        if min((n for lengths in pixel for n in lengths), default=0) < 3:
            continue
        slope = max(0.0, np.nanmedian(differences[:, :, y, x], axis=1).mean() / tgroup)
        for i, lengths in enumerate(pixel):
            n = np.sort(np.array(lengths, float))[::-1]
            seen += len(n) > 1
            expected = 12 * noise[y, x] ** 2 / ((n**3 - n) * tgroup**2)
            np.testing.assert_allclose(read[i, : len(n), y, x], expected, rtol=RTOL)
            expected = slope / (tgroup * gain[y, x] * (n - 1))
            np.testing.assert_allclose(poisson[i, : len(n), y, x], expected, rtol=1e-4)
    assert seen > 50


def test_pixels_without_a_rate_have_no_error(products):
    for part in (products.rate, products.rateints):
        without = ~np.isfinite(part["SCI"])
        for name in ("ERR", "VAR_POISSON", "VAR_RNOISE"):
            # Both packages: NaN, or nothing to be in error about.
            assert np.all(~(part[name][without] > 0)), name


@pytest.mark.parametrize("package", PACKAGES)
def test_gain_scale_scales_errors_and_variances(package, official, tmp_path):
    factor = 2.5
    settings = {"instrument": "NIRSPEC", "window": (1, 1, 64, 48), "ngroups": 6, "nints": 2}
    data = official.dataset(seed=3, gain_factor=factor, **settings)
    scaled = calibrate(official, data, package, tmp_path / "scaled")
    plain = calibrate(official, data, package, tmp_path / "plain", gain_scale={"skip": True})
    for suffix in ("rate", "rateints"):
        ours, before = Arrays(scaled, suffix), Arrays(plain, suffix)
        assert ours.header["S_GANSCL"] == "COMPLETE"
        assert before.header["S_GANSCL"] == "SKIPPED"
        for name, power in {"SCI": 1, "ERR": 1, "VAR_POISSON": 2, "VAR_RNOISE": 2}.items():
            np.testing.assert_allclose(ours[name], before[name] * factor**power, rtol=RTOL)
    rate = Arrays(scaled, "rate")
    usable = np.isfinite(rate["ERR"])
    total = rate["VAR_POISSON"] + rate["VAR_RNOISE"]
    np.testing.assert_allclose(rate["ERR"][usable] ** 2, total[usable], rtol=RTOL)


@pytest.mark.parametrize(("sky", "share"), [(0.0002, (0.0, 0.2)), (0.3, (0.8, 1.0))])
def test_errors_are_as_large_as_the_scatter(sky, share, tmp_path):
    """Whether read noise or photons make it: the truth lies within the errors.

    A simulation without cosmic rays, stars and bad pixels, and without what refpix takes away.
    """
    data = make_dataset(
        tmp_path,
        detector="NRCB1",
        window=(1, 1, 128, 128),
        ngroups=8,
        nints=4,
        seed=8,
        sky=sky,
        dark=1e-6,
        n_stars=0,
        cosmic_rays=0.0,
        bad_pixels=False,
        flicker_noise=0.0,
        drift=0.0,
        odd_even=0.0,
        ktc_noise=0.0,
        ipc=0.0,
        nonlinearity=0.0,
    )
    words = ["--references", str(tmp_path / "references"), "--output-dir", str(tmp_path / "out")]
    words += ["--steps.refpix.skip=true", "--steps.jump.skip=true", "--steps.ipc.skip=true"]
    assert main(["detector1", str(data.exposure), *words]) == 0
    rate, ints = Arrays(tmp_path / "out", "rate"), Arrays(tmp_path / "out", "rateints")
    inner = (slice(4, -4), slice(4, -4))
    poisson = rate["VAR_POISSON"][inner].mean() / (rate["ERR"][inner] ** 2).mean()
    assert share[0] <= poisson <= share[1]
    truth = data.truth.rate[inner]
    pulls = (rate["SCI"][inner] - truth) / rate["ERR"][inner]
    usable = np.isfinite(pulls)
    assert usable.mean() > 0.95
    assert np.std(pulls[usable]) == pytest.approx(1.0, abs=0.05)
    pulls = (ints["SCI"][:, *inner] - truth) / ints["ERR"][:, *inner]
    assert np.nanstd(pulls) == pytest.approx(1.0, abs=0.05)
