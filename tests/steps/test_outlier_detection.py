"""outlier_detection of images: parity with the official step, truth, products, bad input."""

from __future__ import annotations

import importlib
import shutil
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from dithered_images import HITS, dithered, write_association
from jwst.datamodels import ModelLibrary
from offline import official_step
from products import assert_same_product

from jwgpu.errors import InputError, NotYetError, ParameterError
from jwgpu.models.flags import DO_NOT_USE, OUTLIER
from jwgpu.steps.outlier_detection import OutlierDetectionStep

pytest_plugins = ("official",)

NIRCAM = ("NIRCAM", "NRCA1", "SUB160", 8.3)
MIRI = ("MIRI", "MIRIMAGE", "SUB128", 45.0)
ARRAYS = ("dq", "data", "err", "var_poisson", "var_rnoise", "var_flat", "area")

OPTIONS = [
    {},
    {"resample_data": False, "good_bits": "DEAD+DO_NOT_USE"},
    {"in_memory": False, "kernel": "turbo", "pixfrac": 0.7, "maskpt": 0.9},
    {"weight_type": "exptime", "kernel": "point", "snr": "3.0 2.5", "scale": "0.5 0.3"},
    {"fillval": "0.0", "maskpt": 0.0, "good_bits": "~DO_NOT_USE+DEAD", "backg": 0.1},
]


def models_of(library):
    """Copy all models of a library."""
    found = []
    with library:
        for index, model in enumerate(library):
            found.append(model.copy())
            library.shelve(model, index, modify=False)
    return found


