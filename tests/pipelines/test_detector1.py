"""Detector1, as a user runs it, against the official pipeline on the same files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from products import assert_same_product
from stdatamodels.jwst import datamodels

from jwgpu.cli import main
from jwgpu.pipelines import Detector1Pipeline

pytest_plugins = ("official",)

#: Every instrument, full-frame geometry and subarrays, few and many groups and integrations.
EXPOSURES: dict[str, dict[str, Any]] = {
    "nircam": {"instrument": "NIRCAM", "window": (1, 1, 160, 128), "ngroups": 7, "nints": 2},
    "nircam-subarray": {"instrument": "NIRCAM", "subarray": "SUB160", "ngroups": 10},
    "nircam-averaged": {
        "instrument": "NIRCAM",
        "detector": "NRCALONG",
        "window": (1, 1, 128, 64),
        "readpatt": "MEDIUM8",
        "ngroups": 6,
    },
    "nircam-stripes": {
        "instrument": "NIRCAM",
        "detector": "NRCALONG",
        "subarray": "SUBGRISM64",
        "ngroups": 4,
        "nints": 2,
    },
    "nircam-one-group": {
        "instrument": "NIRCAM",
        "window": (1, 1, 128, 64),
        "ngroups": 1,
        "nints": 2,
    },
    "nircam-two-groups": {"instrument": "NIRCAM", "window": (1, 1, 128, 64), "ngroups": 2},
    "nircam-many-integrations": {
        "instrument": "NIRCAM",
        "window": (1, 1, 64, 32),
        "ngroups": 4,
        "nints": 105,
    },
    "niriss": {"instrument": "NIRISS", "subarray": "SUB80", "ngroups": 5, "nints": 3},
    "nirspec": {"instrument": "NIRSPEC", "subarray": "SUB512", "ngroups": 8, "nints": 2},
    "nirspec-averaged": {
        "instrument": "NIRSPEC",
        "window": (1, 1, 128, 64),
        "readpatt": "NRS",
        "ngroups": 5,
    },
    "fgs": {"instrument": "FGS", "window": (1, 1, 128, 64), "ngroups": 3, "nints": 2},
    "miri-subarray": {"instrument": "MIRI", "subarray": "SUB64", "ngroups": 20, "nints": 3},
    "miri-few-groups": {"instrument": "MIRI", "subarray": "SUB128", "ngroups": 4, "nints": 2},
    "miri-slow": {
        "instrument": "MIRI",
        "detector": "MIRIFUSHORT",
        "subarray": "FULL",
        "readpatt": "SLOWR1",
        "ngroups": 6,
    },
}


def calibrate(data: Any, folder: Path, *options: str) -> Path:
    """Run the command line on a data set, and return the folder of its products."""
    references = str(data.exposure.parent / "references")
    arguments = [str(data.exposure), "--references", references, "--output-dir", str(folder)]
    assert main(["detector1", *arguments, *options]) == 0
    return folder


def assert_same_rates(ours: Path, theirs: Any) -> None:
    """Compare both products of an exposure.

    The sums over reference pixels are taken in another order than officially: samples of 10,000 DN
    differ in their last bits, by 1e-4 DN. A rate near zero is the small difference of such, and
    the Poisson variance goes with the rate.
    """
    assert_same_product(product(ours, "rate"), theirs.rate, SCI=2e-5, VAR_POISSON=2e-6)
    assert_same_product(product(ours, "rateints"), theirs.rateints, SCI=1e-4, VAR_POISSON=2e-5)


def product(folder: Path, suffix: str) -> Path:
    (path,) = folder.glob(f"*_{suffix}.fits")
    return path


@pytest.mark.parametrize("case", EXPOSURES)
def test_products_are_the_official_ones(official, tmp_path, case):
    data = official.dataset(seed=11, **EXPOSURES[case])
    theirs = official.detector1(data.exposure, data.references)
    ours = calibrate(data, tmp_path)
    assert sorted(p.name for p in ours.glob("*.fits")) == sorted(
        p.name for p in theirs.folder.glob("*.fits")
    )
    assert_same_rates(ours, theirs)


#: Options as a user of the official package gives them: to a step of either pipeline.
OPTIONS: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {
    "jump threshold": ("nircam", {"jump": {"rejection_threshold": 8.0}}),
    "no jump": ("nircam", {"jump": {"skip": True}}),
    "after jumps": (
        "nircam-subarray",
        {"jump": {"after_jump_flag_dn1": 10.0, "after_jump_flag_time1": 1.0}},
    ),
    "first groups left out": ("nircam", {"ramp_fit": {"firstgroup": 1, "lastgroup": 5}}),
    "one group kept": ("nircam-two-groups", {"ramp_fit": {"suppress_one_group": False}}),
    "no ipc, no neighbours": (
        "nircam",
        {"ipc": {"skip": True}, "saturation": {"n_pix_grow_sat": 0}},
    ),
    "columns together": (
        "nircam-stripes",
        {"refpix": {"odd_even_columns": False, "use_side_ref_pixels": False}},
    ),
    "first frame of MIRI": ("miri-few-groups", {"firstframe": {"skip": False}}),
}


@pytest.mark.filterwarnings("ignore:firstframe is deprecated")
@pytest.mark.parametrize("name", OPTIONS)
def test_options_do_what_they_do_officially(official, tmp_path, name):
    case, steps = OPTIONS[name]
    data = official.dataset(seed=11, **EXPOSURES[case])
    theirs = official.detector1(data.exposure, data.references, steps)
    options = [
        f"--steps.{step}.{key}={value}"
        for step, values in steps.items()
        for key, value in values.items()
    ]
    ours = calibrate(data, tmp_path, *options)
    assert_same_rates(ours, theirs)


def test_the_calibrated_ramp_is_the_official_one(official, tmp_path):
    data = official.dataset(seed=11, **EXPOSURES["nircam"])
    theirs = official.detector1(data.exposure, data.references, save_calibrated_ramp=True)
    ours = calibrate(data, tmp_path, "--save-calibrated-ramp=true")
    # Reference-pixel sums are taken in another order: float32 rounding at thousands of DN.
    assert_same_product(product(ours, "ramp"), theirs.ramp, SCI=1e-3)


def test_the_products_are_the_same_for_any_number_of_threads(official, tmp_path):
    data = official.dataset(seed=11, **EXPOSURES["nircam"])
    one = calibrate(data, tmp_path / "one", "--threads=1")
    three = calibrate(data, tmp_path / "three", "--threads=3")
    for suffix in ("rate", "rateints"):
        with (
            datamodels.open(product(one, suffix)) as a,
            datamodels.open(product(three, suffix)) as b,
        ):
            for name in ("data", "dq", "err", "var_poisson", "var_rnoise"):
                np.testing.assert_array_equal(a[name], b[name])


def test_one_changed_import_is_enough(official):
    data = official.dataset(seed=11, **EXPOSURES["nircam"])
    folder = str(data.exposure.parent / "references")
    with datamodels.open(data.exposure) as model:
        before = model.data.copy()
        rate = Detector1Pipeline.call(
            model, references=folder, steps={"jump": {"rejection_threshold": 8.0}}
        )
        np.testing.assert_array_equal(model.data, before)
    steps = {"jump": {"rejection_threshold": 8.0}}
    theirs = official.detector1(data.exposure, data.references, steps)
    with datamodels.open(theirs.rate) as expected:
        assert type(rate) is type(expected)
        np.testing.assert_array_equal(rate.dq, expected.dq)
        np.testing.assert_allclose(rate.data, expected.data, rtol=1e-5, atol=2e-5)
    assert rate.meta.cal_step.jump == "COMPLETE"
    assert rate.cal_logs.instance["calwebb_detector1"]


def test_an_intermediate_product_is_saved_when_asked_for(official, tmp_path):
    data = official.dataset(seed=11, **EXPOSURES["nircam"])
    ours = calibrate(data, tmp_path, "--steps.linearity.save_results=true")
    theirs = official.detector1(
        data.exposure, data.references, {"linearity": {"save_results": True}}
    )
    (expected,) = theirs.folder.glob("*_linearity.fits")
    assert_same_product(product(ours, "linearity"), expected, SCI=1e-3)
    plain = calibrate(data, tmp_path / "plain")
    for suffix in ("rate", "rateints"):
        assert_same_product(product(ours, suffix), product(plain, suffix))


def test_without_ramp_fitting_the_ramp_is_the_product(official, tmp_path):
    data = official.dataset(seed=11, **EXPOSURES["nircam"])
    ours = calibrate(data, tmp_path, "--steps.ramp_fit.skip=true")
    theirs = official.detector1(data.exposure, data.references, {"ramp_fit": {"skip": True}})
    assert [p.name for p in ours.glob("*.fits")] == [p.name for p in theirs.folder.glob("*.fits")]
    assert_same_product(product(ours, "ramp"), theirs.ramp, SCI=1e-3)


def note(model):
    """Post-hook of the test below: stpipe imports it by its name."""
    model.meta.observation.visit_id = f"{type(model).__name__} {model.meta.cal_step.jump}"
    return model


def test_hooks_see_official_models(official):
    data = official.dataset(seed=11, **EXPOSURES["nircam"])
    pipeline = Detector1Pipeline(
        references=str(data.exposure.parent / "references"),
        steps={"jump": {"post_hooks": [f"{__name__}.note"]}},
    )
    rate = pipeline.run(str(data.exposure))
    assert rate.meta.observation.visit_id == "RampModel COMPLETE"
    assert rate.meta.cal_step.ramp_fit == "COMPLETE"


def test_the_truth_comes_back(official, tmp_path):
    data = official.dataset(seed=11, **EXPOSURES["nircam-subarray"])
    ours = calibrate(data, tmp_path)
    with datamodels.open(product(ours, "rate")) as rate:
        good = (rate.dq == 0) & np.isfinite(rate.data)
        assert good.mean() > 0.8
        pulls = ((rate.data - data.truth.rate) / rate.err)[good]
    # Poisson and read noise only: the pulls are of unit width, and centred within the noise of
    # bias, linearity and dark.
    assert abs(np.median(pulls)) < 0.3
    assert 0.7 < 1.4826 * np.median(np.abs(pulls - np.median(pulls))) < 1.4
