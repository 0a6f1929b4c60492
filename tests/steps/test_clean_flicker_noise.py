"""Cleaning of flicker noise against the official step: data, statuses, products, refusals."""

from __future__ import annotations

import functools
import logging
import re
from pathlib import Path
from typing import Any

import gwcs
import numpy as np
import pytest
from astropy.modeling.models import Shift
from jwst.clean_flicker_noise import CleanFlickerNoiseStep as OfficialStep
from jwst.clean_flicker_noise import autoparam as official_autoparam
from official import official_step
from products import assert_same_product
from stdatamodels.jwst import datamodels

from jwgpu.backends import get_device
from jwgpu.errors import InputError, NotYetError
from jwgpu.models.flags import DO_NOT_USE, JUMP_DET, MSA_FAILED_OPEN
from jwgpu.simulate import make_dataset
from jwgpu.steps.clean_flicker_noise import CleanFlickerNoiseStep
from jwgpu.steps.flicker_parameters import Chosen, choose_parameters
from jwgpu.steps.nsclean import NSCleanStep
from jwgpu.steps.ramp_fit import RampFitStep

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the official package

EXPOSURES: dict[str, dict[str, Any]] = {
    "nircam": {"instrument": "NIRCAM", "window": (1, 1, 96, 80), "ngroups": 5, "nints": 2},
    "niriss": {"instrument": "NIRISS", "window": (1, 1, 80, 64), "ngroups": 4, "nints": 3},
    "fgs": {"instrument": "FGS", "window": (1, 1, 64, 48), "ngroups": 4},
    "miri": {"instrument": "MIRI", "subarray": "SUB64", "ngroups": 7, "nints": 2},
    "nrs1": {"instrument": "NIRSPEC", "window": (1, 1, 128, 48), "ngroups": 4, "nints": 2},
    "nrs2": {"instrument": "NIRSPEC", "detector": "NRS2", "window": (1, 1, 160, 32), "ngroups": 3},
}

#: What differs only by the order of sums in the fit of waves, in complex64 officially.
ROUNDING = {"rtol": 1e-6, "atol": 2e-3}


@pytest.fixture(autouse=True)
def _quiet():
    logging.getLogger("jwst").setLevel(logging.CRITICAL)


@pytest.fixture(scope="module")
def ramps(tmp_path_factory):
    """Return a function from the name of an exposure to its ramp, as jump detection leaves it."""

    @functools.cache
    def make(name: str) -> tuple[Path, dict[str, Path]]:
        folder = tmp_path_factory.mktemp(name)
        data = make_dataset(folder, seed=3, flicker_noise=20.0, **EXPOSURES[name])
        random = np.random.default_rng(1)
        with datamodels.RampModel(data.exposure) as model:
            # Whole numbers have rates that are zero but for rounding; calibrated samples have not.
            model.data += random.random(model.data.shape, np.float32) - model.data.min()
            flags = random.choice([0, DO_NOT_USE, JUMP_DET], model.data.shape, p=[0.9, 0.05, 0.05])
            model.groupdq = flags.astype(np.uint8)
            model.pixeldq = random.choice([0, 0, 1024], model.data.shape[-2:]).astype(np.uint32)
            path = folder / "made_ramp.fits"
            model.save(path)
        return path, data.references

    return make


def folder_of(references: dict[str, Path]) -> str:
    return str(next(iter(references.values())).parent)


def ours(exposure: Any, references: dict[str, Path], step_class: Any = None, **parameters: Any):
    step = (step_class or CleanFlickerNoiseStep)()
    step.references = folder_of(references)
    step.skip = False
    for name, value in parameters.items():
        setattr(step, name, value)
    return step.run(exposure if not isinstance(exposure, Path) else str(exposure))


def assert_same(exposure: Any, references: Any, tolerance: Any = None, **parameters: Any) -> Any:
    """Assert that both packages make the same; return ours."""
    table = dict(references)
    if "override_flat" in parameters:
        table["flat"] = parameters["override_flat"]
    official = {k: v for k, v in parameters.items() if k != "override_flat"}
    theirs = official_step("clean_flicker_noise", exposure, table, skip=False, **official)
    result = ours(exposure, references, **parameters)
    status = result.meta.cal_step.clean_flicker_noise
    assert status == theirs.meta.cal_step.clean_flicker_noise
    assert result.data.dtype == np.float32
    assert type(result) is type(theirs)
    np.testing.assert_allclose(result.data, theirs.data, **(tolerance or {"rtol": 0}))
    return result


