"""The background step: parity with the official one, its quirks, what is skipped and refused."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import array_api_strict as strict
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from offline import official_step
from products import assert_same_product
from stdatamodels.jwst import datamodels

from jwgpu.cli import main
from jwgpu.errors import InputError, NotYetError
from jwgpu.models.images import Image
from jwgpu.models.reading_images import image_of
from jwgpu.steps.background import BackgroundStep
from jwgpu.steps.clipped_mean import mean_of, not_outlying

ELSEWHERE = strict.Device("device1")


def rates(
    seed: int,
    shape: tuple[int, ...] = (9, 12),
    start: tuple[int, int] = (1, 1),
    kind: str = "NRC_IMAGE",
):
    """Return count rates with some NaN, outliers and flags; start is (x, y)."""
    random = np.random.default_rng(seed)
    model = datamodels.ImageModel(shape) if len(shape) == 2 else datamodels.CubeModel(shape)
    model.data = random.normal(5, 1, shape).astype(np.float32)
    model.err = random.uniform(0.5, 1.5, shape).astype(np.float32)
    model.dq = random.choice(np.array([0, 0, 1, 4, 1024], np.uint32), shape)
    model.data[random.random(shape) < 0.1] += 100
    model.data[random.random(shape) < 0.1] = np.nan
    model.err[random.random(shape) < 0.05] = np.nan
    model.data[..., 0, 0] = np.nan  # no background has a value here
    model.data[0, 1], model.data[-1, 2] = np.inf, -np.inf
    model.meta.instrument.name, model.meta.exposure.type = "NIRCAM", kind
    model.meta.instrument.detector = "NRCA1"
    subarray = model.meta.subarray
    subarray.xstart, subarray.ystart = start
    subarray.ysize, subarray.xsize = shape[-2:]
    model.meta.filename = f"jw{seed}_rate.fits"
    return model


def saved(folder: Path, models: list) -> list[str]:
    for model in models:
        model.save(folder / model.meta.filename)
    return [str(folder / model.meta.filename) for model in models]


def both(target, names, **parameters):
    step = BackgroundStep()
    for name, value in {"bkg_list": names, **parameters}.items():
        setattr(step, name, value)
    return step.run(target), official_step("bkg_subtract", target, {}, bkg_list=names, **parameters)


def assert_same(ours, theirs):
    assert type(ours) is type(theirs)
    for name in ("data", "err", "dq"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)
    assert ours.meta.cal_step.instance == theirs.meta.cal_step.instance


@pytest.mark.parametrize("n", [1, 2, 3, 7])
@pytest.mark.parametrize("shape", [(9, 12), (4, 9, 12)], ids=["image", "integrations"])
def test_is_the_official_one(tmp_path, shape, n):
    target = rates(0, shape)
    before = target.data.copy()
    names = saved(tmp_path, [rates(seed, shape) for seed in range(1, 1 + n)])
    ours, theirs = both(target, names)
    assert_same(ours, theirs)
    assert ours.meta.cal_step.bkg_subtract == "COMPLETE"
    assert not np.array_equal(ours.data, before, equal_nan=True)
    np.testing.assert_array_equal(target.data, before)


@pytest.mark.parametrize(
    "parameters",
    [{"sigma": 1.0}, {"sigma": 1.5, "maxiters": 1}, {"sigma": 1.2, "maxiters": 2}, {"maxiters": 0}],
)
@pytest.mark.parametrize("shape", [(9, 12), (6, 9, 12)], ids=["image", "integrations"])
def test_clipping_is_the_official_one(tmp_path, shape, parameters):
    names = saved(tmp_path, [rates(seed, shape) for seed in range(1, 9)])
    assert_same(*both(rates(0, shape), names, **parameters))


#: Shape and start (x, y) of a background, and where the exposure begins.
PLACES = {
    "smaller": ((5, 6), (4, 3), (1, 1)),
    "larger": ((20, 30), (1, 1), (5, 4)),
    "shifted": ((9, 12), (5, 4), (1, 1)),
    "before": ((9, 12), (1, 1), (5, 4)),
    "beside": ((9, 12), (13, 1), (1, 1)),
    "above": ((9, 12), (1, 10), (1, 1)),
}


@pytest.mark.parametrize("place", PLACES.values(), ids=list(PLACES))
@pytest.mark.parametrize("ints", [(), (3,)], ids=["image", "integrations"])
def test_subarrays_are_put_where_they_officially_are(tmp_path, ints, place):
    shape, start, own_start = place
    target = rates(0, (*ints, 9, 12), own_start)
    same = rates(1, (*ints, 9, 12), own_start)
    other = rates(2, (2, *shape) if ints else shape, start)
    names = saved(tmp_path, [same, other])
    assert_same(*both(target, names))
    assert_same(*both(target, names[1:]))


def test_a_background_that_begins_further_in_lies_at_the_origin():
    """Quirk: the official package does not shift it to where it is on the detector."""
    target, other = rates(0), rates(1, (5, 6), (4, 3))
    other.data[...], target.data[...] = 7, 10
    step = BackgroundStep()
    step.bkg_list = None
    step.backgrounds = [other]
    result = step.run(target)
    assert np.all(result.data[:5, :6] == 3)
    assert np.all(result.data[5:] == 10)
    assert np.all(other.data == 7)


def test_full_frames_need_no_keywords():
    target, other = rates(0, (1024, 1032)), rates(1, (1024, 1032))
    for model in (target, other):
        model.meta.instrument.name, model.meta.instrument.detector = "MIRI", "MIRIMAGE"
        model.meta.subarray.xstart = None
    other.data[...], other.dq[...], target.data[...] = 1, 2, 3
    step = BackgroundStep()
    result = step.process(target, [other])
    assert np.all(result.data == 2)
    assert np.all(result.dq & 2)


@pytest.fixture
def association(tmp_path) -> Path:
    models = [rates(seed) for seed in range(4)]
    saved(tmp_path, models)
    kinds = ["background", "science", "Background", "sourcecat"]
    members = [
        {"expname": model.meta.filename, "exptype": kind}
        for model, kind in zip(models, kinds, strict=True)
    ]
    path = tmp_path / "jw_image2_asn.json"
    content = {"asn_type": "image2", "products": [{"name": "jw1", "members": members}]}
    path.write_text(json.dumps(content))
    return path


def test_products_of_an_association_are_the_official_ones(association, tmp_path, monkeypatch):
    from jwst.background import BackgroundStep as OfficialStep

    monkeypatch.chdir(tmp_path)
    words = ["--save_combined_background=true", "--output_dir", str(tmp_path / "ours")]
    assert main(["background", "--disable-crds-steppars", str(association), *words]) == 0
    step = OfficialStep()
    step.save_combined_background, step.save_results = True, True
    step.output_dir = str(tmp_path / "theirs")
    step.run(str(association))
    names = sorted(path.name for path in (tmp_path / "theirs").iterdir())
    assert sorted(path.name for path in (tmp_path / "ours").iterdir()) == names
    assert len(names) == 2
    for name in names:
        assert_same_product(tmp_path / "ours" / name, tmp_path / "theirs" / name)


def test_lists_are_taken_as_officially(tmp_path):
    names = saved(tmp_path, [rates(seed) for seed in (1, 2)])
    expected, _ = both(rates(0), names)
    step = BackgroundStep()
    assert_same(step.process(rates(0), ",".join(names) + ","), expected)
    step = BackgroundStep()
    assert_same(step.process(rates(0), [names[0], "", names[1]]), expected)


@pytest.mark.parametrize("names", [None, [], [""]])
def test_without_backgrounds_it_is_skipped(names):
    target = rates(0)
    ours, theirs = both(target, names)
    assert_same(ours, theirs)
    assert ours.meta.cal_step.bkg_subtract == "SKIPPED"
    np.testing.assert_array_equal(ours.data, target.data)


@pytest.mark.parametrize("tilt", [0.1, 0.1 + 5e-9, 0.1 + 5e-8])
def test_nirspec_needs_the_same_tilt(tmp_path, tilt):
    target, other = (rates(seed, kind="NRS_IMAGE") for seed in (0, 1))
    for model, x in ((target, 0.1), (other, tilt)):
        model.meta.instrument.name, model.meta.instrument.detector = "NIRSPEC", "NRS1"
        model.meta.instrument.gwa_xtilt, model.meta.instrument.gwa_ytilt = x, 0.2
    ours, theirs = both(target, saved(tmp_path, [other]))
    assert_same(ours, theirs)
    is_skipped = ours.meta.cal_step.bkg_subtract == "SKIPPED"
    assert is_skipped == (tilt - 0.1 > 1e-8)


@pytest.mark.parametrize("kind", ["NIS_WFSS", "NRC_WFSS", "MIR_WFSS", "NIS_SOSS", "NRS_IFU"])
def test_what_is_not_there_yet_says_so(kind):
    with pytest.raises(NotYetError, match=kind):
        BackgroundStep().process(rates(0, kind=kind), [rates(1)])


def test_refuses_what_does_not_fit(tmp_path, association):
    step = BackgroundStep()
    with pytest.raises(InputError, match="_rateints"):
        step.process(rates(0), [rates(1, (2, 9, 12))])
    short = rates(1)
    short.meta.subarray.xsize = 13
    with pytest.raises(InputError, match="not consistent"):
        step.process(rates(0, (20, 20)), [short])
    short.meta.subarray.xsize = None
    with pytest.raises(InputError, match="SUBSIZE1"):
        step.process(rates(0), [short])
    with pytest.raises(InputError, match="nothing_rate"):
        step.process(rates(0), [str(tmp_path / "nothing_rate.fits")])
    nirspec = rates(0)
    nirspec.meta.instrument.name = "NIRSPEC"
    with pytest.raises(InputError, match="GWA_XTIL"):
        step.process(nirspec, [rates(1)])
    (tmp_path / "jw0_rate.fits").unlink()
    with pytest.raises(InputError, match="is missing"):
        step.process(str(association))
    content = json.loads(association.read_text())
    del content["products"][0]["members"][:2]
    association.write_text(json.dumps(content))
    with pytest.raises(InputError, match="no science member"):
        step.process(str(association))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 30),
    sigma=st.sampled_from([0.7, 1.0, 1.5, 3.0]),
    maxiters=st.sampled_from([None, 0, 1, 2, 5]),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_outliers_are_those_of_astropy(seed, n, sigma, maxiters, dtype):
    from astropy.stats import sigma_clip

    random = np.random.default_rng(seed)
    planes = random.standard_t(1.5, (n, 3, 5)).astype(dtype)
    planes[random.random(planes.shape) < 0.1] = np.nan
    with np.errstate(all="ignore"):
        theirs = sigma_clip(np.nan_to_num(planes, nan=np.inf), sigma, maxiters=maxiters, axis=0)
    kept = not_outlying(planes, sigma, maxiters)
    np.testing.assert_array_equal(~kept, theirs.mask)
    mean, count = mean_of(planes, kept)
    np.testing.assert_array_equal(mean, theirs.mean(axis=0).data)
    np.testing.assert_array_equal(count, (~theirs.mask).sum(axis=0))


@pytest.mark.parametrize("shape", [(9, 12), (3, 9, 12)], ids=["image", "integrations"])
def test_gives_the_same_on_arrays_that_are_not_numpy(shape, monkeypatch):
    def on_device(image: Image) -> Image:
        arrays = (image.data, image.dq, image.err)
        sent = [strict.asarray(array, device=ELSEWHERE, copy=True) for array in arrays]
        return Image(*sent, model=image.model)

    def averaged(place) -> list:
        step = BackgroundStep()
        step.sigma = 1.0
        monkeypatch.setattr(BackgroundStep, "session", SimpleNamespace(send=place))
        exposure = place(image_of(rates(0, shape)))
        return list(step.average(exposure, [rates(seed, shape) for seed in range(1, 5)]))

    here = averaged(lambda image: image)
    for ours, there in zip(here, averaged(on_device), strict=True):
        fetched = np.asarray(there.to_device(strict.Device("CPU_DEVICE")))
        np.testing.assert_array_equal(ours, fetched)


@pytest.mark.parametrize("shape", [(9, 12), (6, 9, 12)], ids=["image", "integrations"])
def test_a_gpu_gives_the_same(cuda, tmp_path, shape):
    names = saved(tmp_path, [rates(seed, shape) for seed in range(1, 9)])
    results = []
    for device in ("cpu", "cuda"):
        step = BackgroundStep(device=device)
        step.bkg_list, step.sigma = names, 1.2
        results.append(step.run(rates(0, shape)))
        assert step.session.device.name.startswith(device)
    assert_same(*results)
    assert isinstance(results[1].data, np.ndarray)
