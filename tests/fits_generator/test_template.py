"""Templates: the format of the documents, and what is wrong with a template that breaks it."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from jwgpu.errors import InputError
from jwgpu.fits_generator import generate, parse_template, read_template
from jwgpu.fits_generator.generation import (
    date_and_time_to_cds,
    from_fits_time,
    mapped,
    now,
    substr,
    to_fits_time,
    to_mjd,
)
from jwgpu.fits_generator.template import FOLDER, split_comment

START = "<<file kind>>\n<<header primary>>\n"


@pytest.fixture
def raw():
    primary = fits.PrimaryHDU(np.arange(24, dtype=np.uint16).reshape(6, 2, 2))
    for keyword, value in {
        "OBS_ID": "V00512345  ",
        "NINT": 2,
        "NGROUP": 3,
        "SCA_ID": 0x1E2,
        "END_TIME": 12.0,
        "STRT": 2.0,
        "DATE-END": "2011-07-13",
        "TIME-END": "10:45:00.5",
    }.items():
        primary.header[keyword] = value
    second = fits.ImageHDU(np.ones((2, 2), np.float32))
    second.header["OBS_ID"] = "second"
    return fits.HDUList([primary, second])


def header_of(lines, raw, **sources):
    return generate(parse_template(START + lines), raw, sources)[0].header


@pytest.mark.parametrize(
    ("line", "value", "comment"),
    [
        ("OBS_ID = input()", "V00512345", ""),
        ("OBS_ID = input() / which observation", "V00512345", "which observation"),
        ("CMPLTCND = input('NINT') / T/F", 2, "T/F"),
        ("A = input('OBS_ID')[4:7] / part", "123", "part"),
        ("A = input('OBS_ID', 1)", "second", ""),
        ("A = input('NOTHING') or 'a / b' / c", "a / b", "c"),
        ("A = input('NOTHING', default=7)", 7, ""),
        ("A = input('END_TIME') - input('STRT')", 10.0, ""),
        ("A = (input('END_TIME') / 4) / a quarter", 3.0, "a quarter"),
        ("A = {0x1e1: 'NIR', \\\n  0x1e2: 'MIR', \\\n }[input('SCA_ID')] / type", "MIR", "type"),
        ("A = T", True, ""),
        ("A = program('TARGET') / of a data file", "NGC 104", "of a data file"),
        ("TARGET = program()", "NGC 104", ""),
        ("A = np_is_not_here if F else 'lazy'", "lazy", ""),
        ("A = substr(input('OBS_ID'), 1, 4)", "005", ""),
        ("A = map(input('NINT'), {2: 'two'})", "two", ""),
        ("A = input[0].header['NGROUP']", 3, ""),
        ("# a remark\n\nA = 1", 1, ""),
    ],
)
def test_keywords(raw, line, value, comment):
    header = header_of(line, raw, program={"TARGET": "NGC 104"})
    keyword = line.split("\n")[-1 if line.startswith("#") else 0].partition("=")[0].strip()
    assert header[keyword] == value
    assert type(header[keyword]) is type(value)
    assert header.comments[keyword] == comment


def test_what_is_not_there_is_left_out(raw):
    header = header_of("NOTHERE = input()\nBITPIX = 99 / of the data\nNAXIS1 =\nA = 1", raw)
    assert "NOTHERE" not in header
    assert header["BITPIX"] != 99
    assert header["A"] == 1


def test_headings_and_keywords_keep_their_order(raw):
    header = header_of("A = 1\n/ A heading\nB = 2\nA = 3", raw)
    text = [str(card).strip() for card in header.cards][-4:]
    assert text[0] == "A heading"
    assert [card.keyword for card in header.cards if card.keyword in "AB"][-2:] == ["B", "A"]
    assert header["A"] == 3


def test_data_and_the_hdus_before(raw):
    template = parse_template(
        START + "<<data>>\n<<header science>>\nEXTNAME = 'SCI'\n<<data>>\n"
        "input[0].data.reshape((input[0].header['NINT'], \\\n"
        " input[0].header['NGROUP'], 2, 2)).astype('uint16')\n"
        "<<header errors>>\nEXTNAME = 'ERR'\n<<data>>\n"
        "np.ones(output[1].data.shape).astype('float32')\n"
        "<<header none>>\nEXTNAME = 'NONE'\n<<data>>\ninput[5].data if len(input) > 5 else None\n"
        "<<header rows>>\nEXTNAME = 'ROWS'\n<<data>>\nnp.zeros(3, dtype=[('a', 'i4')])\n"
    )
    hdus = generate(template, raw)
    assert [hdu.name for hdu in hdus] == ["PRIMARY", "SCI", "ERR", "ROWS"]
    np.testing.assert_array_equal(hdus["SCI"].data.ravel(), np.arange(24))
    assert hdus["ERR"].data.shape == (2, 3, 2, 2)
    assert isinstance(hdus["ROWS"], fits.BinTableHDU)


def test_included_files(tmp_path, raw):
    (tmp_path / "more").mkdir()
    (tmp_path / "a.gen.txt").write_text(START + "#include 'more/b.inc'\nC = 3\n")
    (tmp_path / "more" / "b.inc").write_text('#include "c.inc"\nB = 2\n')
    (tmp_path / "more" / "c.inc").write_text("A = 1\n")
    header = generate(read_template(tmp_path / "a.gen.txt"), raw)[0].header
    assert [header[keyword] for keyword in "ABC"] == [1, 2, 3]
    (tmp_path / "more" / "c.inc").write_text("#include 'c.inc'\n")
    with pytest.raises(InputError, match="includes itself"):
        read_template(tmp_path / "a.gen.txt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("A = 1", "template:1: a template starts with <<file NAME>>"),
        ("<<file a>>\nA = 1", "template:2: only <<header NAME>>"),
        ("<<file a-b>>", "'a-b' is no name"),
        ("<<file a>>\n<<file b>>", "template:2: <<file b>> cannot stand here"),
        ("<<file a>>\n<<data>>", "cannot stand here"),
        (START + "PROPEPOCH = 2000.0", "template:3: PROPEPOCH has more than 8"),
        (START + "A 1", "neither KEYWORD"),
        (START + "lower = 1", "neither KEYWORD"),
        (START + "A = \\\n 1\nB 2", "template:5"),
        (START + "#include 'nothing.inc'", "no nothing.inc to include"),
    ],
)
def test_a_broken_template_names_its_line(text, message):
    with pytest.raises(InputError) as error:
        parse_template(text)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("A = input('OBS_ID'", "template:3: input('OBS_ID' failed: SyntaxError"),
        ("A = nothing()", "NameError"),
        ("A = map(1, {2: 3})", "1 is none of 2"),
        ("A = [1, 2]", "A cannot be [1, 2]"),
        ("<<data>>\n'text'", "are no array"),
    ],
)
def test_an_expression_that_fails_names_its_line(raw, lines, message):
    with pytest.raises(InputError) as error:
        header_of(lines, raw)
    assert message in str(error.value)


def test_generator_functions():
    assert to_mjd("2018-03-08T12:00:00.000") == 58185.5
    assert to_mjd("yyyy-mm-ddThh:mm:ss") is None
    assert to_fits_time(from_fits_time("2018-03-08T12:00:00.5")) == "2018-03-08T12:00:00.500"
    code = date_and_time_to_cds("1958-01-03", "00:00:01.000002")
    assert (code >> 48, (code >> 16) & 0xFFFFFFFF, code & 0xFFFF) == (2, 1000, 2)
    assert len(now()) == 19
    assert now(date_only=True) == now()[:10]
    with pytest.raises(ValueError, match="no characters"):
        substr("abc", 1, 9)
    assert mapped("a", {"a": 1}) == 1


@settings(deadline=None)
@given(
    st.text(alphabet="abc()[]'\"+ ", max_size=12).filter(lambda text: "\\" not in text),
    st.text(alphabet="abc/'( ", max_size=12),
)
def test_a_quoted_text_is_never_cut(inside, comment):
    quoted = repr(inside + "/" + inside)
    expression, found = split_comment(f" {quoted} / {comment}")
    assert expression == quoted
    assert found == comment.strip()


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.gen.txt")), ids=lambda path: path.stem)
def test_our_templates_can_be_read(path):
    template = read_template(path)
    assert [hdu.name for hdu in template.hdus][:2] == ["primary", "science"]