def flat_for(ramp: Path, folder: Path) -> str:
    """Write a flat field with holes, and flags, for an exposure."""
    random = np.random.default_rng(9)
    with datamodels.open(ramp) as like:
        shape = like.data.shape[-2:]
        data = random.normal(1, 0.1, shape).astype(np.float32)
        data[3, 4], data[5, 6] = 0, np.nan
        flags = random.choice([0, 0, 0, 1 << 18], shape).astype(np.uint32)
        flat = datamodels.FlatModel(data=data, dq=flags)
        flat.update(like)
        flat.meta.reftype = "FLAT"
        for name in ("author", "pedigree", "description", "useafter"):
            setattr(flat.meta, name, {"pedigree": "DUMMY"}.get(name, "2020-01-01T00:00:00"))
        path = folder / "flat.fits"
        flat.save(path)
    return str(path)


OPTIONS: list[dict[str, Any]] = [
    {},
    {"background_method": "model"},
    {"background_method": "model", "background_box_size": [16, 24]},
    {"background_method": None},
    {"n_sigma": 0.0},
    {"single_mask": False, "n_sigma": 3.0},
    {"fit_histogram": True},
    {"fit_by_channel": True},
]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        *(("nircam", parameters) for parameters in OPTIONS),
        ("niriss", {}),
        ("miri", {"single_mask": False}),
        ("miri", {"background_method": "model"}),
    ],
    ids=str,
)
def test_medians_are_the_official_ones(ramps, name, parameters):
    ramp, references = ramps(name)
    result = assert_same(ramp, references, **parameters)
    assert result.meta.cal_step.clean_flicker_noise == "COMPLETE"
    with datamodels.RampModel(ramp) as before:
        np.testing.assert_array_equal(result.data[:, 0], before.data[:, 0])
        assert (result.data[:, 1:] != before.data[:, 1:]).mean() > 0.5


@pytest.mark.parametrize("name", ["fgs", "nrs1", "nrs2"])
def test_other_instruments(ramps, name):
    assert_same(*ramps(name))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("nrs1", {}), ("nrs1", {"single_mask": False}), ("nrs2", {"background_method": None})],
)
def test_waves_are_the_official_ones(ramps, name, parameters):
    ramp, references = ramps(name)
    result = assert_same(ramp, references, ROUNDING, fit_method="fft", **parameters)
    assert result.meta.cal_step.clean_flicker_noise == "COMPLETE"


def test_waves_of_allslits(ramps, tmp_path):
    ramp, references = ramps("nrs1")
    with datamodels.RampModel(ramp) as model:
        plain = ours(model, references, fit_method="fft")
        model.meta.subarray.name = "ALLSLITS"
        folder = tmp_path / "references"
        folder.mkdir()
        moved = {kind: folder / references[kind].name for kind in ("gain", "readnoise")}
        for kind, path in moved.items():
            with datamodels.open(references[kind]) as reference:
                reference.meta.subarray.name = "ALLSLITS"
                reference.save(path)
        result = assert_same(model, moved, ROUNDING, fit_method="fft")
    assert (result.data != plain.data).any()


@pytest.mark.parametrize("parameters", [{}, {"background_method": "model"}])
def test_flat_field(ramps, tmp_path, parameters):
    ramp, references = ramps("nircam")
    flat = flat_for(ramp, tmp_path)
    result = assert_same(ramp, references, apply_flat_field=True, override_flat=flat, **parameters)
    assert result.meta.ref_file.flat.name == flat


def test_without_a_flat_field(ramps):
    ramp, references = ramps("nircam")
    result = assert_same(ramp, references, apply_flat_field=True)
    assert result.meta.ref_file.flat.name == "N/A"


