"""A folder of references answers as CRDS would, by the rules of the calibration documents."""

from __future__ import annotations

import logging
import os

import pytest
from stdatamodels.jwst import datamodels

from jwgpu.errors import ReferenceFileError
from jwgpu.references import References
from jwgpu.references.folder import ReferenceFolder


@pytest.fixture
def find(tmp_path, exposure):
    """Find a reference in the folder for an exposure with these facts: its name there."""

    def by_name(reftype, *, optional=False, **facts):
        meta = exposure(**{key.replace("__", "."): value for key, value in facts.items()}).meta
        found = References(folder=tmp_path).find(reftype, meta, optional=optional)
        return found if found == "N/A" else os.path.relpath(found, tmp_path)

    return by_name


def test_instrument_detector_and_type(write, find):
    write("a.fits", "gain")
    write("b.fits", "gain", {"DETECTOR": "NRCA2"})
    write("c.fits", "gain", {"INSTRUME": "NIRISS"})
    write("d.fits", "readnoise")
    assert find("gain") == "a.fits"
    assert find("gain", instrument__detector="NRCA2") == "b.fits"
    assert find("readnoise") == "d.fits"


@pytest.mark.parametrize("value", ["N/A", "GENERIC", "ANY", "nrca1", " NRCA1 "])
def test_detector_that_fits(write, find, value):
    write("a.fits", "gain", {"DETECTOR": value})
    assert find("gain") == "a.fits"


def test_exact_subarray_before_generic_before_full(write, find):
    write("full.fits", "superbias", {"READPATT": "RAPID", "SUBARRAY": "FULL"})
    assert find("superbias") == "full.fits"
    write("generic.fits", "superbias", {"READPATT": "RAPID", "SUBARRAY": "GENERIC"})
    assert find("superbias") == "generic.fits"
    place = {"SUBSTRT1": 9, "SUBSTRT2": 17, "SUBSIZE1": 24, "SUBSIZE2": 16}
    write("exact.fits", "superbias", {"READPATT": "RAPID", "SUBARRAY": "SUB160", **place})
    assert find("superbias") == "exact.fits"
    assert find("superbias", subarray__name="FULL") == "full.fits"


def test_full_frame_dark_for_a_subarray_is_told(write, find, caplog):
    write("a.fits", "dark", {"EXP_TYPE": "NRC_IMAGE"})
    with caplog.at_level(logging.WARNING):
        assert find("dark") == "a.fits"
    assert "depends on the readout" in caplog.text


def test_other_subarray_does_not_fit(write, find):
    write("a.fits", "gain", {"SUBARRAY": "SUB320"})
    with pytest.raises(ReferenceFileError, match="SUBARRAY is SUB320, not SUB160"):
        find("gain")


def test_place_on_the_detector_must_be_covered(write, find):
    write("a.fits", "gain", {"SUBARRAY": "GENERIC", "SUBSTRT1": 20, "SUBSIZE1": 100})
    with pytest.raises(ReferenceFileError, match=r"it covers columns 20-119, .* not columns 9-32"):
        find("gain")
    assert find("gain", subarray__xstart=30) == "a.fits"


def test_read_pattern_exact_before_any(write, find):
    any_pattern = write("any.fits", "readnoise", {"READPATT": "ANY"})
    write("many.fits", "readnoise", {"READPATT": "BRIGHT1", "P_READPA": "BRIGHT1|BRIGHT2|"})
    assert find("readnoise") == "any.fits"
    assert find("readnoise", exposure__readpatt="BRIGHT2") == "many.fits"
    any_pattern.unlink()
    with pytest.raises(ReferenceFileError, match=r"READPATT is BRIGHT1 or BRIGHT2, not RAPID"):
        find("readnoise")


def test_filter_selects_only_where_the_documents_say_so(write, find):
    write("a.fits", "linearity", {"FILTER": "F444W"})
    assert find("linearity") == "a.fits"  # the filter does not matter for NIRCam
    miri = {"INSTRUME": "MIRI", "DETECTOR": "MIRIMAGE", "SUBARRAY": "GENERIC"}
    write("b.fits", "linearity", {**miri, "FILTER": "F560W"})
    write("c.fits", "linearity", {**miri, "P_FILTER": "F770W|F1000W"})
    facts = {"instrument__name": "MIRI", "instrument__detector": "MIRIMAGE"}
    assert find("linearity", **facts, instrument__filter="F560W") == "b.fits"
    assert find("linearity", **facts, instrument__filter="F1000W") == "c.fits"
    with pytest.raises(ReferenceFileError, match="FILTER is"):
        find("linearity", **facts, instrument__filter="F2100W")


