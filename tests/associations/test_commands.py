"""The commands on associations write what the official ones write."""

import json
import os
import shutil
import sys
from pathlib import Path

import offline  # noqa: F401  (before anything of jwst)
import pytest
import yaml
from astropy.io import fits

import jwgpu
from jwgpu.associations.creation import INCOMPLETE_RULES, LEVEL2_RULES, LEVEL3_RULES
from jwgpu.cli import main

NAMES = ["jw1_nrca1_rate.fits", "sub/jw1-seg001_nrca1_rateints.fits", "foo_bar.fits", "foo_cal"]

EDITED = {
    "asn_type": "image2",
    "asn_pool": "p",
    "products": [
        {
            "name": "a",
            "members": [
                {"expname": "p0_rate.fits", "exptype": "science", "exposerr": None},
                {"expname": "p1_rate.fits", "exptype": "background"},
            ],
        },
        {"name": "b", "note": 3, "members": [{"expname": "p1_cal.fits", "exptype": "science"}]},
    ],
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(words) in (1, 2)
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def same(ours: dict, theirs: dict) -> None:
    """Check equal content and order, but for who made it."""
    assert list(ours) == list(theirs)
    if ours.get("code_version") == jwgpu.__version__:
        ours = {**ours, "code_version": theirs["code_version"]}
    assert ours == theirs


def official(*words: str) -> dict:
    from jwst.associations.asn_from_list import Main

    Main.cli(["-o", "theirs.json", *words])
    return json.loads(Path("theirs.json").read_text())


@pytest.mark.filterwarnings("ignore:Input association file contains path")
def test_lists_become_the_official_associations_of_every_rule(capsys):
    from jwst.associations import AssociationNotValidError

    for rule in LEVEL2_RULES + LEVEL3_RULES:
        words = ["-r", rule, "--product-name", "p", "-i", "o012", *NAMES]
        if rule in INCOMPLETE_RULES:
            with pytest.raises(AssociationNotValidError):
                official(*words)
            assert rule in refused(capsys, "asn_from_list", "-o", "ours.json", *words)
            continue
        assert main(["asn_from_list", "-o", "ours.json", *words]) == 0
        theirs = official(*words)
        same(json.loads(Path("ours.json").read_text()), theirs)
    # The layout is the official one as well.
    assert len(Path("ours.json").read_text().splitlines()) == len(
        Path("theirs.json").read_text().splitlines()
    )


def test_rules_are_all_that_the_official_package_has():
    from jwst.associations import AssociationRegistry

    rules = AssociationRegistry(include_bases=True)
    theirs = {name for name, rule in rules.items() if getattr(rule, "schema_file", None)}
    mixins = {name for name in theirs if name.startswith("AsnMixin")}
    assert theirs - mixins == {*LEVEL2_RULES, *LEVEL3_RULES}


def test_a_list_as_yaml():
    assert main(["asn_from_list", "-o", "a.yaml", "-f", "yaml", "--product-name", "p", "x"]) == 0
    content = yaml.safe_load(Path("a.yaml").read_text())
    assert content["products"] == [
        {"name": "p", "members": [{"expname": "x", "exptype": "science"}]}
    ]


def test_lists_that_make_no_association_are_one_line(capsys):
    words = ("asn_from_list", "-o", "a.json")
    assert "name of its product" in refused(capsys, *words, "x.fits")
    assert "there is no rule Lv9" in refused(capsys, *words, "-r", "Lv9", "x.fits")
    level2 = (*words, "-r", "DMSLevel2bBase", "x.fits")
    assert "background member" in refused(capsys, *level2, "-i", "c1000")
    assert "must be oNNN" in refused(capsys, *level2, "-i", "x1")
    named = (*words, "--product-name", "p", "x.fits")
    assert "no format toml" in refused(capsys, *named, "-f", "toml")
    assert "official package" in refused(capsys, *named, "--ruledefs", "r.py")
    assert not Path("a.json").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["-a", "-t", "psf", "a.json", "/x/p2_cal.fits", "p0_rate.fits"],
        ["--add", "a.json", "p2_cal.fits"],
        ["-r", "a.json", "there/p1_rate.fits", "p1_cal.fits"],
        ["-r", "-i", "a.json", "p1_uncal.fits"],
        ["-r", "-i", "a.json", "p1"],
        ["-r", "a.json", "p1.fits"],
    ],
)
@pytest.mark.filterwarnings("ignore:Filenames not found")
def test_editing_gives_the_official_association(monkeypatch, words):
    from jwst.scripts.asn_edit import main as official_main

    Path("a.json").write_text(json.dumps(EDITED))
    assert main(["asn_edit", *words, "-o", "ours.json"]) == 0
    assert json.loads(Path("a.json").read_text()) == EDITED
    monkeypatch.setattr(sys, "argv", ["asn_edit", *words, "-o", "theirs.json"])
    official_main()
    assert main(["asn_edit", *words]) == 0
    theirs = json.loads(Path("theirs.json").read_text())
    for name in ("ours.json", "a.json"):
        same(json.loads(Path(name).read_text()), theirs)


