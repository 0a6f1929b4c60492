"""source_catalog: parity with the official step, truth, products, bad input."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.table import QTable
from mosaics import WINDOWS, mosaic_of, true_fluxes
from offline import official_step
from products import assert_same_product

from jwgpu.cli import main
from jwgpu.errors import InputError, ParameterError, ReferenceFileError
from jwgpu.references import collection
from jwgpu.references.crds_source import NoMatchError
from jwgpu.steps.source_catalog import SourceCatalogStep

pytest_plugins = ("official",)

#: Columns that are sums over apertures, in double precision, in another order.
SUMMED = ("aper", "CI_")
SUMS = 1e-9

#: Places of stars, in pixels: they are measured on a sheet of cutouts, which rounds them.
PLACED = ("xcentroid", "ycentroid", "nn_dist")
PLACES = 1e-11

OPTIONS = [
    {"deblend": False, "npixels": 10},
    {"kernel_fwhm": 3.1, "snr_threshold": 8.0, "connectivity": "4"},
    {"multithresh_mode": "linear", "nlevels": 9, "contrast": 0.05},
    {"multithresh_mode": "sinh", "localbkg_width": 8, "apermask_method": "none"},
    {"bkg_boxsize": 40, "npixels": 6, "snr_threshold": 2.0, "kron_params": [2.0, 1.0]},
    {"kernel_fwhm": 1.2, "aperture_ee1": 20, "aperture_ee2": 40, "aperture_ee3": 80},
    {"ci1_star_threshold": 1.66, "ci2_star_threshold": 1.38},
    {"starfinder": "dao", "sharplo": 0.3, "roundlo": -1.0, "roundhi": 1.0, "brightest": 20},
    {"starfinder": "iraf", "minsep_fwhm": 2.0, "sigma_radius": 2.0, "roundhi": 0.4},
]


def run(field, mosaic=None, **parameters):
    overrides = {f"override_{name}": field.references[name] for name in ("apcorr", "abvegaoffset")}
    return SourceCatalogStep(**(overrides | parameters)).run(mosaic or field.mosaic)


def run_official(field, mosaic=None, **parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what photutils makes of stars at the edge
        return official_step(
            "source_catalog", mosaic or field.mosaic, field.references, **parameters
        )


def plain(column):
    """Return the numbers of a column."""
    if hasattr(column, "ra"):
        return np.array([column.ra.deg, column.dec.deg])
    return np.asarray(getattr(column, "value", column))


def assert_same_catalogue(ours, theirs, *, are_stars=False):
    assert ours.colnames == theirs.colnames
    for name in theirs.colnames:
        our, their = ours[name], theirs[name]
        assert type(our) is type(their), name
        assert str(getattr(our, "unit", None)) == str(getattr(their, "unit", None)), name
        assert our.info.description == their.info.description
        assert our.info.format == their.info.format
        our, their = plain(our), plain(their)
        assert our.dtype == their.dtype, name
        if name.startswith(SUMMED):
            np.testing.assert_allclose(our, their, rtol=SUMS, err_msg=name)
        elif are_stars and name in PLACED:
            np.testing.assert_allclose(our, their, rtol=0, atol=PLACES, err_msg=name)
        else:
            np.testing.assert_array_equal(our, their, err_msg=name)
    ours, theirs = dict(ours.meta), dict(theirs.meta)
    versions = ours.pop("version"), theirs.pop("version")
    assert set(versions[0]) - {"jwgpu"} == set(versions[1]) - {"jwst"}
    assert bool(ours.pop("date")) and bool(theirs.pop("date"))
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_equal(ours[name], theirs[name])


@pytest.mark.parametrize("detector", WINDOWS)
def test_same_as_official(official, detector):
    field = mosaic_of(detector)
    theirs = run_official(field, npixels=10)
    assert len(theirs) > 15
    assert_same_catalogue(run(field, npixels=10), theirs)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_options(official, options):
    field = mosaic_of("NRCA1")
    theirs = run_official(field, **options)
    assert len(theirs) > 4
    assert_same_catalogue(run(field, **options), theirs, are_stars="starfinder" in options)


def test_holes_and_edges(official):
    field = mosaic_of("NRCA1")
    mosaic = field.mosaic.copy()
    bright = run(field)[np.argsort(run(field)["isophotal_flux"])[-3:]]
    for row, nothing in zip(bright, ("data", "err", "wht"), strict=True):
        y, x = round(float(row["ycentroid"])), round(float(row["xcentroid"]))
        mosaic[nothing][y : y + 2, x - 1 : x + 1] = 0 if nothing == "wht" else np.nan
    mosaic.data[:70] = np.nan
    mosaic.err[:40] = np.nan
    mosaic.err[100:104, 50:60] = np.inf
    assert_same_catalogue(run(field, mosaic), run_official(field, mosaic))


def test_one_source(official):
    field = mosaic_of("NRCA1")
    mosaic = field.mosaic.copy()
    flux = run(field)["isophotal_flux"]
    brightest = run(field)[np.argmax(flux)]
    y, x = round(float(brightest["ycentroid"])), round(float(brightest["xcentroid"]))
    near = np.s_[max(y - 8, 0) : y + 8, max(x - 8, 0) : x + 8]
    star = mosaic.data[near].copy()
    mosaic.data[:] = np.random.default_rng(1).normal(1, 0.01, mosaic.data.shape)
    mosaic.data[near] = star
    ours = run(field, mosaic, snr_threshold=50.0)
    assert len(ours) == 1
    assert ours["nn_label"][0] == -1
    assert_same_catalogue(ours, run_official(field, mosaic, snr_threshold=50.0))


@pytest.mark.parametrize("suffix", [None, "list"])
def test_products(official, tmp_path, suffix):
    field = mosaic_of("MIRIMAGE")
    path = tmp_path / "a_i2d.fits"
    field.mosaic.save(str(path))
    options = ["--npixels=10"] + ([] if suffix is None else [f"--suffix={suffix}"])
    where = ["--references", field.folder, "--output-dir", str(tmp_path / "ours")]
    assert main(["source_catalog", str(path), *where, *options]) == 0
    run_official(
        field,
        path,
        npixels=10,
        suffix=suffix or "cat",
        output_dir=str(tmp_path / "theirs"),
        save_results=True,
    )
    name = f"a_{suffix or 'cat'}.ecsv"
    names = sorted([name, "a_segm.fits"])
    for folder in ("ours", "theirs"):
        assert sorted(file.name for file in (tmp_path / folder).iterdir()) == names
    assert_same_product(tmp_path / "ours" / "a_segm.fits", tmp_path / "theirs" / "a_segm.fits")
    texts = [(tmp_path / folder / name).read_text() for folder in ("ours", "theirs")]
    headers = [[line for line in text.splitlines() if line[0] == "#"] for text in texts]
    made_by = ("jwst", "jwgpu", "date")
    ours, theirs = (
        [line for line in header if not any(word in line for word in made_by)] for header in headers
    )
    assert ours == theirs
    ours, theirs = (QTable.read(tmp_path / folder / name) for folder in ("ours", "theirs"))
    assert len(ours) > 15
    assert_same_catalogue(ours, theirs)


def test_the_image_is_left_as_it_is():
    field = mosaic_of("NRCA1")
    mosaic = field.mosaic.copy()
    before = mosaic.to_flat_dict(include_arrays=False)
    run(field, mosaic)
    assert mosaic.to_flat_dict(include_arrays=False) == before
    for name in ("data", "err", "wht"):
        np.testing.assert_array_equal(mosaic[name], field.mosaic[name])
    assert mosaic.meta.source_catalog is None
    assert mosaic.meta.bunit_data == "MJy/sr"


@pytest.mark.parametrize("detector", ["NRCA1", "MIRIMAGE"])
def test_places_and_fluxes_are_true(detector):
    found = isolated_stars(detector, psf_sigma=1.5)
    assert len(found) >= 4
    for row, miss, flux in found:
        assert miss < 0.05
        assert row["aper_total_flux"].value == pytest.approx(flux, rel=0.01)
        assert row["isophotal_flux"].value == pytest.approx(flux, rel=0.01)
        magnitude = -2.5 * np.log10(flux / 3631)
        assert row["aper_total_abmag"] == pytest.approx(magnitude, abs=0.012)
        assert not row["is_extended"]


def test_fluxes_of_narrow_stars():
    # What an aperture of 2 pixels holds depends on where in its pixel the star is, by 1 %.
    found = isolated_stars("NRCA1", psf_sigma=1.0)
    ratios = [row["aper_total_flux"].value / flux for row, _, flux in found]
    assert np.mean(ratios) == pytest.approx(1, abs=0.005)
    np.testing.assert_allclose(ratios, 1, atol=0.02)


def isolated_stars(detector, psf_sigma):
    """Return rows of a catalogue, how far they are from their stars, and these stars' fluxes."""
    field = mosaic_of(detector, n_stars=30, noise=False, seed=8, psf_sigma=psf_sigma)
    x, y = field.mosaic.meta.wcs.invert(field.stars.ra, field.stars.dec, with_bounding_box=False)
    fluxes = true_fluxes(field)
    selected = []
    for row in run(field, aperture_ee3=80):
        distance = np.hypot(x - row["xcentroid"], y - row["ycentroid"])
        star = np.argmin(distance)
        others = np.delete(np.hypot(x - x[star], y - y[star]), star)
        is_bright = field.stars.flux[star] > 100
        if is_bright and others.min() > 20 and _is_whole(field.mosaic.data, x[star], y[star]):
            selected.append((row, distance[star], fluxes[star]))
    return selected