def test_regions_of_miri_are_left_out_by_the_flags_of_the_flat(ramps, tmp_path):
    ramp, references = ramps("miri")
    with datamodels.RampModel(ramp) as model:
        model.meta.exposure.type = "MIR_IMAGE"
        flat = flat_for(ramp, tmp_path)
        table = {"mask_science_regions": True, "override_flat": flat}
        result = assert_same(model, references, **table)
        plain = ours(model, references)
    assert (result.data != plain.data).any()


@pytest.mark.parametrize("name", ["nircam", "miri"])
def test_median_image(ramps, name):
    ramp, references = ramps(name)
    parameters = {"background_method": "median_image", "single_mask": name == "miri"}
    result = assert_same_but_for_coordinates(ramp, references, **parameters)
    with datamodels.RampModel(ramp) as before:
        assert (result.data[:, 0] != before.data[:, 0]).any()


def assert_same_but_for_coordinates(
    exposure: Any, references: Any, tolerance: Any = None, **parameters: Any
) -> Any:
    """Compare where the official step wants world coordinates, of which it makes no use."""
    from jwst.clean_flicker_noise import clean_flicker_noise

    def with_any_coordinates(model: Any, **_: Any) -> Any:
        model.meta.wcs = gwcs.WCS(Shift(1) & Shift(1), output_frame="sky")
        return model

    original = clean_flicker_noise.post_process_rate
    clean_flicker_noise.post_process_rate = with_any_coordinates
    try:
        return assert_same(exposure, references, tolerance, **parameters)
    finally:
        clean_flicker_noise.post_process_rate = original


def series(ramp: Path, kind: str, place: tuple[float, float] = (40.3, 30.8)) -> Any:
    """Return a ramp as an imaging time series of a source that fades, in steps of a tenth."""
    model = datamodels.RampModel(ramp)
    ints, groups, rows, columns = model.data.shape
    model.meta.exposure.type = kind
    model.meta.visit.tsovisit = True
    model.meta.wcsinfo.siaf_xref_sci, model.meta.wcsinfo.siaf_yref_sci = place
    y, x = np.mgrid[:rows, :columns]
    image = np.exp(-((x - 38.2) ** 2 + (y - 31.1) ** 2) / (2 * 1.5**2)).astype(np.float32)
    light = (1 - 0.1 * np.arange(ints, dtype=np.float32))[:, None, None, None]
    times = np.arange(1, groups + 1, dtype=np.float32)[:, None, None]
    model.data += 300 * light * times * image
    times = np.zeros(ints, model.get_dtype("int_times"))
    times["integration_number"] = np.arange(1, ints + 1)
    model.int_times = times
    return model


PLACES = {"near": (40.3, 30.8), "outside": (500.0, 3.0), "at the corner": (1.2, 2.4)}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["nircam", "miri"])
def test_median_image_of_a_time_series(ramps, name, place):
    ramp, references = ramps(name)
    kind = "MIR_IMAGE" if name == "miri" else "NRC_TSIMAGE"
    with series(ramp, kind, PLACES[place]) as model:
        if place == "near":
            model.data[1, 1:, 29:33, 40:] = np.nan
        parameters = {"background_method": "median_image"}
        # The light of an integration is a sum, in float32 officially.
        result = assert_same_but_for_coordinates(
            model, references, {"rtol": 1e-6, "atol": 2e-3}, **parameters
        )
        plain = model.copy()
        plain.meta.exposure.type = "NRC_IMAGE" if name == "nircam" else "MIR_LYOT"
        if name == "nircam":
            other = ours(plain, references, **parameters)
            assert np.nanmax(abs(other.data - result.data)) > 1


@pytest.mark.parametrize("units", ["DN/s", "MJy/sr", "Jy"])
def test_light_curve_of_count_rates(rates, units):
    models, references = rates("nircam")
    model = models[1].copy()
    model.meta.exposure.type = "NRC_TSIMAGE"
    model.meta.wcsinfo.siaf_xref_sci, model.meta.wcsinfo.siaf_yref_sci = 40.3, 30.8
    model.meta.bunit_data = model.meta.bunit_err = units
    model.meta.photometry.pixelarea_steradians = 1e-13
    model.int_times = np.zeros(len(model.data), model.get_dtype("int_times"))
    model.int_times["integration_number"] = np.arange(1, len(model.data) + 1)
    assert_same_but_for_coordinates(
        model, references, {"rtol": 1e-6, "atol": 2e-3}, background_method="median_image"
    )


