"""The corrector of images against that of tweakwcs."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tweakwcs.correctors import JWSTWCSCorrector

from jwgpu.wcs.corrector import ImageCorrector

#: Places that are the same: on the plane in arcsec, on the sky in degrees, in pixels.
PLANE, SKY, PIXEL = 1e-8, 1e-12, 1e-6


@pytest.fixture(scope="module")
def geometry(tmp_path_factory):
    """Return the geometry of an image, and its reference angles."""
    from jwgpu.simulate.images import Pointing, stars_around, write_rate
    from jwgpu.simulate.imaging_references import write_imaging_references
    from jwgpu.simulate.settings import Settings
    from jwgpu.steps.assign_wcs import AssignWcsStep

    folder = tmp_path_factory.mktemp("geometry")
    chosen = Settings(instrument="NIRCAM", detector="NRCA1", subarray="SUB160", ngroups=5, nints=1)
    write_imaging_references(folder, "NIRCAM", "NRCA1")
    rate = write_rate(folder, chosen, stars_around(chosen, 1), Pointing())
    model = AssignWcsStep(references=str(folder)).run(str(rate))
    names = ("v2_ref", "v3_ref", "roll_ref")
    return model.meta.wcs, {name: getattr(model.meta.wcsinfo, name) for name in names}


def pair(geometry):
    wcs, wcsinfo = geometry
    return ImageCorrector(wcs, wcsinfo, {}), JWSTWCSCorrector(wcs, wcsinfo, {})


def assert_same(ours, theirs):
    x, y = np.random.default_rng(1).uniform(5, 150, (2, 7))
    sky = np.array(theirs.det_to_world(x, y))
    plane = np.array(theirs.det_to_tanp(x, y))
    np.testing.assert_allclose(ours.det_to_world(x, y), sky, rtol=0, atol=SKY)
    np.testing.assert_allclose(ours.wcs(x, y), theirs.wcs(x, y), rtol=0, atol=SKY)
    np.testing.assert_allclose(ours.det_to_tanp(x, y), plane, rtol=0, atol=PLANE)
    np.testing.assert_allclose(ours.tanp_to_world(*plane), sky, rtol=0, atol=SKY)
    np.testing.assert_allclose(ours.world_to_tanp(*sky), plane, rtol=0, atol=PLANE)
    want = theirs.tanp_to_det(*plane)
    np.testing.assert_allclose(ours.tanp_to_det(*plane), want, rtol=0, atol=PIXEL)
    assert np.shape(ours.tanp_to_det(0.0, 0.0)) == np.shape(theirs.tanp_to_det(0.0, 0.0))
    ours_scale, theirs_scale = ours.tanp_center_pixel_scale, theirs.tanp_center_pixel_scale
    assert ours_scale == pytest.approx(theirs_scale, rel=1e-6)
    assert ours.bounding_box == theirs.bounding_box
    assert ours.wcs.available_frames == theirs.wcs.available_frames


shifts = st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
angles = st.floats(-1e-3, 1e-3)


def turn(angle, scale=1.0):
    return scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def test_an_image_that_was_not_moved_is_where_it_was(geometry):
    ours, theirs = pair(geometry)
    assert_same(ours, theirs)
    assert ours.wcs is geometry[0]
    assert not ours.is_moved


@settings(max_examples=10, deadline=None)
@given(first=shifts, second=shifts, angle=angles, other=angles)
def test_moves_are_those_of_tweakwcs(geometry, first, second, angle, other):
    """Two moves, the second one in the plane of an image that was moved itself."""
    ours, theirs = pair(geometry)
    reference = [deepcopy(one) for one in (ours, theirs)]
    for one, plane in zip((ours, theirs), reference, strict=True):
        plane.set_correction(turn(other, 1.0001), second)
        one.set_correction(turn(angle), first)
        one.set_correction(turn(other), second, ref_tpwcs=plane, meta={"key": 1})
    assert_same(ours, theirs)
    assert ours.meta["key"] == 1
    np.testing.assert_allclose(ours.meta["matrix"], theirs.meta["matrix"], rtol=0, atol=1e-9)


def test_a_copy_moves_alone_and_so_does_its_geometry(geometry):
    ours, _ = pair(geometry)
    other = deepcopy(ours)
    other.set_correction(shift=(0.1, 0.2))
    assert other.is_moved
    assert not ours.is_moved
    other.wcs.bounding_box = None
    third = deepcopy(ours)
    third.wcs.bounding_box = None
    assert third.wcs.bounding_box is None
    assert geometry[0].bounding_box is not None
    assert ours.bounding_box == pair(geometry)[1].bounding_box


def test_geometries_with_other_frames_are_refused(geometry):
    wcs, wcsinfo = geometry
    _, theirs = pair(geometry)
    theirs.set_correction(shift=(0.1, 0.2))
    with pytest.raises(ValueError, match="correction"):
        ImageCorrector(theirs.wcs, wcsinfo, {})
    with pytest.raises(ValueError, match="frame"):
        import gwcs

        steps = [(step.frame, step.transform) for step in wcs.pipeline]
        ImageCorrector(gwcs.WCS([*steps[:1], steps[-1]]), wcsinfo, {})
