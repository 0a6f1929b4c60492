"""Association files: what is read, what is refused, and that the official package agrees."""

import json
from pathlib import Path

import numpy as np
import offline  # noqa: F401  (before anything of jwst)
import pytest
from astropy.io import fits

from jwgpu.associations import check_members, read_association
from jwgpu.errors import InputError

MEMBERS = [
    {"expname": "a_rate.fits", "exptype": "science"},
    {"expname": "sub/b_rate.fits", "exptype": "BACKGROUND"},
    {"expname": "c_rate.fits", "exptype": "background", "exposerr": None},
]


def written(folder: Path, content: object, name: str = "jw_asn.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def of(*members: dict, **more: object) -> dict:
    return {"products": [{"name": "p", "members": list(members)}], **more}


def exposure(path: Path, instrument: str | None = "NIRCAM") -> None:
    path.parent.mkdir(exist_ok=True)
    hdu = fits.PrimaryHDU(np.zeros((2, 2), np.float32))
    if instrument:
        hdu.header["INSTRUME"] = instrument
    hdu.writeto(path)


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        check_members(read_association(path))
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    return message


def test_all_products_with_their_members_by_kind(tmp_path):
    second = {"members": [{"expname": "/data/z_cal.fits", "exptype": "psf"}]}
    content = {**of(*MEMBERS), "asn_pool": "pool", "asn_id": "o001"}
    content["products"].append(second)
    association = read_association(written(tmp_path, content))
    assert [product.name for product in association.products] == ["p", ""]
    assert association.of("background") == [tmp_path / "sub/b_rate.fits", tmp_path / "c_rate.fits"]
    assert association.of("Science") == [tmp_path / "a_rate.fits"]
    assert association.products[1].of("psf") == [Path("/data/z_cal.fits")]
    assert (association.name, association.pool) == ("jw_asn.json", "pool")
    assert association.identifier == "o001"
    assert association.members[2].entry["exposerr"] is None
    assert association.content == content


@pytest.mark.parametrize(
    "content",
    [
        of(*MEMBERS, asn_type="image2", asn_rule="Asn_Lv2Image", asn_pool="p", program="1"),
        of(*MEMBERS, asn_type="image3", version_id=None, target="t", asn_id="a3001"),
        of({"expname": 3, "exptype": "science"}),
        of({"expname": "a_rate.fits"}),
        of(*MEMBERS, asn_type="image3", asn_rule=7),
        of(*MEMBERS, asn_type=2),
        {"products": {"members": MEMBERS}},
        {"members": MEMBERS},
        {"products": [{"name": "x"}]},
        {"products": [{"name": None, "members": MEMBERS}]},
        [],
    ],
)
def test_the_schema_takes_what_the_official_one_takes(tmp_path, content):
    from jwst.associations import load_asn

    path = written(tmp_path, content)
    try:
        with path.open() as file:
            load_asn(file)
        is_taken = True
    except Exception:
        is_taken = False
    if is_taken:
        assert read_association(path).content == content
    else:
        assert "no association" in refusal(path)


@pytest.mark.parametrize(
    ("name", "message", "text"),
    [
        (
            "jw_asn.yaml",
            "YAML is deprecated",
            "products: [{members: [{expname: a_rate.fits, exptype: science}]}]",
        ),
        (
            "jw_asn.json",
            "was read as YAML",
            '{"products": [{"members": [{"expname": "a_rate.fits", "exptype": "science"},]}]}',
        ),
        (
            "jw_asn.txt",
            "should be JSON",
            '{"products": [{"members": [{"expname": "a_rate.fits", "exptype": "science"}]}]}',
        ),
    ],
)
def test_other_than_json_is_read_but_deprecated_as_officially(
    tmp_path, caplog, name, message, text
):
    from jwst.associations import load_asn

    path = written(tmp_path, text, name)
    with path.open() as file, pytest.warns(DeprecationWarning):
        theirs = load_asn(file)
    with pytest.warns(DeprecationWarning, match=f"{name}: .*{message}"):
        ours = read_association(path)
    assert ours.content["products"] == theirs["products"]
    assert message in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("nothing of this kind", "not JSON"),
        ({"products": []}, "no products"),
        (of(), "no members"),
        (of({"expname": "../x_rate.fits", "exptype": "science"}), "outside its folder"),
        (of({"expname": "sub/../../x_rate.fits", "exptype": "science"}), "outside its folder"),
        (of({"expname": "..", "exptype": "science"}), "outside its folder"),
        (of({"expname": "", "exptype": "science"}), "no name"),
        (of({"expname": "jw_asn.json", "exptype": "science"}), "the association itself"),
        (of({"expname": "sub/../jw_asn.json", "exptype": "science"}), "the association itself"),
        (of({"expname": "other_asn.json", "exptype": "science"}), "an association as well"),
        (of(MEMBERS[0], {**MEMBERS[0], "expname": "./a_rate.fits"}), "twice as science"),
        (of(MEMBERS[0]), "is missing"),
    ],
)
def test_refuses_with_one_line(tmp_path, content, message):
    assert message in refusal(written(tmp_path, content))


def test_one_file_may_serve_two_products_or_as_two_kinds(tmp_path):
    content = of(MEMBERS[0], {**MEMBERS[0], "exptype": "background"})
    content["products"].append({"members": [MEMBERS[0]]})
    exposure(tmp_path / "a_rate.fits")
    check_members(read_association(written(tmp_path, content)))


def test_what_is_not_there_is_one_line(tmp_path):
    assert "no such file" in refusal(tmp_path / "jw_asn.json")
    (tmp_path / "bytes_asn.json").write_bytes(b"\xff\xfe\x00")
    assert "not text" in refusal(tmp_path / "bytes_asn.json")


def test_instruments_are_not_mixed(tmp_path):
    path = written(tmp_path, of(*MEMBERS))
    exposure(tmp_path / "a_rate.fits")
    exposure(tmp_path / "sub/b_rate.fits", None)
    exposure(tmp_path / "c_rate.fits", "MIRI")
    assert "a_rate.fits is of NIRCAM, c_rate.fits of MIRI" in refusal(path)
    check_members(read_association(path), "science")


def test_only_the_kinds_that_are_needed_must_be_there(tmp_path):
    path = written(tmp_path, of(*MEMBERS))
    exposure(tmp_path / "a_rate.fits")
    check_members(read_association(path), "SCIENCE")
    assert "b_rate.fits is missing" in refusal(path)