def test_series_larger_than_its_subarray(ramps):
    ramp, references = ramps("nircam")
    with series(ramp, "NRC_TSIMAGE") as model:
        parameters = {"background_method": "median_image"}
        plain = ours(model, references, **parameters)
        model.meta.instrument.pupil, model.meta.subarray.name = "WLP8", "SUB64P"
        result = assert_same_but_for_coordinates(
            model, references, {"rtol": 1e-6, "atol": 2e-3}, **parameters
        )
        assert (result.data != plain.data).any()


def test_time_series_without_a_place_fails(ramps):
    ramp, references = ramps("nircam")
    with series(ramp, "NRC_TSIMAGE", (None, 3.0)) as model:
        result = assert_same_but_for_coordinates(
            model, references, background_method="median_image"
        )
        assert result.meta.cal_step.clean_flicker_noise == "FAILED"
        np.testing.assert_array_equal(result.data, model.data)


def test_median_image_of_one_integration_fails(ramps):
    result = assert_same_but_for_coordinates(*ramps("fgs"), background_method="median_image")
    assert result.meta.cal_step.clean_flicker_noise == "FAILED"


@pytest.fixture(scope="module")
def rates(ramps):
    """Return a function from the name of an exposure to its rate and rateints."""

    @functools.cache
    def make(name: str) -> tuple[Any, dict[str, Path]]:
        ramp, references = ramps(name)
        step = RampFitStep()
        step.references = folder_of(references)
        return step.run(str(ramp)), references

    return make


@pytest.mark.parametrize("which", [0, 1], ids=["rate", "rateints"])
@pytest.mark.parametrize("parameters", [{}, {"single_mask": False, "background_method": "model"}])
def test_count_rates(rates, which, parameters):
    models, references = rates("nircam")
    assert_same(models[which], references, **parameters)


@pytest.mark.parametrize("which", [0, 1], ids=["rate", "rateints"])
def test_waves_in_count_rates(rates, tmp_path, which):
    models, references = rates("nrs1")
    path = tmp_path / "made_rate.fits"
    models[which].save(path)
    assert_same(path, references, {"rtol": 1e-5, "atol": 1e-3}, fit_method="fft")


def test_median_image_of_count_rates(rates):
    models, references = rates("nircam")
    assert_same_but_for_coordinates(models[1], references, background_method="median_image")


PRODUCTS = ("mask", "flicker_bkg", "flicker_noise")


@pytest.mark.parametrize("parameters", [{}, {"single_mask": False, "background_method": "model"}])
def test_saved_products(ramps, tmp_path, parameters):
    ramp, references = ramps("nircam")
    saving = {"save_mask": True, "save_background": True, "save_noise": True}
    folders = [tmp_path / "ours", tmp_path / "theirs"]
    for folder in folders:
        folder.mkdir()
    ours(ramp, references, output_dir=str(folders[0]), **saving, **parameters)
    official_step(
        "clean_flicker_noise", ramp, references, skip=False, output_dir=str(folders[1]),
        **saving, **parameters,
    )  # fmt: skip
    for suffix in PRODUCTS:
        (our,), (their,) = (sorted(folder.glob(f"*_{suffix}.fits")) for folder in folders)
        assert our.name == their.name
        # Officially, the draft rates are a product of their own: with the CRDS that was not asked.
        quirks = frozenset({"R_GAIN", "R_READNO", "CRDS_CTX", "CRDS_VER"})
        assert_same_product(our, their, quirks=quirks)


def test_user_mask(ramps, tmp_path):
    ramp, references = ramps("nircam")
    mask = np.random.default_rng(0).random((80, 96)) < 0.5
    path = tmp_path / "mask.fits"
    datamodels.ImageModel(data=mask.astype(np.float32)).save(path)
    result = assert_same(ramp, references, user_mask=str(path), save_mask=False)
    assert result.meta.cal_step.clean_flicker_noise == "COMPLETE"
    cube = tmp_path / "cube.fits"
    datamodels.CubeModel(data=np.stack([mask, ~mask]).astype(np.float32)).save(cube)
    assert_same(ramp, references, user_mask=str(cube))
    nothing = tmp_path / "nothing.fits"
    datamodels.ImageModel(data=np.zeros((80, 96), np.float32)).save(nothing)
    with datamodels.RampModel(ramp) as before:
        unchanged = assert_same(ramp, references, user_mask=str(nothing))
        np.testing.assert_array_equal(unchanged.data, before.data)


