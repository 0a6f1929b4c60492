"""assign_mtwcs: parity with the official step, and a target that stands still."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from image_exposures import field_of
from offline import official_step
from sky_mosaics import lent, sky_image
from star_fields import write_association
from stdatamodels.jwst import datamodels

from jwgpu.errors import InputError
from jwgpu.simulate.images import Pointing, Stars, geometry, pixels_of, window_centre, write_rate
from jwgpu.steps.assign_mtwcs import AssignMTWcsStep
from jwgpu.steps.assign_wcs import AssignWcsStep

pytest_plugins = ("official",)

PLACES = [(53.1, -27.8), (53.1004, -27.8002), (53.0991, -27.79995)]


def moving(places=PLACES):
    """Return exposures of a target at some places."""
    models = []
    for number, (ra, dec) in enumerate(places, start=1):
        model = sky_image(number, (number, 0.3 * number, number), 1.0)
        model.meta.target.type = "MOVING"
        model.meta.wcsinfo.mt_ra, model.meta.wcsinfo.mt_dec = ra, dec
        models.append(model)
    return models


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    x, y = np.meshgrid(np.linspace(-0.5, 159.5, 5), np.linspace(-0.5, 159.5, 5))
    for our, their in zip(ours, theirs, strict=True):
        a, b = our.meta, their.meta
        assert a.wcs.available_frames == b.wcs.available_frames
        assert a.wcs.name == b.wcs.name
        for frame in b.wcs.available_frames[1:]:
            pair = [one.wcs.get_transform("detector", frame)(x, y) for one in (a, b)]
            np.testing.assert_allclose(*pair, rtol=0, atol=1e-9)
        sky = b.wcs(x, y)
        np.testing.assert_allclose(a.wcs.invert(*sky), b.wcs.invert(*sky), rtol=0, atol=1e-9)
        assert repr(a.wcs.output_frame) == repr(b.wcs.output_frame)
        assert repr(a.wcs.bounding_box) == repr(b.wcs.bounding_box)
        assert a.wcsinfo.instance == b.wcsinfo.instance
        assert a.cal_step.assign_mtwcs == b.cal_step.assign_mtwcs
        np.testing.assert_array_equal(our.data, their.data)


@pytest.mark.parametrize("exptypes", [("science",) * 3, ("science", "background", "science")])
def test_the_geometry_is_the_official_one(exptypes):
    models = moving()
    for model, exptype in zip(models, exptypes, strict=True):
        model.meta.asn.exptype = exptype
    theirs = lent(official_step("assign_mtwcs", models, {}))
    ours = lent(AssignMTWcsStep().run(models))
    assert_same(ours, theirs)
    assert ours[0].meta.wcs.available_frames[-1] == "moving_target"
    assert (ours[1].meta.wcsinfo.mt_avra is None) == (exptypes[1] != "science")


def test_the_mean_does_not_know_of_right_ascension_0(caplog):
    models = moving([(359.9999, 10.0), (0.0001, 10.0)])
    with caplog.at_level(logging.WARNING):
        ours = lent(AssignMTWcsStep().run(models))
    assert "crosses right ascension 0" in caplog.text
    assert_same(ours, lent(official_step("assign_mtwcs", models, {})))
    assert ours[0].meta.wcsinfo.mt_avra == 180


@pytest.mark.parametrize("keyword", ["mt_ra", "mt_dec"])
def test_nothing_changes_where_a_place_is_missing(caplog, keyword):
    models = moving()
    setattr(models[1].meta.wcsinfo, keyword, None)
    with caplog.at_level(logging.WARNING):
        ours = lent(AssignMTWcsStep().run(models))
    assert "MT_RA or MT_DEC is missing in 1 of 3 exposures" in caplog.text
    assert_same(ours, lent(official_step("assign_mtwcs", models, {})))
    assert ours[0].meta.wcs.available_frames[-1] == "world"
    # Officially so, although nothing was done.
    assert ours[0].meta.cal_step.assign_mtwcs == "COMPLETE"


def test_exposures_that_cannot_be_shifted():
    models = moving()
    del models[2].meta.wcs
    with pytest.raises(InputError, match=r"sky3_cal.fits: has no geometry; run assign_wcs"):
        AssignMTWcsStep().run(models)
    once = AssignMTWcsStep().run(moving())
    with pytest.raises(InputError, match=r"sky1_cal.fits: .* of a moving target already"):
        AssignMTWcsStep().run(once)


def test_a_moving_target_stands_still(tmp_path):
    """A target that moves by 20 pixels among stars, from files to products."""
    field = field_of("NIRCAM", "NRCALONG", "SUB160")
    start = window_centre(field.settings)
    dithers = [Pointing(x=0.4 * k, y=-0.3 * k, number=k + 1) for k in range(3)]
    paths, pixels, places = [], [], []
    for k, pointing in enumerate(dithers):
        ra, dec = start + np.array([4e-4, -2.5e-4]) * (k - 1)
        stars = Stars(
            np.array([ra, start[0] + 5e-4]), np.array([dec, start[1]]), np.array([9e3, 3e3])
        )
        pointing = replace(pointing, target=(ra, dec))
        rate = write_rate(tmp_path, field.settings, stars, pointing, noise=False)
        model = AssignWcsStep(references=field.folder).run(str(rate))
        path = tmp_path / f"moving{k + 1}_cal.fits"
        model.save(path)
        paths.append(path)
        pixels.append(
            pixels_of(geometry(field.settings, pointing), np.array([ra]), np.array([dec]))
        )
        places.append((ra, dec))
    (tmp_path / "all").mkdir()
    asn = write_association(tmp_path / "all", paths)
    AssignMTWcsStep.call(str(asn), save_results=True, output_dir=str(tmp_path / "out"))
    assert np.ptp(np.array(pixels)[:, 0]) > 10
    for k, (x, y) in enumerate(pixels):
        with datamodels.open(tmp_path / "out" / f"moving{k + 1}_assign_mtwcs.fits") as model:
            assert model.meta.target.type == "MOVING"
            info, wcs = model.meta.wcsinfo, model.meta.wcs
            assert (info.mt_ra, info.mt_dec) == pytest.approx(places[k], abs=1e-12)
            np.testing.assert_allclose((info.mt_avra, info.mt_avdec), start, rtol=0, atol=1e-12)
            np.testing.assert_allclose(np.ravel(wcs(x, y)), start, rtol=0, atol=1e-9)
            np.testing.assert_allclose(
                np.ravel(wcs.get_transform("detector", "world")(x, y)), places[k], atol=1e-9
            )
            # The light is there, too: its centre in the pixels around.
            near = [round(float(place[0])) for place in (x, y)]
            box = tuple(slice(place - 4, place + 5) for place in near[::-1])
            light = np.nan_to_num(model.data[box] - np.nanmedian(model.data))
            rows, columns = np.mgrid[box]
            centre = [np.sum(light * place) / light.sum() for place in (columns, rows)]
            offset = np.array(wcs(*centre)) - start
            assert np.abs(offset).max() < 0.05 * 0.063 / 3600
