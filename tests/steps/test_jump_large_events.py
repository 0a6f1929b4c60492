"""The jump step with snowballs and showers against the official one: flags, keywords, options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from array_steps import assert_same, exposure, official, ours, saved_reference
from jwst.jump import JumpStep as Official
from scipy import ndimage
from stdatamodels.jwst import datamodels

from jwgpu.models.flags import DO_NOT_USE, JUMP_DET, REFERENCE_PIXEL, SATURATED
from jwgpu.references.types import GainReference, ReadNoiseReference
from jwgpu.simulate import Settings, simulate_exposure
from jwgpu.steps.jump import JumpStep

GROUP_TIME = 10.73677
READ_NOISE = 6.0
GAIN = 2.0


def ramps(shape: tuple[int, int, int, int], seed: int = 0, **facts: Any) -> Any:
    """Return an official model of noisy ramps with hits, and the random generator."""
    random = np.random.default_rng(seed)
    model = exposure(shape, group_time=facts.pop("group_time", GROUP_TIME), **facts)
    electrons = random.poisson(30.0, shape) + 0.0
    electrons += (random.random(shape) < 0.002) * random.lognormal(7, 1, shape)
    model.data = (electrons.cumsum(1) / GAIN + random.normal(0, READ_NOISE, shape)).astype("f4")
    model.groupdq[:] = 0
    return model


def add_snowballs(model: Any, n: int, seed: int = 1) -> None:
    """Add snowballs to all integrations, and flag what saturates."""
    random = np.random.default_rng(seed)
    n_ints, n_groups, n_rows, n_columns = model.data.shape
    rows, columns = np.mgrid[:n_rows, :n_columns]
    for _ in range(n):
        y, x = random.uniform(0, n_rows), random.uniform(0, n_columns)
        radius, group = random.uniform(2, 7), random.integers(1, n_groups)
        distance = np.hypot(rows - y, columns - x) / radius
        charge = np.where(distance < 1, 1e5, 3000 * np.exp(-2 * (distance - 1)))
        model.data[random.integers(n_ints), group:] += charge.astype("f4")
    model.groupdq[model.data > 50000] |= SATURATED


def add_showers(model: Any, n: int, seed: int = 1) -> None:
    """Add patches of faint emission that fades."""
    random = np.random.default_rng(seed)
    n_ints, n_groups, n_rows, n_columns = model.data.shape
    for _ in range(n):
        patch = np.zeros((n_rows, n_columns), np.float32)
        patch[random.integers(n_rows), random.integers(n_columns)] = 1
        patch = ndimage.gaussian_filter(patch, random.uniform(5, 9, 2))
        patch *= 25 / patch.max()
        first = random.integers(1, n_groups)
        of_integration = model.data[random.integers(n_ints)]
        for group in range(first, n_groups):
            of_integration[group:] += patch * np.exp(first - group)


def both(model: Any, folder: Path, **parameters: Any) -> Any:
    """Assert that both packages make the same of `model`; return ours."""
    image = model.data.shape[-2:]
    gain = GainReference(np.full(image, GAIN, np.float32))
    readnoise = ReadNoiseReference(np.full(image, READ_NOISE * 2**0.5, np.float32))
    gain.data[3, 5] = np.nan
    models = {
        "gain": datamodels.GainModel(data=gain.data.copy()),
        "readnoise": datamodels.ReadnoiseModel(data=readnoise.data.copy()),
    }
    paths = {
        kind: saved_reference(reference, model, folder / f"{kind}.fits")
        for kind, reference in models.items()
    }
    ramp, status = ours(JumpStep, model, gain, readnoise, **parameters)
    theirs = official(Official, model, paths, **parameters)
    assert status == theirs.meta.cal_step.jump == "COMPLETE"
    assert_same(ramp, theirs, rtol=0)
    for name in ("primary_cosmic_rays", "extended_emission_events"):
        mine, wanted = (getattr(m.meta.exposure, name) for m in (ramp, theirs))
        assert mine == (wanted if wanted is None else pytest.approx(wanted, rel=1e-12)), name
    return ramp


SNOWBALLS: dict[str, dict[str, Any]] = {
    "default": {},
    "as in operations": {
        "min_jump_area": 15.0, "min_sat_area": 5.0, "expand_factor": 1.75, "sat_expand": 0,
        "after_jump_flag_dn1": 1000.0, "after_jump_flag_time1": 90.0,
    },
    "no core": {"sat_required_snowball": False},
    "no edge, wide": {"edge_size": 0, "expand_factor": 3.0, "sat_expand": 4},
    "large cores": {"min_sat_radius_extend": 5.0, "min_sat_area": 20.0},
    "small": {"max_extended_radius": 6},
    "not in the next integration": {"mask_snowball_core_next_int": False},
    "shortly in the next integration": {"snowball_time_masked_next_int": 25},
    "no longer than a group": {"snowball_time_masked_next_int": 5},
    "flags without effect": {"use_ellipses": True},
}  # fmt: skip


@pytest.mark.parametrize("case", SNOWBALLS)
def test_snowballs(case: str, tmp_path: Path) -> None:
    model = ramps((2, 5, 90, 100))
    add_snowballs(model, 12)
    ramp = both(model, tmp_path, expand_large_events=True, **SNOWBALLS[case])
    assert ramp.meta.exposure.extended_emission_events > 0


SHOWERS: dict[str, dict[str, Any]] = {
    "default": {},
    "long": {"time_masked_after_shower": 30.0},
    "no longer than a group": {"time_masked_after_shower": 1.0},
    "threshold and area": {"extend_snr_threshold": 1.5, "extend_min_area": 40},
    "ring": {"extend_inner_radius": 2.0, "extend_outer_radius": 1.5},
    "wide": {"extend_ellipse_expand_ratio": 1.8},
    "small": {"max_extended_radius": 7},
    "many differences at once": {"min_diffs_single_pass": 4},
}


@pytest.mark.parametrize("case", SHOWERS)
def test_showers(case: str, tmp_path: Path) -> None:
    model = ramps((2, 12, 70, 80), detector="MIRIMAGE", group_time=2.775)
    add_showers(model, 6)
    model.pixeldq[:, :2] |= REFERENCE_PIXEL
    model.pixeldq[:, 2:4] |= REFERENCE_PIXEL | DO_NOT_USE
    ramp = both(model, tmp_path, find_showers=True, **SHOWERS[case])
    assert ramp.meta.exposure.extended_emission_events > 0


def test_showers_by_sigma_clipping(tmp_path: Path) -> None:
    model = ramps((16, 4, 50, 60), detector="MIRIMAGE")
    add_showers(model, 4)
    options = {"minimum_sigclip_groups": 12, "extend_min_area": 40, "rejection_threshold": 5.0}
    ramp = both(model, tmp_path, find_showers=True, **options)
    assert ramp.meta.exposure.extended_emission_events > 0


def test_both_kinds(tmp_path: Path) -> None:
    # Quirk: the keyword counts showers only.
    model = ramps((1, 14, 70, 80))
    add_snowballs(model, 5)
    ramp = both(model, tmp_path, expand_large_events=True, find_showers=True)
    assert ramp.meta.exposure.extended_emission_events == 0
    assert (ramp.groupdq & JUMP_DET).any()


def test_too_few_differences_for_showers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ramp = both(ramps((1, 10, 30, 40)), tmp_path, find_showers=True)
    assert ramp.meta.exposure.extended_emission_events == 0
    assert "too few differences" in caplog.text


def test_too_few_groups_to_find_jumps(tmp_path: Path) -> None:
    model = ramps((1, 5, 60, 60))
    add_snowballs(model, 4)
    model.groupdq[:, :3] |= DO_NOT_USE
    both(model, tmp_path, expand_large_events=True, edge_size=30)


def test_groups_that_cores_make_usable(tmp_path: Path) -> None:
    """Quirk: widened cores lose DO_NOT_USE, so that the last group counts in the keywords."""
    model = ramps((1, 6, 60, 60))
    add_snowballs(model, 4)
    model.groupdq[:, -1] |= DO_NOT_USE
    ramp = both(model, tmp_path, expand_large_events=True)
    assert not np.all(ramp.groupdq[:, -1] & DO_NOT_USE)


def test_the_amplitude_has_no_effect(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Quirk: officially the parameter is not passed on."""
    model = ramps((1, 12, 60, 70), detector="MIRIMAGE", group_time=2.775)
    add_showers(model, 3)
    with_default = both(model, tmp_path, find_showers=True)
    with_another = both(model, tmp_path, find_showers=True, max_shower_amplitude=0.001)
    np.testing.assert_array_equal(with_default.groupdq, with_another.groupdq)
    assert "max_shower_amplitude has no effect" in caplog.text


