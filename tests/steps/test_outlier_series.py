"""outlier_detection of time series and behind coronagraphs: parity, truth, products, devices."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from image_exposures import calibrated
from offline import official_step
from products import assert_same_product
from stdatamodels.jwst import datamodels

from jwgpu.errors import NotYetError
from jwgpu.models.flags import DO_NOT_USE, OUTLIER
from jwgpu.models.reading_images import image_of
from jwgpu.steps.outlier_detection import OutlierDetectionStep

pytest_plugins = ("official",)

ARRAYS = ("dq", "data", "err", "var_poisson", "var_rnoise", "var_flat")
SERIES = "NRC_TSIMAGE"
CORONAGRAPH = "NRC_CORON"


def cube(kind, nints=12, shape=(30, 41)):
    """Return integrations of one exposure, and where they were hit."""
    rng = np.random.default_rng(nints)
    source = calibrated("NIRCAM", "NRCA1", "SUB160")
    model = datamodels.CubeModel((nints, *shape))
    model.update(source)
    model.meta.wcs = source.meta.wcs
    model.meta.exposure.type = kind
    model.meta.exposure.nints = nints
    model.meta.visit.tsovisit = kind == SERIES
    model.meta.filename = "jw09999001001_02101_00001_nrca1_calints.fits"
    y, x = np.indices(shape)
    stars = 50 * np.exp(-((x - 20) ** 2 + (y - 11) ** 2) / 3)
    drift = 1 + (0.01 if kind == SERIES else 0.0) * np.arange(nints)[:, None, None]
    model.data = (5 + stars * drift + rng.normal(0, 1, model.data.shape)).astype(np.float32)
    hits = rng.random(model.data.shape) < 0.004
    model.data[hits] += rng.uniform(15, 60, hits.sum()).astype(np.float32)
    model.err = np.full(model.data.shape, 1.0, np.float32)
    bad = rng.random(model.data.shape) < 0.004
    model.dq = np.where(bad, DO_NOT_USE, np.where(rng.random(bad.shape) < 0.05, 4, 0))
    model.dq = model.dq.astype(np.uint32)
    for name in ("var_poisson", "var_rnoise", "var_flat"):
        setattr(model, name, np.full(model.data.shape, 0.3, np.float32))
    for name in ARRAYS[1:]:
        getattr(model, name)[bad] = np.nan
    return model, hits & ~bad


def run_official(source, **parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return official_step("outlier_detection", source, {}, **parameters)


def assert_same(our, their):
    assert type(our).__name__ == type(their).__name__
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(our, name), getattr(their, name), err_msg=name)
    assert our.meta.cal_step.instance == their.meta.cal_step.instance


OTHERS = [
    {"snr": "4.0 3.0", "good_bits": "~DO_NOT_USE+JUMP_DET"},
    {"maskpt": 1.2},
    {"maskpt": -1.0},
]
CASES = [
    *((SERIES, {"rolling_window_width": width}) for width in (1, 2, 5, 12, 25)),
    *((SERIES, {"rolling_window_width": 4, **other}) for other in OTHERS),
    *((CORONAGRAPH, other) for other in ({}, *OTHERS)),
]


@pytest.mark.parametrize(("kind", "options"), CASES, ids=str)
def test_same_as_official(official, kind, options):
    model, _ = cube(kind)
    assert_same(OutlierDetectionStep(**options).run(model), run_official(model, **options))


def test_all_pixels_are_bad(official):
    for kind in (SERIES, CORONAGRAPH):
        model, _ = cube(kind, 6)
        model.dq |= 4
        options = {"good_bits": "~JUMP_DET", "rolling_window_width": 3}
        assert_same(OutlierDetectionStep(**options).run(model), run_official(model, **options))


@pytest.mark.parametrize("kind", [SERIES, CORONAGRAPH])
def test_hits_are_found(kind):
    model, hits = cube(kind, 30)
    found = OutlierDetectionStep(rolling_window_width=9).run(model)
    is_outlier = (found.dq & OUTLIER) != 0
    assert hits.sum() > 100
    # Officially, and so here: a bad pixel in the window of a series hides all hits in it.
    assert (hits & ~is_outlier).sum() <= (0.1 if kind == SERIES else 0.02) * hits.sum()
    assert (is_outlier & ~hits).sum() <= 5
    assert np.isnan(found.data[is_outlier]).all()


@pytest.mark.parametrize("width", [4, 25])
@pytest.mark.parametrize("kind", [SERIES, CORONAGRAPH])
def test_products(official, tmp_path, monkeypatch, kind, width):
    model, _ = cube(kind)
    parameters = {"save_results": True, "save_intermediate_results": True}
    parameters |= {"rolling_window_width": width, "suffix": "crfints"}
    for name in ("ours", "theirs"):
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.chdir(folder)
        model.save(model.meta.filename)
        if name == "theirs":
            # It cannot open the file of one exposure by itself.
            run_official(datamodels.open(model.meta.filename), **parameters)
        else:
            OutlierDetectionStep(**parameters).run(model.meta.filename)
    names = [sorted(path.name for path in (tmp_path / one).iterdir()) for one in ("ours", "theirs")]
    assert names[0] == names[1]
    assert [name.rpartition("_")[2] for name in names[0]] == [
        "calints.fits",
        "crfints.fits",
        "median.fits",
    ]
    for name in names[0][1:]:
        assert_same_product(tmp_path / "ours" / name, tmp_path / "theirs" / name)


@pytest.mark.parametrize("width", [5, 25])
@pytest.mark.parametrize("kind", [SERIES, CORONAGRAPH])
def test_same_on_every_device(gpu, kind, width):
    step = OutlierDetectionStep(rolling_window_width=width, save_intermediate_results=False)
    found = []
    for send, fetch in ((lambda x: x, lambda x: x), (gpu.send, gpu.fetch)):
        image = image_of(cube(kind, 7, (9, 21))[0])
        for name in ARRAYS:
            setattr(image, name, send(getattr(image, name)))
        step.correct(image)
        found.append([fetch(getattr(image, name)) for name in ARRAYS])
    for our, other in zip(*found, strict=True):
        np.testing.assert_array_equal(our, other)
    assert (found[0][0] & OUTLIER).any()


@pytest.mark.parametrize("kind", [SERIES, CORONAGRAPH])
def test_whole_step_on_a_gpu(cuda, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    model, _ = cube(kind, 7, (9, 21))
    parameters = {"rolling_window_width": 5, "save_intermediate_results": True}
    found = OutlierDetectionStep(device="cuda", **parameters).run(model)
    if hasattr(cuda.xp, "counts"):
        assert cuda.xp.counts.launches > 0
    assert_same(found, OutlierDetectionStep(**parameters).run(model))
    assert len(list(tmp_path.iterdir())) == 1


def test_one_exposure_of_several_integrations():
    model, _ = cube("NRC_IMAGE", 4)
    found = OutlierDetectionStep().run(model)
    assert found.meta.cal_step.outlier_detection == "FAILED"


def test_series_of_spectra():
    model, _ = cube("NRC_TSGRISM", 4)
    with pytest.raises(NotYetError, match="the tso mode of NRC_TSGRISM yet"):
        OutlierDetectionStep().run(model)
