"""Steps ramp_fit and gain_scale: equal to the official ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from array_steps import official
from fitted_ramps import (
    RATES,
    SHAPE,
    assert_equals_official,
    assert_same,
    ours,
    ramps,
    references,
    saved,
)
from jwst.gain_scale import GainScaleStep as OfficialGainScale
from jwst.ramp_fitting import RampFitStep as OfficialRampFit
from stdatamodels.jwst import datamodels

from jwgpu.errors import InputError
from jwgpu.models.flags import CHARGELOSS, DO_NOT_USE, SATURATED
from jwgpu.models.reading import rates_of
from jwgpu.references.types import GainReference
from jwgpu.steps.gain_scale import GainScaleStep
from jwgpu.steps.ramp_fit import RampFitStep

SEGMENTS = (
    *("slope", "sigslope", "var_poisson", "var_rnoise", "yint", "sigyint"),
    *("pedestal", "weights", "crmag"),
)


@pytest.mark.parametrize("suppress", [True, False])
@pytest.mark.parametrize("shape", [SHAPE, (1, 1, 5, 7), (3, 2, 7, 9)])
def test_equals_official(shape, suppress, tmp_path):
    assert_equals_official(ramps(shape), tmp_path, suppress_one_group=suppress)


@pytest.mark.parametrize("facts", [{"nframes": 4}, {"drop_frames1": 2, "groupgap": 0}])
def test_other_readouts_equal_official(facts, tmp_path):
    assert_equals_official(ramps(**facts), tmp_path, suppress_one_group=False)


@pytest.mark.parametrize(
    ("detector", "limits"),
    [
        ("NRCA1", {"firstgroup": 1}),
        ("NRCA1", {"lastgroup": 3}),
        ("NRCA1", {"firstgroup": -1, "lastgroup": 99}),
        ("NRCA1", {"firstgroup": 3, "lastgroup": 3}),
        ("NRCA1", {"lastgroup": -2}),
        ("MIRIMAGE", {"firstgroup": 2, "lastgroup": 4}),
    ],
    ids=str,
)
def test_limits_of_the_groups_equal_official(detector, limits, tmp_path):
    model = ramps((1, 6, 5, 7), detector)
    limited = assert_equals_official(model, tmp_path, **limits)
    whole = ours(model, references(model, tmp_path))
    is_ignored = limits.get("firstgroup", 0) in (-1, 3) or limits.get("lastgroup") == -2
    is_same = np.array_equal(limited[0].data, whole[0].data, equal_nan=True)
    assert is_same == is_ignored


@pytest.mark.parametrize(("first", "stop"), [(0, 5), (1, 6), (1, 5), (3, 6)])
def test_miri_leaves_out_groups_that_nobody_may_use(first, stop, tmp_path):
    model = ramps(detector="MIRIMAGE")
    model.groupdq[:, :first] |= DO_NOT_USE
    model.groupdq[:, stop:] |= DO_NOT_USE
    assert_equals_official(model, tmp_path)


def test_zero_frames_and_dark_current_equal_official(tmp_path):
    model = ramps()
    model.zeroframe = np.full((SHAPE[0], *SHAPE[2:]), 40.0, np.float32)
    model.zeroframe[:, ::2] = 0.0
    model.average_dark_current = np.full(SHAPE[2:], 0.3, np.float32)
    rate, _ = assert_equals_official(model, tmp_path, suppress_one_group=False)
    suppressed, _ = assert_equals_official(model, tmp_path)
    assert np.isnan(suppressed.data).sum() > np.isnan(rate.data).sum()


def test_lost_charge_equals_official(tmp_path):
    model = ramps()
    model.groupdq[:, 4:, :6] |= CHARGELOSS | DO_NOT_USE
    assert_equals_official(model, tmp_path)


def test_integral_field_rates_are_of_their_own_model(tmp_path):
    rate, _ = assert_equals_official(ramps(detector="MIRIFUSHORT", type="MIR_MRS"), tmp_path)
    assert isinstance(rate, datamodels.IFUImageModel)


@pytest.mark.parametrize("has_name", [True, False])
def test_segments_are_saved_as_officially(has_name, tmp_path, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = ramps()
    files = references(model, tmp_path_factory.mktemp("references"))
    products = []
    for name, run in (("theirs", lambda **p: official(OfficialRampFit, model, files, **p)),
                      ("ours", lambda **p: ours(model, files, **p))):  # fmt: skip
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.chdir(folder)
        run(save_opt=True, opt_name="segments.fits" if has_name else "")
        products.append(next(folder.glob("*.fits")))
    assert products[0].name == products[1].name
    with datamodels.open(products[0]) as theirs, datamodels.open(products[1]) as mine:
        assert_same(mine, theirs, SEGMENTS)


def test_factor_of_the_gain_is_handed_on(tmp_path):
    model = ramps()
    rate, rateints = ours(model, references(model, tmp_path, gain_factor=2.5))
    assert rate.meta.exposure.gain_factor == rateints.meta.exposure.gain_factor == 2.5


def test_the_given_model_stays_as_it_is(tmp_path):
    model = ramps()
    before = [model[name].copy() for name in ("data", "groupdq", "pixeldq")]
    step = RampFitStep(firstgroup=1)
    for kind, path in references(model, tmp_path).items():
        setattr(step, f"override_{kind}", path)
    step.process(model)
    for name, old in zip(("data", "groupdq", "pixeldq"), before, strict=True):
        np.testing.assert_array_equal(model[name], old)


def test_nothing_to_fit_is_refused(tmp_path):
    """The official step returns nothing, and the pipeline ends without products."""
    model = ramps()
    model.groupdq[:, 0] |= SATURATED
    files = references(model, tmp_path)
    assert official(OfficialRampFit, model, files) == (None, None)
    with pytest.raises(InputError, match="saturated"):
        ours(model, files)


def test_miri_needs_two_groups(tmp_path):
    model = ramps(detector="MIRIMAGE")
    model.groupdq[:, 1:] |= DO_NOT_USE
    model.groupdq[:, 0] &= ~np.uint8(DO_NOT_USE)
    model.groupdq[:, :4] |= DO_NOT_USE
    files = references(model, tmp_path)
    assert official(OfficialRampFit, model, files) == (None, None)
    with pytest.raises(InputError, match="MIRI ramp needs two"):
        ours(model, files)


def test_missing_timing_is_named(tmp_path):
    model = ramps()
    model.meta.exposure.group_time = None
    with pytest.raises(InputError, match=r"nrca1_jump\.fits: lacks the keywords TGROUP,"):
        ours(model, references(model, tmp_path))


def test_parameters_are_the_official_ones():
    mine, theirs = RampFitStep.load_spec_file(), OfficialRampFit.load_spec_file()
    own = [
        *("algorithm", "int_name", "save_opt", "opt_name", "suppress_one_group"),
        *("firstgroup", "lastgroup", "maximum_cores"),
    ]
    assert [name for name in mine if name in own] == own
    assert {name: mine[name] for name in own} == {name: theirs[name] for name in own}


def rates() -> Any:
    random = np.random.default_rng(5)
    model = datamodels.CubeModel(
        **{
            name: random.normal(5, 1, (2, 4, 6)).astype(np.float32)
            for name in RATES
            if name != "dq"
        }
    )
    model.data[0, 1, 1] = np.nan
    model.dq = random.integers(0, 9, (2, 4, 6)).astype(np.uint32)
    like = ramps((1, 1, 4, 6), "NRS1")
    model.update(like)
    return model


@pytest.mark.parametrize(("in_rates", "in_reference"), [(None, 1.3), (2.0, 1.3), (2.0, None)])
def test_gain_scale_equals_official(in_rates, in_reference, tmp_path):
    """The factor of the rates themselves, from ramp fitting, comes first."""
    model = rates()
    model.meta.exposure.gain_factor = in_rates
    gain = datamodels.GainModel(data=np.ones((4, 6), np.float32))
    gain.meta.exposure.gain_factor = in_reference
    path = saved("gain", gain, ramps((1, 1, 4, 6), "NRS1"), tmp_path)
    theirs = official(OfficialGainScale, model.copy(), {"gain": path})
    step = GainScaleStep()
    step.override_gain = path
    mine = step.process(model)
    assert_same(mine, theirs, RATES)
    assert mine.meta.exposure.gain_factor == theirs.meta.exposure.gain_factor
    assert mine.meta.cal_step.gain_scale == theirs.meta.cal_step.gain_scale == "COMPLETE"
    assert not np.array_equal(mine.err, model.err)


@pytest.mark.parametrize("gain", [None, GainReference(np.ones((4, 6), np.float32))])
def test_gain_scale_is_skipped_without_a_factor(gain, tmp_path, monkeypatch):
    exposed = rates_of(rates())
    before = exposed.data.copy()
    step = GainScaleStep()
    monkeypatch.setattr(step, "_load_references", lambda exposure: {"gain": gain})
    step.apply(exposed)
    assert exposed.meta.cal_step.gain_scale == "SKIPPED"
    np.testing.assert_array_equal(exposed.data, before)
