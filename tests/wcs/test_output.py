"""The grid of resampled images: the official one for all parameters, areas, outlines, bad input."""

from __future__ import annotations

import asdf
import numpy as np
import pytest
from image_exposures import CAMERAS, calibrated
from jwst.datamodels import ModelLibrary
from jwst.resample.resample_utils import load_custom_wcs, resampled_wcs_from_models
from stcal.alignment.resample_utils import combine_sregions
from stcal.resample.utils import compute_mean_pixel_area

from jwgpu.errors import InputError, ParameterError
from jwgpu.wcs.outlines import corners_of, mean_pixel_area, united
from jwgpu.wcs.output import GridOptions, grid_around, read_grid

pytest_plugins = ("official",)

#: Official areas come from sums of angles, rounded to 1e-16 of them, while those of a subarray
#: are some 1e-10 of a steradian.
ROUNDING = 3e-5

OPTIONS = [
    {},
    {"pixel_scale_ratio": 0.6},
    {"pixel_scale": 0.05},
    {"rotation": 12.0},
    {"crpix": (30.0, 40.5)},
    {"crval": (80.48, -69.5)},
    {"shape": (100, 80)},
    {"shape": (100, 80), "crpix": (3.0, 4.5), "rotation": 0.0, "pixel_scale": 0.1},
]


def official_grid(images, **options):
    if "shape" in options:
        options["output_shape"] = options.pop("shape")[::-1]
    if "pixel_scale" in options:
        options["pixel_scale"] /= 3600
    wcs, _, scale, ratio = resampled_wcs_from_models(ModelLibrary(images), **options)
    return wcs, 3600 * scale, ratio


def moved(image, dx, dy):
    """Return an image whose outline lies elsewhere."""
    other = image.copy()
    corners = corners_of(image.meta.wcsinfo.s_region)[0] + [dx, dy]
    text = " ".join(f"{angle:.9f}" for angle in corners.ravel())
    other.meta.wcsinfo.s_region = "POLYGON ICRS  " + text
    return other


def assert_same_grid(ours, theirs):
    y, x = np.mgrid[0:200:11, 0:200:13]
    places = [np.array(wcs(x, y, with_bounding_box=False)) for wcs in (ours, theirs)]
    np.testing.assert_allclose(*places, rtol=0, atol=1e-9)
    assert tuple(ours.array_shape) == tuple(theirs.array_shape)
    boxes = [wcs.bounding_box.bounding_box(order="F") for wcs in (ours, theirs)]
    assert boxes[0] == boxes[1]
    assert ours.available_frames == theirs.available_frames


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("camera", [CAMERAS[0], CAMERAS[3]], ids=lambda camera: camera[1])
def test_same_as_official(official, camera, options):
    images = [calibrated(*camera)]
    images.append(moved(images[0], 0.001, -0.0007))
    for given in (images[:1], images):
        grid = grid_around(
            [image.meta for image in given], images[0].data.shape, GridOptions(**options)
        )
        wcs, scale, ratio = official_grid(given, **options)
        assert_same_grid(grid.wcs, wcs)
        assert grid.shape == wcs.array_shape
        assert grid.pixel_scale == pytest.approx(scale, rel=1e-14)
        rounding = ROUNDING if "pixel_scale" in options else 1e-14
        assert grid.pixel_scale_ratio == pytest.approx(ratio, rel=rounding)


def test_areas(official):
    image = calibrated(*CAMERAS[0])
    grid = grid_around([image.meta], image.data.shape)
    area = mean_pixel_area(grid.wcs, grid.shape)
    # Away from its middle by an angle a, a tangent plane is stretched by 1 / cos(a)^3.
    assert area == pytest.approx(np.deg2rad(grid.pixel_scale / 3600) ** 2, rel=1e-6)
    for wcs, shape in ((image.meta.wcs, image.data.shape), (grid.wcs, grid.shape)):
        theirs = compute_mean_pixel_area(wcs, shape)
        assert mean_pixel_area(wcs, shape) == pytest.approx(theirs, rel=ROUNDING)


@pytest.mark.parametrize("shift", [(0.001, 0.0), (0.0, 0.0), (0.05, 0.0)], ids=str)
def test_outlines(official, shift):
    image = calibrated(*CAMERAS[3])
    images = [image, moved(image, *shift)]
    s_regions = [one.meta.wcsinfo.s_region for one in images]
    grid = grid_around([one.meta for one in images], image.data.shape).wcs
    to_sky = grid.get_transform("detector", "world")
    theirs = combine_sregions(s_regions, to_sky, intersect_footprint=grid.footprint())
    assert united(s_regions, grid) == theirs
    assert theirs.count("POLYGON") == (2 if shift[0] == 0.05 else 1)


def test_outline_elsewhere(caplog):
    image = calibrated(*CAMERAS[3])
    grid = grid_around([image.meta], image.data.shape).wcs
    assert united([moved(image, 0.1, 0).meta.wcsinfo.s_region], grid) is None
    assert "no image touches the output" in caplog.text


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"pixel_scale": 0.03},
        {"pixel_area": 0.0016},
        {"pixel_shape": [70, 60]},
        {"array_shape": [60, 70]},
    ],
    ids=str,
)
@pytest.mark.parametrize("shape", [None, [50, 40]], ids=str)
def test_file(official, tmp_path, told, shape):
    image = calibrated(*CAMERAS[0])
    wcs = grid_around([image.meta], image.data.shape).wcs
    if "pixel_shape" in told or "array_shape" in told:
        wcs.pixel_shape = None
    path = tmp_path / "grid.asdf"
    asdf.AsdfFile({"wcs": wcs, **told}).write_to(path)
    ours, theirs = read_grid(path, shape), load_custom_wcs(str(path), shape)
    assert_same_grid(ours.wcs, theirs["wcs"])
    if theirs["pixel_scale"] is not None:
        assert ours.pixel_scale == theirs["pixel_scale"]


def test_file_without_a_shape(tmp_path):
    image = calibrated(*CAMERAS[0])
    wcs = grid_around([image.meta], image.data.shape).wcs
    wcs.pixel_shape = None
    wcs.bounding_box = None
    path = tmp_path / "grid.asdf"
    asdf.AsdfFile({"wcs": wcs}).write_to(path)
    with pytest.raises(InputError, match="nothing tells the shape of the output_wcs"):
        read_grid(path)


@pytest.mark.parametrize("content", [None, b"", b"#ASDF 1.0.0\n"])
def test_file_that_cannot_be_read(tmp_path, content):
    path = tmp_path / "grid.asdf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="no output_wcs can be read"):
        read_grid(path)


def test_grid_without_pixels():
    image = calibrated(*CAMERAS[0])
    with pytest.raises(ParameterError, match=r"0 x 0 pixels"):
        grid_around([image.meta], image.data.shape, GridOptions(pixel_scale=1e3))


@pytest.mark.parametrize(
    ("place", "complaint"),
    [("roll_ref", "lacks ROLL_REF"), ("s_region", "run assign_wcs first")],
)
def test_images_without_a_geometry(place, complaint):
    image = calibrated(*CAMERAS[0]).copy()
    image[f"meta.wcsinfo.{place}"] = None
    with pytest.raises(InputError, match=complaint):
        grid_around([image.meta], image.data.shape)
