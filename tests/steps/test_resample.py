"""resample of one image and of several: parity with the official step, flux, files, bad input."""

from __future__ import annotations

import json

import asdf
import numpy as np
import pytest
from astropy.io import fits
from image_exposures import CAMERAS, calibrated
from jwst.datamodels import ModelContainer
from offline import official_step
from products import assert_same_product
from resampled import (
    AREA,
    INNER,
    MAP,
    MEAN,
    SPLINES,
    assert_same,
    assert_same_keywords,
    both,
    dithered,
    keywords,
    pairs,
)
from stdatamodels.jwst import datamodels

from jwgpu.errors import InputError, ParameterError
from jwgpu.kernels import compiled
from jwgpu.steps.resample import ResampleStep
from jwgpu.wcs.outlines import mean_pixel_area
from jwgpu.wcs.output import grid_around

pytest_plugins = ("official",)

OPTIONS = [
    {},
    {"pixfrac": 0.7, "pixel_scale_ratio": 0.6},
    {"kernel": "point"},
    {"weight_type": "exptime"},
    {"rotation": 5.0, "fillval": "0.5"},
    {"fillval": "indef", "crval": [80.47, -69.489]},
    {"enable_err": False, "enable_ctx": False},
    {"report_var": False},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("camera", [CAMERAS[0], CAMERAS[3]], ids=lambda camera: camera[1])
def test_same_as_official(official, camera, options):
    model = calibrated(*camera)
    ours, theirs = both(model, **options, **SPLINES)
    inside = INNER if camera[1] == "MIRIMAGE" or "crval" in options else np.s_[...]
    for name, our, their in pairs(ours, theirs):
        assert_same(name, our, their, inside)
    assert_same_keywords(ours, theirs)


@pytest.mark.parametrize("camera", CAMERAS[:4], ids=lambda camera: camera[1])
def test_same_as_official_with_a_map_of_its_own(official, camera):
    model = calibrated(*camera)
    ours, theirs = both(model)
    typical = np.nanmedian(theirs.wht)
    for name, our, their in pairs(ours, theirs):
        our, their = our[INNER], their[INNER]
        if name == "con":
            np.testing.assert_array_equal(our, their)
        elif name == "wht":
            np.testing.assert_allclose(our, their, rtol=0, atol=MAP * 3 * typical)
        else:
            # A mean of few is as uncertain as its weight; by how much, its error tells.
            slack = 1e-5 * theirs.err[INNER] if name == "data" else 2e-6 * their
            assert np.array_equal(np.isnan(our), np.isnan(their)), name
            assert not (np.abs(our - their) > slack + MAP * np.abs(their)).any(), name
    assert_same_keywords(ours, theirs)


@pytest.mark.parametrize("kernel", ["turbo", "gaussian", "lanczos2", "lanczos3"])
def test_other_kernels(official, kernel):
    ours, theirs = both(calibrated(*CAMERAS[0]), kernel=kernel, pixfrac=0.8, **SPLINES)
    for name, our, their in pairs(ours, theirs):
        # Officially some functions are computed in single precision; where positive and
        # negative parts of a sinc cancel, little is left of the mean.
        is_covered = theirs.wht > 0.1 * np.median(theirs.wht[theirs.wht > 0])
        our, their = our[..., is_covered], their[..., is_covered]
        atol = 3e-6 * np.nanmedian(np.abs(their))
        np.testing.assert_allclose(our, their, rtol=3e-6, atol=atol, err_msg=name)


def test_scale_in_arcsec(official):
    ours, theirs = both(calibrated(*CAMERAS[0]), pixel_scale=0.05, **SPLINES)
    for name, our, their in pairs(ours, theirs):
        assert_same(name, our, their, scale=AREA)
    ratios = [model.meta.resample.pixel_scale_ratio for model in (ours, theirs)]
    assert ratios[0] == pytest.approx(ratios[1], rel=AREA)


def test_part_of_the_image(official):
    parameters = {"output_shape": [90, 110], "crpix": [20.0, 25.0], "rotation": 0.0}
    ours, theirs = both(calibrated(*CAMERAS[0]), **parameters, **SPLINES)
    for name, our, their in pairs(ours, theirs):
        assert our.shape == their.shape
        assert_same(name, our, their, INNER)
    assert (ours.wht >= theirs.wht).all()
    assert_same_keywords(ours, theirs)


@pytest.mark.parametrize("told", [{}, {"pixel_scale": 0.04}], ids=str)
def test_grid_from_a_file(official, tmp_path, told):
    model = calibrated(*CAMERAS[0])
    grid = grid_around([model.meta], model.data.shape)
    path = tmp_path / "grid.asdf"
    asdf.AsdfFile({"wcs": grid.wcs, **told}).write_to(path)
    ours, theirs = both(model, output_wcs=str(path), **SPLINES)
    for name, our, their in pairs(ours, theirs):
        assert_same(name, our, their, scale=0.0 if told else AREA)
    ratios = [model.meta.resample.pixel_scale_ratio for model in (ours, theirs)]
    assert ratios[0] == pytest.approx(ratios[1], rel=0 if told else AREA)


def test_sky_is_subtracted(official):
    model = calibrated(*CAMERAS[0]).copy()
    model.meta.background.level = 1.25
    for subtracted in (False, True):
        model.meta.background.subtracted = subtracted
        ours, theirs = both(model, **SPLINES)
        assert_same("data", ours.data, theirs.data)
        assert_same_keywords(ours, theirs)


def test_flags_and_missing_arrays(official):
    model = calibrated(*CAMERAS[3]).copy()
    model.dq[20:30, 20:30] |= 512  # NON_SCIENCE
    model.dq[40:50, 20:30] |= 4  # JUMP_DET
    model.data[60:62, 60:62] = np.nan
    model.var_flat = None
    model.meta.exposure.measurement_time = None
    model.meta.exposure.start_time = model.meta.exposure.end_time = None
    for weight_type in ("ivm", "exptime"):
        ours, theirs = both(model, weight_type=weight_type, **SPLINES)
        for name, our, their in pairs(ours, theirs):
            assert_same(name, our, their, INNER)
        assert_same_keywords(ours, theirs)


def test_the_input_is_left_as_it_is():
    model = calibrated(*CAMERAS[0]).copy()
    model.data[3, 3] = np.nan
    before = keywords(model), model.data.copy(), model.dq.copy()
    ResampleStep().run(model)
    assert keywords(model) == before[0]
    np.testing.assert_array_equal(model.data, before[1])
    np.testing.assert_array_equal(model.dq, before[2])


def test_flux_is_conserved():
    model = calibrated(*CAMERAS[0]).copy()
    model.dq[:] = 0
    model.data[:] = 0
    model.data[70:90, 60:75] = 1.0
    for array in (model.err, model.var_rnoise, model.var_poisson, model.var_flat):
        array[:] = 1.0
    found = ResampleStep(weight_type="exptime").run(model)
    geometry = model.meta.wcs
    geometry.bounding_box = ((60, 75), (70, 90))  # the centres within it
    areas = mean_pixel_area(geometry, model.data.shape)
    flux = found.data[found.wht > 0].sum(dtype=float) * found.meta.photometry.pixelarea_steradians
    assert flux == pytest.approx(300 * areas, rel=1e-4)


def test_same_for_any_threads(monkeypatch):
    model = calibrated(*CAMERAS[0])
    found = []
    for threads in (1, 3):
        monkeypatch.setattr(compiled, "threads", lambda threads=threads: threads)
        found.append(ResampleStep(threads=threads).run(model))
    for name in ("data", "err", "wht"):
        np.testing.assert_array_equal(getattr(found[0], name), getattr(found[1], name))


def test_product(official, tmp_path):
    path = tmp_path / "jw_cal.fits"
    calibrated(*CAMERAS[0]).save(str(path))
    for folder in ("ours", "theirs"):
        (tmp_path / folder).mkdir()
    ResampleStep(**SPLINES, output_dir=str(tmp_path / "ours"), save_results=True).run(str(path))
    official_step(
        "resample",
        path,
        {},
        **SPLINES,
        output_dir=str(tmp_path / "theirs"),
        save_results=True,
    )
    assert_same_product(
        tmp_path / "ours" / "jw_resamplestep.fits",
        tmp_path / "theirs" / "jw_resamplestep.fits",
        SCI=1e-5,  # rounding, where the mean is near 0 and what it was made from is not
    )


@pytest.mark.parametrize("options", [{}, {"weight_type": "exptime", "pixfrac": 0.8}], ids=str)
def test_several_images(official, options):
    models = dithered()
    ours, theirs = both(models, blendheaders=False, **options, **SPLINES)
    for name, our, their in pairs(ours, theirs):
        assert_same(name, our, their, INNER)
    assert_same_keywords(ours, theirs)
    assert ours.meta.resample.pointings == 2
    assert set(np.unique(ours.con)) == set(range(8))


def test_association(official, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    members = []
    for model in dithered(2):
        model.save(model.meta.filename)
        members.append({"expname": model.meta.filename, "exptype": "science"})
    content = {"asn_type": "image3", "asn_rule": "DMS_Level3_Base", "asn_pool": "a_pool"}
    content |= {"asn_id": "a3001", "target": "none", "program": "99999"}
    content |= {"products": [{"name": "mosaic", "members": members}]}
    path = tmp_path / "both_asn.json"
    path.write_text(json.dumps(content))
    found = []
    for in_memory in (True, False):
        parameters = {"blendheaders": False, "in_memory": in_memory, **SPLINES}
        ours, theirs = both(str(path), **parameters)
        for name, our, their in pairs(ours, theirs):
            assert_same(name, our, their, INNER)
        assert_same_keywords(ours, theirs)
        found.append(ours)
    np.testing.assert_array_equal(found[0].data, found[1].data)


def test_a_list_of_files_and_an_official_container(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    models = dithered(2)
    want = ResampleStep().run(models)
    for model in models:
        model.save(model.meta.filename)
    names = [model.meta.filename for model in models]
    for source in (names, ModelContainer(models)):
        np.testing.assert_array_equal(ResampleStep().run(source).data, want.data)
    with pytest.raises(InputError, match="there are no images"):
        ResampleStep().run([])


def test_more_images_than_bits(official):
    models = dithered(1) * 34
    ours, theirs = both(models, blendheaders=False, kernel="point", **SPLINES)
    assert ours.con.shape[0] == 2
    np.testing.assert_array_equal(ours.con, theirs.con)
    np.testing.assert_allclose(ours.data, theirs.data, rtol=34 / 2 * MEAN)


@pytest.mark.parametrize("place", ["memory", "files"])
def test_combined_keywords(official, tmp_path, place):
    models = dithered()
    models[1].meta.target.proposer_name = "another"
    models[2].meta.instrument.pupil_imaging_lens = None
    models[0].meta.exposure.prime_parallel = None
    if place == "files":
        for model in models:
            model.save(str(tmp_path / model.meta.filename))
        models = [datamodels.open(str(tmp_path / model.meta.filename)) for model in models]
    ours, theirs = both(models, kernel="point", **SPLINES)
    assert_same_keywords(ours, theirs)
    assert ours.meta.target.proposer_name == theirs.meta.target.proposer_name
    assert ours.hdrtab.dtype == theirs.hdrtab.dtype
    for name in theirs.hdrtab.dtype.names:
        np.testing.assert_array_equal(ours.hdrtab[name], theirs.hdrtab[name], err_msg=name)
    for model, folder in ((ours, "ours"), (theirs, "theirs")):
        (tmp_path / folder).mkdir()
        model.save(str(tmp_path / folder / "mosaic_i2d.fits"))
    names = [folder / "mosaic_i2d.fits" for folder in (tmp_path / "ours", tmp_path / "theirs")]
    with fits.open(names[0]) as our_file, fits.open(names[1]) as their_file:
        assert [hdu.name for hdu in our_file] == [hdu.name for hdu in their_file]
        assert our_file["HDRTAB"].columns.formats == their_file["HDRTAB"].columns.formats


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"fillval": "nothing"}, "it must be a number, NAN or INDEF"),
        ({"weight_type": None}, "choose ivm or exptime"),
        ({"output_shape": [0, 5]}, "it must be 1 or larger"),
        ({"pixel_scale": 500.0}, "0 x 0 pixels"),
        ({"pixmap_order": 2, "pixmap_stepsize": 5.0}, "it must be 1 or 3"),
    ],
)
def test_parameters_that_make_no_sense(parameters, complaint):
    with pytest.raises(ParameterError, match=complaint):
        ResampleStep(**parameters).run(calibrated(*CAMERAS[0]))