def _is_whole(image, x, y, reach=9):
    """Whether a star is in the image, with no hole near."""
    left, bottom = round(x) - reach, round(y) - reach
    near = image[max(bottom, 0) : bottom + 2 * reach, max(left, 0) : left + 2 * reach]
    return near.shape == (2 * reach, 2 * reach) and bool(np.isfinite(near).all())


def test_an_ellipse_is_extended():
    field = mosaic_of("NRCA1", n_stars=30, noise=False, seed=8, psf_sigma=1.5)
    mosaic = field.mosaic.copy()
    y, x = np.indices(mosaic.data.shape)
    angle = np.radians(30)
    along = (x - 190) * np.cos(angle) + (y - 35) * np.sin(angle)
    across = -(x - 190) * np.sin(angle) + (y - 35) * np.cos(angle)
    mosaic.data += (300 * np.exp(-0.5 * ((along / 6) ** 2 + (across / 3) ** 2))).astype(np.float32)
    found = run(field, mosaic, ci1_star_threshold=1.75, ci2_star_threshold=1.5)
    distance = np.hypot(found["xcentroid"] - 190, found["ycentroid"] - 35)
    galaxy = found[np.argmin(distance)]
    assert distance.min() < 0.2
    assert galaxy["is_extended"]
    assert galaxy["orientation"].value == pytest.approx(30, abs=2)
    assert galaxy["ellipticity"].value == pytest.approx(0.5, abs=0.05)
    assert np.mean(found["is_extended"]) < 0.3  # stars that are close together too