@pytest.mark.parametrize("shape", [(80, 90), (3, 80, 96)])
def test_user_mask_of_another_shape_fails(ramps, tmp_path, shape):
    ramp, references = ramps("nircam")
    path = tmp_path / "mask.fits"
    model = datamodels.ImageModel if len(shape) == 2 else datamodels.CubeModel
    model(data=np.ones(shape, np.float32)).save(path)
    result = assert_same(ramp, references, user_mask=str(path))
    assert result.meta.cal_step.clean_flicker_noise == "FAILED"


@pytest.mark.parametrize(
    ("name", "kind", "parameters"),
    [
        ("nircam", "NRC_IMAGE", {"fit_method": "fft"}),
        ("miri", "MIR_LRS-FIXEDSLIT", {}),
        ("nrs1", "NRS_IMAGE", {"fit_method": "fft"}),
    ],
)
def test_modes_that_are_not_cleaned_count_as_failed(ramps, name, kind, parameters):
    # Officially as well; the documents say skipped.
    ramp, references = ramps(name)
    with datamodels.RampModel(ramp) as model:
        model.meta.exposure.type = kind
        result = assert_same(model, references, **parameters)
        assert result.meta.cal_step.clean_flicker_noise == "FAILED"


def test_group_without_usable_pixels_is_left_as_it_is(ramps):
    ramp, references = ramps("nircam")
    with datamodels.RampModel(ramp) as model:
        model.groupdq[0, 2] = JUMP_DET
        before = model.data.copy()
        result = assert_same(model, references)
        np.testing.assert_array_equal(result.data[0, 2], before[0, 2])
        np.testing.assert_array_equal(model.data, before)


def test_samples_without_a_number(ramps):
    ramp, references = ramps("nircam")
    with datamodels.RampModel(ramp) as model:
        model.data[0, 2, 10:20, 5] = np.nan
        model.data[1, 1:, 30, 30] = np.nan
        result = assert_same(model, references)
    assert np.isnan(result.data[0, 2:, 12, 5]).all()


@pytest.mark.parametrize(
    ("name", "kind", "parameters", "message"),
    [
        ("nrs1", "NRS_IFU", {"mask_science_regions": True}, "world coordinates"),
        ("nrs1", "NRS_FIXEDSLIT", {"mask_science_regions": True}, "mask_science_regions=false"),
        ("nircam", "NRC_TSGRISM", {"background_method": "median_image"}, "time series"),
        ("niriss", "NIS_SOSS", {"mask_science_regions": True}, "SOSS"),
    ],
)
def test_what_is_not_there_yet_is_refused(ramps, name, kind, parameters, message):
    ramp, references = ramps(name)
    with datamodels.RampModel(ramp) as model:
        model.meta.exposure.type = kind
        with pytest.raises(NotYetError, match=message) as refusal:
            ours(model, references, **parameters)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("change", "parameters", "message"),
    [
        (lambda m: None, {"user_mask": "no_such.fits"}, "user_mask"),
        (lambda m: setattr(m.meta.subarray, "slowaxis", None), {}, "SLOWAXIS"),
    ],
)
def test_bad_input(ramps, change, parameters, message):
    ramp, references = ramps("nircam")
    with datamodels.RampModel(ramp) as model:
        change(model)
        with pytest.raises(InputError, match=message):
            ours(model, references, **parameters)


def test_stripes_are_removed(tmp_path):
    """Truth: what flicker noise adds to a ramp is gone, but for the noise of the medians."""
    quiet = {"drift": 0.0, "odd_even": 0.0, "cosmic_rays": 0.0, "bad_pixels": False, "n_stars": 3}
    settings = {"instrument": "NIRCAM", "window": (1, 1, 256, 64), "ngroups": 3, "seed": 5, **quiet}
    left = {}
    for noise in (0.0, 8.0):
        data = make_dataset(tmp_path / str(noise), flicker_noise=noise, **settings)
        raw = datamodels.RampModel(data.exposure)
        result = ours(data.exposure, data.references)
        rows = [np.median(np.diff(m.data[0], axis=0)[:, 4:, 4:], axis=2) for m in (raw, result)]
        left[noise] = [one.std(axis=1) for one in rows]
    assert (left[8.0][0] > 5 * left[0.0][0]).all()
    assert (left[8.0][1] < 1.2 * left[0.0][0]).all()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["NRC_IMAGE", "NIS_IMAGE"])