def test_editing_says_what_it_does_not_find_and_what_it_cannot_do(capsys):
    Path("a.json").write_text(json.dumps(EDITED))
    assert main(["asn_edit", "-r", "a.json", "nothing.fits"]) == 0
    assert "nothing.fits is not in it" in capsys.readouterr().err
    assert "--add or --remove" in refused(capsys, "asn_edit", "a.json", "x.fits")
    assert "--add or --remove" in refused(capsys, "asn_edit", "-a", "-r", "a.json", "x.fits")
    assert "JSON only" in refused(capsys, "asn_edit", "-a", "a.yaml", "x.fits")
    assert "JSON only" in refused(capsys, "asn_edit", "-a", "a.json", "x.fits", "-o", "b.txt")


@pytest.mark.parametrize(
    "choice", [{}, {"exp_types": ["science"]}, {"exclude_types": ["background"]}]
)
@pytest.mark.filterwarnings("ignore:Input association file contains path")
def test_gathering_gives_the_official_copy(choice):
    from jwst.associations.asn_gather import asn_gather

    source = Path("source")
    source.mkdir()
    (source / "a.json").write_text(json.dumps(EDITED))
    for name in ("p0_rate", "p1_rate", "p1_cal"):
        (source / f"{name}.fits").write_text(name)
    options = [
        f"--{option.replace('_', '-')}={value}" for option in choice for value in choice[option]
    ]
    assert main(["asn_gather", str(source / "a.json"), "ours", *options]) == 0
    Path("theirs").mkdir()
    asn_gather(source / "a.json", "theirs", shellcmd="cp", **choice)
    names = sorted(path.name for path in Path("theirs").iterdir())
    assert sorted(path.name for path in Path("ours").iterdir()) == names
    for name in names:
        ours, theirs = (Path(folder, name).read_text() for folder in ("ours", "theirs"))
        if name == "a.json":
            same(json.loads(ours), json.loads(theirs))
        else:
            assert ours == theirs


def test_gathering_replaces_what_is_older_only(capsys):
    Path("source/sub").mkdir(parents=True)
    content = {"products": [{"members": [{"expname": "sub/x.fits", "exptype": "science"}]}]}
    Path("source/a.json").write_text(json.dumps(content))
    Path("source/sub/x.fits").write_text("new")
    words = ["asn_gather", "source/a.json", "there"]
    assert main([*words, "-v"]) == 0
    assert capsys.readouterr().out.split() == ["there/x.fits", "there/a.json"]
    # Officially a member in a folder is looked for where the command runs.
    copied = json.loads(Path("there/a.json").read_text())
    assert copied["products"][0]["members"][0]["expname"] == "x.fits"
    Path("there/x.fits").write_text("own")
    assert main(words) == 0
    assert Path("there/x.fits").read_text() == "own"
    os.utime("source/sub/x.fits")  # of the same size, but newer
    os.utime("there/x.fits", (0, 0))
    assert main(words) == 0
    assert Path("there/x.fits").read_text() == "new"
    Path("source/sub/x.fits").write_text("longer")
    assert main(words) == 0
    assert Path("there/x.fits").read_text() == "longer"
    shutil.move("source/sub", "elsewhere")
    Path("source/sub").mkdir()
    assert "no such file" in refused(capsys, *words)
    Path("moved/sub").mkdir(parents=True)
    shutil.move("elsewhere/x.fits", "moved/sub/x.fits")
    assert main([*words, "--source", "moved", "--cmd", "cp"]) == 0
    assert "cp failed" in refused(capsys, *words, "--source", "moved", "--cmd", "cp --nothing")
    assert "no members of the kinds" in refused(capsys, *words, "-t", "psf")
    content["products"][0]["members"].append({"expname": "x.fits", "exptype": "science"})
    Path("source/a.json").write_text(json.dumps(content))
    assert "named x.fits" in refused(capsys, *words, "--source", "moved")