@pytest.mark.parametrize(
    ("place", "value", "complaint"),
    [
        ("meta.wcsinfo.s_region", None, "run assign_wcs first"),
        ("meta.exposure.exposure_time", None, "needs a positive exposure time"),
    ],
)
def test_images_that_cannot_be_resampled(place, value, complaint):
    model = calibrated(*CAMERAS[0]).copy()
    model[place] = value
    with pytest.raises(InputError, match=complaint):
        ResampleStep().run(model)


@pytest.mark.parametrize("blend", [True, False])
def test_each_exposure(official, blend):
    models = dithered()
    parameters = {"single": True, "blendheaders": blend, **SPLINES}
    ours = ResampleStep(**parameters).run(models)
    library = official_step("resample", models, {}, **parameters)
    with library:
        theirs = list(library)
        for model in theirs:
            library.shelve(model, modify=False)
    assert len(ours) == len(theirs) == 2
    for our, their in zip(ours, theirs, strict=True):
        for name, one, other in pairs(our, their):
            assert_same(name, one, other, INNER)
        assert_same_keywords(our, their)
    assert [model.meta.filename for model in ours] == [
        "jw0_0_outlier_i2d.fits",
        "jw0_2_outlier_i2d.fits",
    ]


@pytest.mark.parametrize("kernel", ["square", "point", "turbo"])
def test_flags_of_what_contributed(official, kernel):
    models = dithered()
    for i, model in enumerate(models):
        model.dq[50 + i : 70, 40:60] |= 1 << (i + 2)
        model.dq[100:103, 20:140] |= 2**31
    parameters = {"propagate_dq": True, "kernel": kernel, "blendheaders": False, **SPLINES}
    ours, theirs = both(models, **parameters)
    for name, our, their in pairs(ours, theirs):
        if kernel != "turbo" or name == "dq":
            assert_same(name, our, their, INNER)
    assert len(np.unique(ours.dq)) > 8
    assert not (ours.dq & 1).any()  # what may not be used has no weight


def test_flags_of_each_exposure(official, tmp_path):
    models = dithered()
    for i, model in enumerate(models):
        model.dq[50 + i : 70, 40:60] |= 1 << (i + 2)
    parameters = {"propagate_dq": True, "single": True, **SPLINES}
    ours = ResampleStep(**parameters).run(models)
    library = official_step("resample", models, {}, **parameters)
    with library:
        theirs = list(library)
        for model in theirs:
            library.shelve(model, modify=False)
    for our, their in zip(ours, theirs, strict=True):
        assert our.dq.any()
        np.testing.assert_array_equal(our.dq[INNER], their.dq[INNER])
    ours[0].save(str(tmp_path / "ours.fits"))
    theirs[0].save(str(tmp_path / "theirs.fits"))
    with fits.open(tmp_path / "ours.fits") as our, fits.open(tmp_path / "theirs.fits") as their:
        assert [hdu.name for hdu in our] == [hdu.name for hdu in their]
        assert our["DQ"].data.dtype == their["DQ"].data.dtype
