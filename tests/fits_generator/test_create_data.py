"""``jwgpu create_data``: raw files as the laboratory writes them, from exposures that are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import offline  # noqa: F401  before anything of jwst
import pytest
from astropy.io import fits
from stdatamodels.jwst import datamodels

from jwgpu.cli import main
from jwgpu.errors import InputError
from jwgpu.fits_generator import create_data, read_proposal
from jwgpu.simulate import make_dataset

#: How each detector's raw frames lie to those of JWST's products, by the documents: mirrored in x,
#: in y, or across the diagonal first.
ORIENTATION = {
    "x": ("NRCA1", "NRCA3", "NRCALONG", "NRCB2", "NRCB4"),
    "y": ("NRCA2", "NRCA4", "NRCB1", "NRCB3", "NRCBLONG"),
    "diagonal": ("NRS1",),
    "diagonal, x, y": ("NRS2", "NIS", "GUIDER1"),
    "diagonal, x": ("GUIDER2",),
    "": ("MIRIMAGE", "MIRIFUSHORT", "MIRIFULONG"),
}
WAYS = {name: way for way, names in ORIENTATION.items() for name in names}
INSTRUMENTS = {"NRC": "NIRCAM", "NRS": "NIRSPEC", "NIS": "NIRISS", "GUI": "FGS", "MIR": "MIRI"}
REAL = Path(__file__).parents[3] / "shared" / "realdata" / "miri_raw_ramp"
REAL /= "MIRI_5582_89_S_20180308-010230_SCE1_pipe.fits"
PROPOSAL = """<Proposal title="A test"><Observation><Visit><VisitGroup><ParallelSequenceID>
<Activity>{}</Activity></ParallelSequenceID></VisitGroup></Visit></Observation></Proposal>"""
DETECTOR = "<Detector><base>{}</base><subarray>{}</subarray><exp_type>{}</exp_type></Detector>"


def exposure_of(folder: Path, detector: str, **settings: Any) -> Path:
    """Simulate the product that is to come out."""
    defaults = {"window": (9, 21, 32, 24), "ngroups": 3, "nints": 2}
    if detector.startswith("MIR"):
        defaults["window"] = (5, 21, 32, 24)
    instrument = INSTRUMENTS[detector[:3]]
    return make_dataset(
        folder, instrument=instrument, detector=detector, **{**defaults, **settings}
    ).exposure


def write_raw(uncal: Path, raw: Path) -> None:
    """Write what the laboratory would have: turned back, in one cube, with its own keywords."""
    with fits.open(uncal) as file:
        theirs, frames = file[0].header, file["SCI"].data
        refout = file["REFOUT"].data if "REFOUT" in file else None
    detector, way = theirs["DETECTOR"], WAYS[theirs["DETECTOR"]]
    x, y = theirs["SUBSTRT1"], theirs["SUBSTRT2"]
    columns, rows = theirs["SUBSIZE1"], theirs["SUBSIZE2"]
    frames = frames.reshape(-1, rows, columns)
    if refout is not None:
        frames = np.concatenate([frames, refout.reshape(len(frames), rows // 4, columns)], axis=1)
    words = way.split(", ")
    if "x" in words:
        frames, x = frames[..., ::-1], 2048 - (x + columns - 2)
    if "y" in words:
        frames, y = frames[..., ::-1, :], 2048 - (y + rows - 2)
    if "diagonal" in words:
        frames, x, y = np.swapaxes(frames, -1, -2), y, x
    header = fits.Header({"INSTRUME": theirs["INSTRUME"], "SCA_ID": number_of(detector)})
    header.update({"NINT": theirs["NINTS"], "NGROUP": theirs["NGROUPS"], "NFRAME": 1, "NSKIP": 0})
    header.update({"READOUT": theirs["READPATT"], "TFRAME": theirs["TFRAME"], "NSAMPLE": 1})
    header.update({key: theirs[key] for key in ("DATE-OBS", "TIME-OBS", "TGROUP")})
    header["DETECTOR"] = detector
    if theirs["INSTRUME"] == "MIRI":
        header.update({"ROWSTART": y, "ROWSTOP": y + rows - 1, "COLSTART": (x - 1) // 4 + 1})
        header.update({"FWA_POS": theirs.get("FILTER"), "DGAA_POS": "SHORT", "DGAB_POS": "SHORT"})
    elif theirs["INSTRUME"] == "NIRSPEC":
        number = detector[-1]
        header.update({f"A{number}_ROW_C": str(y - 1), f"A{number}_COL_C": str(x - 1)})
        header.update({"FWA_POS": theirs["FILTER"], "GWA_POS": theirs["GRATING"]})
    elif detector == "GUIDER2":
        header.update({"ACROWCOR": y, "ACCOLCOR": x})
    else:
        header.update({"ROWCORNR": y, "COLCORNR": x})
        header.update({"FILTER": theirs.get("FILTER", ""), "PUPIL": theirs.get("PUPIL", "")})
    fits.PrimaryHDU(np.ascontiguousarray(frames), header).writeto(raw)


def number_of(detector: str) -> int:
    names = [*(f"NRCA{n}" for n in "1234"), "NRCALONG", *(f"NRCB{n}" for n in "1234"), "NRCBLONG"]
    names += ["NRS1", "NRS2", "MIRIMAGE", "MIRIFULONG", "MIRIFUSHORT", "NIS", "GUIDER1", "GUIDER2"]
    return 481 + names.index(detector)


def proposal_in(folder: Path, *entries: tuple[str, str, str], name: str = "12345.prop") -> Path:
    body = "".join(f"<Exposure>{DETECTOR.format(*entry)}</Exposure>" for entry in entries)
    path = folder / name
    path.write_text(PROPOSAL.format(body))
    return path


def assert_same_times(groups, integrations, theirs):
    """Check the tables of times; a keyword in milliseconds is the only clock of a raw file."""
    millisecond = 1.5e-3 / 86400
    for name in ("start", "mid", "end"):
        ours, true = (table[f"int_{name}_MJD_UTC"] for table in (integrations, theirs["INT_TIMES"]))
        np.testing.assert_allclose(ours, true, rtol=0, atol=millisecond)
    assert np.isnan(integrations["int_mid_BJD_TDB"]).all()
    for name in ("integration_number", "group_number", "end_day", "number_of_rows"):
        np.testing.assert_array_equal(groups[name], theirs["GROUP"][name])
    ours, true = (table["end_milliseconds"] for table in (groups, theirs["GROUP"]))
    np.testing.assert_allclose(ours, true, rtol=0, atol=1.5)
    assert groups["group_end_time"][0][:16] == theirs["GROUP"]["group_end_time"][0][:16]


@pytest.mark.parametrize("detector", list(WAYS))
def test_products_are_the_exposures_that_the_raw_files_were_made_of(detector, tmp_path, capsys):
    uncal = exposure_of(tmp_path / "truth", detector)
    write_raw(uncal, tmp_path / "raw.fits")
    with fits.open(uncal) as file:
        theirs, frames = file[0].header, file["SCI"].data
        refout = file["REFOUT"].data if "REFOUT" in file else None
        times = {name: file[name].data.copy() for name in ("GROUP", "INT_TIMES")}
    proposal_in(tmp_path, ("raw.fits", "", theirs["EXP_TYPE"]))
    assert main(["create_data", str(tmp_path), "--output-dir", str(tmp_path / "products")]) == 0
    (product,) = (tmp_path / "products").iterdir()
    assert product.name == f"jw12345001001_01101_00001_{detector.lower()}_uncal.fits"
    assert str(product) in capsys.readouterr().out
    with datamodels.Level1bModel(product, strict_validation=True) as model:
        np.testing.assert_array_equal(model.data, frames)
        assert model.data.dtype == np.uint16
        if refout is not None:
            np.testing.assert_array_equal(model.refout, refout)
        assert model.meta.filename == product.name
        assert model.meta.observation.program_number == "12345"
    with fits.open(product) as file:
        ours = file[0].header
        assert_same_times(file["GROUP"].data, file["INT_TIMES"].data, times)
    same = [
        "INSTRUME",
        "DETECTOR",
        "EXP_TYPE",
        "FASTAXIS",
        "SLOWAXIS",
        "NINTS",
        "NGROUPS",
        "NFRAMES",
    ]
    same += [
        "SUBSTRT1",
        "SUBSTRT2",
        "SUBSIZE1",
        "SUBSIZE2",
        "READPATT",
        "TFRAME",
        "TGROUP",
        "GROUPGAP",
    ]
    same += ["NFRAMES", "GROUPGAP"]
    same += ["FILTER", "PUPIL", "GRATING", "MODULE", "CHANNEL", "BAND", "EXPSTART", "DATE-OBS"]
    assert {key: ours.get(key) for key in same} == {key: theirs.get(key) for key in same}


@pytest.mark.parametrize(
    ("detector", "name"), [("MIRIMAGE", "SUB64"), ("NRS1", "SUB512"), ("GUIDER2", "SUB32LL")]
)
def test_a_subarray_is_cut_from_a_full_frame(detector, name, tmp_path):
    uncal = exposure_of(tmp_path / "truth", detector, window=None, ngroups=1, nints=1, n_stars=3)
    write_raw(uncal, tmp_path / "raw.fits")
    with fits.open(uncal) as file:
        kind, frames = file[0].header["EXP_TYPE"], file["SCI"].data
        refout = file["REFOUT"].data if "REFOUT" in file else None
    proposal = proposal_in(tmp_path, ("raw.fits", name, kind))
    (product,) = create_data(proposal)
    with fits.open(product) as file:
        header = file[0].header
        assert header["SUBARRAY"] == name
        x, y = header["SUBSTRT1"] - 1, header["SUBSTRT2"] - 1
        part = slice(y, y + header["SUBSIZE2"]), slice(x, x + header["SUBSIZE1"])
        np.testing.assert_array_equal(file["SCI"].data, frames[..., *part])
        if refout is not None:
            columns = slice(x // 4, (x + header["SUBSIZE1"]) // 4)
            np.testing.assert_array_equal(file["REFOUT"].data, refout[..., part[0], columns])


def test_numbers_follow_from_the_nests(tmp_path):
    exposure = "<Exposure>" + DETECTOR.format("a.fits", "", "") * 2 + "</Exposure>"
    activity = f"<Activity>{exposure * 2}</Activity>"
    group = f"<VisitGroup><ParallelSequenceID>{activity * 2}</ParallelSequenceID></VisitGroup>"
    visits = f"<Observation><Visit>{group}</Visit><Visit>{group}</Visit></Observation>"
    path = tmp_path / "00042.prop"
    path.write_text(f'<Proposal title="Many">{visits * 2}</Proposal>')
    found = read_proposal(path)
    assert len(found) == 2 * 2 * 2 * 2 * 2
    assert found[0].root == "jw00042001001_01101_00001"
    assert found[1].root == found[0].root  # another detector of the same exposure
    assert found[2].root == "jw00042001001_01101_00002"
    assert found[4].root == "jw00042001001_01102_00001"
    assert found[8].root == "jw00042001002_01101_00001"
    assert found[-1].root == "jw00042002002_01102_00002"
    assert found[0].keywords["OBS_ID"] == "V00042001001P000000001101"


def test_the_product_can_be_calibrated(tmp_path):
    data = make_dataset(tmp_path / "truth", detector="NRCB1", subarray="SUB64P", ngroups=4)
    write_raw(data.exposure, tmp_path / "raw.fits")
    proposal_in(tmp_path, ("raw.fits", "", "NRC_IMAGE"))
    (product,) = create_data(tmp_path)
    words = ["--references", str(tmp_path / "truth" / "references"), "--output-dir"]
    assert main(["detector1", str(product), *words, str(tmp_path / "ours")]) == 0
    assert main(["detector1", str(data.exposure), *words, str(tmp_path / "truth")]) == 0
    (ours,), (theirs,) = (list((tmp_path / f).glob("*_rate.fits")) for f in ("ours", "truth"))
    np.testing.assert_array_equal(fits.getdata(ours, "SCI"), fits.getdata(theirs, "SCI"))


@pytest.mark.skipif(not REAL.exists(), reason=f"the real ramp is not beside the project ({REAL})")
def test_a_real_ramp_of_the_laboratory(tmp_path):
    (tmp_path / REAL.name).symlink_to(REAL)
    (product,) = create_data(proposal_in(tmp_path, (REAL.name, "", "MIR_IMAGE")))
    with fits.open(REAL) as theirs, fits.open(product) as ours:
        for name in ("SCI", "REFOUT"):
            np.testing.assert_array_equal(ours[name].data, theirs[name].data)
        for keyword in ("SUBARRAY", "SUBSTRT1", "SUBSTRT2", "NGROUPS", "TGROUP", "READPATT"):
            assert ours[0].header[keyword] == theirs[0].header[keyword]
        assert ours[0].header["EFFINTTM"] == theirs[0].header["INTTIME"]
        assert "EXPEND" not in ours[0].header  # its DATE-END says yyyy-mm-dd
    with datamodels.Level1bModel(product, strict_validation=True) as model:
        assert model.meta.exposure.type == "MIR_IMAGE"


def test_a_template_and_data_of_the_users(tmp_path):
    write_raw(exposure_of(tmp_path / "truth", "NRCA1"), tmp_path / "raw.fits")
    proposal_in(tmp_path, ("raw.fits", "", "NRC_IMAGE"))
    (tmp_path / "program.dat").write_text(
        "<<file program>>\n<<header primary>>\nTARGNAME = 'NGC ' + '104' / its name\n"
    )
    (tmp_path / "own.gen.txt").write_text(
        "<<file own>>\n<<header primary>>\n#include 'primary.gen.inc'\n"
        "TARGNAME = program() / from the data file\n<<data>>\n"
        "<<header science>>\n#include 'science.gen.inc'\n"
    )
    words = ["--template", str(tmp_path / "own.gen.txt"), "--data", str(tmp_path / "program.dat")]
    assert main(["create-data", str(tmp_path / "12345.prop"), *words]) == 0
    (product,) = tmp_path.glob("*_uncal.fits")
    assert fits.getheader(product)["TARGNAME"] == "NGC 104"
    assert "READPATT" not in fits.getheader(product)


def test_a_raw_file_of_ncont(tmp_path):
    uncal = exposure_of(tmp_path / "truth", "NRCB3")
    write_raw(uncal, tmp_path / "raw.fits")
    with fits.open(tmp_path / "raw.fits", mode="update") as file:
        del file[0].header["SCA_ID"]
        file[0].header.update({"DETECTOR": "SW", "MODULE": "B", "SCA": 3})
    proposal_in(tmp_path, ("raw.fits", "", "NRC_IMAGE"))
    (product,) = create_data(tmp_path)
    np.testing.assert_array_equal(fits.getdata(product, "SCI"), fits.getdata(uncal, "SCI"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<Proposal>", "is not a proposal file"),
        ("<Program></Program>", "must start with <Proposal>"),
        ("<Proposal></Proposal>", "nothing to make"),
        ("<Proposal><Visit></Visit></Proposal>", "only <observation> may be"),
        (PROPOSAL.format("<Exposure><Detector></Detector></Exposure>"), "<base>"),
        (PROPOSAL.format(f"<Exposure>{DETECTOR.format('no.fits', '', '')}</Exposure>"), "no.fits"),
    ],
)
def test_a_broken_proposal_is_one_line(tmp_path, capsys, text, message):
    (tmp_path / "12345.prop").write_text(text)
    assert main(["create_data", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "12345.prop" in error
    assert message in error


def test_a_folder_without_proposal_is_one_line(tmp_path, capsys):
    assert main(["create_data", str(tmp_path)]) == 1
    assert "holds none" in capsys.readouterr().err
    proposal_in(tmp_path, ("a.fits", "", ""), name="one.prop")
    with pytest.raises(InputError, match="its number"):
        create_data(tmp_path)


@pytest.mark.parametrize(
    ("change", "entry", "message"),
    [
        ({"NGROUP": 4}, ("", "NRC_IMAGE"), "6 frames are not 2 integrations of 4 groups"),
        ({"SCA_ID": 7, "DETECTOR": "NRCX"}, ("", "NRC_IMAGE"), "no detector of JWST"),
        ({}, ("", "MIR_IMAGE"), "of NIRCAM, but the proposal says exp_type MIR_IMAGE"),
        ({}, ("SUB64P", "NRC_IMAGE"), "SUB64P"),
        ({}, ("SUB160", "NRC_IMAGE"), "only full frames can be cut"),
    ],
)
def test_a_raw_file_that_does_not_fit_is_refused(tmp_path, change, entry, message):
    write_raw(exposure_of(tmp_path / "truth", "NRCA1"), tmp_path / "raw.fits")
    with fits.open(tmp_path / "raw.fits", mode="update") as file:
        file[0].header.update(change)
    proposal_in(tmp_path, ("raw.fits", *entry))
    with pytest.raises(InputError, match=message):
        create_data(tmp_path)
    assert not list(tmp_path.glob("*_uncal.fits"))


@pytest.mark.parametrize("content", [b"", b"no FITS file"])
def test_a_raw_file_that_is_none_is_refused(tmp_path, content):
    (tmp_path / "raw.fits").write_bytes(content)
    proposal_in(tmp_path, ("raw.fits", "", "NRC_IMAGE"))
    with pytest.raises(InputError, match=r"raw\.fits"):
        create_data(tmp_path)