def test_exposure_type_of_a_dark(write, find):
    write("a.fits", "dark", {"EXP_TYPE": "NRC_DARK"})
    assert find("dark") == "a.fits"  # says how it was measured
    write("b.fits", "dark", {"P_EXP_TY": "NRC_IMAGE|NRC_CORON"})
    assert find("dark") == "b.fits"
    assert find("dark", exposure__type="NRC_TSGRISM") == "a.fits"


def test_latest_use_after_that_is_not_later_than_the_exposure(write, find):
    write("old.fits", "gain", {"USEAFTER": "2021-01-01T00:00:00"})
    write("new.fits", "gain", {"USEAFTER": "2023-05-06T07:08:09"})
    write("later.fits", "gain", {"USEAFTER": "2023-05-06T07:08:10"})
    write("never.fits", "gain", {"USEAFTER": None})
    assert find("gain") == "new.fits"
    assert find("gain", observation__time="07:08:09") == "new.fits"
    assert find("gain", observation__time="07:08:00") == "old.fits"
    assert find("gain", observation__date="2019-01-01") == "never.fits"
    assert find("gain", observation__date=None) == "later.fits"


def test_all_too_late(write, find):
    write("a.fits", "gain", {"USEAFTER": "2024-01-01 00:00:00"})
    with pytest.raises(ReferenceFileError, match="later than the exposure"):
        find("gain")


def test_equally_good_files(write, find):
    write("a.fits", "gain")
    write("sub/b.fits", "gain")
    with pytest.raises(ReferenceFileError, match=r"a\.fits and sub/b\.fits are equally good GAIN"):
        find("gain")


def test_later_delivery_of_crds_wins(write, find):
    write("jwst_nircam_gain_0099.fits", "gain")
    write("jwst_nircam_gain_0101.fits", "gain")
    assert find("gain") == "jwst_nircam_gain_0101.fits"


def test_nothing_there(write, find):
    write("a.fits", "mask")
    with pytest.raises(ReferenceFileError) as caught:
        find("gain")
    message = str(caught.value)
    assert "holds no GAIN file (it has: MASK)" in message and "override_gain" in message
    assert "jw1_uncal.fits" in message and "\n" not in message
    assert find("gain", optional=True) == "N/A"


def test_types_that_an_instrument_does_not_use(write, find):
    write("a.fits", "superbias")
    assert find("superbias", instrument__name="MIRI") == "N/A"
    assert find("rscd") == "N/A"


def test_types_beyond_the_tables_match_whatever_they_state(write, find):
    write("a.fits", "flat", {"FILTER": "F200W"})
    write("b.fits", "flat", {"FILTER": "F115W"})
    assert find("flat") == "a.fits"


def test_asdf_files(tmp_path, find):
    model = datamodels.GainModel((4, 4))
    model.meta.instrument.name, model.meta.instrument.detector = "NIRCAM", "NRCA1"
    model.meta.reftype, model.meta.useafter = "GAIN", "2020-01-01T00:00:00"
    with pytest.warns(match="missing values"):
        model.save(tmp_path / "a.asdf")
    assert find("gain") == "a.asdf"


def test_what_is_no_reference_is_passed_over(tmp_path, write, find, caplog):
    (tmp_path / "broken.fits").write_bytes(b"SIMPLE  =                    T" + b" " * 500)
    (tmp_path / "broken.asdf").write_text("no")
    (tmp_path / ".hidden.fits").write_text("no")
    (tmp_path / "notes.txt").write_text("no")
    write("a.fits", "gain")
    with caplog.at_level(logging.WARNING):
        assert find("gain") == "a.fits"
    assert caplog.text.count("not used as a reference") == 2
    assert "broken.fits" in caplog.text and "broken.asdf" in caplog.text


def test_a_file_that_changes_is_read_again(tmp_path, write, find):
    path = write("a.fits", "gain", {"DETECTOR": "NRCA2"})
    with pytest.raises(ReferenceFileError):
        find("gain")
    write("a.fits", "gain")
    os.utime(path, (1, 1))
    assert find("gain") == "a.fits"


def test_no_such_folder(tmp_path):
    with pytest.raises(ReferenceFileError, match="no such folder"):
        ReferenceFolder(tmp_path / "absent")
