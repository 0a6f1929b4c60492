"""EMI in an exposure that is taken in parts: what the whole gives, bit for bit, on both devices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_emi_devices import clock_of, made

from jwgpu.kernels import emi
from jwgpu.models.stored_planes import median_of
from jwgpu.runner.scratch import ScratchPlanes

PARTS = [slice(0, 1), slice(1, 3), slice(3, 4)]


def both(gpu: Any) -> list[Any]:
    """Return functions that send arrays to either device, and fetch them."""
    return [(np.array, np.asarray), (gpu.send, gpu.fetch)]


def test_sums_of_parts(gpu):
    for send, fetch in both(gpu):
        data, pixeldq = made(shape=(4, 5, 12, 48))
        how = (clock_of(data), 256.0, 30)
        whole = emi.sum_by_phase(send(data), send(pixeldq), *how)
        scatter = fetch(emi.scatter_along_ramps(send(data)))
        limit = float(2 * np.median(scatter))
        found = [emi.sum_by_phase(send(data[p].copy()), send(pixeldq), *how, limit) for p in PARTS]
        for all_of_it, pieces in zip(whole, zip(*found, strict=True), strict=True):
            np.testing.assert_array_equal(
                np.concatenate([fetch(p) for p in pieces]), fetch(all_of_it)
            )
        assert (fetch(whole[1]).sum(axis=1) > 0).all()


@pytest.mark.parametrize("ends_in_reference", [False, True])
def test_tables_subtracted_from_parts(gpu, ends_in_reference):
    for send, fetch in both(gpu):
        data, _ = made(shape=(4, 5, 12, 48))
        table = np.random.default_rng(1).normal(size=460)
        how = (clock_of(data), 457.62287, send(table), ends_in_reference)
        whole = send(data.copy())
        emi.subtract_table(whole, *how)
        for part in PARTS:
            piece = send(data[part].copy())
            emi.subtract_table(piece, *how, part.start)
            np.testing.assert_array_equal(fetch(piece), fetch(whole)[part])
        assert not np.array_equal(fetch(whole), data)


class OneByOne:
    """Integrations that are asked for one by one."""

    def __init__(self, data: Any, send: Any) -> None:
        self.data, self.send, self.shape = data, send, data.shape

    def __getitem__(self, integration: int) -> Any:
        return self.send(self.data[integration].copy())


def test_folding_asks_for_one_integration_at_a_time(gpu):
    for send, fetch in both(gpu):
        data, _ = made(shape=(3, 5, 12, 48))
        how = (clock_of(data), 256.0, 30, True)
        whole = fetch(emi.fold_residuals(send(data), *how))
        np.testing.assert_array_equal(fetch(emi.fold_residuals(OneByOne(data, send), *how)), whole)
        assert np.isfinite(whole).any()


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.floats(0, 2.0**99, width=32) | st.sampled_from([0.0, np.inf]), min_size=1),
    tie=st.integers(0, 6),
    nan=st.booleans(),
)
def test_the_median_of_what_is_in_a_file(tmp_path_factory, values, tie, nan):
    array = np.array(values + values[:1] * tie + [np.nan] * (nan and tie == 0), np.float32)
    folder: Path = tmp_path_factory.mktemp("median")
    planes = ScratchPlanes(folder, (array.size, 1, 1, 1), np.float32)
    planes.write(slice(None), array.reshape(planes.shape))
    with np.errstate(all="ignore"):
        expected = np.median(array)
        np.testing.assert_array_equal(median_of(planes), expected)
    assert median_of(planes).dtype == np.float32
