"""The likelihood fit of step ramp_fit: equal to the official one."""

from __future__ import annotations

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
)
from jwst.ramp_fitting import RampFitStep as OfficialRampFit
from likelihood import use_our_powers
from stdatamodels.jwst import datamodels

from jwgpu.errors import InputError
from jwgpu.models.flags import JUMP_DET, SATURATED


@pytest.fixture(autouse=True)
def _our_powers(monkeypatch):
    use_our_powers(monkeypatch)


@pytest.mark.parametrize("facts", [{}, {"nframes": 4}, {"drop_frames1": 2, "groupgap": 0}], ids=str)
def test_equals_official(facts, tmp_path):
    """A bad gain too, with which there is no rate; and nothing says so, as officially."""
    rate, rateints = assert_equals_official(ramps(**facts), tmp_path, algorithm="LIKELY")
    assert np.isnan(rate.data[0, 0])
    assert (rateints.dq & JUMP_DET).any()


@pytest.mark.parametrize("shape", [(1, 4, 5, 7), (1, 6, 5, 7), (3, 25, 4, 9)], ids=str)
def test_other_shapes_equal_official(shape, tmp_path):
    assert_equals_official(ramps(shape), tmp_path, algorithm="LIKELY")


def test_zero_frames_and_dark_current_equal_official(tmp_path):
    model = ramps(nframes=4)
    random = np.random.default_rng(4)
    model.zeroframe = (model.data[:, 0] * random.uniform(0.8, 0.99)).astype(np.float32)
    model.zeroframe[:, ::5] = 0.0
    model.average_dark_current = np.full(SHAPE[2:], 0.3, np.float32)
    with_both, _ = assert_equals_official(model, tmp_path, algorithm="LIKELY")
    model.zeroframe = None
    without, _ = assert_equals_official(model, tmp_path, algorithm="LIKELY")
    assert not np.array_equal(with_both.data, without.data, equal_nan=True)


def test_a_zero_frame_that_is_all_of_the_first_group_is_ignored(tmp_path, caplog):
    model = ramps()
    model.zeroframe = np.full((SHAPE[0], *SHAPE[2:]), 40.0, np.float32)
    assert_equals_official(model, tmp_path, algorithm="LIKELY")
    assert "zero frame is ignored" in caplog.text


def test_limits_of_the_groups_equal_official(tmp_path):
    model = ramps((2, 9, 5, 7))
    assert_equals_official(model, tmp_path, algorithm="LIKELY", firstgroup=1, lastgroup=7)


def test_uneven_groups_are_fitted_by_likelihood(tmp_path, caplog):
    model = ramps((2, 6, 7, 9))
    model.meta.exposure.read_times = [[3.0], [10.0], [11.0], [30.0], [31.5], [60.0]]
    assert_equals_official(model, tmp_path)
    assert "unevenly spaced" in caplog.text


def test_read_times_of_other_groups_are_refused(tmp_path):
    """Officially this ends in an error of shapes that do not go together."""
    model = ramps((2, 6, 7, 9))
    model.meta.exposure.read_times = [[3.0], [10.0], [11.0], [30.0], [31.5]]
    with pytest.raises(InputError, match="6 groups but read times for 5"):
        ours(model, references(model, tmp_path))


def test_few_groups_are_fitted_by_least_squares(tmp_path):
    model = ramps((1, 3, 5, 7))
    least_squares = ours(model, references(model, tmp_path))
    likely = assert_equals_official(model, tmp_path, algorithm="LIKELY")
    for one, other in zip(least_squares, likely, strict=True):
        assert_same(one, other, RATES)


def test_pixels_saturated_from_the_start_have_no_rate(tmp_path):
    """Least squares refuse an exposure in which all pixels are; this fit does not."""
    model = ramps()
    model.groupdq[:, 0] |= SATURATED
    model.groupdq[:, :, 2] |= SATURATED
    rate, _ = assert_equals_official(model, tmp_path, algorithm="LIKELY")
    assert np.isnan(rate.data[2]).all()


@pytest.mark.parametrize("has_name", [True, False])
def test_chi_square_is_saved_as_officially(has_name, tmp_path, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = ramps()
    files = references(model, tmp_path_factory.mktemp("references"))
    parameters = {"algorithm": "LIKELY", "save_opt": True}
    parameters["opt_name"] = "quality.fits" if has_name else ""
    products = []
    for name, run in (("theirs", lambda: official(OfficialRampFit, model, files, **parameters)),
                      ("ours", lambda: ours(model, files, **parameters))):  # fmt: skip
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.chdir(folder)
        run()
        products.append(next(folder.glob("*.fits")))
    assert products[0].name == products[1].name
    with datamodels.open(products[0]) as theirs, datamodels.open(products[1]) as mine:
        assert list(mine.instance) == list(theirs.instance)
        # A sum of terms that nearly cancel where few differences are left.
        np.testing.assert_allclose(mine.data, theirs.data, 1e-5, 1e-6)
        assert np.nanmax(theirs.data) > 1.0