def test_automatic_parameters_are_the_official_ones(kind, seed):
    random = np.random.default_rng(seed)
    shape = (64, 2048) if kind == "NRC_IMAGE" else (2048, 64)
    data = random.normal(1, 0.1, shape)
    along = np.arange(2048) / 2048
    steps = random.choice([0, 0.02, 0.2]) * (np.arange(2048) // 512 % 2)
    slope = random.choice([0, 0.03, 1.0]) * along
    data += (steps + slope)[None, :] if kind == "NRC_IMAGE" else (steps + slope)[:, None]
    data[random.random(shape) < random.choice([0.001, 0.2])] += 10
    data[random.random(shape) < 0.01] = np.nan
    model = datamodels.ImageModel(data=data.astype(np.float32))
    model.meta.subarray.slowaxis = 2 if kind == "NRC_IMAGE" else -1
    choose = {
        "NRC_IMAGE": official_autoparam.nircam_image_parameters,
        "NIS_IMAGE": official_autoparam.niriss_image_parameters,
    }
    expected = choose[kind](model, None)
    axis = abs(model.meta.subarray.slowaxis) - 1
    found = choose_parameters(kind, model.data.copy(), axis, get_device("cpu"))
    assert found == Chosen(expected["background_method"], expected["fit_by_channel"])


@pytest.mark.parametrize("name", ["nircam", "miri"])
def test_automatic_parameters(ramps, tmp_path, name):
    ramp, references = ramps(name)
    parameters = {"background_method": "model", "apply_flat_field": True}
    flat = flat_for(ramp, tmp_path)
    assert_same(ramp, references, autoparam=True, override_flat=flat, **parameters)


def test_parameters_are_the_official_ones():
    def names_types_and_defaults(step):
        lines = [line.partition("#")[0] for line in step.spec.splitlines() if "=" in line]
        return [re.sub(r"\s", "", line).replace('"', "'") for line in lines]

    def in_any_order(step):
        return [sorted(re.findall(r"[\w.'=]+", line)) for line in names_types_and_defaults(step)]

    assert in_any_order(CleanFlickerNoiseStep) == in_any_order(OfficialStep)


@pytest.mark.parametrize("which", [0, 1], ids=["rate", "rateints"])
def test_nsclean(rates, tmp_path, which):
    models, references = rates("nrs1")
    model = models[which].copy()
    model.meta.exposure.type = "NRS_MSASPEC"
    model.dq[..., 5, :] |= np.uint32(MSA_FAILED_OPEN)
    saving = {"save_mask": True, "output_dir": str(tmp_path)}
    result = ours(model, references, NSCleanStep, mask_spectral_regions=False, **saving)
    assert result.meta.cal_step.clean_flicker_noise == "COMPLETE"
    assert np.nanstd(result.data - model.data) > 0
    (mask,) = tmp_path.glob("*_mask.fits")
    with datamodels.open(mask) as saved:
        assert not saved.data[..., 5, :].any()
        # The same fit as clean_flicker_noise's with this mask and without a background.
        parameters = {"user_mask": str(mask), "fit_method": "fft", "background_method": None}
        same = ours(model, references, **parameters)
    np.testing.assert_array_equal(result.data, same.data)


def test_nsclean_refuses(ramps, rates):
    ramp, references = ramps("nrs1")
    with pytest.raises(InputError, match="clean_flicker_noise"):
        ours(ramp, references, NSCleanStep)
    with pytest.raises(NotYetError, match="mask_spectral_regions=false"):
        ours(rates("nrs1")[0][0], references, NSCleanStep)
    result = ours(rates("nircam")[0][0], references, NSCleanStep)
    assert result.meta.cal_step.clean_flicker_noise == "SKIPPED"