@pytest.mark.parametrize("what", ["empty", "nan", "flat", "high"])
def test_nothing_to_be_found(official, what, tmp_path):
    field = mosaic_of("NRCA1")
    mosaic = field.mosaic.copy()
    if what == "empty":
        mosaic.wht[:] = 0
    elif what == "nan":
        mosaic.data[:] = np.nan
    elif what == "flat":
        mosaic.data[:] = 1.0
    options = {"snr_threshold": 1e9} if what == "high" else {}
    products = {"output_dir": str(tmp_path), "save_results": True}
    assert run_official(field, mosaic, **options) is None
    assert run(field, mosaic, **options, **products) is None
    assert not list(tmp_path.iterdir())


def test_without_references(caplog):
    field = mosaic_of("NRCA1")
    # Officially N/A is opened as a file, which ends the run with a ValueError.
    with caplog.at_level(logging.WARNING, "jwgpu"):
        assert run(field, override_apcorr="N/A") is None
    assert "no APCORR reference" in caplog.text
    missing = {"override_apcorr": None, "override_abvegaoffset": None}
    with pytest.raises(ReferenceFileError, match="no APCORR reference"):
        run(field, references=str(Path(field.folder).parent / "rates"), **missing)


def test_crds_without_a_match(monkeypatch, caplog):
    def none(*_):
        raise NoMatchError("CRDS has no apcorr")

    monkeypatch.setattr(collection, "references_from_crds", none)
    with caplog.at_level(logging.WARNING, "jwgpu"):
        assert SourceCatalogStep().run(mosaic_of("NRCA1").mosaic) is None
    assert "CRDS has no apcorr" in caplog.text


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        ("meta.instrument.filter", "F115W", "has no apertures for filter F115W, pupil CLEAR"),
        ("ee", 35, "has 0 apertures with 35 % of the light"),
    ],
)
def test_references_without_a_row(official, place, value, told, caplog):
    field = mosaic_of("NRCA1")
    mosaic = field.mosaic.copy()
    options = {"aperture_ee1": value} if place == "ee" else {}
    if not options:
        mosaic[place] = value
    with caplog.at_level(logging.INFO, "jwgpu"):
        assert run(field, mosaic, **options) is None
    assert told in caplog.text
    assert run_official(field, mosaic, **options) is None


@pytest.mark.parametrize(
    ("place", "value", "complaint"),
    [
        ("meta.bunit_data", "DN/s", "is in DN/s, not MJy/sr"),
        ("meta.photometry.pixelarea_steradians", None, "lacks PIXAR_SR"),
        ("err", None, "has no ERR: resample it with enable_err=True"),
        ("meta.wcs", None, "lacks its geometry"),
        ("data", np.zeros((3, 5, 5), np.float32), "give one image"),
    ],
)
def test_images_without_fluxes(place, value, complaint):
    field = mosaic_of("NRCA1")
    mosaic = field.mosaic.copy()
    if place in ("err", "data"):
        mosaic.instance[place] = value
    else:
        mosaic[place] = value
    with pytest.raises(InputError, match=complaint):
        run(field, mosaic)


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"aperture_ee2": 30}, "30, 30, 70: each must be larger than the last"),
        ({"aperture_ee3": 100}, "they must be between 0 and 100"),
        ({"npixels": 0}, "npixels=0: it must be 1 or larger"),
        ({"nlevels": 0}, "nlevels=0: it must be 1 or larger"),
        ({"contrast": 1.5}, "contrast=1.5: it must be between 0 and 1"),
        ({"bkg_boxsize": 0}, "bkg_boxsize=0: it must be 1 or larger"),
        ({"kron_params": [-1.0, 2.0]}, "kron_params"),
        ({"starfinder": "dao", "brightest": 0}, "starfinder=dao: "),
        ({"starfinder": "dao", "kernel_fwhm": 0.0}, "kernel_fwhm=0.0: it must be larger than 0"),
        ({"starfinder": "iraf", "peakmax": 5.0}, "peakmax"),
    ],
)
def test_parameters_that_make_no_sense(parameters, complaint):
    with pytest.raises(ParameterError, match=complaint):
        run(mosaic_of("NRCA1"), **parameters)
