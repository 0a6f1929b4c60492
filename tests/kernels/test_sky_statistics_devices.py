"""Statistics of regions on a GPU: bit for bit those of the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_sky_statistics import LIMITS, field, spans_of

from jwgpu.kernels.sky_statistics import (
    HIGH,
    HIGHEST,
    LOW,
    LOWEST,
    MEAN,
    Limits,
    clipped_moments,
    cuda,
    histograms,
    medians,
)


def compare(gpu: Any, values: Any, masks: Any, limits: Limits) -> None:
    """Compare all statistics of both devices."""
    spans = spans_of(masks)
    sent = gpu.send(values), gpu.send(spans)
    moments = clipped_moments(values, spans, limits)
    found = gpu.fetch(clipped_moments(*sent, limits))
    # Without a result, the rest says nothing.
    has_any = moments[:, 0] > 0
    np.testing.assert_array_equal(found[:, 0], moments[:, 0])
    np.testing.assert_array_equal(found[has_any], moments[has_any])
    low, high = moments[:, LOW].astype(np.float32), moments[:, HIGH].astype(np.float32)
    np.testing.assert_array_equal(
        gpu.fetch(medians(*sent, low, high)), medians(values, spans, low, high)
    )
    n_bins = np.where(has_any, np.arange(len(masks)) * 37 + 1, 0).astype(np.int32)
    starts = moments[:, LOWEST].astype(np.float32)
    with np.errstate(all="ignore"):
        widths = ((moments[:, HIGHEST] - moments[:, LOWEST]) / n_bins).astype(np.float32)
    want = histograms(values, spans, starts, widths, n_bins)
    result = histograms(*sent, starts, widths, n_bins)
    assert result.dtype == want.dtype == np.uint32
    np.testing.assert_array_equal(gpu.fetch(result), want)


@pytest.mark.races
def test_one_of_each(gpu: Any) -> None:
    compare(gpu, *field(1, (5, 35)), Limits(nclip=1))


@pytest.mark.parametrize(
    ("limits", "shape"),
    [*zip(LIMITS, [(35, 9), (3, 130)] * 3, strict=True), (Limits(), (1, 1)), (Limits(), (5, 32))],
)
def test_the_same_numbers(gpu: Any, limits: Limits, shape: tuple[int, int]) -> None:
    compare(gpu, *field(shape[1], shape), limits)


def test_regions_without_a_result(gpu: Any) -> None:
    values, masks = field(2)
    masks[0] = False
    values[masks[1]] = np.nan
    compare(gpu, values, masks, Limits())
    compare(gpu, *field(2), Limits(lower=9e9))
    compare(gpu, *field(2), Limits(0.5, 0.4))


def test_sums_run_in_the_same_order(gpu: Any) -> None:
    """Values that cancel: what is left of them is the rounding of their sum."""
    random = np.random.default_rng(3)
    values = random.lognormal(0, 9, (70, 45)).astype(np.float32)
    both = random.permuted(np.concatenate([values, -values])).reshape(140, 45)
    both[0, 0] = 0
    spans = spans_of(np.ones((1, *both.shape), bool))
    limits = Limits(nclip=0)
    want = clipped_moments(both, spans, limits)
    assert want[0, MEAN] != np.float32(both.mean(dtype=np.float64))
    sent = gpu.send(both), gpu.send(spans)
    np.testing.assert_array_equal(gpu.fetch(clipped_moments(*sent, limits)), want)


def test_a_first_pixel_that_is_clipped(gpu: Any) -> None:
    values, masks = field(5, stars=0.0)
    for first in (-9.0, 9.0):
        values[0, 0] = first
        compare(gpu, values, masks[:1], Limits())


def test_more_bins_than_a_block_has_room_for(gpu: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(cuda, "_SHARED_BINS", 8)
    compare(gpu, *field(4), Limits())


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32),
    shape=st.tuples(st.integers(1, 20), st.integers(1, 70)),
    limits=st.sampled_from(LIMITS),
)
def test_any_regions(gpu: Any, seed: int, shape: tuple[int, int], limits: Limits) -> None:
    random = np.random.default_rng(seed)
    values = random.normal(0.0, 1.0, shape).astype(np.float32)
    values[random.random(shape) < 0.2] = np.nan
    compare(gpu, values, random.random((2, *shape)) < random.random((2, 1, 1)), limits)
