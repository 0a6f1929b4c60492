"""Overrides come first, names are recorded as officially, and what is kept is not read again."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from stdatamodels.jwst import datamodels

from jwgpu.errors import InputError, ReferenceFileError
from jwgpu.references import ReferenceCache, References
from jwgpu.references.types import GainReference

SMALL = {"SUBSTRT1": 9, "SUBSTRT2": 17, "SUBSIZE1": 24, "SUBSIZE2": 16, "SUBARRAY": "SUB160"}


def gain(value=1.0):
    return np.full((16, 24), value, "f4")


def test_override_before_folder(tmp_path, write, exposure, monkeypatch):
    write("refs/a.fits", "gain", SMALL, SCI=gain(1))
    other = write("b.fits", "gain", SMALL, SCI=gain(2))
    meta = exposure().meta
    monkeypatch.chdir(tmp_path)
    for override in ("b.fits", Path("b.fits"), str(other)):
        source = References({"gain": override}.get, tmp_path / "refs")
        assert source.load("gain", meta, (16, 24)).data[0, 0] == 2
        assert source.names_used == {"gain": str(other)}
    source = References(lambda reftype: None, tmp_path / "refs")
    assert source.load("gain", meta, (16, 24)).data[0, 0] == 1
    assert source.names_used == {"gain": str(tmp_path / "refs" / "a.fits")}


def test_overrides_of_nothing(tmp_path, exposure):
    source = References(lambda reftype: "N/A", tmp_path)
    assert source.find("gain", exposure().meta) == "N/A"
    assert source.load("gain", exposure().meta, (16, 24)) is None
    assert source.names_used == {"gain": "N/A"}


def test_override_that_is_not_there(tmp_path, exposure):
    source = References(lambda reftype: str(tmp_path / "absent.fits"))
    with pytest.raises(ReferenceFileError, match=r"absent\.fits: no such file.*override_gain"):
        source.load("gain", exposure().meta, (16, 24))


def test_open_model_is_named_as_officially(exposure):
    model = datamodels.GainModel(gain(3))
    for name, value in zip(("xstart", "ystart", "xsize", "ysize"), (9, 17, 24, 16), strict=True):
        setattr(model.meta.subarray, name, value)
    source = References(lambda reftype: model)
    assert source.find("gain", exposure().meta) is model
    assert source.load("gain", exposure().meta, (16, 24)).data[0, 0] == 3
    assert source.names_used == {"gain": model.override_handle}


def test_arrays_go_to_the_device_and_stay_equal(write, exposure, device):
    path = write("a.fits", "gain", SMALL, SCI=gain(2))
    got = References(lambda reftype: path).load("gain", exposure().meta, (16, 24), device)
    assert isinstance(got.data, type(device.send(gain())))
    np.testing.assert_array_equal(device.fetch(got.data), gain(2))


def test_kept_references_are_not_read_again(write, exposure):
    path = write("a.fits", "gain", SMALL, SCI=gain(2))
    cache = ReferenceCache()
    meta = exposure().meta
    first = References(lambda reftype: path, cache=cache).load("gain", meta, (16, 24))
    again = References(lambda reftype: path, cache=cache).load("gain", meta, (16, 24))
    assert again is first
    write("a.fits", "gain", SMALL, SCI=gain(5))
    os.utime(path, (1, 1))
    changed = References(lambda reftype: path, cache=cache).load("gain", meta, (16, 24))
    assert changed.data[0, 0] == 5


def test_another_subarray_is_another_cut(write, exposure):
    data = np.arange(16 * 24, dtype="f4").reshape(16, 24)
    path = write("a.fits", "gain", SMALL, SCI=data)
    source = References(lambda reftype: path, cache=ReferenceCache())
    for first in (9, 11):
        meta = exposure(shape=(1, 2, 8, 10), place=(first, 17)).meta
        got = source.load("gain", meta, (1, 2, 8, 10)).data
        np.testing.assert_array_equal(got, data[:8, first - 9 : first + 1])


def test_longer_exposure_reads_more_of_the_dark(write, exposure):
    data = np.zeros((9, 16, 24), "f4")
    path = write("a.fits", "dark", {**SMALL, "NFRAMES": 1, "GROUPGAP": 0}, SCI=data)
    source = References(lambda reftype: path, cache=ReferenceCache())
    for groups in (4, 7, 4):
        shape = (1, groups, 16, 24)
        assert len(source.load("dark", exposure(shape).meta, shape).data) == groups


def test_cache_keeps_within_its_budget():
    cache = ReferenceCache(2 * gain().nbytes)
    references = {name: GainReference(gain()) for name in "abc"}
    for name in "ab":
        cache.put(name, references[name])
    assert cache.get("a") is references["a"]
    cache.put("c", references["c"])  # "b" was unused for longest
    assert cache.get("b") is None and cache.get("a") is not None and cache.get("c") is not None
    assert cache.size == 2 * gain().nbytes
    cache.put("big", GainReference(np.zeros((100, 100), "f4")))
    assert cache.get("big") is None and cache.get("a") is not None
    cache.clear()
    assert cache.size == 0


def test_no_budget_keeps_nothing(write, exposure):
    path = write("a.fits", "gain", SMALL, SCI=gain())
    source = References(lambda reftype: path)
    meta = exposure().meta
    assert source.load("gain", meta, (16, 24)) is not source.load("gain", meta, (16, 24))


def test_steps_share_what_was_found(tmp_path, write, exposure):
    write("a.fits", "gain", SMALL, SCI=gain(1))
    shared = References(folder=tmp_path, cache=ReferenceCache())
    meta = exposure().meta
    one = shared.with_overrides(lambda reftype: None)
    two = shared.with_overrides(lambda reftype: None)
    skipped = shared.with_overrides(lambda reftype: "N/A")
    assert one.load("gain", meta, (16, 24)) is two.load("gain", meta, (16, 24))
    assert skipped.load("gain", meta, (16, 24)) is None
    assert one.names_used != skipped.names_used and not shared.names_used


def test_exposure_without_instrument(tmp_path, exposure):
    model = exposure(**{"instrument.name": None, "instrument.detector": None})
    with pytest.raises(InputError, match=r"jw1_uncal\.fits: keyword INSTRUME is missing"):
        References(folder=tmp_path).find("gain", model.meta)
