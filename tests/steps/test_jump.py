"""The jump step against the official one: flags, keywords, parameters, refusals."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from array_steps import assert_same, exposure, official, ours, saved_reference
from jwst.jump import JumpStep as Official
from stdatamodels.jwst import datamodels

from jwgpu.errors import InputError
from jwgpu.models.flags import DO_NOT_USE, NO_GAIN_VALUE, SATURATED
from jwgpu.references.types import GainReference, ReadNoiseReference
from jwgpu.steps.jump import JumpStep

GROUP_TIME = 10.73677


def ramps(shape: tuple[int, int, int, int], seed: int = 0, **facts: Any) -> Any:
    """Return an official model of ramps with hits and saturation."""
    random = np.random.default_rng(seed)
    model = exposure(shape, group_time=GROUP_TIME, **facts)
    flux = random.lognormal(3, 2, shape[2:])
    electrons = random.poisson(np.broadcast_to(flux, shape)) + 0.0
    electrons += (random.random(shape) < 0.02) * random.lognormal(6, 2, shape)
    data = electrons.cumsum(1) / 1.8 + random.normal(0, 7, shape)
    model.data = data.astype(np.float32)
    model.groupdq[:] = 0
    model.groupdq[np.logical_or.accumulate(data > 15000, axis=1)] |= SATURATED
    return model


def references(shape: tuple[int, ...]) -> tuple[GainReference, ReadNoiseReference]:
    """Return gain, with pixels that have none, and read noise."""
    random = np.random.default_rng(4)
    gain = random.uniform(1.6, 2.0, shape[-2:]).astype(np.float32)
    gain[1, 2], gain[3, 4], gain[5, 6] = np.nan, -1, 0
    readnoise = random.uniform(8, 11, shape[-2:]).astype(np.float32)
    readnoise[2, 2], readnoise[4, 4] = np.nan, 0
    return GainReference(gain), ReadNoiseReference(readnoise)


def both(model: Any, tmp_path: Path, **parameters: Any) -> Any:
    """Assert that both packages make the same of `model`; return ours."""
    gain, readnoise = references(model.data.shape)
    paths = {
        "gain": saved_reference(
            datamodels.GainModel(data=gain.data.copy()), model, tmp_path / "gain.fits"
        ),
        "readnoise": saved_reference(
            datamodels.ReadnoiseModel(data=readnoise.data.copy()), model, tmp_path / "read.fits"
        ),
    }
    before = gain.data.copy(), readnoise.data.copy()
    ramp, status = ours(JumpStep, model, gain, readnoise, **parameters)
    theirs = official(Official, model, paths, **parameters)
    assert status == theirs.meta.cal_step.jump
    assert_same(ramp, theirs, rtol=0)
    np.testing.assert_array_equal(before[0], gain.data)
    np.testing.assert_array_equal(before[1], readnoise.data)
    for name in ("primary_cosmic_rays", "extended_emission_events"):
        mine, wanted = (getattr(m.meta.exposure, name) for m in (ramp, theirs))
        assert mine == (wanted if wanted is None else pytest.approx(wanted, rel=1e-12)), name
    return ramp


@pytest.mark.parametrize("shape", [(1, 10, 40, 50), (2, 4, 20, 30), (3, 14, 20, 30), (1, 3, 9, 9)])
@pytest.mark.parametrize("nframes", [1, 4])
def test_equals_official(shape: tuple[int, int, int, int], nframes: int, tmp_path: Path) -> None:
    ramp = both(ramps(shape, nframes=nframes), tmp_path)
    assert ramp.meta.exposure.primary_cosmic_rays > 0
    assert ramp.pixeldq[1, 2] & ramp.pixeldq[3, 4] & ramp.pixeldq[5, 6] & NO_GAIN_VALUE


@pytest.mark.parametrize(
    "parameters",
    [
        {"rejection_threshold": 3.0},
        {"three_group_rejection_threshold": 3.0, "four_group_rejection_threshold": 8.0},
        {"flag_4_neighbors": False},
        {"min_jump_to_flag_neighbors": 4.0, "max_jump_to_flag_neighbors": 60.0},
        {"after_jump_flag_dn1": 10.0, "after_jump_flag_time1": 25.0},
        {
            "after_jump_flag_dn1": 10.0,
            "after_jump_flag_time1": 15.0,
            "after_jump_flag_dn2": 1000.0,
            "after_jump_flag_time2": 3 * GROUP_TIME,
        },
        {"min_diffs_single_pass": 3},
        {"minimum_sigclip_groups": 3},
        {"minimum_sigclip_groups": 20, "only_use_ints": False},
        {"maximum_cores": "none"},
        {"time_masked_after_shower": 30.0, "sat_expand": 5, "use_ellipses": True},
    ],
    ids=str,
)
def test_parameters(parameters: dict[str, Any], tmp_path: Path) -> None:
    both(ramps((3, 8, 20, 30), seed=1), tmp_path, **parameters)


def test_groups_that_are_unusable_everywhere(tmp_path: Path) -> None:
    model = ramps((2, 13, 20, 20), seed=2)
    model.groupdq[:, [0, -1]] |= DO_NOT_USE
    model.groupdq[1, 1] |= DO_NOT_USE
    both(model, tmp_path)


def test_too_few_usable_groups(tmp_path: Path) -> None:
    # Quirk: the official count of -99 goes into the keyword as if it were one.
    model = ramps((2, 4, 9, 9))
    model.groupdq[:, :2] |= DO_NOT_USE
    ramp = both(model, tmp_path)
    assert ramp.meta.exposure.primary_cosmic_rays < 0


def test_no_usable_groups_at_all(tmp_path: Path) -> None:
    model = ramps((1, 5, 9, 9))
    model.groupdq[:] |= DO_NOT_USE
    ramp = both(model, tmp_path)
    assert ramp.meta.exposure.primary_cosmic_rays is None


def test_minimum_groups_has_no_effect(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    # Quirk: in one process the official step always asks for three.
    both(ramps((1, 5, 20, 20)), tmp_path, minimum_groups=6)
    assert "minimum_groups has no effect" in caplog.text


def test_no_gain_anywhere() -> None:
    model = ramps((1, 5, 9, 9))
    gain, readnoise = references(model.data.shape)
    gain.data[:] = np.nan  # its median is NaN, too
    ramp, status = ours(
        JumpStep, model, gain, readnoise, after_jump_flag_time1=30.0, after_jump_flag_dn1=1.0
    )
    assert status == "COMPLETE"
    assert not ramp.groupdq[model.groupdq == 0].any()
    assert np.all(ramp.pixeldq & NO_GAIN_VALUE)


@pytest.mark.parametrize("n_groups", [1, 2])
def test_too_few_groups_are_skipped(n_groups: int, tmp_path: Path) -> None:
    both(ramps((1, n_groups, 9, 9)), tmp_path, expand_large_events=True)


def test_uneven_groups_count_as_even(tmp_path: Path) -> None:
    # Parity: the official step sets the times aside and does not look at them again.
    both(ramps((1, 5, 9, 9), read_times=[[1.0], [2.0], [4.0], [5.0], [6.0]]), tmp_path)


@pytest.mark.parametrize(("name", "keyword"), [("nframes", "NFRAMES"), ("group_time", "TGROUP")])
def test_missing_keywords(name: str, keyword: str) -> None:
    model = ramps((1, 5, 9, 9))
    setattr(model.meta.exposure, name, None)
    with pytest.raises(InputError, match=keyword):
        ours(JumpStep, model, *references(model.data.shape))


def test_parameters_are_those_of_jwst() -> None:
    def own(step: Any) -> dict[str, str]:
        lines = (line.partition("#")[0].strip() for line in step.spec.splitlines())
        return dict(line.split(" = ", 1) for line in lines if line)

    def evened(text: str) -> tuple[str, set[str]]:
        """Return type and arguments, whatever their order and however a number is written."""
        kind, _, arguments = text.replace(".0", "").rstrip(")").partition("(")
        return kind, {argument.strip() for argument in arguments.split(",")}

    mine, theirs = own(JumpStep), own(Official)
    assert list(mine) == list(theirs)
    for name, kind in theirs.items():
        assert evened(mine[name]) == evened(kind), name


def test_says_how_many(caplog: pytest.LogCaptureFixture) -> None:
    model = ramps((1, 5, 20, 20))
    with caplog.at_level(logging.INFO, logger="jwgpu"):
        ours(JumpStep, model, *references(model.data.shape))
    assert "samples have jumps" in caplog.text
