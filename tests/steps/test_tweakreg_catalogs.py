"""tweakreg with catalogs: of the sky, from the archive's service, of users; and bad input."""

from __future__ import annotations

import http.server
import json
import threading
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table
from offline import official_step
from star_fields import dithers, write_association
from stdatamodels.jwst import datamodels
from test_tweakreg import assert_same, both, exposures, lent

from jwgpu.errors import InputError, NotYetError, ParameterError, ReferenceFileError
from jwgpu.steps.tweakreg import TweakRegStep

pytest_plugins = ("official",)

#: Offset of the catalogs of the sky in these tests, in degrees.
OFFSET = 0.4 / 3600


@pytest.fixture
def sky(tmp_path):
    """The field's stars, a little to the north."""
    stars = dithers().stars
    table = Table({"RA": stars.ra, "DEC": stars.dec + OFFSET, "mag": -2.5 * np.log10(stars.flux)})
    table.write(tmp_path / "sky.ecsv")
    return table


def moved(model):
    """Return how far north an image was moved, in degrees."""
    before = datamodels.open(next(p for p in dithers().paths if p.name == model.meta.filename))
    return model.meta.wcs(160, 160)[1] - before.meta.wcs(160, 160)[1]


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"abs_fitgeometry": "shift", "abs_nclip": 0, "abs_minobj": 5, "abs_searchrad": 3.0},
    ],
    ids=str,
)
def test_alignment_to_a_file_is_the_official_one(tmp_path, sky, parameters):
    parameters = {"abs_refcat": str(tmp_path / "sky.ecsv"), **parameters}
    ours, theirs = both(exposures(), **parameters)
    assert_same(ours, theirs)
    assert [m.meta.cal_step.tweakreg for m in ours] == 2 * ["COMPLETE"]
    assert all(m.meta.wcs.name == f"FIT-LVL3-{tmp_path / 'sky.ecsv'}" for m in ours)
    assert moved(ours[0]) == pytest.approx(OFFSET, abs=0.3 * 0.063 / 3600)


def test_one_image_is_aligned_to_the_sky(tmp_path, sky):
    parameters = {"abs_refcat": str(tmp_path / "sky.ecsv")}
    assert_same(*both(exposures()[:1], **parameters))


def test_columns_of_the_sky_may_be_called_otherwise(tmp_path, sky):
    places = SkyCoord(sky["RA"], sky["DEC"], unit="deg")
    Table({"Sky_Centroid": places}).write(tmp_path / "centroid.ecsv")
    Table({"ra": sky["RA"], "Dec": sky["DEC"]}).write(tmp_path / "small.csv")
    found = []
    for name in ("sky.ecsv", "centroid.ecsv", "small.csv"):
        refcat = str(tmp_path / name)
        (model,) = lent(TweakRegStep(abs_refcat=refcat).run(exposures()[:1]))
        found.append(model.meta.wcs(100, 100))
    np.testing.assert_allclose(found[1:], found[:1] * 2, rtol=0, atol=1e-11)


@pytest.fixture
def service(monkeypatch, sky):
    """A catalog service on this machine, and what it was asked."""
    asked = []

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append({k: v[0] for k, v in parse_qs(urlsplit(self.path).query).items()})
            lines = ["# a comment", "objID,ra,dec,mag,epoch,pmra,pmdec"]
            for i, row in enumerate(sky):
                motion = "," if i % 7 == 0 else f"{0.1 * i:.1f},-0.2"
                lines.append(
                    f"{i},{row['RA']:.12f},{row['DEC']:.12f},{row['mag']:.3f},2016.0,{motion}"
                )
            self.send_response(200)
            self.end_headers()
            self.wfile.write("\n".join(answers.get("lines", lines)).encode())

        def log_message(self, *_):
            """Say nothing."""

    answers: dict[str, list[str]] = {}
    server = http.server.HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("ASTROMETRIC_CATALOG_URL", address)
    import stcal.tweakreg.astrometric_utils as official

    monkeypatch.setattr(official, "SERVICELOCATION", address)
    yield asked, answers
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_service_is_asked_as_officially(service, tmp_path):
    asked, _ = service
    parameters = {"abs_refcat": "GAIADR3", "save_abs_catalog": True}
    saved = []
    results = []
    for name, run in (
        ("theirs", lambda **more: official_step("tweakreg", exposures(), {}, **more)),
        ("ours", lambda **more: TweakRegStep(**more).run(exposures())),
    ):
        (tmp_path / name).mkdir()
        results.append(lent(run(output_dir=str(tmp_path / name), **parameters)))
        saved.append(Table.read(tmp_path / name / "fit_gaiadr3_ref.ecsv"))
    theirs, ours = asked
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        is_number = key in ("RA", "DEC", "SR", "EPOCH")
        want = pytest.approx(float(value), abs=1e-8) if is_number else value
        assert (float(ours[key]) if is_number else ours[key]) == want, key
    assert saved[1].colnames == saved[0].colnames
    assert len(saved[0]) == sum(i % 7 != 0 for i in range(len(dithers().stars.ra)))
    for name in ("RA", "DEC", "mag", "epoch"):
        np.testing.assert_array_equal(saved[1][name], saved[0][name])
    assert_same(results[1], results[0])
    assert results[1][0].meta.wcs.name == "FIT-LVL3-GAIADR3"


