"""Clipped statistics of regions: those of the official package, in any number of threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stsci.imagestats import ImageStats

from jwgpu.kernels.compiled import set_threads
from jwgpu.kernels.sky_statistics import (
    COUNT,
    HIGH,
    HIGHEST,
    LOW,
    LOWEST,
    MEAN,
    STDDEV,
    Limits,
    clipped_moments,
    histograms,
    medians,
)


def spans_of(masks: Any) -> Any:
    """Return masks (regions, y, x) as spans."""
    padded = np.pad(masks.astype(np.int8), ((0, 0), (0, 0), (1, 1)))
    edges = np.diff(padded, axis=2)
    most = max(1, int((edges > 0).sum(axis=2).max(initial=0)))
    spans = np.zeros((*masks.shape[:2], most, 2), np.int32)
    for place in np.ndindex(*masks.shape[:2]):
        starts, stops = np.flatnonzero(edges[place] > 0), np.flatnonzero(edges[place] < 0)
        spans[place][: len(starts)] = np.column_stack([starts, stops])
    return spans


def field(seed: int, shape: tuple[int, int] = (40, 75), stars: float = 0.05) -> Any:
    """Return an image of a sky with stars and missing pixels, and three regions of it."""
    random = np.random.default_rng(seed)
    values = random.normal(0.4, 0.02, shape).astype(np.float32)
    is_star = random.random(shape) < stars
    values[is_star] += random.pareto(1.0, is_star.sum()).astype(np.float32)
    values[random.random(shape) < 0.03] = np.nan
    masks = np.ones((3, *shape), bool)
    masks[1, :, : shape[1] // 3] = masks[1, shape[0] // 2 :] = False
    masks[2, :, ::7] = False
    return values, masks


def official(values: Any, mask: Any, limits: Limits, fields: str = "npix,mean") -> Any:
    data = values[mask]
    given = {"lower": limits.lower, "upper": limits.upper, "nclip": limits.nclip}
    sigmas = {"lsig": limits.lsigma, "usig": limits.usigma}
    return ImageStats(data[np.isfinite(data)], fields=fields, binwidth=0.1, **given, **sigmas)


def assert_as_official(moments: Any, stats: Any) -> None:
    """Compare: the mean and all that follows are rounded to single precision, of sums that are
    taken in another order, so that the last bit may differ."""
    assert moments[COUNT] == stats.npix
    found = moments[[MEAN, STDDEV, LOWEST, HIGHEST]]
    wanted = [stats.mean, stats.stddev, stats.min, stats.max]
    np.testing.assert_allclose(found, wanted, rtol=2.4e-7)


LIMITS = [
    Limits(),
    Limits(nclip=0),
    Limits(nclip=1, lsigma=1.0, usigma=2.0),
    Limits(lower=0.37),
    Limits(upper=0.43, nclip=2),
    Limits(lower=0.35, upper=0.6, nclip=30, lsigma=2.0, usigma=1.5),
]


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("seed", range(4))
def test_moments_are_the_official_ones(limits: Limits, seed: int) -> None:
    values, masks = field(seed)
    for moments, mask in zip(clipped_moments(values, spans_of(masks), limits), masks, strict=True):
        assert_as_official(moments, official(values, mask, limits))


@pytest.mark.parametrize("limits", LIMITS)
def test_histograms_are_the_official_ones(limits: Limits) -> None:
    values, masks = field(7)
    stats = [official(values, mask, limits, "npix,mode") for mask in masks]
    starts = np.array([one._hist.minValue for one in stats])
    widths = np.array([one._hist.binWidth for one in stats])
    n_bins = np.array([one._hist.nbins for one in stats], np.int32)
    counts = histograms(values, spans_of(masks), starts, widths, n_bins)
    assert counts.shape == (3, n_bins.max())
    for found, one in zip(counts, stats, strict=True):
        np.testing.assert_array_equal(found[: one._hist.nbins], one.histogram)
        assert not found[one._hist.nbins :].any()


@pytest.mark.parametrize("nclip", [1, 5])
def test_medians_are_the_official_ones(nclip: int) -> None:
    limits = Limits(nclip=nclip)
    values, masks = field(3)
    spans = spans_of(masks)
    moments = clipped_moments(values, spans, limits).astype(np.float32)
    found = medians(values, spans, moments[:, LOW], moments[:, HIGH])
    want = [official(values, mask, limits, "median").median for mask in masks]
    np.testing.assert_array_equal(found, want)


def test_a_large_image_of_nothing_but_noise_is_right() -> None:
    random = np.random.default_rng(1)
    values = random.normal(-3.0, 2.0, (300, 400)).astype(np.float32)
    mask = np.ones((1, *values.shape), bool)
    (moments,) = clipped_moments(values, spans_of(mask), Limits(nclip=0))
    assert moments[COUNT] == values.size
    np.testing.assert_allclose(moments[MEAN], values.mean(dtype=float), rtol=1e-7)
    np.testing.assert_allclose(moments[STDDEV], values.std(ddof=1, dtype=float), rtol=1e-7)
    np.testing.assert_array_equal(moments[[LOWEST, HIGHEST]], [values.min(), values.max()])
    (clipped,) = clipped_moments(values, spans_of(mask), Limits(lsigma=1.0, usigma=1.0, nclip=1))
    # A normal distribution cut at one standard deviation is 0.5396 as wide.
    np.testing.assert_allclose(clipped[STDDEV], 2 * 0.5396, rtol=0.01)


def test_the_first_pixel_decides_the_lowest_value() -> None:
    """A quirk of the official package: a first pixel that is clipped is replaced by the limit."""
    values, masks = field(5, stars=0.0)
    for first, column, limit in ((-9.0, LOWEST, LOW), (9.0, HIGHEST, HIGH)):
        values[0, 0] = first
        (moments,) = clipped_moments(values, spans_of(masks[:1]), Limits())
        assert_as_official(moments, official(values, masks[0], Limits()))
        assert moments[column] == moments[limit] != values[0, 1]


def test_regions_without_a_result() -> None:
    values, masks = field(1)
    masks[0] = False
    values[masks[1]] = np.nan
    masks[2] = False
    masks[2, 3, 4] = True
    values[3, 4] = 0.25
    moments = clipped_moments(values, spans_of(masks), Limits())
    np.testing.assert_array_equal(moments[:, COUNT], [0, 0, 1])
    assert moments[2, MEAN] == 0.25
    assert np.isnan(moments[2, STDDEV])
    spans, low, high = spans_of(masks), np.float32([0, 0, 0]), np.float32([1, 1, 1])
    np.testing.assert_array_equal(medians(values, spans, low, high), [np.nan, np.nan, 0.25])
    n_bins = np.zeros(3, np.int32)
    assert histograms(values, spans, low, high, n_bins).shape == (3, 0)


@pytest.mark.parametrize("limits", [Limits(lower=9e9), Limits(upper=-1.0), Limits(0.5, 0.4)])
def test_limits_that_leave_nothing(limits: Limits) -> None:
    values, masks = field(1)
    assert not clipped_moments(values, spans_of(masks), limits)[:, COUNT].any()
    with pytest.raises(ValueError, match="cutoff"):
        official(values, masks[0], limits)


def test_equal_values_have_no_deviation() -> None:
    values = np.full((50, 70), 123.456, np.float32)
    (moments,) = clipped_moments(values, spans_of(np.ones((1, 50, 70), bool)), Limits())
    assert moments[COUNT] == 3500
    np.testing.assert_array_equal(moments[MEAN], np.float32(123.456))
    assert moments[STDDEV] == 0


def test_a_faint_deviation_from_a_large_value() -> None:
    """Deviations are summed, not squares of values, whose difference would be nothing but noise."""
    values = (1e4 + np.random.default_rng(2).normal(0, 0.01, (60, 60))).astype(np.float32)
    mask = np.ones((1, 60, 60), bool)
    (moments,) = clipped_moments(values, spans_of(mask), Limits(nclip=0))
    np.testing.assert_allclose(moments[STDDEV], values.astype(float).std(ddof=1), rtol=2e-3)
    assert_as_official(moments, official(values, mask[0], Limits(nclip=0)))


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 100)),
    limits=st.sampled_from(LIMITS),
)
def test_any_regions(seed: int, shape: tuple[int, int], limits: Limits) -> None:
    random = np.random.default_rng(seed)
    values = random.normal(0.4, 0.02, shape).astype(np.float32)
    values[random.random(shape) < 0.2] = np.nan
    masks = random.random((2, *shape)) < random.random((2, 1, 1))
    for moments, mask in zip(clipped_moments(values, spans_of(masks), limits), masks, strict=True):
        try:
            stats = official(values, mask, limits)
        except ValueError:
            assert moments[COUNT] == 0
        else:
            assert_as_official(moments, stats)


def test_the_number_of_threads_does_not_matter() -> None:
    values, masks = field(11, (173, 150))
    spans = spans_of(masks)
    results = []
    for threads in (1, 2, 5, 16):
        set_threads(threads)
        try:
            moments = clipped_moments(values, spans, Limits())
            low = moments[:, LOWEST].astype(np.float32)
            widths = np.full(3, 0.002, np.float32)
            counts = histograms(values, spans, low, widths, np.array([80, 90, 7], np.int32))
        finally:
            set_threads(0)
        results.append(np.concatenate([moments.ravel(), counts.ravel()]))
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])