def test_the_truth_is_flagged() -> None:
    """Simulated snowballs: core and halo are flagged as far as they matter."""
    settings = Settings(window=(1, 1, 200, 200), ngroups=6, seed=8, snowballs=5, n_stars=0)
    simulation = simulate_exposure(settings)
    model = exposure(simulation.data.shape, group_time=settings.group_time)
    model.data = simulation.data.astype(np.float32)
    groups = np.arange(settings.ngroups)[:, None, None]
    model.groupdq[:] = SATURATED * (groups >= simulation.truth.saturated_group[:, None])
    image = model.data.shape[-2:]
    references = (
        GainReference(np.full(image, settings.camera.gain, np.float32)),
        ReadNoiseReference(np.full(image, 20.0, np.float32)),
    )
    plain, _ = ours(JumpStep, model, *references)
    ramp, _ = ours(JumpStep, model, *references, expand_large_events=True)
    assert len(simulation.truth.large_events) > 1
    rows, columns = np.mgrid[: image[0], : image[1]]
    for event in simulation.truth.large_events:
        distance = np.hypot(rows - event["y"], columns - event["x"]) / event["major"]
        near = (distance < 3) & (rows > 3) & (columns > 3)
        missed = [
            not_flagged.mean()
            for not_flagged in (
                (step.groupdq[0, event["group"]][near] & (JUMP_DET | SATURATED)) == 0
                for step in (plain, ramp)
            )
        ]
        assert missed[1] <= missed[0]
        assert missed[1] < 0.02
