from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from array_steps import assert_same, exposure, saved_reference
from array_steps import official as official_result
from hypothesis import given, settings
from hypothesis import strategies as st
from jwst.emicorr import EmiCorrStep as Official
from stdatamodels.jwst import datamodels

from jwgpu.errors import InputError, ParameterError, ReferenceFileError
from jwgpu.kernels.emi import MIRI_CLOCKS, Clock, subtract_waveform
from jwgpu.kernels.emi.joint import waveform_pieces
from jwgpu.models.reading import ramp_of
from jwgpu.steps.emicorr import EmiCorrStep

WAVES = {"Hz390": (390.625, 500), "Hz218": (218.52055, 250), "Hz164": (164.9305, 64)}


def waveform(bins: int, seed: int = 0) -> np.ndarray:
    turn = (np.arange(bins) + 0.5) / bins
    shape = np.sin(2 * np.pi * (turn + 0.1 * seed)) + 0.4 * np.cos(4 * np.pi * turn + seed)
    return shape.astype(np.float32)


def reference_model(fast: tuple[str, ...] = ("Hz390", "Hz218"), hole: bool = False) -> Any:
    model = datamodels.EmiModel()
    model.frequencies = {
        name: {"frequency": frequency, "phase_amplitudes": waveform(bins, len(name))}
        for name, (frequency, bins) in WAVES.items()
    }
    model.subarray_cases = {
        name: {
            "rowclocks": row,
            "frameclocks": frame,
            "freqs": {
                "FAST": list(fast),
                "SLOW": {"MIRIMAGE": ["Hz164"], "MIRIFULONG": ["Hz390"]},
            },
        }
        for name, (row, frame) in MIRI_CLOCKS.items()
    }
    if hole:
        model.frequencies.Hz390.phase_amplitudes[3] = np.nan
    return model


def raw(
    shape: tuple[int, ...] = (2, 12, 16, 72), seed: int = 1, amplitude: float = 6.0, **facts: Any
) -> Any:
    """Return samples with ramps, noise, and waves of 390.625 Hz."""
    random = np.random.default_rng(seed)
    detector = facts.pop("detector", "MIRIMAGE")
    subarray = facts.pop("subarray", "SUB64")
    model = exposure(shape, detector, **{"nsamples": 1, "readpatt": "FASTR1", **facts})
    ints, groups, rows, columns = shape
    bias = random.normal(10000.0, 300.0, (rows, columns))
    slope = random.exponential(20.0, (rows, columns))
    ramps = bias + slope * np.arange(groups)[:, None, None]
    samples = (ramps + random.normal(0.0, 5.0, shape)).astype(np.float32)
    clock = Clock(28, 1, 8512, rows, groups)
    phases = 0.3 + np.arange(ints) * clock.integration_clocks / 256.0
    pieces = waveform_pieces(waveform(500, 5))
    subtract_waveform(samples, clock, 256.0, pieces, np.full(ints, -amplitude), phases)
    model.data = np.rint(samples)
    model.pixeldq = (random.random((rows, columns)) < 0.05).astype(np.uint32)
    model.meta.subarray.name = subarray
    model.meta.observation.date = "2022-08-09"
    return model


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("emi") / "emi.asdf"
    return saved_emi(reference_model(), path)


def saved_emi(model: Any, path: Path) -> str:
    model.meta.reftype = "EMICORR"
    model.meta.telescope = "JWST"
    return saved_reference_of(model, raw((1, 3, 16, 16)), path)


def saved_reference_of(model: Any, like: Any, path: Path) -> str:
    saved = saved_reference(model, like, path)
    with datamodels.EmiModel(saved) as again:
        again.meta.reftype = "EMICORR"
        again.save(saved)
    return saved


def ours(model: Any, reference: str, **parameters: Any) -> Any:
    """Return the ramp that our step makes of a copy of `model`, references and all."""
    step = EmiCorrStep(skip=False)
    for name, value in {"override_emicorr": reference, **parameters}.items():
        setattr(step, name, value)
    return step.apply(ramp_of(model.copy()))


def both(model: Any, reference: str, **parameters: Any) -> Any:
    """Check that both packages do the same to a ramp; return ours."""
    theirs = official_result(Official, model, {"emicorr": reference}, skip=False, **parameters)
    ramp = ours(model, reference, **parameters)
    assert ramp.meta.cal_step.emicorr == theirs.meta.cal_step.emicorr
    # Sums are taken in another order: a sample now and then is rounded to the next float32.
    assert_same(ramp, theirs, rtol=2e-7)
    return ramp