def test_what_cannot_be_written_is_one_line(capsys):
    made = refused(capsys, "asn_from_list", "-o", "no/a.json", "--product-name", "p", *NAMES)
    assert "no/a.json: cannot be written (no such file or directory): choose" in made
    Path("x.fits").touch()
    assert main(["asn_from_list", "-o", "a.json", "--product-name", "p", "x.fits"]) == 0
    Path("taken").touch()
    assert "taken: cannot be made: file exists" in refused(capsys, "asn_gather", "a.json", "taken")
    words = ["asn_gather", "a.json", "there"]
    assert "x.fits: nothing cannot be run: no such" in refused(capsys, *words, "--cmd", "nothing")
    Path("there/x.fits/in the way").mkdir(parents=True)
    os.utime("there/x.fits", (0, 0))
    assert "there/x.fits: cannot be copied there: is a dir" in refused(capsys, *words)
    assert os.listdir("there") == ["x.fits"]


def write_headers() -> list[str]:
    targets = ["M-31", "x y", "M-31"]
    for index, target in enumerate(targets):
        header = fits.PrimaryHDU().header
        header["OBSERVTN"], header["TARGNAME"] = f"{index:03}", target
        header["BOOL"], header["FLT"], header["BAR"], header["EMPTY"] = True, 1.5, "a|b", ""
        header["HISTORY"], header["COMMENT"] = "x", "y"
        if index:
            header["EXTRA"], header["UNDEF"] = 3, None
        fits.PrimaryHDU(header=header).writeto(f"p{index}.fits")
    return [f"p{index}.fits" for index in range(len(targets))]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"asn_candidate": "[('c1000', 'background'), ('c1', 'x')]"},
        {"dms_note": "wfsc_los_jitter", "is_imprt": "t", "pntgtype": "target_acquisition"},
    ],
)
def test_pools_are_the_official_ones(options):
    from jwst.associations.mkpool import mkpool

    names = write_headers()
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    assert main(["asn_make_pool", "ours.csv", *names, *words]) == 0
    mkpool(names, **options).write("theirs.csv")
    text = Path("ours.csv").read_text()
    assert text == Path("theirs.csv").read_text()
    assert [line.split("|")[-3] for line in text.splitlines()[1:]] == ["1", "2", "2"]


def test_pools_of_what_is_no_exposure_are_one_line(capsys):
    names = write_headers()
    Path("text.fits").write_text("no FITS")
    assert "text.fits" in refused(capsys, "asn_make_pool", "a.csv", *names, "text.fits")
    assert "nothing.fits" in refused(capsys, "asn_make_pool", "a.csv", "nothing.fits")
    fits.PrimaryHDU().writeto("bare.fits")
    assert "no OBSERVTN" in refused(capsys, "asn_make_pool", "a.csv", "bare.fits")
    words = ["--asn-candidate", "c1000"]
    assert "write them as" in refused(capsys, "asn_make_pool", "a.csv", *names, *words)
    assert not Path("a.csv").exists()
    written = refused(capsys, "asn_make_pool", "no/a.csv", *names)
    assert "error: no/a.csv: cannot be written (no such file or directory)" in written


def test_a_pool_that_cannot_be_written_leaves_the_one_before(capsys, monkeypatch):
    names = write_headers()
    Path("a.csv").write_text("before")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    assert "no space left" in refused(capsys, "asn_make_pool", "a.csv", *names)
    assert Path("a.csv").read_text() == "before"
    assert not list(Path().glob(".a.csv*"))


@pytest.mark.parametrize("name", ["asn_from_list", "asn_edit", "asn_gather", "asn_make_pool"])
def test_help_has_examples(capsys, name):
    assert main([name, "--help"]) == 0
    assert f"jwgpu {name}" in capsys.readouterr().out.partition("Examples:")[2]
