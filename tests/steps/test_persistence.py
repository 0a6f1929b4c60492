from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import asdf
import numpy as np
import pytest
from array_steps import assert_same, exposure
from array_steps import official as official_result
from hypothesis import given, settings
from hypothesis import strategies as st
from jwst.persistence import PersistenceStep as Official
from stdatamodels.jwst import datamodels

from jwgpu.errors import InputError, ParameterError
from jwgpu.models.flags import DO_NOT_USE, JUMP_DET, PERSISTENCE, SATURATED
from jwgpu.models.reading import ramp_of
from jwgpu.steps.persistence import PersistenceStep

GROUP_TIME = 10.0


def raw(shape: tuple[int, ...] = (3, 6, 12, 20), seed: int = 0, **facts: Any) -> Any:
    random = np.random.default_rng(seed)
    times = {
        "group_time": GROUP_TIME,
        "frame_time": 5.0,
        "integration_time": shape[1] * GROUP_TIME,
        "start_time": 59800.5,
        "end_time": 59800.5 + shape[0] * shape[1] * GROUP_TIME / 86400,
        "nresets_at_start": 1,
        "nresets_between_ints": 1,
    }
    model = exposure(shape, **{**times, **facts})
    saturated = random.random(shape) < 0.03
    # Mostly a pixel stays saturated; now and then it does not.
    stays = np.logical_or.accumulate(saturated, axis=1)
    saturated |= stays & (random.random(shape[-2:]) < 0.8)
    model.groupdq = (saturated * SATURATED).astype(np.uint8)
    model.groupdq |= ((random.random(shape) < 0.03) * JUMP_DET).astype(np.uint8)
    return model


def with_times(model: Any, gap: float = 70.0) -> Any:
    table = np.zeros(model.data.shape[0], dtype=model.get_dtype("int_times"))
    table["int_start_MJD_UTC"] = 59801.0 + np.arange(len(table)) * gap / 86400
    model.int_times = table
    return model


def ours(model: Any, /, **parameters: Any) -> Any:
    step = PersistenceStep(skip=False)
    for name, value in parameters.items():
        setattr(step, name, value)
    return step.apply(ramp_of(model.copy()))


def both(model: Any, **parameters: Any) -> Any:
    theirs = official_result(Official, model, skip=False, **parameters)
    ramp = ours(model, **parameters)
    assert ramp.meta.cal_step.persistence == theirs.meta.cal_step.persistence
    assert_same(ramp, theirs, rtol=0)
    return ramp


@pytest.mark.parametrize("has_times", [False, True])
@pytest.mark.parametrize("is_unusable", [False, True])
@pytest.mark.parametrize("threshold", [None, 1500.0])
@pytest.mark.parametrize("length", [5, 25, 100, 100000])
def test_windows_equal_official(
    length: int, threshold: float | None, is_unusable: bool, has_times: bool
) -> None:
    model = with_times(raw()) if has_times else raw()
    ramp = both(model, persistence_time=length, dn_threshold=threshold, persistence_dnu=is_unusable)
    assert np.any(ramp.groupdq & PERSISTENCE)
    assert np.any(ramp.groupdq & DO_NOT_USE) == is_unusable
    assert ramp.meta.cal_step.persistence == "COMPLETE"


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 8), st.integers(1, 4), st.integers(4, 9)),
    seed=st.integers(0, 10**6),
    length=st.integers(1, 200),
    threshold=st.none() | st.floats(0, 2000),
    has_times=st.booleans(),
)
def test_any_shape_equals_official(
    shape: tuple[int, ...], seed: int, length: int, threshold: float | None, has_times: bool
) -> None:
    model = raw(shape, seed)
    model = with_times(model) if has_times else model
    both(model, persistence_time=length, dn_threshold=threshold)


@pytest.mark.parametrize("length", [None, 0, -3])
def test_without_a_time_the_step_fails(length: int | None) -> None:
    model = raw()
    ramp = both(model, persistence_time=length)
    assert ramp.meta.cal_step.persistence == "FAILED"
    np.testing.assert_array_equal(ramp.groupdq, model.groupdq)