def run_official(source, **parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return models_of(official_step("outlier_detection", source, {}, **parameters))


def ours(source, **parameters):
    return models_of(OutlierDetectionStep(**parameters).run(source))


def assert_same(found, expected):
    assert len(found) == len(expected)
    for our, their in zip(found, expected, strict=True):
        for name in ARRAYS:
            one, other = getattr(our, name), getattr(their, name)
            assert (one is None) == (other is None), name
            if one is not None:
                np.testing.assert_array_equal(one, other, err_msg=name)
        assert our.meta.cal_step.instance == their.meta.cal_step.instance
        assert our.meta.filename == their.meta.filename


#: Sums of weighted values are rounded to single precision, in another order.
ROUNDING = 1e-5


def is_outlier(model):
    return (model.dq & OUTLIER) != 0


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_same_as_official(official, options):
    field = dithered(*NIRCAM)
    source = str(field.association) if "in_memory" in options else field.models()
    found = ours(source, **options)
    assert_same(found, run_official(source, **options))
    assert all(is_outlier(model).any() for model in found)


@pytest.mark.parametrize("options", [{}, {"resample_data": False, "in_memory": False}], ids=str)
def test_images_that_overlap_in_part(official, options):
    field = dithered(*MIRI)
    source = str(field.association) if "in_memory" in options else field.models()
    found = ours(source, **options)
    assert_same(found, run_official(source, **options))
    for other in ({"in_memory": not options.get("in_memory", True)}, {"threads": 3}):
        assert_same(ours(field.models(), **{**options, **other}), found)


def test_weights_by_time_without_resampling():
    # Officially this ends with an error (KeyError: measurement_time).
    models = dithered(*NIRCAM).models()
    options = {"resample_data": False}
    assert_same(ours(models, weight_type="exptime", **options), ours(models, **options))


def test_hits_are_found():
    field = dithered(*NIRCAM)
    found = ours(field.models())
    n_missed = n_wrong = n_seen = 0
    for model, before, hits in zip(found, field.models(), field.hits, strict=True):
        # What was bad anyway cannot be found. On a star a hit is weak beside the slopes there.
        usable = (before.dq & DO_NOT_USE) == 0
        n_seen += (hits & usable).sum()
        n_missed += (hits & usable & ~is_outlier(model)).sum()
        n_wrong += (is_outlier(model) & ~hits).sum()
        for name in ("data", "err", "var_poisson", "var_rnoise"):
            assert np.isnan(getattr(model, name)[is_outlier(model)]).all()
        assert (model.dq[is_outlier(model)] & DO_NOT_USE).all()
    assert n_seen > 2.8 * HITS
    assert n_missed <= 0.05 * n_seen
    assert n_wrong <= 1e-4 * len(found) * found[0].dq.size


def moved(models, **changes):
    """Copies of models with changed metadata; a list gives one value each."""
    copies = [model.copy() for model in models]
    for place, values in changes.items():
        for index, model in enumerate(copies):
            model[place.replace("__", ".")] = values[index]
    return copies


def test_several_detectors_of_an_exposure(official):
    exposures = ["00001", "00001", "00002"]
    models = moved(dithered(*NIRCAM).models(), meta__observation__exposure_number=exposures)
    found = ours(models)
    assert_same(found, run_official(models))
    assert not np.array_equal(found[0].dq, ours(dithered(*NIRCAM).models())[0].dq)


@pytest.mark.parametrize("subtracted", [False, True])
def test_sky_of_the_keywords(official, subtracted):
    models = [model.copy() for model in dithered(*NIRCAM).models()]
    for index, model in enumerate(models):
        model.data += np.float32(100 * index)
    changes = {
        "meta__background__level": [0.0, 100.0, 200.0],
        "meta__background__subtracted": [subtracted] * 3,
    }
    models = moved(models, **changes)
    found = ours(models, backg=0.05)
    assert_same(found, run_official(models, backg=0.05))
    # Without subtraction nothing but the hits differs.
    n_outliers = sum(is_outlier(model).sum() for model in found)
    assert (n_outliers < 2 * 3 * HITS) == (subtracted is False)


def test_values_that_are_not_flagged(official):
    models = [model.copy() for model in dithered(*MIRI).models()]
    models[0].data[40:44, 50:60] = np.nan
    models[1].err[60, 20:30] = np.nan
    models[2].dq[70:75, 70:75] |= DO_NOT_USE  # with a value
    models[2].data[72, 72] = 1e5
    models[0].var_rnoise = None
    assert_same(ours(models), run_official(models))
    assert_same(ours(models, resample_data=False), run_official(models, resample_data=False))


def test_pixels_of_little_weight(official):
    models = [model.copy() for model in dithered(*NIRCAM).models()]
    for model in models[:2]:
        model.data[60:80, 60:80] += np.float32(300)
        model.var_rnoise[60:80, 60:80] *= np.float32(10)
    for options in ({}, {"resample_data": False}):
        found = ours(models, **options)
        assert_same(found, run_official(models, **options))
        # The third image alone counts.
        share = [is_outlier(model)[66:74, 66:74].mean() for model in found]
        assert share[0] > 0.8
        assert share[1] > 0.8
        assert share[2] < 0.1


def test_models_are_left_as_they_are():
    models = dithered(*MIRI).models()
    before = [model.dq.copy() for model in models]
    ours(models)
    for model, dq in zip(models, before, strict=True):
        np.testing.assert_array_equal(model.dq, dq)


@pytest.mark.parametrize("resample_data", [True, False])
def test_products(official, tmp_path, monkeypatch, resample_data):
    field = dithered(*NIRCAM, number=2)
    parameters = {
        "save_results": True,
        "save_intermediate_results": True,
        "resample_data": resample_data,
        "pixmap_stepsize": 10.0,
        "pixmap_order": 3,
    }
    for name in ("ours", "theirs"):
        folder = tmp_path / name
        folder.mkdir()
        for path in (field.association, *field.files):
            shutil.copy(path, folder)
        monkeypatch.chdir(folder)
        run = run_official if name == "theirs" else ours
        run(field.association.name, **parameters)
    names = [sorted(path.name for path in (tmp_path / one).iterdir()) for one in ("ours", "theirs")]
    assert names[0] == names[1]
    made = set(names[0]) - {path.name for path in (field.association, *field.files)}
    assert len(made) == (7 if resample_data else 3)
    for name in made:
        assert "_a3001_" in name
        files = tmp_path / "ours" / name, tmp_path / "theirs" / name
        assert_same_product(*files, SCI=0.0 if name.endswith("step.fits") else ROUNDING)


def test_nothing_is_left_on_the_disk(tmp_path, monkeypatch):
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    field = dithered(*MIRI)
    kept = ours(str(field.association), in_memory=False)
    assert_same(kept, ours(str(field.association)))
    del kept
    assert not list(folder.iterdir())


@pytest.mark.parametrize("number", [0, 1])
def test_one_image_alone(official, number):
    models = dithered(*MIRI).models()[:number] or dithered(*MIRI).models()[0]
    found = ours(models)
    assert found[0].meta.cal_step.outlier_detection == "FAILED"
    if number:
        assert_same(found, run_official(models))


def test_unknown_kind(official):
    models = moved(dithered(*MIRI).models()[:2], meta__exposure__type=["MIR_TACQ"] * 2)
    found = ours(models)
    their = official_step("outlier_detection", models, {})
    assert [model.meta.cal_step.outlier_detection for model in their] == ["FAILED"] * 2
    assert [model.meta.cal_step.outlier_detection for model in found] == ["FAILED"] * 2


@pytest.mark.parametrize(("kind", "mode"), [("MIR_MRS", "ifu"), ("NRS_MSASPEC", "spec")])
def test_modes_that_are_not_there_yet(kind, mode):
    models = moved(dithered(*MIRI).models()[:2], meta__exposure__type=[kind] * 2)
    with pytest.raises(NotYetError, match=f"the {mode} mode of {kind} yet"):
        ours(models)


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"snr": "5.0"}, "snr=5.0: give two numbers"),
        ({"scale": "1 b"}, "scale=1 b: give two numbers"),
        ({"good_bits": "~DO_NOT"}, "good_bits=~DO_NOT: it names no flags"),
        ({"fillval": "nothing"}, "it must be a number, NAN or INDEF"),
        ({"pixmap_stepsize": 5.0, "pixmap_order": 2}, "it must be 1 or 3"),
    ],
)
def test_parameters_that_make_no_sense(parameters, complaint):
    with pytest.raises(ParameterError, match=complaint):
        ours(dithered(*MIRI).models()[:2], **parameters)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"meta__wcsinfo__s_region": [None, None]}, "run assign_wcs first"),
        ({"meta__exposure__exposure_time": [None, 10.0]}, "needs a positive exposure time"),
        ({"meta__exposure__type": ["MIR_LYOT"] * 2}, "one time series or coronagraphic exposure"),
    ],
    ids=["geometry", "time", "coronagraph"],
)
def test_images_that_cannot_be_compared(changes, complaint):
    with pytest.raises(InputError, match=complaint):
        ours(moved(dithered(*MIRI).models()[:2], **changes))


