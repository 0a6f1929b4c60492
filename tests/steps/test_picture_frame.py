"""The picture frame of NIRSpec against the official step, and its truth."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jwst.picture_frame import PictureFrameStep as OfficialStep
from official import official_step
from stdatamodels.jwst import datamodels

from jwgpu.errors import NotYetError
from jwgpu.steps.picture_frame import PictureFrameStep

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the official package

#: A corner of a full frame, which the step takes for the whole: the regions are fixed.
SHAPE = (2, 4, 144, 160)
NOT_PICTURES = (
    datamodels.RampModel,
    datamodels.CubeModel,
    datamodels.ImageModel,
    datamodels.GainModel,
    datamodels.ReadnoiseModel,
)
PARAMETERS: dict[str, Any] = {"mask_science_regions": False}


@pytest.fixture(autouse=True)
def _quiet():
    logging.getLogger("jwst").setLevel(logging.CRITICAL)


def pattern() -> Any:
    """Return a frame around the center, with pixels that were never measured."""
    y, x = np.mgrid[: SHAPE[-2], : SHAPE[-1]]
    image = np.exp(-np.minimum(x, y) / 30.0).astype(np.float32)
    image[20, 30] = np.nan
    return image


def described(model: Any) -> Any:
    model.meta.filename = "made_ramp.fits"
    model.meta.instrument.name, model.meta.instrument.detector = "NIRSPEC", "NRS1"
    if isinstance(model, NOT_PICTURES):
        model.meta.subarray.name = "FULL"
        model.meta.subarray.xstart, model.meta.subarray.ystart = 1, 1
        model.meta.subarray.xsize, model.meta.subarray.ysize = SHAPE[-1], SHAPE[-2]
        model.meta.subarray.fastaxis, model.meta.subarray.slowaxis = 2, 1
    if not isinstance(model, NOT_PICTURES[:3]):
        return model
    for name, value in {
        "type": "NRS_IFU", "readpatt": "NRSRAPID", "nints": SHAPE[0], "ngroups": SHAPE[1],
        "nframes": 1, "groupgap": 0, "group_time": 10.7, "frame_time": 10.7, "drop_frames1": 0,
    }.items():  # fmt: skip
        setattr(model.meta.exposure, name, value)
    return model


def ramp(frame: float = 40.0, noise: float = 5.0) -> Any:
    """Return ramps with a growing picture frame, and sources."""
    random = np.random.default_rng(2)
    times = np.arange(SHAPE[1], dtype=np.float32)[None, :, None, None]
    heights = frame * np.array([1.0, 1.5])[:, None, None, None] * times
    data = 100 + 7 * times + heights * np.nan_to_num(pattern())
    data = data + random.normal(0, noise, SHAPE)
    data[..., 60:70, 90:100] += 2000 * times
    model = described(datamodels.RampModel(data=data.astype(np.float32)))
    model.groupdq = (4 * (random.random(SHAPE) < 0.02)).astype(np.uint8)
    return model


@pytest.fixture(scope="module")
def references(tmp_path_factory):
    """Return the files of the references, in a folder of their own."""
    folder = tmp_path_factory.mktemp("references")
    models = {
        "gain": datamodels.GainModel(data=np.full(SHAPE[2:], 1.0, np.float32)),
        "readnoise": datamodels.ReadnoiseModel(data=np.full(SHAPE[2:], 7.0, np.float32)),
        "pictureframe": datamodels.PictureFrameModel(data=pattern()),
    }
    paths = {}
    for kind, model in models.items():
        described(model)
        model.meta.reftype = kind.upper()
        model.meta.author = model.meta.description = "a test"
        model.meta.pedigree, model.meta.useafter = "DUMMY", "2020-01-01T00:00:00"
        paths[kind] = folder / f"{kind}.fits"
        model.save(paths[kind])
    return paths


def ours(exposure: Any, references: dict[str, Path], **parameters: Any) -> Any:
    step = PictureFrameStep()
    step.references = str(references["gain"].parent)
    step.skip = False
    for name, value in parameters.items():
        setattr(step, name, value)
    return step.run(exposure)


def assert_same(exposure: Any, references: dict[str, Path], **parameters: Any) -> Any:
    parameters = {**PARAMETERS, **parameters}
    theirs = official_step("picture_frame", exposure, references, skip=False, **parameters)
    result = ours(exposure, references, **parameters)
    assert result.meta.cal_step.picture_frame == theirs.meta.cal_step.picture_frame
    # float32 throughout; the sums are the same.
    np.testing.assert_allclose(result.data, theirs.data, rtol=1e-6)
    return result


@pytest.mark.parametrize("n_sigma", [2.0, 0.0])
def test_ramps(references, n_sigma):
    result = assert_same(ramp(), references, n_sigma=n_sigma)
    assert result.meta.cal_step.picture_frame == "COMPLETE"


@pytest.mark.parametrize("is_cube", [True, False])
def test_count_rates(references, is_cube):
    model = datamodels.CubeModel if is_cube else datamodels.ImageModel
    data = ramp().data[:, 2] if is_cube else ramp().data[0, 2]
    rates = described(model(data=data, dq=np.zeros(data.shape, np.uint32)))
    assert_same(rates, references)


def test_truth(references):
    # What is left of a frame of 120 DN is the noise of the medians.
    result = ours(ramp(noise=0.5), references, **PARAMETERS)
    difference = np.diff(result.data, axis=1)
    edge = np.median(difference[..., 4:20, :], axis=(2, 3))
    center = np.median(difference[..., 100:, 120:], axis=(2, 3))
    np.testing.assert_allclose(edge, center, atol=1.0)
    assert abs(np.median(np.diff(ramp().data, axis=1)[..., 4:20, :])) > 20


def test_products(references, tmp_path):
    saving = {"save_mask": True, "save_correction": True}
    folders = [tmp_path / "ours", tmp_path / "theirs"]
    for folder in folders:
        folder.mkdir()
    ours(ramp(), references, output_dir=str(folders[0]), **saving, **PARAMETERS)
    official_step(
        "picture_frame", ramp(), references, skip=False, output_dir=str(folders[1]), **saving,
        **PARAMETERS,
    )  # fmt: skip
    for suffix in ("pctfrm_mask", "pctfrm_correction"):
        our, their = (datamodels.open(f / f"made_{suffix}.fits") for f in folders)
        np.testing.assert_allclose(our.data, their.data, atol=1e-4)
        assert type(our) is type(their)


def change(**values: Any) -> Any:
    def apply(model: Any) -> Any:
        for path, value in values.items():
            node, _, name = path.replace("__", ".").rpartition(".")
            target = model.meta
            for part in node.split("."):
                target = getattr(target, part)
            setattr(target, name, value)
        return model

    return apply


@pytest.mark.parametrize(
    "altered", [change(subarray__name="SUB2048"), change(instrument__name="NIRCAM")]
)
def test_other_exposures_are_skipped(references, altered):
    model = altered(ramp())
    model.meta.instrument.detector = "NRS1" if model.meta.instrument.name == "NIRSPEC" else "NRCA1"
    without = {kind: path for kind, path in references.items() if kind != "pictureframe"}
    theirs = official_step("picture_frame", model, without, skip=False, **PARAMETERS)
    result = ours(model, references, override_pictureframe="N/A", **PARAMETERS)
    assert result.meta.cal_step.picture_frame == "SKIPPED"
    assert theirs.meta.cal_step.picture_frame == "SKIPPED"
    np.testing.assert_array_equal(result.data, model.data)


def test_single_group_is_skipped(references):
    model = ramp()
    model.data, model.groupdq = model.data[:, :1].copy(), model.groupdq[:, :1].copy()
    model.meta.exposure.ngroups = 1
    assert assert_same(model, references).meta.cal_step.picture_frame == "SKIPPED"


def test_nothing_to_scale_to_is_skipped(references):
    model = ramp()
    model.data[..., :, 76:] = np.nan
    assert assert_same(model, references).meta.cal_step.picture_frame == "SKIPPED"


def test_regions_need_coordinates(references):
    with pytest.raises(NotYetError, match="mask_science_regions=false"):
        ours(ramp(), references)


def test_parameters_are_the_official_ones():
    def lines(step):
        spec = [line.partition("#")[0] for line in step.spec.splitlines() if "=" in line]
        return [line.replace(" ", "") for line in spec]

    assert lines(PictureFrameStep) == lines(OfficialStep)
    assert PictureFrameStep.reference_file_types == OfficialStep.reference_file_types


@pytest.mark.parametrize("is_ramp", [True, False])
def test_on_a_gpu(cuda, references, is_ramp):
    model = ramp()
    if not is_ramp:
        data = model.data[:, 2].copy()
        model = described(datamodels.CubeModel(data=data, dq=np.zeros(data.shape, np.uint32)))
    theirs, ours_ = (
        ours(model, references, device=device, **PARAMETERS) for device in ("cpu", "cuda")
    )
    assert ours_.meta.cal_step.picture_frame == "COMPLETE"
    np.testing.assert_array_equal(ours_.data, theirs.data)
    assert (ours_.data != model.data).any()