def test_a_window_starts_at_saturation_and_lasts_its_time() -> None:
    model = raw((2, 6, 12, 20))
    model.groupdq[...] = 0
    model.groupdq[0, 2:, 5, 7] = SATURATED
    ramp = ours(model, persistence_time=45)
    flagged = (ramp.groupdq[:, :, 5, 7] & PERSISTENCE) != 0
    np.testing.assert_array_equal(flagged[0], [False, False, True, True, True, True])
    # 30 s have passed at the end of the first integration: 15 s are left.
    np.testing.assert_array_equal(flagged[1], [True, False, False, False, False, False])
    assert not np.any(np.delete(ramp.groupdq.reshape(12, -1), 5 * 20 + 7, axis=1))


def test_windows_reach_the_next_exposure_through_a_file(tmp_path: Path) -> None:
    first, second = raw(seed=1), raw(seed=2, start_time=59800.5 + 200.0 / 86400)
    files = {name: str(tmp_path / f"{name}.asdf") for name in ("theirs", "ours")}
    options = {"persistence_time": 150}
    official_result(Official, first, skip=False, save_persistence=files["theirs"], **options)
    ours(first, save_persistence=files["ours"], **options)
    with asdf.open(files["theirs"]) as theirs, asdf.open(files["ours"]) as mine:
        assert set(mine["NRCA1"]) == set(theirs["NRCA1"])
        for name in ("rows", "cols", "vals"):
            np.testing.assert_array_equal(mine["NRCA1"][name], theirs["NRCA1"][name])
    # Either package takes the file of either.
    for name in files.values():
        with_file = both(second, persistence_array_file=name, **options)
        assert np.any(with_file.groupdq != ours(second, **options).groupdq)


def test_a_file_keeps_the_windows_of_other_detectors(tmp_path: Path) -> None:
    name = str(tmp_path / "windows.fits")
    options = {"persistence_time": 150, "save_persistence": name}
    ours(raw(), **options)
    other = raw()
    other.meta.instrument.detector = "NRCB1"
    ours(other, **options)
    with asdf.open(tmp_path / "windows.asdf") as found:
        assert {"NRCA1", "NRCB1"} <= set(found.tree)
    both(raw(), persistence_array_file=str(tmp_path / "windows.asdf"), persistence_time=151)
    both(raw(), persistence_array_file=str(tmp_path / "none.asdf"), persistence_time=150)


def test_bad_files_are_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.asdf"
    broken.write_text("nothing")
    with pytest.raises(InputError, match="broken"):
        ours(raw(), persistence_array_file=str(broken), persistence_time=10)
    name = str(tmp_path / "large.asdf")
    ours(raw((1, 6, 40, 40)), save_persistence=name, persistence_time=500)
    with pytest.raises(ParameterError, match="pixels beyond"):
        ours(raw(), persistence_array_file=name, persistence_time=500)


# -- traps ------------------------------------------------------------------------------------

#: capture0, capture1, capture2, decay_param
FAMILIES = ((180.0, -0.0004, 60.0, -0.005), (50.0, -0.01, 0.0, -0.02), (20.0, 0.0, 5.0, 0.0))


@pytest.fixture
def trap_references(tmp_path: Path) -> dict[str, str]:
    """Return overrides with references of the whole detector, smaller than a real one."""
    random = np.random.default_rng(4)
    density = random.normal(1.0, 0.1, (64, 64)).astype(np.float32)
    saturation = np.full((64, 64), 1300.0, np.float32)
    density[3, 4] = np.nan
    saturation[5, 6] = np.nan
    flags = np.zeros((64, 64), np.uint32)
    flags[7, 8] = DO_NOT_USE
    parameters = datamodels.TrapParsModel()
    parameters.trappars_table = np.array(
        list(FAMILIES), dtype=parameters.get_dtype("trappars_table")
    )
    models = {
        "trapdensity": datamodels.TrapDensityModel(data=density, dq=flags),
        "trappars": parameters,
        "persat": datamodels.PersistenceSatModel(data=saturation, dq=np.roll(flags, 1)),
    }
    found = {}
    for reftype, model in models.items():
        model.meta.reftype = reftype.upper()
        model.meta.instrument.name, model.meta.instrument.detector = "NIRCAM", "NRCA1"
        model.meta.author, model.meta.pedigree, model.meta.description = "a test", "DUMMY", "test"
        model.meta.useafter = "2020-01-01T00:00:00"
        if reftype != "trappars":
            model.meta.subarray.xstart = model.meta.subarray.ystart = 1
            model.meta.subarray.xsize = model.meta.subarray.ysize = 64
        path = tmp_path / f"{reftype}.fits"
        model.save(path)
        found[f"override_{reftype}"] = str(path)
    return found


