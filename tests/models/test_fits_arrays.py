"""Image arrays read by jwgpu are those that astropy reads, without its temporaries."""

from __future__ import annotations

import gzip
import os
import tracemalloc
import warnings

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from jwgpu.errors import InputError, ReferenceFileError
from jwgpu.models import fits_transfer
from jwgpu.models.fits_arrays import FitsFile, header_values, read_array

STORED = ["u1", "i2", "u2", "i4", "u4", "f4", "f8"]
WANTED = ["u1", "u2", "u4", "i4", "f4", "f8"]


def values(dtype, shape, seed=0):
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return rng.normal(1000, 300, shape).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)


def write(path, **arrays):
    hdus = [fits.PrimaryHDU(), *(fits.ImageHDU(a, name=n) for n, a in arrays.items())]
    fits.HDUList(hdus).writeto(path, overwrite=True)
    return path


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(fits_transfer, "CHUNK", 200)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("wanted", WANTED)
@pytest.mark.parametrize("stored", STORED)
def test_equals_astropy(tmp_path, small_chunks, stored, wanted, threads):
    data = values(stored, (3, 11, 13))
    path = write(tmp_path / "a.fits", SCI=data)
    got = read_array(path, "SCI", wanted, threads=threads)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # out of range: wraps
        expected = data.astype(wanted)
    if np.dtype(stored).kind == "f" and np.dtype(wanted).kind in "iu":
        inside = (data >= 0) & (data <= np.iinfo(wanted).max)  # beyond, the cast is undefined
        got, expected = got[inside], expected[inside]
    np.testing.assert_array_equal(got, expected)
    assert got.dtype == wanted and got.dtype.isnative and got.flags.c_contiguous


@pytest.mark.parametrize("stored", STORED)
def test_natural_dtype_keeps_the_values(tmp_path, stored):
    data = values(stored, (4, 5))
    got = read_array(write(tmp_path / "a.fits", SCI=data), "SCI")
    assert got.dtype == data.dtype
    np.testing.assert_array_equal(got, data)


@st.composite
def parts(draw):
    shape = tuple(draw(st.lists(st.integers(1, 7), min_size=2, max_size=4)))

    def part(length):
        start = draw(st.integers(0, length))
        return slice(start, draw(st.integers(start, length)))

    return shape, tuple(part(length) for length in shape)


@settings(max_examples=60, deadline=None)
@given(parts(), st.sampled_from(["u2", "f4"]), st.booleans())
def test_any_part(tmp_path_factory, shape_and_part, stored, is_compressed):
    shape, part = shape_and_part
    data = values(stored, shape)
    path = tmp_path_factory.mktemp("part") / "a.fits"
    kind = fits.CompImageHDU if is_compressed and stored == "f4" else fits.ImageHDU
    options = (
        {"compression_type": "GZIP_1", "quantize_level": 0} if kind is not fits.ImageHDU else {}
    )
    fits.HDUList([fits.PrimaryHDU(), kind(data, name="SCI", **options)]).writeto(path)
    got = read_array(path, "SCI", "f4", cut=part[-2:], planes=part[:-2])
    np.testing.assert_array_equal(got, data[part].astype("f4"))
    assert got.shape == data[part].shape


def test_only_leading_planes(tmp_path):
    data = values("f4", (4, 3, 5, 6))
    path = write(tmp_path / "a.fits", SCI=data)
    np.testing.assert_array_equal(read_array(path, "SCI", planes=slice(2)), data[:2])
    got = read_array(path, "SCI", planes=(slice(2), slice(1)), cut=(slice(1, 3), slice(None)))
    np.testing.assert_array_equal(got, data[:2, :1, 1:3])


def test_part_outside_is_an_error(tmp_path):
    path = write(tmp_path / "a.fits", SCI=values("f4", (2, 5, 6)))
    for parts in ({"cut": (slice(0, 6), slice(0, 6))}, {"planes": slice(3)}):
        with pytest.raises(InputError, match=r"a\.fits: extension SCI of shape"):
            read_array(path, "SCI", **parts)


def test_scaled_values_and_blank(tmp_path):
    path = tmp_path / "a.fits"
    hdu = fits.ImageHDU(np.array([[0, 7, -99]], "i2"), name="SCI")
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    with fits.open(path, "update", do_not_scale_image_data=True) as opened:
        opened["SCI"].header.update(BSCALE=0.5, BZERO=10.0, BLANK=-99)
    with fits.open(path) as opened:
        expected = np.array(opened["SCI"].data)
    np.testing.assert_array_equal(read_array(path, "SCI", "f4"), expected.astype("f4"))
    assert read_array(path, "SCI").dtype == expected.dtype
    assert np.isnan(read_array(path, "SCI", "f4")[0, 2])


def test_out_is_filled(tmp_path):
    data = values("u2", (2, 5, 6))
    path = write(tmp_path / "a.fits", SCI=data)
    out = np.full((2, 5, 6), np.nan, np.float32)
    assert read_array(path, "SCI", "f4", out=out) is out
    np.testing.assert_array_equal(out, data)
    with pytest.raises(ValueError, match="out must be"):
        read_array(path, "SCI", "f4", out=out[:, ::2])


