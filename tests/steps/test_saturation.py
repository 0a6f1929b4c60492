from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from array_steps import assert_same, exposure, official, ours, saved_reference
from jwst.saturation import SaturationStep as Official
from stdatamodels.jwst import datamodels

from jwgpu.errors import InputError
from jwgpu.models.flags import DO_NOT_USE, NO_SAT_CHECK, SATURATED
from jwgpu.references.types import SaturationReference, SuperBiasReference
from jwgpu.steps.saturation import SaturationStep

SHAPE = (2, 5, 24, 30)


def rising(shape: tuple[int, ...] = SHAPE, **facts: Any) -> Any:
    """Return an exposure whose ramps reach all brightnesses, some of them within a group."""
    random = np.random.default_rng(7)
    model = exposure(shape, **facts)
    rate = random.exponential(2000, (shape[0], 1, *shape[2:]))
    rate *= random.random(rate.shape) < 0.2
    time = np.arange(1, shape[1] + 1)[None, :, None, None]
    hit = random.integers(1, shape[1] + 1, rate.shape)
    share = np.where(time > hit, 1, (time == hit) * random.random(hit.shape))
    data = 9000 + rate * time + np.where(random.random(rate.shape) < 0.05, 3e4 * share, 0)
    data += random.normal(0, 100, shape)
    data[random.random(shape) < 0.01] = 0
    model.data = data.astype(np.float32)
    model.groupdq = np.zeros(shape, np.uint8)
    return model


def references(model: Any) -> tuple[SaturationReference, SuperBiasReference]:
    random = np.random.default_rng(8)
    shape = model.data.shape[-2:]
    threshold = random.uniform(12000, 40000, shape).astype(np.float32)
    threshold[random.random(shape) < 0.05] = np.nan
    flags = np.array([0, 0, 0, NO_SAT_CHECK, DO_NOT_USE], np.uint32)
    bias = random.normal(8000, 100, shape).astype(np.float32)
    bias[1, 2] = np.nan
    return (
        SaturationReference(threshold, random.choice(flags, shape)),
        SuperBiasReference(bias, np.zeros(shape, np.uint32)),
    )


def both(model: Any, tmp_path: Path, has_bias: bool = True, **parameters: Any) -> Any:
    saturation, superbias = references(model)
    before = [saturation.data.copy(), saturation.dq.copy(), superbias.data.copy()]
    official_saturation = datamodels.SaturationModel(data=before[0].copy(), dq=before[1].copy())
    paths = {
        "saturation": saved_reference(official_saturation, model, tmp_path / "saturation.fits"),
        "superbias": "N/A",
    }
    if has_bias:
        official_bias = datamodels.SuperBiasModel(data=before[2].copy(), dq=superbias.dq.copy())
        paths["superbias"] = saved_reference(official_bias, model, tmp_path / "superbias.fits")
    theirs = official(Official, model, paths, **parameters)
    ramp, status = ours(
        SaturationStep, model, saturation, superbias if has_bias else None, **parameters
    )
    assert status == theirs.meta.cal_step.saturation == "COMPLETE"
    for mine, original in zip(
        (saturation.data, saturation.dq, superbias.data), before, strict=True
    ):
        np.testing.assert_array_equal(mine, original)
    assert_same(ramp, theirs, rtol=0)
    return ramp


@pytest.mark.parametrize("nframes", [1, 4])
@pytest.mark.parametrize("has_bias", [True, False])
def test_equals_official(nframes: int, has_bias: bool, tmp_path: Path) -> None:
    ramp = both(rising(nframes=nframes), tmp_path, has_bias)
    assert np.any(ramp.groupdq & SATURATED)
    assert np.any(ramp.pixeldq & NO_SAT_CHECK)


@pytest.mark.parametrize("shape", [(1, 1, 8, 9), (1, 2, 8, 9), (3, 3, 5, 5)])
def test_short_ramps_equal_official(shape: tuple[int, ...], tmp_path: Path) -> None:
    both(rising(shape, nframes=4), tmp_path)


@pytest.mark.parametrize("n_pix_grow_sat", [-1, 0, 2])
def test_growth_equals_official(n_pix_grow_sat: int, tmp_path: Path) -> None:
    both(rising(nframes=2), tmp_path, n_pix_grow_sat=n_pix_grow_sat)


def test_read_pattern_matters_and_can_be_left_out(tmp_path: Path) -> None:
    model = rising(nframes=4)
    without = both(model, tmp_path, use_readpatt=False)
    assert np.any(without.groupdq != both(model, tmp_path).groupdq)


@pytest.mark.parametrize("has_zero_frame", [True, False])
def test_zero_frames_equal_official(has_zero_frame: bool, tmp_path: Path) -> None:
    """The keyword ZEROFRAM decides, not the extension."""
    model = rising(zero_frame=has_zero_frame)
    model.zeroframe = model.data[:, 1].copy()
    ramp = both(model, tmp_path)
    assert np.any(ramp.zeroframe != model.zeroframe) == has_zero_frame


def test_flagged_before_equals_official(tmp_path: Path) -> None:
    """Running the step on its own product, and on flags that come and go."""
    model = rising(nframes=4)
    model.groupdq = both(model, tmp_path).groupdq
    model.groupdq[0, 1, 12, 13] |= SATURATED
    both(model, tmp_path)


def test_miri_equals_official(tmp_path: Path) -> None:
    both(rising(detector="MIRIMAGE"), tmp_path, has_bias=False)


def test_nframes_is_needed_for_the_read_pattern_only() -> None:
    model = rising(nframes=None)
    with pytest.raises(InputError, match="NFRAMES"):
        ours(SaturationStep, model, *references(model))
    assert ours(SaturationStep, model, *references(model), use_readpatt=False)[1] == "COMPLETE"


def test_special_readouts_are_refused() -> None:
    long = exposure((1, 1, 3200, 4), detector="NRS1")
    with pytest.raises(InputError, match="neither IRS2"):
        ours(SaturationStep, long, *references(long))


def test_parameters_are_the_official_ones() -> None:
    def defaults(step_class: Any) -> dict[str, Any]:
        step = step_class()
        return {name: getattr(step, name) for name in ("n_pix_grow_sat", "use_readpatt")}

    assert defaults(SaturationStep) == defaults(Official)
    assert SaturationStep.reference_file_types == Official.reference_file_types