@pytest.mark.parametrize("lines", [["No data records"], ["objID,ra,dec,mag,epoch,pmra,pmdec"]])
def test_a_sky_without_stars_fails_the_step(service, lines):
    service[1]["lines"] = lines
    (model,) = lent(TweakRegStep(abs_refcat="GAIADR2").run(exposures()[:1]))
    assert model.meta.cal_step.tweakreg == "FAILED"
    assert "v2v3corr" not in model.meta.wcs.available_frames


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["<html>", "down for maintenance"], "no catalog GAIADR1"),
        (["objID,ra,dec,mag,epoch", "1,2,3,4,2016"], "no catalog GAIADR1.*without pmdec, pmra"),
        (["objID,ra,dec,epoch,pmra,pmdec"], "no catalog GAIADR1.*without mag"),
    ],
)
def test_what_is_no_catalog_is_refused(service, lines, message):
    service[1]["lines"] = lines
    with pytest.raises(ReferenceFileError, match=message):
        TweakRegStep(abs_refcat="GAIADR1").run(exposures()[:1])


def test_without_a_network_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setenv("ASTROMETRIC_CATALOG_URL", "http://127.0.0.1:9")
    with pytest.raises(ReferenceFileError, match="give a file as abs_refcat"):
        TweakRegStep(abs_refcat="GAIADR3").run(exposures()[:1])


@pytest.fixture
def custom(tmp_path, monkeypatch):
    """Catalogs of the exposures, one with other names of its columns."""
    monkeypatch.chdir(tmp_path)
    TweakRegStep(save_catalogs=True, output_dir=str(tmp_path), brightest=30).run(exposures(3))
    names = [f"dither{number}_cal_cat.ecsv" for number in (1, 2, 3)]
    table = Table.read(tmp_path / names[1])
    table.rename_columns(["x", "y"], ["xcentroid", "y_centroid"])
    table["weight"] = np.linspace(1, 2, len(table))
    table.write(tmp_path / names[1], overwrite=True)
    return names


@pytest.mark.parametrize("by", ["association", "catfile", "keyword", "empty catfile"])
def test_catalogs_of_users_are_taken_as_officially(tmp_path, custom, by):
    parameters = {"use_custom_catalogs": True}
    paths = dithers().paths
    entries = {}
    if by == "association":
        entries = {"tweakreg_catalog": [*custom[:2], ""]}
    elif "catfile" in by:
        lines = [f"{path.name} {name}" for path, name in zip(paths, custom, strict=True)]
        lines = ["# images and catalogs", *lines[:2], paths[2].name]
        (tmp_path / "list.txt").write_text("\n".join(lines if by == "catfile" else lines[:1]))
        parameters["catfile"] = str(tmp_path / "list.txt")
    association = write_association(tmp_path, paths, **entries)
    if by == "keyword":
        with datamodels.open(tmp_path / paths[1].name) as model:
            model.meta.tweakreg_catalog = str(tmp_path / custom[1])
            model.save(tmp_path / paths[1].name)
    ours, theirs = both(str(association), **parameters)
    assert_same(ours, theirs)
    assert (ours[1].meta.tweakreg_catalog is None) == (by == "empty catfile")


@pytest.mark.parametrize("by", ["association", "catfile"])
def test_catalogs_of_images_in_another_folder_are_found(tmp_path, custom, monkeypatch, by):
    entries = {"tweakreg_catalog": custom} if by == "association" else {}
    association = write_association(tmp_path, dithers().paths, **entries)
    content = json.loads(association.read_text())
    (tmp_path / "images").mkdir()
    parameters = {"use_custom_catalogs": True}
    lines = []
    for member, catalog in zip(content["products"][0]["members"], custom, strict=True):
        name = f"images/{member['expname']}"
        (tmp_path / member["expname"]).rename(tmp_path / name)
        member["expname"] = name
        lines.append(f"{name} {catalog}")
    association.write_text(json.dumps(content))
    if by == "catfile":
        (tmp_path / "list.txt").write_text("\n".join(lines))
        parameters["catfile"] = str(tmp_path / "list.txt")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    found = lent(TweakRegStep(**parameters).run(str(association)))
    assert [m.meta.tweakreg_catalog for m in found] == [str(tmp_path / one) for one in custom]