JOINT: dict[str, dict[str, Any]] = {
    "subarray": {},
    "without reset": {"readpatt": "FAST"},
    "slow": {"readpatt": "SLOWR1", "nsamples": 9},
    "slow, other detector": {"readpatt": "SLOW", "nsamples": 9, "detector": "MIRIFULONG"},
    # With 16 rows the wave would turn by half from group to group: phases half a turn apart fit
    # equally well, and rounding decides.
    "full": {"subarray": "FULL", "shape": (2, 12, 15, 72)},
    "full, slow": {
        "subarray": "FULL",
        "readpatt": "SLOWR1",
        "nsamples": 9,
        "shape": (2, 12, 15, 72),
    },
    "three groups": {"shape": (2, 3, 16, 72)},
    "one integration": {"shape": (1, 5, 16, 72)},
    "many integrations": {"shape": (7, 4, 16, 72)},
    **{name: {"subarray": name} for name in ("BRIGHTSKY", "MASK1140", "SLITLESSPRISM")},
}


@pytest.mark.parametrize("separately", [False, True])
@pytest.mark.parametrize("case", JOINT)
def test_joint_fit_equals_official(case: str, separately: bool, reference: str) -> None:
    model = raw(**JOINT[case])
    ramp = both(model, reference, fit_ints_separately=separately)
    assert ramp.meta.cal_step.emicorr == "COMPLETE"
    assert np.any(ramp.data != model.data)


def test_equally_good_phases_make_no_difference_to_slopes(reference: str) -> None:
    """Officially rounding decides between them; the samples differ by the same in all groups."""
    model = raw(subarray="FULL")
    theirs = official_result(Official, model, {"emicorr": reference}, skip=False)
    ramp = ours(model, reference)
    difference = ramp.data - theirs.data
    np.testing.assert_allclose(difference, difference[:, :1].repeat(12, axis=1), atol=3e-3)


SEQUENTIAL: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "default": ({}, {}),
    "few groups": ({"shape": (2, 4, 16, 72)}, {}),
    "four groups": ({"shape": (3, 5, 16, 72)}, {}),
    "not scaled": ({}, {"scale_reference": False}),
    "all integrations": ({"shape": (3, 10, 16, 72)}, {"use_n_cycles": None}),
    "many cycles": ({"shape": (4, 10, 16, 72)}, {"use_n_cycles": 900}),
    "two integrations": ({"shape": (3, 10, 16, 72)}, {"nints_to_phase": 2}),
    "more integrations than there are": ({}, {"nints_to_phase": 5}),
    "bins": ({}, {"nbins": 37}),
    "too many bins": ({}, {"nbins": 800}),
    "slow": ({"readpatt": "SLOWR1", "nsamples": 9}, {}),
    "no reset": ({"readpatt": "FAST"}, {}),
    "rows that end in reference pixels": ({"shape": (2, 10, 4, 1032), "subarray": "FULL"}, {}),
    "on the fly": ({}, {"onthefly_corr_freq": [390.625, 10.039216]}),
    "on the fly, algorithm as it is": (
        {},
        {"onthefly_corr_freq": [218.52055], "algorithm": "joint"},
    ),
}


@pytest.mark.parametrize("case", SEQUENTIAL)
def test_folding_equals_official(case: str, reference: str) -> None:
    facts, parameters = SEQUENTIAL[case]
    model = raw(**facts)
    ramp = both(model, reference, **{"algorithm": "sequential", **parameters})
    assert ramp.meta.cal_step.emicorr == "COMPLETE"
    assert np.any(ramp.data != model.data)


SKIPPED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "read pattern": ({"readpatt": "FASTR100"}, {}),
    "two groups": ({"shape": (2, 2, 16, 72)}, {}),
    "unknown subarray": ({"subarray": "SUB160"}, {}),
    "unknown subarray, on the fly": ({"subarray": "SUB160"}, {"onthefly_corr_freq": [390.0]}),
    "no frequency of this detector": (
        {"readpatt": "SLOW", "nsamples": 9, "detector": "MIRIFUSHORT"},
        {},
    ),
    "no frequency given": ({}, {"onthefly_corr_freq": []}),
    "no reference": ({}, {"override_emicorr": "N/A"}),
}


@pytest.mark.parametrize("case", SKIPPED)
def test_what_cannot_be_corrected_is_skipped(case: str, reference: str) -> None:
    facts, parameters = SKIPPED[case]
    model = raw(**facts)
    ramp = both(model, parameters.pop("override_emicorr", reference), **parameters)
    assert ramp.meta.cal_step.emicorr == "SKIPPED"
    np.testing.assert_array_equal(ramp.data, model.data)


def test_other_instruments_are_skipped(reference: str) -> None:
    model = exposure((2, 4, 16, 20), "NRCA1")
    assert both(model, reference).meta.cal_step.emicorr == "SKIPPED"