def filled_by_the_document(samples: list[float], flags: list[int], resets: int) -> list[float]:
    """Compute the traps that one pixel fills, as the document writes it (density 1)."""
    n, limit, tframe = len(samples), 1300.0, 5.0
    steps = sorted(
        1e5 if flags[g] & SATURATED else samples[g] - samples[g - 1] for g in range(1, n)
    )
    left_out = sum(bool(f & JUMP_DET) for f in flags) + sum(bool(f & SATURATED) for f in flags[1:])
    kept = steps[: max(n - 1 - left_out, 0)]
    step = sum(kept) / len(kept) if kept else 0.0
    slope = step / limit / GROUP_TIME
    above = sum(sample > limit for sample in samples)
    found = []
    for par0, par1, par2, _ in FAMILIES:
        tau = 1 / abs(par1) if par1 else 1e10
        dt = resets * tframe + (n - above) * GROUP_TIME
        filled = 2 * slope**2 * (
            dt**2 * (par0 + par2) / 2 + par0 * (dt * tau + tau**2) * math.exp(-dt / tau)
            - par0 * tau**2
        )  # fmt: skip
        if above:
            filled = par2 if above == n else filled
            empty = par0 - (filled - par2)
            filled += empty * (1 - math.exp(-above * GROUP_TIME * abs(par1)))
        for k in range(1, n):
            if flags[k] & JUMP_DET:
                dt = (n - k - 0.5) * GROUP_TIME
                jump = max(samples[k] - samples[k - 1] - step, 0.0)
                filled += 2 * jump * (par0 * (1 - math.exp(-dt * abs(par1))) + par2)
        found.append(filled)
    return found