def test_images_on_disk_are_aligned_the_same(tmp_path):
    association = write_association(tmp_path, dithers().paths[:2])
    on_disk = lent(TweakRegStep(in_memory=False).run(str(association)))
    assert_same(on_disk, lent(TweakRegStep().run(str(association))))


def dark():
    """Exposures without stars."""
    found = [datamodels.open(path) for path in exposures()]
    rng = np.random.default_rng(3)
    for model in found:
        model.data = rng.normal(1, 0.1, model.data.shape).astype(np.float32)
    return found


def test_images_without_stars_fail_as_officially():
    theirs = lent(official_step("tweakreg", dark(), {}))
    assert_same(lent(TweakRegStep().run(dark())), theirs)
    assert theirs[0].meta.cal_step.tweakreg == "FAILED"


def test_images_without_pixels_fail_as_officially():
    def blind():
        found = dark()
        for model in found:
            model.dq[:] = 1
            model.data[:] = np.nan
        return found

    theirs = lent(official_step("tweakreg", blind(), {}))
    assert_same(lent(TweakRegStep().run(blind())), theirs)
    assert theirs[0].meta.cal_step.tweakreg == "FAILED"


@pytest.mark.parametrize(
    "parameters",
    [{"minobj": 500}, {"separation": 0.1}],
    ids=str,
)
def test_a_bad_match_ends_as_officially(parameters):
    assert_same(*both(exposures(), **parameters))


def test_images_that_do_not_overlap_end_as_officially():
    def far():
        found = [datamodels.open(path) for path in exposures()]
        away = found[1].meta.wcs
        rotation = away.pipeline[2].transform
        for name in rotation.param_names:
            if name.startswith("angles"):
                getattr(rotation, name).value = np.asarray(getattr(rotation, name).value) + 1.0
        found[1].meta.wcs = away
        return found

    theirs = lent(official_step("tweakreg", far(), {}))
    assert_same(lent(TweakRegStep().run(far())), theirs)


def test_one_exposure_alone_fails_as_officially():
    ours, theirs = both(exposures()[:1])
    assert_same(ours, theirs)
    assert ours[0].meta.cal_step.tweakreg == "FAILED"


def test_bad_parameters_are_refused(tmp_path, sky):
    first = exposures()[:1]
    for parameters, error, message in (
        ({"abs_refcat": "nowhere.ecsv"}, InputError, "no such file"),
        ({"abs_refcat": "gaiadr3_s3"}, NotYetError, "cloud"),
        ({"catalog_format": "votable"}, ParameterError, "ecsv or fits"),
        ({"save_catalogs": True, "kernel_fwhm": -1.0}, ParameterError, "star finder"),
    ):
        with pytest.raises(error, match=message):
            TweakRegStep(**parameters).run(first)
    sky["Ra"] = sky["RA"]
    sky.write(tmp_path / "twice.ecsv")
    sky.keep_columns(["mag"])
    sky.write(tmp_path / "none.ecsv")
    (tmp_path / "text.ecsv").write_text("no table at all")
    for name, message in (
        ("twice.ecsv", "several columns"),
        ("none.ecsv", "needs RA and DEC"),
        ("text.ecsv", "no catalog can be read"),
    ):
        with pytest.raises(InputError, match=message):
            TweakRegStep(abs_refcat=str(tmp_path / name)).run(first)


def test_bad_catalogs_of_users_are_refused(tmp_path):
    association = str(write_association(tmp_path, dithers().paths))
    Table({"x": [1.0], "z": [2.0]}).write(tmp_path / "bad.ecsv")
    catfile = tmp_path / "list.txt"
    for text, message in (
        ("dither1_cal.fits nowhere.ecsv", "no such catalog"),
        ("dither1_cal.fits bad.ecsv", "needs one of y"),
        ("dither1_cal.fits bad.ecsv more", "3 columns"),
        (None, "no list of catalogs"),
    ):
        catfile.unlink(missing_ok=True)
        if text:
            catfile.write_text(text)
        with pytest.raises(InputError, match=message):
            TweakRegStep(use_custom_catalogs=True, catfile=str(catfile)).run(association)


def test_an_image_without_a_geometry_is_refused():
    model = datamodels.open(exposures()[0])
    del model.meta.wcs
    with pytest.raises(InputError, match="run assign_wcs"):
        TweakRegStep().run([model, datamodels.open(exposures()[1])])
