"""Decoded references hold what the official models hold, cut as the official package cuts."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jwst.lib.reffile_utils import get_subarray_model, ref_matches_sci
from stdatamodels.dynamicdq import dynamic_mask
from stdatamodels.jwst import datamodels
from stdatamodels.jwst.datamodels import dqflags

from jwgpu.errors import InputError, NotYetError, ReferenceFileError
from jwgpu.references import References
from jwgpu.references.flags import translate_flags

pytestmark = pytest.mark.filterwarnings("ignore::stdatamodels.exceptions.ValidationWarning")

RNG = np.random.default_rng(1)
SHAPE = (40, 64)
PLACE = {"SUBARRAY": "GENERIC", "SUBSTRT1": 1, "SUBSTRT2": 9, "SUBSIZE1": 64, "SUBSIZE2": 40}
FLAGS = [(1, "DO_NOT_USE"), (2, "HOT"), (4, "DEAD"), (8, "NOT_A_FLAG"), (32, "NO_SAT_CHECK")]


def image(*leading, dtype="f4"):
    data = RNG.normal(100, 30, (*leading, *SHAPE)).astype(dtype)
    data.reshape(-1)[5] = np.nan
    return data


def flags(*leading):
    return RNG.integers(0, 64, (*leading, *SHAPE)).astype("u4")


def load(path, reftype, model, shape=None, **options):
    source = References(lambda asked: path if asked == reftype else None)
    return source.load(reftype, model.meta, shape or model.data.shape, **options)


def official(model_class, path, exposure):
    model = model_class(path)
    return model if ref_matches_sci(exposure, model) else get_subarray_model(exposure, model)


CASES = {
    "mask": (datamodels.MaskModel, {"DQ": flags()}, {"dq": "dq"}),
    "saturation": (
        datamodels.SaturationModel,
        {"SCI": image(), "DQ": flags()},
        {"data": "data", "dq": "dq"},
    ),
    "superbias": (
        datamodels.SuperBiasModel,
        {"SCI": image(), "ERR": image(), "DQ": flags()},
        {"data": "data", "dq": "dq"},
    ),
    "linearity": (
        datamodels.LinearityModel,
        {"COEFFS": image(5), "INV_COEFFS": image(7), "DQ": flags()},
        {"coefficients": "coeffs", "inverse_coefficients": "inv_coeffs", "dq": "dq"},
    ),
    "gain": (datamodels.GainModel, {"SCI": image(dtype="f8")}, {"data": "data"}),
    "readnoise": (datamodels.ReadnoiseModel, {"SCI": image()}, {"data": "data"}),
    "dark": (
        datamodels.DarkModel,
        {"SCI": image(4), "DQ": flags()},
        {"data": "data", "dq": "dq"},
    ),
}


@pytest.mark.parametrize("place", [(9, 17), (3, 9), (43, 33)])
@pytest.mark.parametrize("reftype", CASES)
def test_as_the_official_models(write, exposure, reftype, place):
    model_class, arrays, names = CASES[reftype]
    table = FLAGS if "DQ" in arrays else None
    keywords = {**PLACE, "SUBSTRT1": 3, "NFRAMES": 1, "GROUPGAP": 0}
    path = write("r.fits", reftype, keywords, flags=table, **arrays)
    science = exposure(place=place)
    reference = load(path, reftype, science)
    expected = official(model_class, path, science)
    for ours, theirs in names.items():
        got, wanted = getattr(reference, ours), np.asarray(getattr(expected, theirs))
        np.testing.assert_array_equal(got, wanted)
        assert got.dtype == (np.uint32 if ours == "dq" else np.float32)
        assert got.dtype.isnative and got.flags.c_contiguous and got.shape[-2:] == (16, 24)
    assert reference.path == str(path) and reference.header["REFTYPE"] == reftype.upper()


def test_linearity_without_inverse_and_flags_without_definitions(write, exposure):
    dq = flags()
    path = write("r.fits", "linearity", PLACE, COEFFS=image(3), DQ=dq)
    reference = load(path, "linearity", exposure())
    assert reference.inverse_coefficients is None
    np.testing.assert_array_equal(reference.dq, dq[8:24, 8:32])


def test_no_flags_at_all(write, exposure):
    reference = load(write("r.fits", "superbias", PLACE, SCI=image()), "superbias", exposure())
    assert reference.dq.shape == (16, 24) and reference.dq.dtype == np.uint32
    assert not reference.dq.any()


def test_gain_factor(write, exposure):
    path = write("r.fits", "gain", {**PLACE, "GAINFACT": 2.0}, SCI=image())
    assert load(path, "gain", exposure()).gain_factor == 2.0
    path = write("s.fits", "gain", PLACE, SCI=image())
    assert load(path, "gain", exposure()).gain_factor is None


MIRI = {**PLACE, "INSTRUME": "MIRI", "DETECTOR": "MIRIMAGE"}
MIRI_EXPOSURE = {"instrument.name": "MIRI", "instrument.detector": "MIRIMAGE"}


def test_miri_dark(write, exposure):
    data, dq = image(3, 6), flags(3, 1)
    keywords = {**MIRI, "NFRAMES": 1, "GROUPGAP": 0, "NGROUPS": 6, "AVDRKCUR": 0.5}
    average = image()
    path = write("r.fits", "dark", keywords, flags=FLAGS, SCI=data, DQ=dq, AVDRKCUR=average)
    science = exposure(shape=(2, 4, 16, 24), **MIRI_EXPOSURE)
    reference = load(path, "dark", science)
    # Only the two integrations of four groups that the exposure has.
    np.testing.assert_array_equal(reference.data, data[:2, :4, 8:24, 8:32])
    assert reference.planes_in_file == (3, 6)
    assert (reference.nframes, reference.groupgap, reference.ngroups) == (1, 0, 6)
    assert reference.average_dark_current_value == 0.5
    np.testing.assert_array_equal(reference.average_dark_current, average[8:24, 8:32])
    # The official step joins the flags of the first group of all integrations.
    expected = datamodels.DarkMIRIModel(path).dq[:, 0]
    np.testing.assert_array_equal(reference.dq, np.bitwise_or.reduce(expected)[8:24, 8:32])
    whole = load(path, "dark", science, planes="all")
    np.testing.assert_array_equal(whole.data, data[..., 8:24, 8:32])


@pytest.mark.parametrize(
    ("dark", "science", "groups"),
    [
        ((1, 0), (1, 0), 4),
        ((4, 1), (4, 1), 4),
        ((1, 0), (4, 1), 19),  # 4 groups of 4 frames, and 3 frames dropped between them
        ((1, 0), (8, 12), 20),  # more than there are: all
        ((2, 0), (4, 0), 20),  # rules not plain: all
        ((None, 0), (4, 0), 20),
    ],
)
def test_groups_of_a_dark_that_are_read(write, exposure, dark, science, groups):
    data = image(20)
    path = write("r.fits", "dark", {**PLACE, "NFRAMES": dark[0], "GROUPGAP": dark[1]}, SCI=data)
    taken = {"exposure.nframes": science[0], "exposure.groupgap": science[1]}
    reference = load(path, "dark", exposure(**taken))
    np.testing.assert_array_equal(reference.data, data[:groups, 8:24, 8:32])


def test_later_segment_keeps_the_integrations_of_dark_and_reset(write, exposure):
    data = image(3, 5)
    science = exposure(**MIRI_EXPOSURE, **{"exposure.integration_start": 2})
    keywords = {**MIRI, "NFRAMES": 1, "GROUPGAP": 0, "NINTS": 3, "NGROUPS": 5}
    dark = load(write("d.fits", "dark", keywords, SCI=data), "dark", science)
    reset = load(write("r.fits", "reset", keywords, SCI=data), "reset", science)
    np.testing.assert_array_equal(dark.data, data[..., 8:24, 8:32])
    np.testing.assert_array_equal(reset.data, data[:2, :4, 8:24, 8:32])
    assert (reset.nints, reset.ngroups, reset.planes_in_file) == (3, 5, (3, 5))


def test_ipc_kernels(write, exposure):
    kernel = RNG.normal(size=(3, 3)).astype("f4")
    flat = write("a.fits", "ipc", {key: None for key in PLACE}, SCI=kernel)
    np.testing.assert_array_equal(load(flat, "ipc", exposure()).kernel, kernel)
    varying = image(3, 3)
    deep = write("b.fits", "ipc", PLACE, SCI=varying)
    np.testing.assert_array_equal(load(deep, "ipc", exposure()).kernel, varying[..., 8:24, 8:32])


@pytest.mark.parametrize("is_old", [False, True])
def test_rscd(tmp_path, exposure, is_old):
    kinds = [("subarray", "S17"), ("readpatt", "S12"), ("group_skip1", "i4"), ("group_skip", "i4")]
    table = np.array([(b"FULL", b"FASTR1", 2, 4), (b"SUB256", b"FASTR1", 1, 3)], dtype=kinds)
    model = datamodels.RSCDModel(rscd_group_skip_table=table)
    model.meta.instrument.name, model.meta.reftype = "MIRI", "RSCD"
    model.save(tmp_path / "rscd.fits")
    if is_old:
        from astropy.io import fits

        with fits.open(tmp_path / "rscd.fits", "update") as opened:
            opened["RSCD_GROUP_SKIP"].columns.del_col("group_skip1")
    reference = load(tmp_path / "rscd.fits", "rscd", exposure(**MIRI_EXPOSURE))
    assert reference.rows["subarray"].tolist() == ["FULL", "SUB256"]
    assert reference.rows["group_skip"].tolist() == [4, 3]
    assert reference.rows["group_skip1"].tolist() == ([-1, -1] if is_old else [2, 1])


def test_full_frame_file_without_subarray_keywords(write, exposure, caplog):
    data = np.arange(2048 * 2048, dtype="f4").reshape(2048, 2048)
    path = write("r.fits", "gain", {key: None for key in PLACE}, SCI=data)
    with caplog.at_level(logging.WARNING):
        got = load(path, "gain", exposure()).data
    np.testing.assert_array_equal(got, data[16:32, 8:32])
    assert "taken as full frame" in caplog.text


def test_size_keywords_that_are_wrong(write, exposure, caplog):
    data = image()
    path = write("r.fits", "gain", {**PLACE, "SUBSIZE1": 2048}, SCI=data)
    np.testing.assert_array_equal(load(path, "gain", exposure()).data, data[8:24, 8:32])
    assert "its size is used" in caplog.text


@pytest.mark.parametrize(
    ("reftype", "keywords", "arrays", "told"),
    [
        ("gain", {"SUBSTRT1": None}, {"SCI": image()}, "SUBSTRT1, SUBSTRT2, SUBSIZE1"),
        ("gain", {"SUBSTRT1": 0}, {"SCI": image()}, "counted from 1"),
        ("gain", {"SUBSTRT1": 20}, {"SCI": image()}, "give a reference for this subarray"),
        ("gain", {"REFTYPE": "FLAT"}, {"SCI": image()}, "is a FLAT reference"),
        ("gain", {"INSTRUME": "MIRI"}, {"SCI": image()}, "is a reference of MIRI"),
        ("gain", {"GAINFACT": "two"}, {"SCI": image()}, "GAINFACT is 'two'"),
        ("gain", {}, {"SCI": image(2)}, r"2 axes are needed for GAIN"),
        ("gain", {}, {"DQ": flags()}, "has no SCI image"),
        ("mask", {}, {"SCI": image()}, "has no DQ image"),
        ("superbias", {}, {"SCI": image(), "DQ": flags()[:30]}, "not consistent"),
        ("linearity", {}, {"COEFFS": image(3), "INV_COEFFS": image(3)[:, 1:]}, "not consistent"),
        ("reset", {}, {"SCI": image(3)}, "4 axes are needed"),
        ("rscd", {}, {"SCI": image()}, "no table RSCD_GROUP_SKIP"),
    ],
)
def test_files_that_do_not_fit(write, exposure, reftype, keywords, arrays, told):
    path = write("bad.fits", reftype, {**PLACE, **keywords}, **arrays)
    with pytest.raises(ReferenceFileError, match=told) as caught:
        load(path, reftype, exposure())
    assert "bad.fits" in str(caught.value) and "\n" not in str(caught.value)


def test_exposure_without_subarray_keywords(write, exposure):
    path = write("r.fits", "gain", PLACE, SCI=image())
    with pytest.raises(InputError, match=r"jw1_uncal\.fits: keyword SUBSTRT1 is missing"):
        load(path, "gain", exposure(**{"subarray.xstart": None}))
    with pytest.raises(InputError, match="counted from 1"):
        load(path, "gain", exposure(place=(0, 17)))
    with pytest.raises(InputError, match="lacks MSTR_RD1"):
        load(path, "gain", exposure(**{"subarray.num_superstripe": 2}))


def test_unknown_type(write, exposure):
    with pytest.raises(NotYetError, match="SPECWCS"):
        load(write("r.fits", "specwcs", PLACE), "specwcs", exposure())


def test_open_models(exposure):
    science = exposure()
    mask = datamodels.MaskModel(flags())
    mask.meta.instrument.name, mask.meta.reftype = "NIRCAM", "MASK"
    for name, value in zip(("xstart", "ystart", "xsize", "ysize"), (1, 9, 64, 40), strict=True):
        setattr(mask.meta.subarray, name, value)
    reference = load(mask, "mask", science)
    np.testing.assert_array_equal(reference.dq, mask.dq[8:24, 8:32])
    reference.dq[:] = 0
    assert mask.dq.any()


def test_asdf_file(tmp_path, exposure):
    gain = datamodels.GainModel(image())
    gain.meta.instrument.name, gain.meta.reftype = "NIRCAM", "GAIN"
    for name, value in zip(("xstart", "ystart", "xsize", "ysize"), (1, 9, 64, 40), strict=True):
        setattr(gain.meta.subarray, name, value)
    gain.save(tmp_path / "gain.asdf")
    reference = load(tmp_path / "gain.asdf", "gain", exposure())
    np.testing.assert_array_equal(reference.data, gain.data[8:24, 8:32])
    (tmp_path / "bad.asdf").write_text("no ASDF")
    with pytest.raises(ReferenceFileError, match=r"bad\.asdf: cannot be read"):
        load(tmp_path / "bad.asdf", "gain", exposure())


@st.composite
def definitions(draw):
    names = [*dqflags.pixel, "UNKNOWN"]
    chosen = draw(st.lists(st.sampled_from(names), max_size=8, unique=True))
    bits = st.integers(0, 2**32 - 1) | st.integers(0, 31).map(lambda bit: 1 << bit)
    return [(draw(bits | st.just(dqflags.pixel.get(name, 8))), name) for name in chosen]


@settings(max_examples=80, deadline=None)
@given(definitions(), st.sampled_from([8, 16, 17, 32]), st.integers(0, 2**32 - 1))
def test_flags_are_translated_as_officially(table, bits, seed):
    dq = np.random.default_rng(seed).integers(0, 2**bits, (5, 7)).astype("u4")

    class Model:
        dq_def = np.array(
            [(value, name) for value, name in table], dtype=[("VALUE", "u4"), ("NAME", "U40")]
        )

    Model.dq = dq.copy()
    expected = dynamic_mask(Model, dqflags.pixel) if table else dq
    if table:
        translate_flags(dq, [name for _, name in table], [value for value, _ in table])
    np.testing.assert_array_equal(dq, expected)


def test_flags_that_are_official_already():
    dq = np.arange(16, dtype="u4")
    translate_flags(dq, ["DO_NOT_USE", "JUMP_DET"], [1, 4])
    np.testing.assert_array_equal(dq, np.arange(16) & 5)