def test_captures_are_those_of_the_document(
    trap_references: dict[str, str], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    model = raw((1, 8, 12, 20), seed=3)
    ramps = np.cumsum(np.abs(np.diff(model.data, axis=1, prepend=0)), axis=1) * 0.5
    model.data = ramps.astype(np.float32)
    model.meta.filename = "jw1_nrca1_jump.fits"
    ramp = ours(model, model="traps", output_file="jw1_nrca1.fits", **trap_references)
    assert ramp.meta.cal_step.persistence == "COMPLETE"
    np.testing.assert_array_equal(ramp.data, model.data)  # nothing was filled before
    with datamodels.open(tmp_path / "jw1_nrca1_trapsfilled.fits") as product:
        assert isinstance(product, datamodels.TrapsFilledModel)
        assert product.data.shape == (3, 2048, 2048)
        filled = product.data[:, :12, :20].copy()
        assert not np.any(product.data[:, 12:])
    with datamodels.open(trap_references["override_trapdensity"]) as density:
        relative = density.data[:12, :20]
        for y, x in [(0, 0), (1, 7), (4, 4), (9, 19), (11, 3), *np.ndindex(3, 3)]:
            samples = model.data[0, :, y, x].astype(float).tolist()
            expected = filled_by_the_document(samples, model.groupdq[0, :, y, x].tolist(), 1)
            # float32 steps and slopes; the ramp term is a difference of large numbers.
            np.testing.assert_allclose(
                filled[:, y, x], np.array(expected) * relative[y, x], rtol=2e-3, atol=1e-2
            )
    assert not np.any(filled[:, 3, 4])  # its density is NaN
    assert not np.any(filled[:, 7, 8])  # and here flagged


def trapsfilled(tmp_path: Path, value: float = 5000.0) -> str:
    path = tmp_path / "before_trapsfilled.fits"
    data = np.full((3, 2048, 2048), value, np.float32)
    data[0, 0, 0] = np.nan
    model = datamodels.TrapsFilledModel(data=data)
    model.meta.exposure.end_time = 59800.5 - 100.0 / 86400
    model.save(path)
    return str(path)


def test_releases_follow_the_decay(
    trap_references: dict[str, str], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    model = raw((2, 5, 8, 8))
    model.groupdq[...] = 0
    model.data[...] = 0.0
    options = {"save_persistence": "true", "flag_pers_cutoff": 500.0, "output_file": "out.fits"}
    before = trapsfilled(tmp_path)
    ramp = ours(model, input_trapsfilled=before, **options, **trap_references)
    rates = [abs(family[3]) for family in FAMILIES]
    expected = np.zeros((2, 5))
    for integration in range(2):
        # Resets before the first integration belong to the time before it.
        start = 100.0 + integration * (5 * GROUP_TIME + 5.0)
        for rate in rates:
            ends = start + GROUP_TIME * np.arange(1, 6)
            expected[integration] += 5000 * (np.exp(-rate * start) - np.exp(-rate * ends))
    np.testing.assert_allclose(-ramp.data[:, :, 1, 1], expected, rtol=1e-4)
    with datamodels.open(tmp_path / "out_output_pers.fits") as product:
        np.testing.assert_array_equal(product.data, -ramp.data)
    is_flagged = (ramp.pixeldq & PERSISTENCE) != 0
    assert is_flagged[1, 1] == (expected.max() >= 500)
    with datamodels.open(tmp_path / "out_trapsfilled.fits") as product:
        # What is not in the exposure has decayed as long.
        np.testing.assert_allclose(product.data[:, 1500, 3], product.data[:, 1, 1], rtol=1e-5)


def test_persistence_that_was_added_is_removed(
    trap_references: dict[str, str], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    clean = raw((2, 6, 8, 8), seed=8)
    clean.groupdq[...] = 0
    before = trapsfilled(tmp_path)
    released = ours(
        raw_zero(clean), input_trapsfilled=before, save_trapsfilled=False, **trap_references
    )
    disturbed = clean.copy()
    disturbed.data = clean.data - released.data
    found = ours(disturbed, input_trapsfilled=before, save_trapsfilled=False, **trap_references)
    assert np.abs(released.data).max() > 100
    # In the first integration exactly; what its light fills is released in the second as well.
    np.testing.assert_allclose(found.data[0], clean.data[0], rtol=1e-5, atol=1e-2)


def raw_zero(model: Any) -> Any:
    zero = model.copy()
    zero.data = np.zeros_like(model.data)
    return zero


def test_without_references_of_traps_the_step_is_skipped(trap_references: dict[str, str]) -> None:
    ramp = ours(raw(), model="traps", **{**trap_references, "override_persat": "N/A"})
    assert ramp.meta.cal_step.persistence == "SKIPPED"
    miri = exposure((1, 4, 8, 8), "MIRIMAGE")
    assert ours(miri, model="traps").meta.cal_step.persistence == "SKIPPED"


def test_bad_traps_are_refused(trap_references: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        ours(raw(), input_trapsfilled=str(tmp_path / "nowhere.fits"), **trap_references)
    model = datamodels.TrapsFilledModel(data=np.zeros((2, 64, 64), np.float32))
    model.save(tmp_path / "two.fits")
    with pytest.raises(InputError, match="3 images"):
        ours(raw(), input_trapsfilled=str(tmp_path / "two.fits"), **trap_references)


def test_traps_on_a_gpu(cuda: Any, trap_references: dict[str, str], tmp_path: Path) -> None:
    before = trapsfilled(tmp_path)
    found = {}
    for device in ("cpu", "cuda"):
        found[device] = PersistenceStep.call(
            raw((2, 5, 64, 8)),
            device=device,
            references=str(tmp_path),
            skip=False,
            input_trapsfilled=before,
            save_trapsfilled=False,
            flag_pers_cutoff=200.0,
            **trap_references,
        )
    mine, theirs = found["cuda"], found["cpu"]
    # Exponentials differ in their last bits.
    np.testing.assert_allclose(mine.data, theirs.data, rtol=1e-6, atol=1e-3)
    np.testing.assert_array_equal(mine.pixeldq, theirs.pixeldq)
    assert (mine.pixeldq & PERSISTENCE).any()