def test_gzip(tmp_path):
    data = values("f4", (5, 6))
    plain = write(tmp_path / "a.fits", SCI=data)
    packed = tmp_path / "a.fits.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    np.testing.assert_array_equal(read_array(packed, "SCI"), data)
    packed.write_bytes(packed.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"a\.fits\.gz.*truncated or corrupt"):
        read_array(packed, "SCI")


def test_versions_numbers_and_absence(tmp_path):
    path = tmp_path / "a.fits"
    hdus = [fits.ImageHDU(np.full((2, 2), v, "f4"), name="SCI", ver=v) for v in (1, 2)]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
    with FitsFile(path) as opened:
        assert "ERR" not in opened and "SCI" in opened
        assert opened.read_array(("SCI", 2))[0, 0] == 2
        assert opened.read_array(1)[0, 0] == 1
        with pytest.raises(InputError, match=r"no extension ERR \(it has: SCI, SCI\)"):
            opened.read_array("ERR")
        with pytest.raises(InputError, match="holds no image"):
            opened.read_array(0)


def test_table(tmp_path):
    path = tmp_path / "a.fits"
    columns = [
        fits.Column("NAME", "8A", array=["ONE", "TWO  "]),
        fits.Column("Value", "J", array=[1, 2]),
        fits.Column("UNSIGNED", "J", bzero=2**31, array=np.array([1, 2**31], "u4")),
    ]
    table = fits.BinTableHDU.from_columns(columns, name="DQ_DEF")
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)
    with FitsFile(path) as opened:
        got = opened.columns("DQ_DEF")
    assert got["name"].tolist() == ["ONE", "TWO"]
    assert got["value"].dtype.isnative and got["value"].tolist() == [1, 2]
    assert got["unsigned"].tolist() == [1, 2**31]


def test_header_values(tmp_path):
    header = fits.Header([("A", 1), ("B", None), ("COMMENT", "x"), ("C", "text")])
    fits.PrimaryHDU(header=header).writeto(tmp_path / "a.fits")
    with FitsFile(tmp_path / "a.fits") as opened:
        got = header_values(opened.primary)
    assert (got["A"], got["B"], got["C"]) == (1, None, "text") and "COMMENT" not in got


@pytest.mark.parametrize("keep", [3, 100, 2880, 3000, 5759, 5760, 5761, 20000])
def test_truncated(tmp_path, keep):
    data = values("f4", (100, 100))
    path = write(tmp_path / "whole.fits", SCI=data)
    short = tmp_path / "short.fits"
    short.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ReferenceFileError) as caught, FitsFile(short, ReferenceFileError) as opened:
        opened.read_array("SCI")
    message = str(caught.value)
    assert "short.fits" in message and "\n" not in message
    # A file that ends between two extensions cannot be told from one that never had more.
    told = {3: "is not a FITS file", 2880: "has no extension SCI"}.get(keep, "truncated")
    assert told in message


def test_system_that_reads_less_than_asked(tmp_path, monkeypatch):
    data = values("f4", (50, 60))
    path = write(tmp_path / "a.fits", SCI=data)
    whole = os.preadv
    monkeypatch.setattr(os, "preadv", lambda file, to, at: whole(file, [to[0][:777]], at))
    np.testing.assert_array_equal(read_array(path, "SCI"), data)


def test_missing_padding_is_no_loss(tmp_path):
    data = values("f4", (10, 10))
    path = write(tmp_path / "a.fits", SCI=data)
    path.write_bytes(path.read_bytes()[: 2 * 2880 + 400])
    np.testing.assert_array_equal(read_array(path, "SCI"), data)


@pytest.mark.filterwarnings("ignore:non-ASCII")
def test_what_is_no_fits_file(tmp_path):
    no_bitpix = fits.PrimaryHDU().header.tostring().replace("BITPIX", "BITPIY").encode()
    for name, content, told in [
        ("text", b"hello, world\n" * 300, "is not a FITS file"),
        ("empty", b"", "the file is empty"),
        ("noise", b"SIMPLE  =  " + bytes(range(256)) * 40, "short|truncated|corrupt"),
        ("axes", no_bitpix, "corrupt"),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=told) as caught:
            read_array(tmp_path / name, "SCI")
        assert name in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(InputError, match="no such file"):
        read_array(tmp_path / "absent", "SCI")
    with pytest.raises(InputError, match="cannot be"):
        read_array(tmp_path, "SCI")


@pytest.mark.parametrize("stored", ["u2", "f4"])
def test_memory_is_the_result_and_a_chunk(tmp_path, stored):
    path = write(tmp_path / "a.fits", SCI=values(stored, (6, 1024, 1024)))
    tracemalloc.start()
    try:
        got = read_array(path, "SCI", "f4")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < got.nbytes + 8 * fits_transfer.CHUNK