@settings(max_examples=5, deadline=None)
@given(
    ints=st.integers(1, 3),
    groups=st.integers(3, 12),
    rows=st.integers(1, 9),
    quarter=st.integers(4, 20),
    seed=st.integers(0, 1000),
    algorithm=st.sampled_from(["joint", "sequential"]),
)
def test_any_shape_equals_official(
    reference: str, ints: int, groups: int, rows: int, quarter: int, seed: int, algorithm: str
) -> None:
    groups = max(groups, 4) if algorithm == "sequential" else groups
    both(raw((ints, groups, rows, 4 * quarter), seed), reference, algorithm=algorithm)


@pytest.mark.parametrize("algorithm", ["joint", "sequential"])
def test_the_wave_is_removed(algorithm: str, reference: str) -> None:
    """The samples come back as they were without the wave, to a tenth of it."""
    facts = {"shape": (2, 30, 16, 72), "seed": 3}
    disturbed, clean = raw(amplitude=6.0, **facts), raw(amplitude=0.0, **facts)
    ramp = ours(disturbed, reference, algorithm=algorithm)
    before = np.std(disturbed.data - clean.data)
    left = ramp.data - clean.data
    assert before > 4
    assert np.std(left - left.mean()) < 0.2 * before


@pytest.mark.parametrize("readpatt", ["FASTR1", "SLOWR1"])
@pytest.mark.parametrize("subarray", ["SUB64", "FULL"])
def test_saved_waves_are_a_reference(
    readpatt: str, subarray: str, reference: str, tmp_path: Path, monkeypatch: Any
) -> None:
    """The official package's own file has the exposure's READPATT, and is not found again."""
    monkeypatch.chdir(tmp_path)
    model = raw(readpatt=readpatt, subarray=subarray, nsamples=1)
    model.meta.filename = "jw_test_uncal.fits"
    step = EmiCorrStep(skip=False, onthefly_corr_freq=[390.625], save_intermediate_results=True)
    step.output_file = "jw_test.fits"
    step.apply(ramp_of(model.copy()))
    (saved,) = tmp_path.glob("*emi_ref_waves.asdf")
    ramp = ours(model, str(saved), algorithm="sequential")
    assert ramp.meta.cal_step.emicorr == "COMPLETE"
    theirs = official_result(
        Official, model, {"emicorr": str(saved)}, skip=False, algorithm="sequential"
    )
    assert_same(ramp, theirs, rtol=2e-7)


def test_official_saved_waves_are_not_found_again(
    reference: str, tmp_path: Path, monkeypatch: Any
) -> None:
    """They carry the exposure's READPATT, where the step looks for FAST or SLOW."""
    monkeypatch.chdir(tmp_path)
    model = raw()
    model.meta.filename = "jw_test_uncal.fits"
    options = {"onthefly_corr_freq": [390.625], "save_intermediate_results": True}
    official_result(Official, model, skip=False, output_file="theirs.fits", **options)
    (saved,) = tmp_path.glob("*emi_ref_waves.asdf")
    assert both(model, str(saved)).meta.cal_step.emicorr == "SKIPPED"


def test_the_old_name_of_the_override_is_taken(reference: str) -> None:
    model = raw()
    with pytest.warns(DeprecationWarning):
        theirs = official_result(Official, model, skip=False, user_supplied_reffile=reference)
    ramp = ours(model, "", user_supplied_reffile=reference)
    assert_same(ramp, theirs, rtol=2e-7)
    assert ramp.meta.ref_file.emicorr.name == reference
    assert theirs.meta.ref_file.emicorr.name is None


def test_bad_input_is_refused(reference: str, tmp_path: Path) -> None:
    model = raw()
    model.meta.exposure.nsamples = None
    with pytest.raises(InputError, match="NSAMPLES"):
        ours(model, reference)
    with pytest.raises(InputError, match="18 columns"):
        ours(raw((1, 4, 8, 18)), reference)
    with pytest.raises(ParameterError, match="positive"):
        ours(raw(), reference, onthefly_corr_freq=[0.0])
    with pytest.raises(ParameterError, match="bins"):
        ours(raw(), reference, onthefly_corr_freq=[70000.0])
    with pytest.raises(ParameterError, match="integrations"):
        ours(raw(), reference, algorithm="sequential", nints_to_phase=0)
    with pytest.raises(ReferenceFileError, match="Hz7"):
        ours(raw(), saved_emi(reference_model(fast=("Hz7",)), tmp_path / "broken.asdf"))
    with pytest.raises(ReferenceFileError, match="finite"):
        ours(raw(), saved_emi(reference_model(hole=True), tmp_path / "holes.asdf"))
