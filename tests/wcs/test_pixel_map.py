"""Maps from pixels to pixels: the exact ones, the official splines, bad options."""

from __future__ import annotations

from copy import deepcopy

import gwcs
import numpy as np
import pytest
from astropy import units as u
from astropy.modeling import models
from gwcs import coordinate_frames as frames
from image_exposures import CAMERAS, calibrated
from stcal.resample.utils import calc_pixmap

from jwgpu.errors import ParameterError
from jwgpu.kernels import compiled
from jwgpu.kernels.pixel_map import Series, evaluate
from jwgpu.wcs.output import GridOptions, grid_around
from jwgpu.wcs.pixel_map import pixel_map

pytest_plugins = ("official",)


def both(camera, **options):
    image = calibrated(*camera)
    grid = grid_around([image.meta], image.data.shape, GridOptions(**options))
    return image.meta.wcs, grid.wcs, image.data.shape


@pytest.mark.parametrize("camera", CAMERAS[:4], ids=lambda camera: camera[1])
def test_exact(official, camera):
    geometries = both(camera, pixel_scale_ratio=0.7, rotation=20.0)
    ours, theirs = pixel_map(*geometries), calc_pixmap(*geometries)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-7)


@pytest.mark.parametrize("box", [((3, 90.5), (-0.5, 100.2)), ((20.5, 21.2), (10, 50))])
def test_outside_of_the_bounding_box_is_nan(official, box):
    wcs_in, wcs_out, shape = both(CAMERAS[0])
    before = wcs_in.bounding_box
    wcs_in.bounding_box = box
    try:
        ours, theirs = pixel_map(wcs_in, wcs_out, shape), calc_pixmap(wcs_in, wcs_out, shape)
    finally:
        wcs_in.bounding_box = before
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-7)
    assert wcs_out.bounding_box is not None


@pytest.mark.parametrize(("step", "order"), [(1.5, 1), (20, 3), (400, 3)])
def test_splines_as_officially(official, step, order):
    geometries = both(CAMERAS[3])
    ours = pixel_map(*geometries, step=step, order=order)
    np.testing.assert_array_equal(ours, calc_pixmap(*geometries, stepsize=step, order=order))


def geometry(transform):
    pixels = frames.Frame2D(name="detector", axes_order=(0, 1), unit=(u.pix, u.pix))
    plane = frames.Frame2D(name="plane", axes_order=(0, 1), unit=(u.pix, u.pix))
    wcs = gwcs.WCS([(pixels, transform), (plane, None)])
    wcs.bounding_box = ((-0.5, 79.5), (-0.5, 69.5))
    return wcs


def test_a_map_that_is_not_smooth_is_evaluated_everywhere(caplog):
    caplog.set_level("INFO")
    waves = models.Linear1D(1, 0) + models.Sine1D(amplitude=3, frequency=0.4)
    plain = models.Linear1D(1, 0) & models.Linear1D(1, 0)
    found = pixel_map(geometry(waves & models.Linear1D(1, 0)), geometry(plain), (70, 80))
    x = np.arange(80.0)
    x += 3 * np.sin(2 * np.pi * 0.4 * x)
    np.testing.assert_allclose(found[:, :, 0], np.broadcast_to(x, (70, 80)), atol=1e-12)
    assert "it is evaluated for each of them" in caplog.text


def test_same_for_any_threads(monkeypatch):
    geometries = both(CAMERAS[1])
    found = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(compiled, "_threads", threads)
        found.append(pixel_map(*geometries))
    assert np.array_equal(found[0], found[1]) and np.array_equal(found[0], found[2])


@pytest.mark.parametrize("box", [None, ((3, 90.5), (-0.5, 100.2))])
def test_same_on_every_device(gpu, box):
    wcs_in, wcs_out, shape = both(CAMERAS[0], pixel_scale_ratio=0.7, rotation=20.0)
    before = wcs_in.bounding_box
    wcs_in.bounding_box = box or before
    try:
        want, found = (pixel_map(wcs_in, wcs_out, shape, xp=xp) for xp in (np, gpu.xp))
        coarse = pixel_map(wcs_in, wcs_out, shape, step=20, order=3, xp=gpu.xp)
    finally:
        wcs_in.bounding_box = before
    np.testing.assert_array_equal(gpu.fetch(found), want)
    assert coarse.shape == found.shape and type(coarse) is type(found)


@pytest.mark.parametrize(("step", "order"), [(0, 1), (-1, 1), (np.nan, 1), (5, 2)])
def test_options_that_make_no_sense(step, order):
    with pytest.raises(ParameterError, match="pixmap_"):
        pixel_map(*both(CAMERAS[0]), step=step, order=order)


@pytest.mark.parametrize("box", [None, ((3, 90.5), (-0.5, 100.2))])
def test_a_series_stands_for_a_whole_map_only(box):
    model = calibrated(*CAMERAS[0])
    wcs = deepcopy(model.meta.wcs)
    wcs.bounding_box = box
    grid = grid_around([model.meta], model.data.shape)
    found = pixel_map(wcs, grid.wcs, model.data.shape, may_be_series=True)
    whole = pixel_map(wcs, grid.wcs, model.data.shape)
    assert isinstance(found, Series) == (box is None)
    if box is None:
        values = np.empty_like(whole)
        evaluate(*found, values)
        found = values
    np.testing.assert_array_equal(found, whole)