def test_images_of_different_shapes():
    models = [dithered(*MIRI).models()[0], dithered(*NIRCAM).models()[0]]
    with pytest.raises(InputError, match=r"has the shape \(160, 160\), the first image \("):
        ours(models, resample_data=False)


def test_a_missing_member(tmp_path):
    files = [Path("jw_not_there_cal.fits")]
    with pytest.raises(InputError, match="jw_not_there_cal"):
        ours(str(write_association(tmp_path / "a_asn.json", files)))


@pytest.mark.parametrize("resample_data", [True, False])
def test_same_on_a_gpu(cuda, tmp_path, monkeypatch, resample_data):
    monkeypatch.chdir(tmp_path)
    models = dithered(*MIRI).models()
    parameters = {"resample_data": resample_data, "save_intermediate_results": True}
    found = ours(models, device="cuda", **parameters)
    if hasattr(cuda.xp, "counts"):
        assert cuda.xp.counts.launches > 0
    assert len(list(tmp_path.iterdir())) == (3 + 1 + 3 if resample_data else 1)
    assert_same(found, ours(models, **parameters))
    assert any(is_outlier(model).any() for model in found)


@pytest.mark.parametrize(
    ("kernel", "resample_data"), [("blot", True), ("outliers", False)], ids=["blot", "flag"]
)
def test_a_gpu_that_gets_full_on_the_way(cuda, monkeypatch, caplog, kernel, resample_data):
    """What was flagged before must not count in medians that are made again."""
    models = dithered(*MIRI).models()
    module = importlib.import_module(f"jwgpu.kernels.{kernel}.cuda")
    name = "blot" if kernel == "blot" else "flag_stacked"
    whole, calls = getattr(module, name), []

    def narrow(*arguments):
        calls.append(name)
        if len(calls) > 1:
            raise cuda.out_of_memory[0]("no room")
        whole(*arguments)

    monkeypatch.setattr(module, name, narrow)
    step = OutlierDetectionStep(device="cuda", resample_data=resample_data)
    found = models_of(step.run(ModelLibrary([model.copy() for model in models])))
    assert len(calls) == 1 + 2 * (len(models) - 1)
    assert "has too little memory (no room): calibrating on the cpu" in caplog.text
    assert_same(found, ours(models, resample_data=resample_data))
    assert any(is_outlier(model).any() for model in found)
